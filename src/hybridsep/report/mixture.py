"""Which runs of a study may share a table: what all of them must have in common, and the odd ones by name."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from hybridsep.config.identity import flatten
from hybridsep.config.trials import ranges
from hybridsep.errors import UserError
from hybridsep.report.folders import Problem, Run, common_part
from hybridsep.report.settings import TableSpec

_MOST_KEYS = 4


def fitting(
    finished: Sequence[Run], spec: TableSpec, *, table: str, baseline: str, evaluation: bool
) -> tuple[list[Run], list[Problem]]:
    """Return the runs that fit together, most of them or the baseline's, and one problem for each row with others.

    Rows of the table's own must share everything but the module under test; rows that it does not have may bring a
    network of their own. With `evaluation` the recorded choice of test images counts too.
    """
    # Most configurations are equal but for the trial, so what they share is worked out once for all of them.
    part_of: dict[str, dict[str, Any]] = {}
    parts = []
    for run in finished:
        whole = _text({"data": asdict(run.record.dataset), "config": run.record.config | {"trial": None}})
        if whole not in part_of:
            part_of[whole] = _part(run, spec, evaluation=evaluation)
        parts.append(part_of[whole])
    usual = _usual(finished, parts, spec, baseline)
    models: dict[str, Counter[str]] = {}
    for run in finished:
        models.setdefault(run.row, Counter())[_text(_model(run))] += 1
    kept: list[Run] = []
    odd: dict[str, list[tuple[Run, dict[str, Any], dict[str, Any]]]] = {}
    for run, part in zip(finished, parts, strict=True):
        without = part.keys() if run.row in spec.rows else part.keys() - {"model"}
        here, there = ({key: one[key] for key in without if key in one} for one in (part, usual))
        if _text(here) != _text(there):
            odd.setdefault(run.row, []).append((run, here, there))
        elif _text(_model(run)) != models[run.row].most_common(1)[0][0]:
            odd.setdefault(run.row, []).append((run, _model(run), json.loads(models[run.row].most_common(1)[0][0])))
        else:
            kept.append(run)
    study = finished[0].study
    problems = []
    sizes = Counter(run.row for run in finished)
    for row, left in odd.items():
        who = row if len(left) == sizes[row] else f"{row} {ranges([run.trial for run, _, _ in left])}"
        what = _differences(*left[0][1:])
        same = "report.subset and report.images choose for all" if what.startswith("evaluation.") else ""
        message = f"{study}: {who} left out of table {table}: {what}; {same or 'study=NAME keeps it apart'}"
        problems.append(Problem(study, None, message, row))
    return kept, problems


def refuse(finished: Sequence[Run], spec: TableSpec) -> None:
    """Raise UserError naming keys when runs differ in more than their models."""
    of_pair = TableSpec(title="", baseline="", vary=spec.vary)
    kept, problems = fitting(finished, of_pair, table="compare", baseline="", evaluation=False)
    if len(kept) < len(finished):
        raise UserError(problems[0].message)


def _usual(finished: Sequence[Run], parts: list[dict[str, Any]], spec: TableSpec, baseline: str) -> dict[str, Any]:
    """Return the part that most runs share: of the table's own rows if it has any, of the baseline's where equal."""
    of_table = [place for place, run in enumerate(finished) if run.row in spec.rows] or range(len(finished))
    groups: dict[str, list[int]] = {}
    for place in of_table:
        groups.setdefault(_text(parts[place]), []).append(place)
    most = max(groups.values(), key=lambda group: (len(group), any(finished[one].row == baseline for one in group)))
    return parts[most[0]]


def _part(run: Run, spec: TableSpec, *, evaluation: bool) -> dict[str, Any]:
    part = common_part(run, spec.vary, network=True)
    return part | {"evaluation": asdict(run.record.settings.evaluation)} if evaluation else part


def _model(run: Run) -> dict[str, Any]:
    return {"model": {"network": run.record.settings.model.network, "module": run.record.settings.model.module}}


def _text(part: dict[str, Any]) -> str:
    return json.dumps(part, sort_keys=True)


def _differences(odd: dict[str, Any], usual: dict[str, Any]) -> str:
    here, there = flatten(odd), flatten(usual)
    keys = [key for key in sorted(here.keys() | there.keys()) if here.get(key, ...) != there.get(key, ...)]
    shown = [f"{key} is {_short(here.get(key, 'absent'))}, not {_short(there.get(key, 'absent'))}" for key in keys]
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    return "; ".join(shown[:_MOST_KEYS]) + more


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 24 else f"{text[:12]}..."
