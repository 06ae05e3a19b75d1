"""`bench cores`: one trial with all cores, or a trial for each core; for small networks and for large ones.

On a GPU: one trial alone, or several side by side.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from hybridsep.bench import output, rows
from hybridsep.bench.session import Session
from hybridsep.bench.settings import BenchSettings
from hybridsep.bench.timing import Workload, ratios, spread, time_in_rounds
from hybridsep.bench.variants import ours
from hybridsep.bench.workloads import RowWorkloads
from hybridsep.networks.cost import cost_of
from hybridsep.report.table import Column, Table, build, count, rate, times
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


def run(settings: BenchSettings, session: Session) -> None:
    """Measure every model in every size, print the table and write it."""
    given, device = settings.cores, session.device
    on_gpu = device.type == "cuda"
    at_once = given.at_once or (10 if on_gpu else max(2, machine.cores()))
    dataset = rows.dataset(train=max(10, 4 * settings.batch))
    variant = replace(ours(bfloat16=session.bfloat16, fast=not on_gpu), graph=on_gpu)
    found: list[Row] = []
    for size in given.sizes:
        for config in rows.of_models(settings.models, size=size, batch=settings.batch):
            row = RowWorkloads(config, dataset, device)
            cost = cost_of(row.build(), row.augmentation.size, row.augmentation.size)
            workloads: dict[str, Workload] = {
                "one": row.make(variant),
                "several": row.make(replace(variant, at_once=at_once)),
            }
            timed = time_in_rounds(workloads, device, seconds=given.seconds, rounds=given.rounds)
            found.append(Row(config.row, size, cost.params, cost.macs, timed["one"].rates, timed["several"].rates))
            gain = spread(ratios(found[-1].several, found[-1].one)).median
            output.say(f"{config.row}, size={size}: {at_once} at once x {gain:.2f}")
    record = {"batch": settings.batch, "at_once": at_once, "rows": list(map(asdict, found))}
    session.write("cores", record, [table(found, at_once=at_once, threads=session.threads)])


def table(found: Sequence[Row], *, at_once: int, threads: int) -> Table:
    """Return one line for each row and size: both ways, their ratio, and the faster."""
    ways = ("one trial", f"{at_once} at once")

    def faster(row: Row) -> str:
        gain = spread(ratios(row.several, row.one))
        return ways[gain.median > 1] if abs(gain.median - 1) > gain.iqr / 2 else "the same"

    columns: list[Column[Row]] = [
        Column("Row", lambda row: row.row, wide=True),
        Column("Size", lambda row: row.size),
        Column("MACs", lambda row: row.macs, count),
        Column("One, images/s", lambda row: spread(row.one), lambda one: rate(one.median, one.iqr)),
        Column(f"{at_once}, images/s", lambda row: spread(row.several), lambda one: rate(one.median, one.iqr)),
        Column("Ratio", lambda row: spread(ratios(row.several, row.one)).median, times),
        Column("Faster", faster, wide=True),
    ]
    note = (
        f"One trial has {threads} threads, each of {at_once} at once {max(1, threads // at_once)}."
        f" Median ± half the interquartile range over {len(found[0].one)} rounds of one block of each; images/s of all"
        " trials together. Ratio: within each round. The same: the ratio differs from 1 by less than half its"
        " interquartile range."
    )
    return build("cores", "One trial with all cores, or a trial for each core", columns, found, notes=[note])
