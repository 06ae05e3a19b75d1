"""Section 5 of the paper, "separable convolutions run faster": a table from what `task=speed` measured.

Reads `results/speed/<study>/<row>.json`. A file that cannot be used, or was measured under other conditions than most
of its study, is named and left out.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridsep.config.identity import flatten
from hybridsep.report import conditions
from hybridsep.report.folders import Problem
from hybridsep.report.settings import AnalysisOptions, Paper
from hybridsep.report.table import Column, Table, byte_count, count, rate, times

FORMAT = 1
TABLE = "speed"
DISTURBED = 0.2  # cores busy with other programs, from which on a reader should be told
_KEYS: dict[str, type | tuple[type, ...]] = {
    "title": str,
    "cost": dict,
    "precision": str,
    "execution": str,
    "config": dict,
    "machine": dict,
    "versions": dict,
    "measured": str,
    "busy_elsewhere": (int, float, type(None)),
}


@dataclass(frozen=True)
class Measured:
    """The measurements of a study that can be compared, in the paper's order of rows; there may be none.

    `labels` has the paper's labels of its rows, `baselines` the row that each is held against.
    """

    study: str
    records: Sequence[dict[str, Any]]
    labels: Mapping[str, str]
    baselines: Mapping[str, str]

    def label(self, row: str) -> str:
        """Return what a row is called: as in the paper's tables, else by its own title."""
        titles = {record["row"]: record["title"] for record in self.records}
        return self.labels.get(row) or titles.get(row, row)

    def blocks(self, row: str) -> dict[str, np.ndarray]:
        """Return the images/s of every timed block of a row, by what was timed; of old records, which lack them, {}."""
        own = (record for record in self.records if record["row"] == row)
        return {
            _what(entry): np.array(entry["images_per_second"]["blocks"])
            for record in own
            for entry in record["measurements"]
            if "blocks" in entry["images_per_second"]
        }

    @property
    def deviations(self) -> list[conditions.Deviation]:
        """What is not as in the paper, of networks and modules."""
        return conditions.of_speed({record["row"]: record["config"] for record in self.records})


def load(results: Path, study: str, paper: Paper) -> tuple[Measured, list[Problem]]:
    """Return what was measured of a study, and what was left out of it."""
    records, problems = read(results, study)
    records, unlike = _of_one_kind(results, study, records)
    baselines, labels = _of_paper(paper)
    records.sort(key=lambda record: (paper.place(record["row"]), record["row"]))
    return Measured(study, records, labels, baselines), problems + unlike


