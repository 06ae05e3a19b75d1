"""The tables of `bench throughput`, made from its record."""

import statistics
from collections.abc import Sequence
from typing import Any

from hybridsep.bench.timing import ratios, spread
from hybridsep.config.identity import flatten
from hybridsep.report.table import (
    Column,
    Table,
    around,
    byte_count,
    count,
    percentage,
    rate,
    times,
)

MOST_DATA_SHARE = 0.03  # of a step's time, by design
Models = Sequence[dict[str, Any]]


def tables(record: dict[str, Any]) -> list[Table]:
    """Return images/s of every way, and the rows side by side."""
    return [_ablation(record), compared(record["models"])]


def best(model: dict[str, Any]) -> dict[str, Any]:
    """Return the fastest of our ways to train a row, without those that were tried aside."""
    ours = [way for way in model["ways"][1:] if not way["missing"] and not way["aside"]]
    return max(ours, key=lambda way: way["images_per_second"]["median"])


def _times(median: float, iqr: float) -> str:
    return f"x {around(median, iqr)}"


def _ablation(record: dict[str, Any]) -> Table:
    lines = []
    for model in record["models"]:
        for way in model["ways"]:
            lines.append(flatten({"row": model["row"], **way}))
            if way["missing"]:
                lines[-1]["images_per_second.median"] = way["missing"]
    columns = [
        Column("Row", "row", wide=True),
        Column("Way", "name", wide=True),
        Column("Images/s", ("images_per_second.median", "images_per_second.iqr"), rate),
        Column("Ratio", ("ratio.median", "ratio.iqr"), _times),
        Column("Step", "gain.median", times),
        Column("Memory", "memory_bytes", byte_count),
        Column("Data", "data_share.median", lambda value: percentage(value, 1)),
    ]
    rounds = record["models"][0]["ways"][0]["images_per_second"]["n"]
    workers = f"{record['workers']} DataLoader workers"
    notes = [
        f"Median ± half the interquartile range over {rounds} rounds of one block of each. Ratio: to the usual loop,"
        " within each round. Step: to the way before.",
        f"Usual loop: PIL images, torchvision's transforms one by one in {workers}, float32, NCHW, SGD as it comes, the"
        " loss read after every step (src/hybridsep/bench/reference_loop.py); the modules as the paper's figures draw"
        " them. The module's fast way: Inception's towers joined, the gradient of the separable equivalent tower by"
        " tower (src/hybridsep/modules/).",
        "Memory: the most bytes of tensors at once in the training process during a step, parameters and momentum"
        f" included; not the dataset ({byte_count(record['dataset_bytes'])} of pixels, once on the device), not the"
        " batches in the usual loop's workers. On a CPU that of side-by-side trials is one trial's, multiplied.",
        "On a CPU every way runs in a process of its own. Freed memory kept: glibc is told to keep what a step frees"
        " (src/hybridsep/train/allocator.py). Aside: tried, and not in the ways after"
        " it.",
        "Data: of the usual loop, the share of its time spent waiting for batches; of ours, the time of the gather"
        f" alone by that of a step. {_verdict(record['models'])}",
    ]
    return Table("throughput", "The usual loop and ours", columns, lines, notes=notes)


def _verdict(models: Models) -> str:
    """Say whether the data path keeps to its share in our complete step, the last measured way of one trial."""
    over = []
    for model in models:
        known = [way["data_share"] for way in model["ways"] if not way["aside"] and way.get("data_share")]
        if known[-1]["median"] > MOST_DATA_SHARE:
            over.append(model["row"])
    limit = percentage(MOST_DATA_SHARE)
    return f"Above {limit} in our step: {', '.join(over)}." if over else f"At most {limit} in every row of our step."


def compared(models: Models) -> Table:
    """One line for each row: its best way against the usual loop; and one for all of them, as many images each."""
    usual = [model["ways"][0]["rounds"] for model in models]
    ours = [best(model)["rounds"] for model in models]
    lines = [
        {"row": model["row"], "macs": model["macs"], "way": best(model)["name"], **_side_by_side(*rates)}
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
    return Table("models", "Per module: the usual loop and the best way", columns, lines, notes=[note])


def _side_by_side(usual: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    return flatten({"usual": spread(usual), "best": spread(ours), "ratio": spread(ratios(ours, usual))})


def _harmonic(rates: Sequence[Sequence[float]]) -> list[float]:
    """Return the harmonic mean over the models, round by round."""
    return [statistics.harmonic_mean(found) for found in zip(*rates, strict=True)]
