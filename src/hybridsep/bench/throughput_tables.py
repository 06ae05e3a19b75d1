"""What `bench throughput` measures, as its record has it, and the tables of it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hybridsep.bench.timing import ratios, spread
from hybridsep.bench.variants import Variant
from hybridsep.report.table import Column, Table, around, build, byte_count, count, percentage, rate, times

MOST_DATA_SHARE = 0.03  # of a step's time, by design


@dataclass(frozen=True)
class Way:
    """A variant in every round: images/s, their ratio to the usual loop, and the gain over the way before.

    One that is missing has nothing else. `data_shares`: parts of the time that go into making batches, where they can
    be told.
    """

    variant: Variant
    rates: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    gains: list[float] = field(default_factory=list)
    memory_bytes: int | None = None
    data_shares: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Gather:
    """Images/s of the data path alone in every round: eager, and captured as a CUDA graph where there is one."""

    eager: list[float] = field(default_factory=list)
    graph: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """What was measured of one model."""

    row: str
    title: str
    params: int
    macs: int
    ways: list[Way]
    gather: Gather = field(default_factory=Gather)

    @property
    def usual(self) -> Way:
        """The usual loop."""
        return self.ways[0]

    @property
    def best(self) -> Way:
        """The fastest of our ways, without those that were tried aside."""
        ours = [way for way in self.ways[1:] if way.rates and not way.variant.standalone]
        return max(ours, key=lambda way: statistics.median(way.rates))


@dataclass(frozen=True)
class Measurements:
    """All that was measured so far, of models of one size."""

    size: str
    batch: int
    workers: int  # of the usual loop's DataLoader
    at_once: int
    dataset_bytes: int
    models: list[Row] = field(default_factory=list)


def tables(measurements: Measurements) -> list[Table]:
    """Return images/s of every way, and the rows side by side."""
    return [_ablation(measurements), compared(measurements.models)]


def rates_text(rates: Sequence[float]) -> str:
    """Write images/s of every round as median and spread; of no round nothing."""
    return rate((of := spread(rates)).median, of.iqr) if rates else ""


def ratios_text(values: Sequence[float]) -> str:
    """Write ratios of every round as median and spread; of no round nothing."""
    return f"x {around((of := spread(values)).median, of.iqr)}" if values else ""


def _median(format: Callable[[float], str]) -> Callable[[Sequence[float]], str]:
    return lambda values: format(statistics.median(values)) if values else ""


def _ablation(measurements: Measurements) -> Table:
    columns: list[Column[tuple[Row, Way]]] = [
        Column("Row", lambda line: line[0].row, wide=True),
        Column("Way", lambda line: line[1].variant.name, wide=True),
        Column(
            "Images/s", lambda line: line[1].rates, rates_text, instead=lambda line: line[1].variant.missing or None
        ),
        Column("Ratio", lambda line: line[1].ratios, ratios_text),
        Column("Step", lambda line: line[1].gains, _median(times)),
        Column("Memory", lambda line: line[1].memory_bytes, byte_count),
        Column("Data", lambda line: line[1].data_shares, _median(lambda value: percentage(value, 1))),
    ]
    rounds, workers = len(measurements.models[0].usual.rates), f"{measurements.workers} DataLoader workers"
    notes = [
        f"Median ± half the interquartile range over {rounds} rounds of one block of each. Ratio: to the usual loop,"
        " within each round. Step: to the way before.",
        f"Usual loop: PIL images, torchvision's transforms one by one in {workers}, float32, NCHW, torch.optim.SGD, the"
        " loss read after every step (src/hybridsep/bench/reference_loop.py); the modules as the paper's figures draw"
        " them. The module's fast way: Inception's towers joined, the gradient of the separable equivalent tower by"
        " tower (src/hybridsep/modules/).",
        "Memory: the most bytes of tensors at once in the training process during a step, parameters and momentum"
        f" included; not the dataset ({byte_count(measurements.dataset_bytes)} of pixels, once on the device), not the"
        " batches in the usual loop's workers. On a CPU that of side-by-side trials is one trial's, multiplied.",
        "On a CPU every way runs in a process of its own. Freed memory kept: glibc is told to keep what a step frees"
        " (src/hybridsep/train/allocator.py). Aside: tried, and not in the ways after it.",
        "Data: of the usual loop, the share of its time spent waiting for batches; of ours, the time of the gather"
        f" alone by that of a step. {_verdict(measurements.models)}",
    ]
    lines = [(model, way) for model in measurements.models for way in model.ways]
    return build("throughput", "The usual loop and ours", columns, lines, notes=notes)


def _verdict(models: Sequence[Row]) -> str:
    """Say whether the data path keeps to its share in our complete step, the last measured way of one trial."""
    over = []
    for model in models:
        shares = [way.data_shares for way in model.ways if not way.variant.standalone and way.data_shares]
        if statistics.median(shares[-1]) > MOST_DATA_SHARE:
            over.append(model.row)
    limit = percentage(MOST_DATA_SHARE)
    return f"Above {limit} in our step: {', '.join(over)}." if over else f"At most {limit} in every row of our step."


@dataclass(frozen=True)
class _Comparison:
    """One row, or all of them: images/s of the usual loop and of the best way in every round."""

    row: str
    usual: list[float]
    best: list[float]
    macs: int | None = None
    way: str = ""


def compared(models: Sequence[Row]) -> Table:
    """One line for each row: its best way against the usual loop; and one for all of them, as many images each."""
    lines = [
        _Comparison(model.row, model.usual.rates, model.best.rates, model.macs, model.best.variant.name)
        for model in models
    ]
    if len(models) > 1:
        usual, best = _harmonic([line.usual for line in lines]), _harmonic([line.best for line in lines])
        lines.append(_Comparison("all rows", usual, best))
    columns: list[Column[_Comparison]] = [
        Column("Row", lambda line: line.row, wide=True),
        Column("MACs", lambda line: line.macs, lambda macs: count(macs) if macs else ""),
        Column("Usual, images/s", lambda line: line.usual, rates_text),
        Column("Best, images/s", lambda line: line.best, rates_text),
        Column("Ratio", lambda line: ratios(line.best, line.usual), ratios_text),
        Column("Way", lambda line: line.way, wide=True),
    ]
    notes = ["All rows: the harmonic mean, as a study trains every row on as many images."] if len(models) > 1 else []
    return build("models", "Per module: the usual loop and the best way", columns, lines, notes=notes)


def _harmonic(rates: Sequence[Sequence[float]]) -> list[float]:
    """Return the harmonic mean over the models, round by round."""
    return [statistics.harmonic_mean(of_round) for of_round in zip(*rates, strict=True)]