def read(results: Path, study: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the usable records of a study, in order of their file names, and the files that cannot be used."""
    records, problems = [], []
    for path in sorted((results / "speed" / study).glob("*.json")):
        try:
            record = json.loads(path.read_bytes())
            _check(record, study, path.stem)
            records.append(record)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
            problems.append(Problem(study, path, f"{path}: not a measurement of speed ({reason})"))
    return records, problems


def _check(record: Any, study: str, row: str) -> None:
    """Raise ValueError, KeyError or TypeError saying what is wrong with a record."""
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f"not of format {FORMAT}, the one this version reads")
    if (record["study"], record["row"]) != (study, row):
        raise ValueError(f"it belongs to {record['study']}/{record['row']}; was it moved or copied?"[:150])
    for key, kind in _KEYS.items():
        if not isinstance(record[key], kind if isinstance(kind, tuple) else (kind,)):
            raise ValueError(f"no valid '{key}'")
    numbers = {"params": record["cost"]["params"], "macs": record["cost"]["macs"]}
    for entry in record["measurements"]:
        name, rate = f"{entry['what']} {entry['batch']}", entry["images_per_second"]
        numbers |= {f"{name} {key}": entry[key] for key in ("batch", "peak_bytes")}
        numbers |= {f"{name} median": rate["median"], f"{name} iqr": rate["iqr"] + 1, f"{name} n": rate["n"]}
        numbers |= {f"{name} block {place}": value for place, value in enumerate(rate.get("blocks", ()), 1)}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise ValueError(f"{name} is {value!r:.40}, not a number above 0")
    if sum(entry["what"] == "training" for entry in record["measurements"]) != 1:
        raise ValueError("it has no measurement of training")


def _conditions(record: dict[str, Any]) -> dict[str, Any]:
    """Return what rows must share for their speeds to be comparable; how long each was timed may differ."""
    config = record["config"]
    settings = {
        key: config.get("speed", {}).get(key) for key in ("train_batch", "inference_batches", "height", "classes")
    }
    shared = {
        **{key: record[key] for key in ("precision", "execution", "machine")},
        "torch": record["versions"].get("torch"),
        "speed": settings,
        **{key: config.get(key) for key in ("size", "match", "augmentation")},
    }
    return {key: str(value) for key, value in flatten(shared).items()}


def _of_one_kind(
    results: Path, study: str, records: Sequence[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[Problem]]:
    kinds = [tuple(sorted(_conditions(record).items())) for record in records]
    if len(set(kinds)) <= 1:
        return list(records), []
    usual, _ = Counter(kinds).most_common(1)[0]
    kept, problems = [], []
    for record, kind in zip(records, kinds, strict=True):
        if kind == usual:
            kept.append(record)
            continue
        here, there = dict(kind), dict(usual)
        keys = sorted(key for key in here.keys() | there.keys() if here.get(key) != there.get(key))
        found = ", ".join(f"{key} {here.get(key)}, not {there.get(key)}" for key in keys)
        path = results / "speed" / study / f"{record['row']}.json"
        problems.append(Problem(study, path, f"{path}: measured under other conditions than most rows ({found})"))
    return kept, problems


def table(measured: Measured, choices: AnalysisOptions) -> Table:
    """Return the table of at least one measurement."""
    records = measured.records
    medians = {record["row"]: _rates(record) for record in records}
    lines = [_line(record, measured, choices, medians) for record in records]
    batches = sorted(
        {entry["batch"] for record in records for entry in record["measurements"] if entry["what"] == "inference"}
    )
    columns = [
        Column("Row", "label", wide=True),
        Column("Parameters", "params", count),
        Column("MACs", "macs", count),
        _rate_column("Training", "training"),
        Column("Relative", "training_relative", times),
        *(_rate_column(f"Inference {batch}", f"inference_{batch}") for batch in batches),
        Column("Memory", "training_peak_bytes", byte_count),
    ]
    names = ["training", *(f"inference_{batch}" for batch in batches)]
    parts = ("images_per_second", "iqr", "n", "relative", "peak_bytes")
    return Table(
        name=TABLE,
        title="Section 5: speed, images/s",
        columns=columns,
        lines=lines,
        fields=["row", "label", "params", "macs", "baseline", *(f"{name}_{part}" for name in names for part in parts)],
        heading=_heading(measured.study, records),
        warning=_warning(records),
        notes=_notes(records, lines),
        terminal=True,
    )


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


def _rates(record: dict[str, Any]) -> dict[str, float]:
    return {_name(entry): entry["images_per_second"]["median"] for entry in record["measurements"]}


def _name(entry: dict[str, Any]) -> str:
    return entry["what"] if entry["what"] == "training" else f"{entry['what']}_{entry['batch']}"


def _what(entry: dict[str, Any]) -> str:
    """Name what was timed for a reader; inference by the number of images at once."""
    if entry["what"] == "training":
        return "training"
    return f"{entry['what']} {'of one image' if entry['batch'] == 1 else 'of ' + str(entry['batch'])}"


def _line(
    record: dict[str, Any], measured: Measured, choices: AnalysisOptions, medians: dict[str, dict[str, float]]
) -> dict[str, Any]:
    baseline = measured.baselines.get(record["row"], choices.baseline)
    line: dict[str, Any] = {
        "row": record["row"],
        "label": measured.label(record["row"]),
        "params": record["cost"]["params"],
        "macs": record["cost"]["macs"],
        "baseline": baseline if baseline in medians else None,
    }
    for entry in record["measurements"]:
        name, rate = _name(entry), entry["images_per_second"]
        against = medians.get(baseline, {}).get(name)
        line |= {
            f"{name}_images_per_second": rate["median"],
            f"{name}_iqr": rate["iqr"],
            f"{name}_n": rate["n"],
            f"{name}_relative": rate["median"] / against if against else None,
            f"{name}_peak_bytes": entry["peak_bytes"],
        }
    return line


def _rate_column(heading: str, name: str) -> Column:
    return Column(heading, (f"{name}_images_per_second", f"{name}_iqr"), rate)


def _heading(study: str, records: Sequence[dict[str, Any]]) -> list[str]:
    first = records[0]
    config, machine = first["config"], first["machine"]
    size, settings = config.get("size") or {}, config.get("speed") or {}
    widths = "-".join(map(str, size.get("widths", [])))
    threads = f"{machine.get('threads', '?')} {'thread' if machine.get('threads') == 1 else 'threads'}"
    where = machine.get("gpu") or f"{machine.get('processor', 'unknown')}, {threads}"
    dates = sorted({record["measured"][:10] for record in records})
    side = settings.get("height", "?")
    return [
        f"Study {study}. Random images {side}x{side}, {settings.get('classes', '?')} classes. Size"
        f" {size.get('name', 'unknown')} (the stack's widths {widths}, depth {size.get('depth')}); match"
        f" {config.get('match')}; precision {first['precision']}; {first['execution']} execution.",
        f"Machine: {where}; torch {first['versions'].get('torch', 'unknown')}; measured"
        f" {' to '.join(dict.fromkeys((dates[0], dates[-1])))}.",
    ]


def _warning(records: Sequence[dict[str, Any]]) -> str | None:
    found = {record["row"]: record["busy_elsewhere"] for record in records if record["busy_elsewhere"] is not None}
    disturbed = [row for row, cores in found.items() if cores > DISTURBED]
    if not disturbed:
        return None
    return (
        f"Rough numbers: other programs kept up to {max(found.values()):.1f} cores busy while {len(disturbed)} of"
        f" {len(records)} rows were measured ({', '.join(disturbed)})."
    )


def _notes(records: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]]) -> list[str]:
    training = next(entry for entry in records[0]["measurements"] if entry["what"] == "training")
    numbers = sorted({line["training_n"] for line in lines})
    blocks = " to ".join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))
    against = list(dict.fromkeys(line["baseline"] for line in lines if line["baseline"]))
    notes = [
        f"Median ± half the interquartile range of {blocks} timed blocks. Training: whole SGD steps of"
        f" {training['batch']} images. Inference: by batch size. Memory: the most bytes of tensors that exist at once"
        " in a training step, the network's own included."
    ]
    if against:
        notes.append(
            "Relative: training speed divided by that of the same network with separable convolutions"
            f" ({', '.join(against)}); below 1, the separable one is faster, as the paper says (it gives no numbers)."
        )
    return notes
