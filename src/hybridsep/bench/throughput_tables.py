"""What `bench throughput` measures, as its record has it, and the tables of it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hybridsep.bench.timing import ratios, spread
from hybridsep.report.table import (
    Column,
    Table,
    around,
    build,
    byte_count,
    count,
    percentage,
    rate,
    times,
)

MOST_DATA_SHARE = 0.03  # of a step's time, by design


@dataclass(frozen=True)
class Way:
    """One variant of a row, in every round: images/s, their ratio to the usual loop, and the gain over the way before.

    A missing one has only what is missing. `data_shares`: parts of the time that go into making batches, where they can
    be told. `aside`: tried, and not in the ways after it.
    """

    name: str
    missing: str = ""
    rounds: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    memory_bytes: int | None = None
    data_shares: list[float] = field(default_factory=list)
    graph: bool = False
    aside: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what the record says of it."""
        series = {
            "images_per_second": self.rounds,
            "ratio": self.ratios,
            "gain": self.gains,
            "data_share": self.data_shares,
        }
        spreads = {name: asdict(spread(values)) if values else None for name, values in series.items()}
        kept = ("name", "missing", "rounds", "memory_bytes", "graph", "aside")
        return {key: getattr(self, key) for key in kept} | spreads


@dataclass(frozen=True)
class Row:
    """What was measured of one model; `gather`: images/s of the data path alone, eager and captured, in every round."""

    row: str
    title: str
    params: int
    macs: int
    ways: list[Way]
    gather: dict[str, list[float]] = field(default_factory=dict)

    @property
    def usual(self) -> Way:
        """The usual loop."""
        return self.ways[0]

    @property
    def best(self) -> Way:
        """The fastest of our ways, without those that were tried aside."""
        ours = [way for way in self.ways[1:] if not way.missing and not way.aside]
        return max(ours, key=lambda way: statistics.median(way.rounds))


@dataclass(frozen=True)
class Measurements:
    """All that was measured so far, of models of one size."""

    size: str
    batch: int
    workers: int  # of the usual loop's DataLoader
    at_once: int
    dataset_bytes: int
    models: list[Row] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what the record says."""
        models = [
            {key: getattr(model, key) for key in ("row", "title", "params", "macs")}
            | {"ways": [way.as_json() for way in model.ways]}
            | {"gather_images_per_second": {name: asdict(spread(rates)) for name, rates in model.gather.items()}}
            for model in self.models
        ]
        return asdict(self) | {"models": models}


def tables(measured: Measurements) -> list[Table]:
    """Return images/s of every way, and the rows side by side."""
    return [_ablation(measured), compared(measured.models)]


def _rate(rates: Sequence[float]) -> str:
    return rate(spread(rates).median, spread(rates).iqr) if rates else ""


def _ratio(values: Sequence[float]) -> str:
    return f"x {around(spread(values).median, spread(values).iqr)}" if values else ""


def _ablation(measured: Measurements) -> Table:
    columns: list[Column[tuple[str, Way]]] = [
        Column("Row", lambda line: line[0], wide=True),
        Column("Way", lambda line: line[1].name, wide=True),
        Column("Images/s", lambda line: line[1].rounds, _rate, instead=lambda line: line[1].missing or None),
        Column("Ratio", lambda line: line[1].ratios, _ratio),
        Column("Step", lambda line: line[1].gains, lambda gains: times(spread(gains).median) if gains else ""),
        Column("Memory", lambda line: line[1].memory_bytes, byte_count),
        Column(
            "Data",
            lambda line: line[1].data_shares,
            lambda shares: percentage(spread(shares).median, 1) if shares else "",
        ),
    ]
    lines = [(model.row, way) for model in measured.models for way in model.ways]
    rounds, workers = len(measured.models[0].usual.rounds), f"{measured.workers} DataLoader workers"
    notes = [
        f"Median ± half the interquartile range over {rounds} rounds of one block of each. Ratio: to the usual loop,"
        " within each round. Step: to the way before.",
        f"Usual loop: PIL images, torchvision's transforms one by one in {workers}, float32, NCHW, SGD as it comes, the"
        " loss read after every step (src/hybridsep/bench/reference_loop.py); the modules as the paper's figures draw"
        " them. The module's fast way: Inception's towers joined, the gradient of the separable equivalent tower by"
        " tower (src/hybridsep/modules/).",
        "Memory: the most bytes of tensors at once in the training process during a step, parameters and momentum"
        f" included; not the dataset ({byte_count(measured.dataset_bytes)} of pixels, once on the device), not the"
        " batches in the usual loop's workers. On a CPU that of side-by-side trials is one trial's, multiplied.",
        "On a CPU every way runs in a process of its own. Freed memory kept: glibc is told to keep what a step frees"
        " (src/hybridsep/train/allocator.py). Aside: tried, and not in the ways after it.",
        "Data: of the usual loop, the share of its time spent waiting for batches; of ours, the time of the gather"
        f" alone by that of a step. {_verdict(measured.models)}",
    ]
    return build("throughput", "The usual loop and ours", columns, lines, notes=notes)


def _verdict(models: Sequence[Row]) -> str:
    """Say whether the data path keeps to its share in our complete step, the last measured way of one trial."""
    over = []
    for model in models:
        known = [way.data_shares for way in model.ways if not way.aside and way.data_shares]
        if statistics.median(known[-1]) > MOST_DATA_SHARE:
            over.append(model.row)
    limit = percentage(MOST_DATA_SHARE)
    return f"Above {limit} in our step: {', '.join(over)}." if over else f"At most {limit} in every row of our step."


@dataclass(frozen=True)
class _SideBySide:
    """Images/s of the usual loop and of the best way, round by round."""

    row: str
    usual: Sequence[float]
    best: Sequence[float]
    macs: int | None = None
    way: str = ""


def compared(models: Sequence[Row]) -> Table:
    """One line for each row: its best way against the usual loop; and one for all of them, as many images each."""
    lines = [
        _SideBySide(model.row, model.usual.rounds, model.best.rounds, model.macs, model.best.name) for model in models
    ]
    if len(models) > 1:
        lines.append(
            _SideBySide("all rows", _harmonic([line.usual for line in lines]), _harmonic([line.best for line in lines]))
        )
    columns: list[Column[_SideBySide]] = [
        Column("Row", lambda line: line.row, wide=True),
        Column("MACs", lambda line: line.macs, lambda macs: count(macs) if macs else ""),
        Column("Usual, images/s", lambda line: line.usual, _rate),
        Column("Best, images/s", lambda line: line.best, _rate),
        Column("Ratio", lambda line: ratios(line.best, line.usual), _ratio),
        Column("Way", lambda line: line.way, wide=True),
    ]
    note = "All rows: the harmonic mean, as a study trains every row on as many images."
    return build("models", "Per module: the usual loop and the best way", columns, lines, notes=[note])


def _harmonic(rates: Sequence[Sequence[float]]) -> list[float]:
    """Return the harmonic mean over the models, round by round."""
    return [statistics.harmonic_mean(found) for found in zip(*rates, strict=True)]
