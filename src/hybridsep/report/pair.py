"""`compare`: two rows of a study against each other, and the test images on which they differ most."""

import importlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hybridsep.config.targets import check_keywords
from hybridsep.data import Dataset
from hybridsep.errors import ConfigError, DataError
from hybridsep.report import comparison, table, verdicts
from hybridsep.report.comparison import Comparison, RowResult
from hybridsep.report.differences import COSTS
from hybridsep.report.runset import RunSet
from hybridsep.report.settings import AnalysisOptions
from hybridsep.report.table import Column, Table, build, percent
from hybridsep.statistics import agreement

_SHOWN = 12  # images of each kind in the picture
_SOURCES = "hybridsep.data."  # a record may name no other code to be called


@dataclass(frozen=True)
class Disputed:
    """Test images that one of two rows gets wrong oftener than the other; `wrong` counts trials of (row, other)."""

    indices: np.ndarray
    wrong: np.ndarray
    trials: int


@dataclass(frozen=True)
class _Cost:
    """A row with the seconds of a trial, and the share of images on which two of its own trials differ."""

    row: RowResult
    name: str
    seconds: float | None
    seeds: float | None


def tables_of(pair: RunSet, options: AnalysisOptions) -> list[Table]:
    """Return what the two rows are and cost, and how they differ. Raises ConfigError without a trial that both have."""
    other, row = pair.rows
    if not pair.paired(row):
        raise ConfigError(f"{row} and {other} of study {pair.study} have no finished trial in common")
    results = comparison.compare(pair, options)
    names = [_label(pair, name) for name in (row, other)]
    return [_costs(pair, names, results), _difference(pair, names, results, options)]


def _label(pair: RunSet, row: str) -> str:
    return pair.label(row).removesuffix(" (baseline)")


def _costs(pair: RunSet, names: list[str], results: Comparison) -> Table:
    lines = []
    for name, row in zip(names, reversed(pair.rows), strict=True):
        predicted = [run.predicted for run in pair.runs[row].values() if not pair.own_images]
        seeds = agreement.mean_disagreement(predicted)
        lines.append(_Cost(results.of(row), name, pair.seconds(row), seeds.percent))
    columns: list[Column[_Cost]] = [
        Column("Row", lambda line: line.name, wide=True),
        Column("n", lambda line: line.row.n),
        Column("Error %", lambda line: table.spread(line.row.error_mean, line.row.error_sd)),
        *(column.on(lambda line: line.row) for column in COSTS),
        Column("Time a trial", lambda line: line.seconds and line.seconds / 3600, table.duration),
        Column("Seeds, %", lambda line: line.seeds, table.tenth),
    ]
    note = "Seeds: the share of test images on which two trials of the row itself differ, in the mean over its pairs."
    return build("compared", f"{names[0]} and {names[1]}, study {pair.study}", columns, lines, notes=[note])


def _difference(pair: RunSet, names: list[str], results: Comparison, options: AnalysisOptions) -> Table:
    difference = results.of(pair.rows[1]).difference
    trials = [trial for trial in results.trials if trial.difference is not None]
    tests = [trial.mcnemar for trial in trials if trial.mcnemar]
    shares = [trial.disagreement for trial in trials if trial.disagreement is not None]
    significant = sum(test.p < options.alpha for test in tests)
    lines = [
        (f"Difference in points [{percent(options.alpha)}]", table.estimate(difference.interval)),
        ("Bootstrap interval", table.bounds(difference.bootstrap)),
        ("Permutation p", table.p_value(difference.p)),
        (f"Equal within ±{options.margin:g} points (TOST p)", table.p_value(difference.equivalence.p)),
        ("These trials show", verdicts.shows(difference, options.alpha)),
        ("Differ on, % of all test images", table.tenth(float(np.mean(shares)))),
        (f"Only {names[0]} wrong, images a trial", table.tenth(sum(test.only_row for test in tests) / len(trials))),
        (
            f"Only {names[1]} wrong, images a trial",
            table.tenth(sum(test.only_baseline for test in tests) / len(trials)),
        ),
        (f"McNemar p<{options.alpha:g}", f"{significant}/{len(trials)} trials"),
    ]
    columns: list[Column[tuple[str, str]]] = [
        Column("What", lambda line: line[0], wide=True),
        Column("Found", lambda line: line[1]),
    ]
    how = "paired by trial" if options.pairing == "paired" else "unpaired"
    return build(
        "difference",
        f"{names[0]} less {names[1]}, {difference.pairs} trials, {how}",
        columns,
        lines,
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
    places = {"cache": kept / "cache", "root": place or kept / "cifar10", "path": place or source.get("path")}
    keywords = {key: places.get(key, value) for key, value in source.items()}
    if "download" in keywords:
        keywords["download"] = False
    images: Dataset = load(**keywords)
    if images.sha256 != record.dataset.sha256:
        raise DataError(f"{place or images.title} holds other images than the runs were made on")
    return images


def picture(pair: RunSet, data: Dataset) -> bytes:
    """Return a PNG of the most disputed test images, each with its class and in how many trials each row is wrong."""
    from matplotlib.figure import Figure

    from hybridsep.report.figures.drawing import canvas

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
