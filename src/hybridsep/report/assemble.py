"""One study's report, put together from its runs: samples, comparisons, tables, ledger."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridsep.report import (
    compare,
    detail_tables,
    folders,
    heading,
    ledger,
    sample,
    sensitivity,
    sensitivity_tables,
    speed,
    tables,
)
from hybridsep.report.compare import Comparison
from hybridsep.report.folders import Problem
from hybridsep.report.sample import Sample
from hybridsep.report.settings import Choices, Paper
from hybridsep.report.table import Table


@dataclass(frozen=True)
class Part:
    """One table of the paper as this study has it, with all that belongs to it."""

    sample: Sample
    comparison: Comparison
    tables: list[Table]


@dataclass(frozen=True)
class Report:
    """What can be said of one study. `problems` name the folders and tables that were left out.

    `speed` has the table of what `task=speed` measured, if anything was.
    """

    study: str
    parts: list[Part]
    speed: list[Table]
    ledger: Table
    problems: list[Problem]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to report."""
        return not self.parts and not self.speed


def assemble(results: Path, study: str, paper: Paper, choices: Choices) -> Report:
    """Read the study's folders under `results` and return its report."""
    runs, problems = folders.read(results, [study])
    speeds, unusable = speed.tables(results, study, paper, choices)
    samples, refused = sample.split(study, runs, paper, choices)
    parts = []
    for one in samples:
        comparison = compare.compare(one, choices)
        parts.append(Part(one, comparison, tables.build(one, comparison, choices, frame(one, paper, choices))))
    entries = ledger.ledger([(part.sample, part.comparison) for part in parts], paper, choices)
    found = [*problems, *refused, *unusable]
    if not samples and not speeds and not found:
        found.append(Problem(study, None, f"{study}: no run folders"))
    return Report(study, parts, speeds, ledger.ledger_table(entries, choices, study), found)


def frame(one: Sample, paper: Paper, choices: Choices) -> dict[str, Any]:
    """Return heading and warning of the sample's tables."""
    return {"heading": heading.lines(one, choices), "warning": heading.warning(one, paper)}


def further_tables(part: Part, paper: Paper, choices: Choices) -> list[Table]:
    """Return the tables that nobody waits for at the terminal: details, sensitivity, deviations."""
    above = frame(part.sample, paper, choices)
    found = sensitivity.analyse(part.sample, choices)
    return [
        *detail_tables.build(part.sample, part.comparison, choices, above),
        *sensitivity_tables.build(part.sample, found, choices, above),
        ledger.deviation_table(part.sample, paper),
    ]
