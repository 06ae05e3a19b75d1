"""One study's report, put together from its runs: samples, comparisons, tables, ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hybridsep.report import compare, detail_tables, heading, ledger, sample, sensitivity, sensitivity_tables, tables
from hybridsep.report.compare import Comparison
from hybridsep.report.folders import Problem, Run
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
    """What can be said of one study. `problems` name the folders and tables that were left out."""

    study: str
    parts: list[Part]
    ledger: Table
    problems: list[Problem]


def assemble(study: str, runs: Sequence[Run], problems: Sequence[Problem], paper: Paper, choices: Choices) -> Report:
    """Return the report of the study from its usable runs; `problems` are those found while reading them."""
    samples, refused = sample.split(study, runs, paper, choices)
    parts = []
    for one in samples:
        comparison = compare.compare(one, choices)
        parts.append(Part(one, comparison, tables.build(one, comparison, choices, frame(one, paper, choices))))
    entries = ledger.ledger([(part.sample, part.comparison) for part in parts], paper, choices)
    found = [*problems, *refused]
    if not samples and not found:
        found.append(Problem(study, None, f"{study}: no run folders"))
    return Report(study, parts, ledger.ledger_table(entries, choices, study), found)


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
