"""`compare`: two rows of a study against each other, and the test images on which they differ most."""

import importlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridsep.config.targets import check_keywords
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError, DataError
from hybridsep.report import comparison, table, verdicts
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import Column, Table, dash, percent
from hybridsep.statistics import agreement

_SHOWN = 12  # images of each kind in the picture
_SOURCES = "hybridsep.data."  # a record may name no other code to be called


@dataclass(frozen=True)
class Disputed:
    """Test images that one of two rows gets wrong oftener than the other; `wrong` counts trials of (row, other)."""

    indices: np.ndarray
    wrong: np.ndarray
    trials: int


def tables(pair: RunSet, choices: AnalysisOptions) -> list[Table]:
    """Return what the two rows are and cost, and how they differ. Raises ConfigError without a trial that both have."""
    other, row = pair.rows
    if not pair.paired(row):
        raise ConfigError(f"{row} and {other} of study {pair.study} have no finished trial in common")
    found = comparison.compare(pair, choices)
    entry, baseline = found.of(row), found.of(other)
    names = [_label(pair, name) for name in (row, other)]
    return [_costs(pair, names, (entry, baseline)), _difference(pair, names, entry, found, choices)]


def _label(pair: RunSet, row: str) -> str:
    return (pair.row(row).label or row).removesuffix(" (baseline)")


def _costs(pair: RunSet, names: list[str], entries: tuple[dict[str, Any], dict[str, Any]]) -> Table:
    lines = []
    for name, row, entry in zip(names, reversed(pair.rows), entries, strict=True):
        seconds = pair.seconds(row)
        seeds = agreement.mean_disagreement(
            [run.predicted for run in pair.runs[row].values() if run.predicted is not None and not pair.own_images]
        )
        hours = None if seconds is None else seconds / 3600
        lines.append({**entry, "name": name, "hours": hours, "seeds": seeds.percent})
    columns = [
        Column("Row", "name", wide=True),
        Column("n", "n"),
        Column("Error %", ("error_mean", "error_sd"), table.spread),
        Column("Parameters", "params", table.count),
        Column("MACs", "macs", table.count),
        Column("Images/s", "images_per_second", table.whole),
        Column("Time a trial", "hours", table.duration),
        Column("Seeds, %", "seeds", table.tenth),
    ]
    note = "Seeds: the share of test images on which two trials of the row itself differ, in the mean over its pairs."
    return Table("compared", f"{names[0]} and {names[1]}, study {pair.study}", columns, lines, (), notes=[note])


def _difference(
    pair: RunSet, names: list[str], entry: dict[str, Any], found: comparison.Comparison, choices: AnalysisOptions
) -> Table:
    trials = [line for line in found.trials if line["difference"] is not None]
    counted = {key: sum(line[key] for line in trials) for key in ("only_row", "only_baseline")}
    significant = sum(line["mcnemar_p"] < choices.alpha for line in trials)
    word = verdicts.shows({**entry, "p_holm": entry["p"]}, choices.alpha)
    measured = [
        (
            f"Difference in points [{percent(choices.alpha)}]",
            table.estimate(entry["mean"], entry["low"], entry["high"]),
        ),
        ("Bootstrap interval", table.interval(entry["bootstrap_low"], entry["bootstrap_high"])),
        ("Permutation p", table.p_value(entry["p"])),
        (f"Equal within ±{choices.margin:g} points (TOST p)", table.p_value(entry["equivalence_p"])),
        ("These trials show", word),
        ("Differ on, % of all test images", table.tenth(float(np.mean([line["disagreement"] for line in trials])))),
        (f"Only {names[0]} wrong, images a trial", table.tenth(counted["only_row"] / len(trials))),
        (f"Only {names[1]} wrong, images a trial", table.tenth(counted["only_baseline"] / len(trials))),
        (f"McNemar p<{choices.alpha:g}", f"{significant}/{len(trials)} trials"),
    ]
    how = "paired by trial" if choices.pairing == "paired" else "unpaired"
    return Table(
        name="difference",
        title=f"{names[0]} less {names[1]}, {entry['pairs']} trials, {how}",
        columns=[Column("What", "what", wide=True), Column("Found", "found", dash)],
        lines=[{"what": what, "found": value} for what, value in measured],
        fields=(),
        notes=["Points of test error, below 0: the first row is better. One comparison, so p is not corrected."],
    )


def disputed(pair: RunSet) -> tuple[Disputed, Disputed]:
    """Return the images that the first row gets wrong oftener than the second, and the other way round, worst first."""
    other, row = pair.rows
    both = pair.paired(row)
    wrong = np.array([[pair.runs[name][trial].wrong for trial in both] for name in (row, other)]).sum(axis=1)
    lead = wrong[0] - wrong[1]

    def worst(lead: np.ndarray) -> Disputed:
        order = np.argsort(-lead, kind="stable")
        indices = order[lead[order] > 0][:_SHOWN]
        return Disputed(indices, wrong[:, indices].T, len(both))

    return worst(lead), worst(-lead)


def dataset(pair: RunSet, place: str | None) -> Dataset:
    """Return the dataset of the runs, from `place` or from where the run command keeps it, seen from here.

    Raises DataError when it is not there, is another one, or comes from code that is not this project's.
    """
    if pair.own_images:
        raise DataError("each trial was tested on images of its own, so none was seen by all")
    record = pair.first.record
    source = dict(record.settings.data.source)
    module, _, function = str(source.pop("_target_")).rpartition(".")
    if not module.startswith(_SOURCES) or function != "load":
        raise DataError(f"its images come from {module}.{function}, which is not called from a record")
    try:
        load = importlib.import_module(module).load
        source = check_keywords(load, source, "data.source")
    except (ImportError, AttributeError, ConfigError) as error:
        raise DataError(f"its images cannot be loaded as its record says: {error}") from None
    kept = Path("data")
    given = {"cache": kept / "cache", "root": place or kept / "cifar10", "path": place or source.get("path")}
    keywords = {key: given.get(key, value) for key, value in source.items()}
    if "download" in keywords:
        keywords["download"] = False
    found: Dataset = load(**keywords)
    if found.sha256 != record.dataset.sha256:
        raise DataError(f"{place or found.title} holds other images than the runs were made on")
    return found


def picture(pair: RunSet, data: Dataset) -> bytes:
    """Return a PNG of the most disputed test images, each with its class and in how many trials each row is wrong."""
    from matplotlib.figure import Figure

    from hybridsep.report.figures import canvas

    other, row = pair.rows
    names = _label(pair, row), _label(pair, other)
    parts = disputed(pair)
    with canvas(f"{row}-{other}", **{"axes.grid": False}):
        figure = Figure(figsize=(10, 5.2), layout="constrained")
        figure.suptitle(
            f"{names[0]} and {names[1]}: the test images on which they differ most\n"
            f"class, and trials that are wrong, {names[0]} : {names[1]}",
            fontsize=11,
        )
        for panel, part, name in zip(list(np.array(figure.subfigures(2, 1), dtype=object)), parts, names, strict=True):
            panel.suptitle(f"{name} is wrong oftener", fontsize=10)
            for axes, place in zip(panel.subplots(2, _SHOWN // 2).flat, range(_SHOWN), strict=True):
                axes.axis("off")
                if place < len(part.indices):
                    index = part.indices[place]
                    axes.imshow(data.test_images[index], interpolation="nearest")
                    counts = " : ".join(f"{count}/{part.trials}" for count in part.wrong[place])
                    axes.set_title(f"{data.classes[data.test_labels[index]]}\n{counts}", fontsize=7.5)
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=130)
    return drawn.getvalue()
