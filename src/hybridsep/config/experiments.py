"""What conf/experiment plans: which rows and trials a study should have.

Read as YAML, so that no model is ever built.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hybridsep.config.overrides import read_yaml
from hybridsep.config.schema import config_dir
from hybridsep.config.trials import parse_trials


@dataclass(frozen=True)
class Plan:
    """An experiment: the pattern of its study's name, how many letters of it are fixed, and the trials of each row."""

    pattern: str
    literal: int
    rows: dict[str, list[int]]

    def fits(self, study: str) -> bool:
        """Say whether a study of this name can belong to the experiment."""
        return re.fullmatch(self.pattern, study) is not None


def plan_of(study: str, present: Collection[str]) -> dict[str, list[int]]:
    """Return `{row: trials}` of the experiments that `study` belongs to, whose rows are `present`; may be empty.

    Experiments name their studies by a pattern (`figure5-${data.name}-${schedule.epochs}ep`); the most literal one that
    fits counts. Several may have the same (`figure4`, `equal_parameters`): those of which a row is there.
    """
    fitting = [plan for plan in plans().values() if plan.fits(study)]
    literal = max((plan.literal for plan in fitting), default=0)
    own = [plan for plan in fitting if plan.literal == literal and not plan.rows.keys().isdisjoint(present)]
    return {row: trials for plan in own for row, trials in plan.rows.items()}


@cache
def plans() -> dict[str, Plan]:
    """Return the experiments of conf/experiment by name."""
    default = _tree(config_dir() / "config.yaml").get("study", "")
    found = {}
    for path in sorted((config_dir() / "experiment").glob("*.yaml")):
        study, models, trials, naming = _inherited(path)
        if models and trials is not None:
            # A model's name is the last part of variant/separable_relu; its row is called so too, or as `row` says.
            rows = [
                (naming or "${model.name}").replace("${model.name}", model.strip().split("/")[-1])
                for model in models.split(",")
            ]
            parts = re.split(r"\$\{[^}]*\}", study or default)
            pattern = ".+".join(map(re.escape, parts))
            found[path.stem] = Plan(pattern, sum(map(len, parts)), {row: parse_trials(trials) for row in rows})
    return found


def _inherited(path: Path) -> tuple[str | None, str | None, Any, str | None]:
    """Return study, models, trials and row of an experiment, from the one that it begins with where it is silent."""
    tree = _tree(path)
    sweep = ((tree.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    study, models, trials, row = tree.get("study"), sweep.get("model"), sweep.get("trial"), tree.get("row")
    for entry in tree.get("defaults") or []:
        if isinstance(entry, str) and entry not in ("_self_", path.stem) and path.with_name(f"{entry}.yaml").is_file():
            above = _inherited(path.with_name(f"{entry}.yaml"))
            return study or above[0], models or above[1], above[2] if trials is None else trials, row or above[3]
    return study, models, trials, row


def _tree(path: Path) -> dict[str, Any]:
    return read_yaml(path) or {}
