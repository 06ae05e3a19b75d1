"""Whether runs were made as the paper's were: computed from what was run, never from a name.

What a table's runs should be is the configuration that its experiment of conf/experiment composes for each of its rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hybridsep.config import config_dir, hydra_defaults, register
from hybridsep.config.identity import flatten, science
from hybridsep.report.folders import Run
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import ORIGINAL, OTHER, STAND_IN, Paper

# The science of a configuration without its data, which are told by their content, and without seed and precision.
_GROUPS = ("model.network.", "model.module.", "schedule.", "augmentation.", "match", "paired")
_MODEL = ("model.", "match")
# match=params computes it from the baseline's parameter count.
_COMPUTED = "model.module.inner_ratio"
SPEED = "speed"


@dataclass(frozen=True)
class Deviation:
    """A key in which runs are not as in the paper, with both values; `rows` are those concerned, none: all.

    What is `accepted` in the paper's place is named, and claims are judged all the same.
    """

    key: str
    here: str
    paper: str
    rows: tuple[str, ...] = ()
    accepted: bool = False

    def __str__(self) -> str:
        text = f"{self.key} is {self.here} in place of {self.paper}"
        return f"{text} ({', '.join(self.rows)})" if self.rows else text


def of_table(runset: RunSet, paper: Paper) -> list[Deviation]:
    """Return the deviations of a table's finished runs: the images first, then every key of the configuration."""
    by_row = {row: next(iter(trials.values())).record.config for row, trials in runset.runs.items() if trials}
    by_row = {row: config for row, config in by_row.items() if not runset.is_extra(row)}
    spec = runset.spec
    # A row that stands for itself is the one of the table that is repeated.
    repeated = paper.tables[spec.counterpart].experiment if spec.counterpart else ""
    of_paper = {
        row: composed(repeated if repeated and model == row else spec.experiment, model, *spec.overrides(row))
        for row, model in ((row, spec.model(row)) for row in by_row)
    }
    return [*_of_data(runset.first, paper), *_of_rows(by_row, of_paper, _GROUPS)]


def of_speed(configs: Mapping[str, Mapping[str, Any]]) -> list[Deviation]:
    """Return the deviations of measurements of speed by row: their network and module, for the images are random."""
    return _of_rows(configs, {row: composed(SPEED, row) for row in configs}, _MODEL)


def concerning(deviations: Iterable[Deviation], rows: Iterable[str]) -> list[Deviation]:
    """Return the deviations that concern one of the rows."""
    rows = set(rows)
    return [one for one in deviations if not one.rows or rows & set(one.rows)]


def warning(runset: RunSet, paper: Paper) -> str | None:
    """Return the line that must not be overlooked, or None when the runs are made as the paper's were."""
    if not runset.spec.experiment:
        return None
    deviations = of_table(runset, paper)
    named = "; ".join(map(str, sorted(deviations, key=lambda one: one.accepted)))
    if all(one.accepted for one in deviations):
        return f"Not quite the paper's experiment: {named}." if deviations else None
    record = runset.first.record
    if paper.data.kind(record) in (STAND_IN, OTHER):
        return f"NOT the paper's experiment, these numbers say nothing about the paper: {named}."
    return f"NOT the paper's experiment, these numbers are a trend and no reproduction: {named}."


@cache
def composed(experiment: str, row: str, *overrides: str) -> dict[str, Any]:
    """Return the resolved configuration that an experiment gives the model called `row`, with `overrides`.

    Empty for a model that there is not.
    """
    import hydra
    from omegaconf import OmegaConf

    model = next((name for name in (row, f"variant/{row}") if (config_dir() / f"model/{name}.yaml").is_file()), None)
    if model is None:
        return {}
    register()
    with hydra.initialize_config_dir(str(config_dir()), **hydra_defaults()):
        tree = hydra.compose("config", [f"experiment={experiment}", f"model={model}", *overrides])
    # A dataset without a path, and the trial, are no part of it.
    return {
        key: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        for key in ("model", "schedule", "augmentation", "match", "paired", "evaluation", "precision")
        for value in [tree[key]]
    }


def chosen() -> dict[str, str]:
    """Return our choice for every key, dotted: what Figure 4's experiment composes for its baseline."""
    return {key: str(value) for key, value in flatten(composed("figure4", "separable")).items()}


def _of_data(run: Run, paper: Paper) -> list[Deviation]:
    kind, dataset = paper.data.kind(run.record), run.record.dataset
    if kind == ORIGINAL:
        return []
    here = dataset.title or dataset.name
    if not paper.data.known(run.record):
        here += f" ({dataset.train} training and {dataset.test} test images)"
    return [Deviation("the dataset", here, paper.data.title, accepted=kind in paper.data.copies)]


def _of_rows(
    configs: Mapping[str, Mapping[str, Any]], paper: Mapping[str, Mapping[str, Any]], groups: tuple[str, ...]
) -> list[Deviation]:
    rows_of: dict[tuple[str, str, str], list[str]] = {}
    for row, config in configs.items():
        of_paper = paper[row]
        if not of_paper:
            rows_of.setdefault(("model", row, "a file of conf/model"), []).append(row)
            continue
        here, there = _part(config, groups), _part(of_paper, groups)
        for key in sorted(here.keys() | there.keys()):
            if here.get(key, ...) != there.get(key, ...):
                values = _shown(config, key), _shown(of_paper, key)
                rows_of.setdefault((key, *values), []).append(row)
    return [
        Deviation(*values, rows=() if len(rows) == len(configs) else tuple(rows)) for values, rows in rows_of.items()
    ]


def _part(config: Mapping[str, Any], groups: tuple[str, ...]) -> dict[str, Any]:
    flat = {key: value for key, value in flatten(science(dict(config))).items() if key.startswith(groups)}
    if flat.get("match") == "params":
        flat.pop(_COMPUTED, None)
    return flat


def _shown(config: Mapping[str, Any], key: str) -> str:
    """Write a value for people: widths as 128-256-512, a class without its module."""
    value = flatten(dict(config)).get(key, "absent")
    if isinstance(value, list):
        return "-".join(map(str, value))
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value).rpartition(".")[2] if key.endswith("_target_") else str(value)
