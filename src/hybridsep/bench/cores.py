"""`bench cores`: one trial with all cores, or a trial for each core; for small networks and for large ones.

On a GPU: one trial alone, or several side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hybridsep.bench import output, rows
from hybridsep.bench.output import Session
from hybridsep.bench.settings import BenchSettings
from hybridsep.bench.throughput_tables import rates_text
from hybridsep.bench.timing import Spread, ratios, spread, time_in_rounds
from hybridsep.bench.variants import ours
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.networks.cost import cost_of
from hybridsep.report.table import Column, Table, build, count, times
from hybridsep.runs import machine


@dataclass(frozen=True)
class Row:
    """Images per second of all trials together in each round: `one` trial alone, `several` at once."""

    row: str
    size: str
    params: int
    macs: int
    one: list[float]
    several: list[float]

    @property
    def gain(self) -> Spread:
        """How many times as fast several at once are, round by round."""
        return spread(ratios(self.several, self.one))


@dataclass(frozen=True)
class Measurements:
    """All that was measured."""

    batch: int
    at_once: int
    rows: list[Row]


def run(settings: BenchSettings, session: Session) -> None:
    """Measure every model in every size, print the table and write it."""
    options, device = settings.cores, session.device
    on_gpu = device.type == "cuda"
    at_once = options.at_once or (10 if on_gpu else max(2, machine.cores()))
    dataset = rows.dataset(train=max(10, 4 * settings.batch))
    variant = replace(ours(bfloat16=session.bfloat16, fast=not on_gpu), graph=on_gpu)
    results: list[Row] = []
    for size in options.sizes:
        for config in rows.of_models(settings.models, size=size, batch=settings.batch):
            row = RowWorkloads(config, dataset, device)
            cost = cost_of(row.build(), row.augmentation.size, row.augmentation.size)
            one, several = (row.make(replace(variant, at_once=count)) for count in (1, at_once))
            timed = time_in_rounds({1: one, 2: several}, device, seconds=options.seconds, rounds=options.rounds)
            results.append(Row(config.row, size, cost.params, cost.macs, timed[1].rates, timed[2].rates))
            output.say(f"{config.row}, size={size}: {at_once} at once {times(results[-1].gain.median)}")
    record = Measurements(settings.batch, at_once, results)
    session.write("cores", record, [table(results, at_once=at_once, threads=session.threads)])


def table(results: Sequence[Row], *, at_once: int, threads: int) -> Table:
    """Return one line for each row and size: both ways, their ratio, and the faster."""
    ways = ("one trial", f"{at_once} at once")

    def faster(row: Row) -> str:
        return ways[row.gain.median > 1] if abs(row.gain.median - 1) > row.gain.iqr / 2 else "the same"

    columns: list[Column[Row]] = [
        Column("Row", lambda row: row.row, wide=True),
        Column("Size", lambda row: row.size),
        Column("MACs", lambda row: row.macs, count),
        Column("One, images/s", lambda row: row.one, rates_text),
        Column(f"{at_once}, images/s", lambda row: row.several, rates_text),
        Column("Ratio", lambda row: row.gain.median, times),
        Column("Faster", faster, wide=True),
    ]
    note = (
        f"One trial has {threads} threads, each of {at_once} at once {max(1, threads // at_once)}."
        f" Median ± half the interquartile range over {len(results[0].one)} rounds of one block of each; images/s of"
        " all trials together. Ratio: within each round. The same: the ratio differs from 1 by less than half its"
        " interquartile range."
    )
    return build("cores", "One trial with all cores, or a trial for each core", columns, results, notes=[note])
