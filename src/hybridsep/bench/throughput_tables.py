"""What `bench throughput` measures, as its record has it, and the tables of it."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hybridsep.bench.timing import ratios, spread
from hybridsep.config.identity import flatten
from hybridsep.report.keyed import Column, table_of
from hybridsep.report.table import (
    Table,
    around,
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


def _times(median: float, iqr: float) -> str:
    return f"x {around(median, iqr)}"


def _ablation(measured: Measurements) -> Table:
    lines = []
    for model in measured.models:
        for way in model.ways:
            lines.append(flatten({"row": model.row, **way.as_json()}))
            if way.missing:
                lines[-1]["images_per_second.median"] = way.missing
    columns = [
        Column("Row", "row", wide=True),
        Column("Way", "name", wide=True),
        Column("Images/s", ("images_per_second.median", "images_per_second.iqr"), rate),
        Column("Ratio", ("ratio.median", "ratio.iqr"), _times),
        Column("Step", "gain.median", times),
        Column("Memory", "memory_bytes", byte_count),
        Column("Data", "data_share.median", lambda value: percentage(value, 1)),
    ]
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
    return table_of("throughput", "The usual loop and ours", columns, lines, notes=notes)


def _verdict(models: Sequence[Row]) -> str:
    """Say whether the data path keeps to its share in our complete step, the last measured way of one trial."""
    over = []
    for model in models:
        known = [way.data_shares for way in model.ways if not way.aside and way.data_shares]
        if statistics.median(known[-1]) > MOST_DATA_SHARE:
            over.append(model.row)
    limit = percentage(MOST_DATA_SHARE)
    return f"Above {limit} in our step: {', '.join(over)}." if over else f"At most {limit} in every row of our step."


def compared(models: Sequence[Row]) -> Table:
    """One line for each row: its best way against the usual loop; and one for all of them, as many images each."""
    usual, ours = [model.usual.rounds for model in models], [model.best.rounds for model in models]
    lines = [
        {"row": model.row, "macs": model.macs, "way": model.best.name, **_side_by_side(*rates)}
        for model, *rates in zip(models, usual, ours, strict=True)
    ]
    if len(models) > 1:
        lines.append({"row": "all rows", **_side_by_side(_harmonic(usual), _harmonic(ours))})
    columns = [
        Column("Row", "row", wide=True),
        Column("MACs", "macs", count),
        Column("Usual, images/s", ("usual.median", "usual.iqr"), rate),
        Column("Best, images/s", ("best.median", "best.iqr"), rate),
        Column("Ratio", ("ratio.median", "ratio.iqr"), _times),
        Column("Way", "way", wide=True),
    ]
    note = "All rows: the harmonic mean, as a study trains every row on as many images."
    return table_of("models", "Per module: the usual loop and the best way", columns, lines, notes=[note])


def _side_by_side(usual: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    series = {"usual": usual, "best": ours, "ratio": ratios(ours, usual)}
    return flatten({name: asdict(spread(values)) for name, values in series.items()})


def _harmonic(rates: Sequence[Sequence[float]]) -> list[float]:
    """Return the harmonic mean over the models, round by round."""
    return [statistics.harmonic_mean(found) for found in zip(*rates, strict=True)]
