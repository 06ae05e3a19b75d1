"""One study's report: its runs read, compared and judged, and what a reader is shown of it, in reading order."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hybridsep.report import (
    claims,
    conclusion,
    conditions,
    contrasts,
    figures,
    folders,
    heading,
    null,
    pairs,
    runset,
    sensitivity,
    speed,
    tables,
)
from hybridsep.report import (
    comparison as comparisons,
)
from hybridsep.report.comparison import Comparison
from hybridsep.report.counterpart import side_by_side
from hybridsep.report.figures.figure import Figure
from hybridsep.report.folders import Problem
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions, Paper
from hybridsep.report.sketches import Sketch, of_module
from hybridsep.report.table import Table


@dataclass(frozen=True)
class Section:
    """One table with what belongs to it: the `main` tables for everybody, the `details`, and the figures.

    The page shows the first of the main tables, and the others, folded, under the same heading.
    """

    title: str
    heading: list[str]
    warning: str | None
    main: list[Table]
    details: list[Table]
    figures: list[Figure[Any]]
    conclusion: list[str]
    rows: list[str]
    caption: str
    sketches: list[Sketch]


@dataclass(frozen=True)
class Document:
    """What can be said of one study. `problems` name the folders and tables that were left out.

    `verdicts` is None where no claim of the paper is touched.
    """

    study: str
    sections: list[Section]
    verdicts: Table | None
    problems: list[Problem]
    options: dict[str, object]

    def tables(self) -> Iterator[Table]:
        """Every table, in reading order."""
        if self.verdicts:
            yield self.verdicts
        for section in self.sections:
            yield from (*section.main, *section.details)

    def terminal(self) -> Iterator[Table]:
        """The tables that are printed: those of every section under its heading, then the verdicts."""
        for section in self.sections:
            for table in section.main:
                yield replace(table, heading=section.heading, warning=section.warning)
        if self.verdicts:
            yield self.verdicts


def make(results: Path, study: str, paper: Paper, options: AnalysisOptions) -> Document:
    """Read the study's folders under `results` and return its report."""
    runs, problems = folders.read(results, [study])
    runsets, refused = runset.split(study, runs, paper, options)
    by_table = {one.table: (one, comparisons.compare(one, options)) for one in runsets}
    sections = []
    for one, comparison in by_table.values():
        section, unread = _section(one, comparison, paper, options)
        repeated = by_table.get(one.spec.counterpart)
        if repeated and one.spec.row_for(repeated[0].baseline) == one.baseline:
            between = contrasts.of_counterparts(repeated[0], one, options)
            title = f"{one.short_title}: what the change itself does, each row less its counterpart"
            if between:
                section.main.insert(0, contrasts.table(f"{one.table}-contrasts", title, between, options))
                section.conclusion.append(contrasts.sentence(between))
            section.main.insert(0, side_by_side(repeated, (one, comparison), options))
        compared = pairs.measure(runsets, one, options)
        if compared:
            section.main.insert(0, pairs.table(one, compared, options))
        sections.append(section)
        problems += unread
    speeds, unusable = speed.load(results, study, paper)
    if speeds.records:
        table = speed.table(speeds, options)
        sections.append(Section(table.title, list(table.heading), table.warning, [table], [], [], [], [], "", []))
    of_paper = {name: both for name, both in by_table.items() if paper.data.known(both[0].first.record)}
    verdicts = claims.table(claims.judge(of_paper, speeds, paper, options), paper, options, study)
    problems += [*refused, *unusable]
    if not sections and not problems:
        problems.append(Problem(study, None, f"{study}: no run folders"))
    return Document(study, sections, verdicts if verdicts.lines else None, problems, asdict(options))


def _section(
    runset: RunSet, comparison: Comparison, paper: Paper, options: AnalysisOptions
) -> tuple[Section, list[Problem]]:
    pictures, unread = figures.of_runs(runset, comparison)
    details = tables.detail_tables(runset, comparison, sensitivity.analyse(runset, options), options)
    by_chance = null.measure(runset, paper)
    if runset.spec.experiment and paper.data.known(runset.first.record):
        details.append(claims.protocol_deviations(runset, paper))
    section = Section(
        title=runset.spec.title,
        heading=heading.lines(runset, options),
        warning=conditions.warning(runset, paper),
        main=tables.main_tables(runset, comparison, options, paper.distance_declared),
        details=details,
        figures=pictures,
        conclusion=conclusion.sentences(runset, comparison, options),
        rows=[row for row in runset.rows if runset.runs[row]],
        caption=heading.caption(runset),
        sketches=_sketches(runset),
    )
    if by_chance:
        section.main.insert(1, null.table(runset, by_chance))
        section.conclusion.append(null.sentence(by_chance))
    return section, unread


def _sketches(runset: RunSet) -> list[Sketch]:
    """Return the sketch of every module that was trained, once each."""
    models = (next(iter(trials.values())).record.settings.model for trials in runset.runs.values() if trials)
    return list(dict.fromkeys(sketch for model in models if (sketch := of_module(model.module))))
