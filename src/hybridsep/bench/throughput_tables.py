"""The tables of `bench throughput`."""

import statistics
from collections.abc import Callable, Sequence
from typing import Any

from hybridsep.bench import output
from hybridsep.bench.measurement import RowMeasurement
from hybridsep.bench.timing import ratios, spread
from hybridsep.report.table import Column, Table, count, number

MOST_DATA_SHARE = 0.03  # of a step's time, by design


def tables(record: dict[str, Any], rows: Sequence[RowMeasurement]) -> list[Table]:
    """Return images/s of every variant, the rows side by side, start-up times, and on a GPU what was reached.

    `record` says how and where it was measured.
    """
    found = [_ablation(record, rows), _compared(rows)]
    if record["starts"]:
        found.append(_starts(record["starts"]))
    if record["reached"]:
        found.append(_reached(record, rows))
    return found


def _ablation(record: dict[str, Any], rows: Sequence[RowMeasurement]) -> Table:
    lines = [{"row": row.row, **found.record()} for row in rows for found in row.variants]

    def measured(write: Callable[[dict[str, Any]], str]) -> Callable[[dict[str, Any]], str]:
        return lambda line: "" if line["missing"] else write(line)

    columns = [
        Column("Row", lambda line: line["row"], wide=True),
        Column("Way", lambda line: line["name"], wide=True),
        Column("Images/s", lambda line: line["missing"] or _spread(line["images_per_second"], 0)),
        Column("Ratio", measured(lambda line: f"x {_spread(line['ratio'], 2)}")),
        Column("Step", measured(lambda line: f"x {number(line['gain']['median'])}" if line["gain"] else "")),
        Column("Memory", measured(lambda line: f"{count(line['memory_bytes'])}B")),
        Column("Data", measured(lambda line: _percent(line["data_share"]))),
    ]
    if record["reached"]:
        columns.append(Column("Busy", measured(lambda line: f"{100 * line['busy_share']:.0f} %")))
    workers = f"{record['workers']} DataLoader workers"
    notes = [
        "Median ± half the interquartile range over the rounds. Ratio: to the usual loop, within each round. Step: to"
        " the way before.",
        f"Usual loop: PIL images, torchvision's transforms one by one in {workers}, float32, NCHW, SGD as it comes, the"
        " loss read after every step (src/hybridsep/bench/reference_loop.py).",
        "Memory: the most bytes of tensors at once in the training process during a step, parameters and momentum"
        f" included; not the dataset ({count(record['dataset_bytes'])}B of pixels, once on the device), not the"
        " batches in the usual loop's workers. On a CPU that of side-by-side trials is one trial's, multiplied.",
        "On a CPU every way runs in a process of its own. Freed memory kept: glibc is told to keep what a step frees"
        " (src/hybridsep/train/allocator.py). Groups merged: of convolutions with 2 to 4 channels a group, up to 16"
        " channels at a time (src/hybridsep/modules/grouped.py). Aside: tried, and not in the ways after it.",
        "Data: of the usual loop, the share of its time spent waiting for batches; of ours, the time of the gather"
        f" alone by that of a step. {_verdict(rows)}",
    ]
    if record["reached"]:
        notes.append("Busy: share of the time in which a kernel ran, by torch.profiler, which itself takes some time.")
    rounds = max((row.reference.speed["n"] for row in rows), default=0)
    heading = [
        *output.head(record),
        f"Size {record['size']}, batch {record['batch']}, built-in 32x32 images; {rounds} rounds of one block of each.",
    ]
    return Table(
        "throughput",
        "The usual loop and ours",
        columns,
        lines,
        (),
        heading=heading,
        warning=output.warning(record),
        notes=notes,
    )


