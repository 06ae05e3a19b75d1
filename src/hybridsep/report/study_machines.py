"""The processors that a study's runs were trained on, and what each adds to the error."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hybridsep.report.folders import Run
from hybridsep.statistics.machines import MachineEffect, machine_effects


@dataclass(eq=False)
class StudyMachines:
    """What a processor adds to the error: one estimate for all tables of a study, from the finished `runs` in them."""

    runs: Sequence[Run]

    @cached_property
    def processors(self) -> list[str]:
        """The processors (or devices) that the runs were trained on, the one of most runs first."""
        return [name for name, _ in Counter(map(processor, self.runs)).most_common()]

    @cached_property
    def effects(self) -> dict[str, MachineEffect]:
        """Of each processor but the first: points that it adds on all test images, rows being held apart."""
        rows = list(dict.fromkeys(run.row for run in self.runs))
        effects = machine_effects(
            np.array([100 * float(run.wrong.mean()) for run in self.runs]),
            np.array([rows.index(run.row) for run in self.runs]),
            np.array([self.processors.index(processor(run)) for run in self.runs]),
        )
        return {self.processors[effect.machine]: effect for effect in effects}


def processor(run: Run) -> str:
    """Name what a run was trained on."""
    return str(run.record.machine.gpu or run.record.machine.processor)
