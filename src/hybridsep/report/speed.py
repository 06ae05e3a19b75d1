"""Section 5 of the paper, "separable convolutions run faster": a table from what `task=speed` measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridsep.report import conditions
from hybridsep.report.folders import Problem
from hybridsep.report.settings import SPEED, AnalysisOptions, Paper
from hybridsep.report.speed_records import Rate, SpeedRecord, of_one_kind, read
from hybridsep.report.table import Column, Table, build, byte_count, count, csv_only, rate, times

DISTURBED = 0.2  # cores busy with other programs, from which on a reader should be told


@dataclass(frozen=True)
class Speeds:
    """The measurements of a study that can be compared, in the paper's order of rows; there may be none.

    `labels` has the paper's labels of its rows, `baselines` the row that each is held against.
    """

    study: str
    records: Sequence[SpeedRecord]
    labels: Mapping[str, str]
    baselines: Mapping[str, str]

    def of(self, row: str) -> SpeedRecord | None:
        """Return what was measured of a row."""
        return next((record for record in self.records if record.row == row), None)

    def label(self, row: str) -> str:
        """Return what a row is called: as in the paper's tables, else by its own title."""
        record = self.of(row)
        return self.labels.get(row) or (record.title if record else row)

    def blocks(self, row: str) -> dict[str, np.ndarray]:
        """Return the images/s of every timed block of a row, by what was timed; of old records, which lack them, {}."""
        record = self.of(row)
        timings = record.measurements if record else ()
        return {
            timing.title: np.array(timing.images_per_second.blocks)
            for timing in timings
            if timing.images_per_second.blocks
        }

    @property
    def deviations(self) -> list[conditions.Deviation]:
        """What is not as in the paper, of networks and modules."""
        return conditions.of_speed({record.row: record.config for record in self.records})


def load(results: Path, study: str, paper: Paper) -> tuple[Speeds, list[Problem]]:
    """Return what was measured of a study, and what was left out of it."""
    records, problems = read(results, study)
    records, unlike = of_one_kind(results, study, records)
    baselines, labels = _of_paper(paper)
    records.sort(key=lambda record: (paper.place(record.row), record.row))
    return Speeds(study, records, labels, baselines), problems + unlike


@dataclass(frozen=True)
class _Line:
    """A row of the table, and its baseline where that was measured."""

    record: SpeedRecord
    label: str
    baseline: SpeedRecord | None

    def rate(self, name: str) -> Rate | None:
        timing = self.record.timing(name)
        return timing.images_per_second if timing else None

    def relative(self, name: str) -> float | None:
        own, other = self.record.timing(name), self.baseline.timing(name) if self.baseline else None
        return own.images_per_second.median / other.images_per_second.median if own and other else None


def table(speeds: Speeds, options: AnalysisOptions) -> Table:
    """Return the table of at least one measurement."""
    records = speeds.records
    lines = [
        _Line(record, speeds.label(record.row), speeds.of(speeds.baselines.get(record.row, options.baseline)))
        for record in records
    ]
    batches = sorted(
        {timing.batch for record in records for timing in record.measurements if timing.what == "inference"}
    )
    columns: list[Column[_Line]] = [
        csv_only("row", lambda line: line.record.row),
        Column("Row", lambda line: line.label, csv="label", wide=True),
        Column("Parameters", lambda line: line.record.cost.params, count, csv="params"),
        Column("MACs", lambda line: line.record.cost.macs, count, csv="macs"),
        csv_only("baseline", lambda line: line.baseline and line.baseline.row),
        *_rates("Training", "training"),
        Column("Relative", lambda line: line.relative("training"), times),
        *(column for batch in batches for column in _rates(f"Inference {batch}", f"inference_{batch}")),
        Column("Memory", lambda line: line.record.training.peak_bytes, byte_count),
    ]
    return build(
        SPEED,
        "Section 5: speed, images/s",
        columns,
        lines,
        heading=_heading(speeds.study, records),
        warning=_warning(records),
        notes=_notes(lines),
        terminal=True,
    )


def _rates(heading: str, name: str) -> list[Column[_Line]]:
    columns: list[Column[_Line]] = [
        Column(
            heading,
            lambda line: line.rate(name),
            lambda one: rate(one.median, one.iqr) if one else "",
            csv={
                f"{name}_images_per_second": lambda line: (one := line.rate(name)) and one.median,
                f"{name}_iqr": lambda line: (one := line.rate(name)) and one.iqr,
                f"{name}_n": lambda line: (one := line.rate(name)) and one.n,
            },
        ),
        csv_only(f"{name}_relative", lambda line: line.relative(name)),
        csv_only(f"{name}_peak_bytes", lambda line: (timing := line.record.timing(name)) and timing.peak_bytes),
    ]
    return columns


def _of_paper(paper: Paper) -> tuple[dict[str, str], dict[str, str]]:
    """Return `{row: baseline of its table}` and `{row: label}`, from the paper's first table with the row."""
    baselines: dict[str, str] = {}
    labels: dict[str, str] = {}
    for spec in paper.tables.values():
        for row, entry in spec.rows.items():
            if row not in labels:
                labels[row] = entry.label or entry.title
                if spec.baseline:
                    baselines[row] = spec.baseline
    return baselines, labels


def _heading(study: str, records: Sequence[SpeedRecord]) -> list[str]:
    first = records[0]
    settings, machine = first.settings, first.machine
    size, side = settings.size, settings.speed.height
    widths = "-".join(map(str, size.widths))
    threads = f"{machine.threads or 'unknown'} {'thread' if machine.threads == 1 else 'threads'}"
    where = machine.gpu or f"{machine.processor or 'unknown'}, {threads}"
    dates = sorted({record.measured[:10] for record in records})
    return [
        f"Study {study}. Random images {side}x{side}, {settings.speed.classes} classes. Size {size.name} (the stack's"
        f" widths {widths}, depth {size.depth}); match {settings.match}; precision {first.precision};"
        f" {first.execution} execution.",
        f"Machine: {where}; torch {first.versions.get('torch', 'unknown')}; measured"
        f" {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.",
    ]


def _warning(records: Sequence[SpeedRecord]) -> str | None:
    busy = {record.row: record.busy_elsewhere for record in records if record.busy_elsewhere is not None}
    disturbed = [row for row, cores in busy.items() if cores > DISTURBED]
    if not disturbed:
        return None
    return (
        f"Rough numbers: other programs kept up to {max(busy.values()):.1f} cores busy while {len(disturbed)} of"
        f" {len(records)} rows were measured ({', '.join(disturbed)})."
    )


def _notes(lines: Sequence[_Line]) -> list[str]:
    numbers = sorted({line.record.training.images_per_second.n for line in lines})
    blocks = " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
    against = list(dict.fromkeys(line.baseline.row for line in lines if line.baseline))
    timed = {timing.what for line in lines for timing in line.record.measurements}
    inference = " Inference: by batch size." if "inference" in timed else ""
    notes = [
        f"Median ± half the interquartile range of {blocks} timed blocks. Training: whole SGD steps of"
        f" {lines[0].record.training.batch} images.{inference} Memory: the most bytes of tensors that"
        " exist at once in a training step, the network's own included."
    ]
    if against:
        notes.append(
            "Relative: training speed divided by that of the same network with separable convolutions"
            f" ({', '.join(against)}); below 1, the separable one is faster, as the paper says (it gives no numbers)."
        )
    return notes