def _compared(rows: Sequence[RowMeasurement]) -> Table:
    """One line for each row: its best variant against the usual loop; and one for all of them, as many images each."""
    lines = [
        {
            "row": row.row,
            "macs": count(row.requirements.macs),
            "usual": row.reference.rates,
            "best": row.best.rates,
            "way": row.best.name,
        }
        for row in rows
    ]
    if len(lines) > 1:
        together = {kind: _harmonic([line[kind] for line in lines]) for kind in ("usual", "best")}
        lines.append({"row": "all rows", "macs": "", **together, "way": ""})
    columns = [
        Column("Row", lambda line: line["row"], wide=True),
        Column("MACs", lambda line: line["macs"]),
        Column("Usual, images/s", lambda line: _spread(spread(line["usual"]), 0)),
        Column("Best, images/s", lambda line: _spread(spread(line["best"]), 0)),
        Column("Ratio", lambda line: f"x {_spread(spread(ratios(line['best'], line['usual'])), 2)}"),
        Column("Way", lambda line: line["way"], wide=True),
    ]
    note = "All rows: the harmonic mean, as a study trains every row on as many images."
    return Table("models", "Per module: the usual loop and the best way", columns, lines, (), notes=[note])


def _harmonic(rates: Sequence[Sequence[float]]) -> list[float]:
    """Return the harmonic mean over the models, round by round."""
    return [statistics.harmonic_mean(found) for found in zip(*rates, strict=True)]


def _starts(starts: list[dict[str, Any]]) -> Table:
    columns = [
        Column("Command", lambda line: line["what"], wide=True),
        Column("Seconds", lambda line: _spread(line["seconds"], 2)),
    ]
    note = f"Median ± half the interquartile range of {starts[0]['seconds']['n']} starts, files in the page cache."
    return Table("starts", "Start-up", columns, starts, (), notes=[note])


def _reached(record: dict[str, Any], rows: Sequence[RowMeasurement]) -> Table:
    """Achieved rates of the captured variants against the roofline at the rates measured in the same process."""
    bandwidth = record["reached"]["bytes_per_second"]["median"]
    matrix = record["reached"]["flops_per_second"]["median"]
    lines = []
    for row in rows:
        step_bytes = row.requirements.training_bytes(record["batch"])
        step_flops = row.requirements.training_flops(record["batch"])
        for found in row.variants:
            if found.measured and found.variant.graph:
                steps = found.speed["median"] / record["batch"]
                least = max(step_bytes / bandwidth, step_flops / matrix)
                lines.append(
                    {
                        "row": row.row,
                        "way": found.name,
                        "bytes": steps * step_bytes,
                        "flops": steps * step_flops,
                        "milliseconds": 1e3 / steps,
                        "floor": 1e3 * least,
                        "share": steps * least,
                    }
                )
    columns = [
        Column("Row", lambda line: line["row"], wide=True),
        Column("Way", lambda line: line["way"], wide=True),
        Column("ms a step", lambda line: number(line["milliseconds"], 3)),
        Column("Floor, ms", lambda line: number(line["floor"], 3)),
        Column("Of floor", lambda line: f"{100 * line['share']:.0f} %"),
        Column("GB/s", lambda line: number(line["bytes"] / 1e9, 0)),
        Column("TFLOP/s", lambda line: number(line["flops"] / 1e12, 1)),
    ]
    notes = [
        f"Floor: the larger of the bytes that a step needs at {bandwidth / 1e12:.2f} TB/s, the rate of a 1 GiB copy,"
        f" and its operations at {matrix / 1e12:.0f} TFLOP/s, the rate of an 8192-wide bfloat16 matrix product, both"
        " measured in this process (src/hybridsep/bench/roofline.py says what counts). GB/s and TFLOP/s: those bytes"
        " and operations by the time taken.",
    ]
    return Table("reached", "Achieved on the GPU", columns, lines, (), notes=notes)


def _spread(value: dict[str, Any], decimals: int) -> str:
    return f"{number(value['median'], decimals)} ± {number(value['iqr'] / 2, decimals)}"


def _percent(share: dict[str, Any] | None) -> str:
    return "" if share is None else f"{100 * share['median']:.1f} %"


def _verdict(rows: Sequence[RowMeasurement]) -> str:
    """Say whether the data path keeps to its share in our complete step, the last measured variant of one trial."""
    over = []
    for row in rows:
        known = [found for found in row.variants if not found.variant.standalone and found.data_share]
        if known[-1].data_share["median"] > MOST_DATA_SHARE:
            over.append(row.row)
    limit = f"{100 * MOST_DATA_SHARE:.0f} %"
    return f"Above {limit} in our step: {', '.join(over)}." if over else f"At most {limit} in every row of our step."
