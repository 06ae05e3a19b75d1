"""What conf/experiment plans: which rows and trials a study should have. Read as YAML, so that no model is ever built."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from hybridsep.config import config_dir, parse_trials


def plan_of(study: str) -> dict[str, list[int]]:
    """Return `{row: trials}` of the experiment that `study` belongs to, empty when there is none.

    Experiments name their studies by a pattern (`figure5-${data.name}-${schedule.epochs}ep`); the most literal one that fits
    counts.
    """
    fitting = [(literal, plan) for pattern, literal, plan in _plans() if re.fullmatch(pattern, study)]
    return max(fitting, key=lambda entry: entry[0])[1] if fitting else {}


@cache
def _plans() -> list[tuple[str, int, dict[str, list[int]]]]:
    """Return `(pattern of the study's name, number of literal letters, {row: trials})` of every experiment."""
    default = _tree(config_dir() / "config.yaml").get("study", "")
    plans = []
    for path in sorted((config_dir() / "experiment").glob("*.yaml")):
        study, models, trials = _inherited(path)
        if models and trials is not None:
            # A model's row is its name: the last part of variant/separable_relu.
            rows = [model.strip().split("/")[-1] for model in models.split(",")]
            literal = re.split(r"\$\{[^}]*\}", study or default)
            pattern = ".+".join(map(re.escape, literal))
            plans.append((pattern, sum(map(len, literal)), {row: parse_trials(trials) for row in rows}))
    return plans


def _inherited(path: Path) -> tuple[str | None, str | None, Any]:
    """Return study, models and trials of an experiment; what it does not say is as in the experiment that it begins with."""
    tree = _tree(path)
    sweep = ((tree.get("hydra") or {}).get("sweeper") or {}).get("params") or {}
    study, models, trials = tree.get("study"), sweep.get("model"), sweep.get("trial")
    for entry in tree.get("defaults") or []:
        parent = path.with_name(f"{entry}.yaml")
        if isinstance(entry, str) and entry != path.stem and parent.is_file():
            above = _inherited(parent)
            return study or above[0], models or above[1], above[2] if trials is None else trials
    return study, models, trials


def _tree(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
