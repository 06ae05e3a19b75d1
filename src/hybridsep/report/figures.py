"""Pictures of `figure_data`: nothing is computed here.

Colours are Okabe and Ito's; markers and hatches tell rows apart in grey.
"""

import contextlib
import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hybridsep.report.figure_data import FigureData, by_row
from hybridsep.report.table import count

# Okabe and Ito (2008), ordered so that neighbours differ in lightness too.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ((None, None), (5, 1.5), (1.5, 1.5), (5, 1.5, 1.5, 1.5), (8, 2), (3, 1, 1, 1, 1, 1))
OUR_COLOUR, PAPER_COLOUR, FLOOR_COLOUR = "#E69F00", "#0072B2", "#BBBBBB"
FLOOR_LINE = {"color": "#555555", "lw": 1.2, "ls": "--"}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "path",
    "text.parse_math": False,  # a title with $ is text
}


@contextlib.contextmanager
def canvas(name: str, **style: Any) -> Iterator[set[str]]:
    """Draw in our style whatever the user's; yields the set of letters that the font turns out to lack.

    The backend of a notebook (MPLBACKEND) is left out of it: files are written by Agg and SVG.
    """
    letters: set[str] = set()
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        settings: dict[Any, Any] = {**STYLE, "svg.hashsalt": name, **style}
        with matplotlib.rc_context(settings):
            yield letters
    for warning in raised:
        if lacking := re.match(r"Glyph (\d+) ", str(warning.message)):
            letters.add(chr(int(lacking[1])))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def draw(data: FigureData, caption: str) -> dict[str, bytes]:
    """Return `{file name: bytes}`: the figure as SVG (equal data give equal bytes) and PNG, drawn on a `canvas`.

    `caption` is printed under it.
    """
    figure, vector, pixels = compose(data, caption), io.BytesIO(), io.BytesIO()
    figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
    figure.savefig(pixels, format="png", dpi=160)
    return {f"{data.name}.svg": vector.getvalue(), f"{data.name}.png": pixels.getvalue()}


def compose(data: FigureData, caption: str) -> Figure:
    """Return the figure with its title above and its caption below, everything in its place."""
    kind = data.name.rsplit("-", 1)[-1]
    drawer, width, height = _DRAWERS[kind]
    lines = textwrap.wrap(f"{_LEGENDS[kind]} {caption} {data.note}".strip(), int(17 * width))
    inches = (0.32, height(data), 0.08 + 0.15 * len(lines))
    figure = Figure(figsize=(width, sum(inches)), layout="constrained")
    head, body, foot = list(np.array(figure.subfigures(3, 1, height_ratios=inches), dtype=object))
    head.text(0.01, 0.5, data.title, va="center", fontsize=11, fontweight="bold")
    foot.text(0.01, 0.95, "\n".join(lines), va="top", fontsize=7.5, color="#444444", linespacing=1.3)
    drawer(data, body)
    _settle(figure)
    return figure


def _settle(figure: Figure) -> None:
    """Keep the layout, rounded: the solver's last bits are not the same in every run."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in figure.subfigs:
        box = part.bbox_relative
        box.p0, box.p1 = np.round(box.p0, 5), np.round(box.p1, 5)
    for axes in figure.get_axes():
        left, bottom, width, height = (round(value, 5) for value in axes.get_position(original=True).bounds)
        axes.set_position((left, bottom, width, height))


def differences(data: FigureData, body: SubFigure) -> None:
    """Left: mean |d|, the paper's beside ours, over the noise floor. Right: every trial, and their mean's interval."""
    *rows, floor = [line for line in data.lines if not line["is_baseline"]]
    places = np.arange(len(rows))[::-1]
    left, right = body.subplots(1, 2, sharey=True)
    if floor["mean_absolute"] is not None:
        if data.band:
            left.axvspan(floor["low"], floor["high"], color=FLOOR_COLOUR, alpha=0.45, lw=0, label="noise floor, range")
        left.axvline(floor["mean_absolute"], **FLOOR_LINE, label="noise floor, mean")
    ours = [line["mean_absolute"] if line["mean_absolute"] is not None else np.nan for line in rows]
    left.barh(places + 0.18, ours, 0.34, color=OUR_COLOUR, edgecolor="black", lw=0.6, label="ours, mean |d|")
    if any(_difference_of_paper(line, data) is not None for line in rows):
        paper = [np.nan if (value := _difference_of_paper(line, data)) is None else value for line in rows]
        left.barh(
            places - 0.18, paper, 0.34, color="white", edgecolor=PAPER_COLOUR, lw=0.8, hatch="////", label="paper"
        )
    left.set_yticks(places, [f"{line['label']}\nn = {line['n']}" for line in rows])
    left.set_xlabel(f"mean |difference| ({data.unit})")
    left.set_xlim(left=0)
    left.set_ylim(-0.6, len(rows) - 0.4)
    right.axvline(0, color="black", lw=0.8)
    if floor["mean_absolute"] is not None:
        for side in (-1, 1):
            right.axvline(side * floor["mean_absolute"], **FLOOR_LINE)
    style = {"s": 22, "color": OUR_COLOUR, "edgecolors": "black", "linewidths": 0.4, "zorder": 2}
    points = [(value, place - 0.2) for place, line in zip(places, rows, strict=True) for value in line["single"]]
    if points:
        right.scatter(*zip(*points, strict=True), **style, label="one trial")
    drawn = None
    for place, line in zip(places, rows, strict=True):
        if line["mean"] is None:
            continue
        reach = [[0], [0]] if line["low"] is None else [[line["mean"] - line["low"]], [line["high"] - line["mean"]]]
        bar = {"fmt": "o", "color": "black", "ms": 5, "capsize": 3.5, "lw": 1.4, "zorder": 3}
        drawn = right.errorbar(line["mean"], place + 0.1, xerr=reach, **bar)
    if drawn:
        drawn.set_label("mean over trials, interval")
    directions = "worse \u2190 \u2192 better" if data.higher_is_better else "better \u2190 \u2192 worse"
    # In two lines: the layout gives room to a label's height, not to its width.
    right.set_xlabel(f"signed difference ({data.unit})\n{directions}")
    handles = [axes.get_legend_handles_labels() for axes in (left, right)]
    body.legend(*map(list.__add__, *handles), loc="outside lower center", ncols=3, fontsize=8)
    right.grid(axis="y", visible=False)
    left.grid(axis="y", visible=False)


def _difference_of_paper(line: dict[str, Any], data: FigureData) -> float | None:
    """The paper's number as a difference: as it is, or, where the paper gives test errors, from its baseline's."""
    baseline = next((entry["paper"] for entry in data.lines if entry["is_baseline"]), None)
    if line["paper"] is None or baseline is None:
        return line["paper"]
    return abs(line["paper"] - baseline)


def trials(data: FigureData, body: SubFigure) -> None:
    """Test error of every trial, a thin line joining those that are pairs, the mean of each row."""
    rows = by_row(data.lines)
    axes = body.subplots()
    paired = {entry["trial"] for entry in data.lines if entry["difference"] is not None}
    by_trial: dict[int, list[tuple[int, float]]] = {}
    for place, entries in enumerate(rows.values()):
        for entry in entries:
            if entry["trial"] in paired:
                by_trial.setdefault(entry["trial"], []).append((place, entry["error"]))
    if data.joined and len(by_trial) <= 40:
        for points in by_trial.values():
            axes.plot(*zip(*points, strict=True), color="#BBBBBB", lw=0.7, zorder=1)
    for place, entries in enumerate(rows.values()):
        errors = [entry["error"] for entry in entries]
        style: dict[str, Any] = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}
        axes.scatter(
            [place] * len(errors), errors, s=30, alpha=0.85, linewidths=0.4, edgecolors="white", zorder=2, **style
        )
        axes.hlines(np.mean(errors), place - 0.28, place + 0.28, color="black", lw=2, zorder=3)
    axes.set_xticks(range(len(rows)), [_broken(entries[0]["label"]) for entries in rows.values()])
    axes.set_xlim(-0.6, len(rows) - 0.4)
    _tilt(axes, len(rows))
    axes.set_ylabel(data.value)
    axes.grid(axis="x", visible=False)


def _broken(label: str) -> str:
    """Break a label at the space nearest to its middle."""
    spaces = [place for place, letter in enumerate(label) if letter == " "]
    if len(label) < 14 or not spaces:
        return label
    place = min(spaces, key=lambda space: abs(space - len(label) / 2))
    return f"{label[:place]}\n{label[place + 1 :]}"


def _tilt(axes: Axes, rows: int) -> None:
    if rows > 7:
        axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="x", labelsize=9)


def curves(data: FigureData, body: SubFigure) -> None:
    """Test error over epochs; lines differ in dashes and markers as well as colour."""
    axes = body.subplots()
    for place, entries in enumerate(by_row(data.lines).values()):
        epochs = [entry["epoch"] for entry in entries]
        colour = COLOURS[place % len(COLOURS)]
        band = ([entry["least"] for entry in entries], [entry["greatest"] for entry in entries])
        axes.fill_between(epochs, *band, color=colour, alpha=0.12, lw=0)
        axes.plot(
            epochs,
            [entry["mean"] for entry in entries],
            color=colour,
            dashes=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)],
            markevery=(place % 5 * max(1, len(epochs) // 25), max(1, len(epochs) // 5)),
            ms=5,
            lw=1.5,
            label=f"{entries[0]['label']} (n = {entries[0]['n']})",
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel("test error (%)")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 4, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="upper right", fontsize=8)


def disagreement(data: FigureData, body: SubFigure) -> None:
    """Matrix of all runs; rows of the table are parted by lines, trials follow each other within them."""
    keys = list(dict.fromkeys((line["first_row"], line["first_trial"]) for line in data.lines))
    labels = {line["first_row"]: line["first_label"] for line in data.lines}
    matrix = np.array([line["percent"] for line in data.lines]).reshape(len(keys), len(keys))
    masked = np.ma.masked_where(np.eye(len(keys), dtype=bool), matrix)
    axes = body.subplots()
    # Lightness alone carries the value, so the picture survives grey.
    shades = matplotlib.colormaps["cividis"].with_extremes(bad="#DDDDDD")
    image = axes.imshow(masked, cmap=shades, interpolation="nearest")
    rows = list(dict.fromkeys(row for row, _ in keys))
    sizes = [sum(key[0] == row for key in keys) for row in rows]
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="white", lw=1.2)
        axes.axvline(end - 0.5, color="white", lw=1.2)
    middles = ends - np.array(sizes) / 2 - 0.5
    axes.set_yticks(middles, [_broken(labels[row]) for row in rows])
    axes.set_xticks(middles, [_broken(labels[row]) for row in rows], rotation=45, ha="right")
    axes.tick_params(labelsize=8.5, length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = body.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label("images predicted differently (%)")
    bar.outline.set_visible(False)


def functions(data: FigureData, body: SubFigure) -> None:
    """Left: each row's distance from the baseline as a function, with its interval. Right: of all rows."""
    rows = by_row(data.lines)
    left, right = body.subplots(1, 2, width_ratios=(1, 1.1))
    rows_with_interval = [line for line in data.lines if line["low"] is not None]
    places = np.arange(len(rows_with_interval))[::-1]
    for place, line in zip(places, rows_with_interval, strict=True):
        reach = [[line["distance"] - line["low"]], [line["high"] - line["distance"]]]
        left.errorbar(line["distance"], place, xerr=reach, fmt="o", color="black", ms=5, capsize=3.5, lw=1.4)
    left.axvline(0, color="black", lw=0.8)
    left.set_yticks(places, [_broken(line["label"]) for line in rows_with_interval])
    left.set_ylim(-0.6, len(rows_with_interval) - 0.4)
    left.set_xlabel("distance from the baseline")
    left.grid(axis="y", visible=False)
    matrix = np.array([np.nan if line["distance"] is None else line["distance"] for line in data.lines])
    matrix = matrix.reshape(len(rows), len(rows))
    image = right.imshow(matrix, cmap="cividis", interpolation="nearest", vmin=0)
    middle = (np.nanmax(matrix) if len(matrix) else 0) / 2
    for (row, column), value in np.ndenumerate(matrix):
        if row != column and not np.isnan(value) and len(rows) <= 12:
            colour = "black" if value > middle else "white"
            right.text(column, row, f"{max(value, 0):.2f}", ha="center", va="center", fontsize=7, color=colour)
    labels = [_broken(lines[0]["label"]) for lines in rows.values()]
    right.set_yticks(range(len(rows)), labels)
    right.set_xticks(range(len(rows)), labels, rotation=45, ha="right")
    right.tick_params(labelsize=8, length=0)
    right.grid(visible=False)
    for spine in right.spines.values():
        spine.set_visible(False)
    bar = body.colorbar(image, ax=right, shrink=0.7)
    bar.set_label("distance")
    bar.outline.set_visible(False)


def cost(data: FigureData, body: SubFigure) -> None:
    """Mean test error with its standard deviation against parameters, MACs and training speed."""
    panels = body.subplots(1, 3, sharey=True)
    names = {"params": "parameters", "macs": "MACs per image", "images_per_second": "training images/s"}
    for axes, (key, name) in zip(panels, names.items(), strict=True):
        for place, line in enumerate(data.lines):
            if line[key] is None or line["error_mean"] is None:
                continue
            axes.errorbar(
                line[key],
                line["error_mean"],
                yerr=line["error_sd"],
                fmt=MARKERS[place % len(MARKERS)],
                color=COLOURS[place % len(COLOURS)],
                ms=8,
                capsize=2.5,
                lw=1,
                label=line["label"],
            )
        axes.set_xlabel(name)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        axes.margins(x=0.15)
    panels[0].set_ylabel("test error (%)")
    body.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8.5)


def _rows_height(data: FigureData) -> float:
    return max(2.9, 1.5 + 0.52 * max(1, len(data.lines) - 2))


# What the marks are, under the picture.
_LEGENDS = {
    "differences": "Dashed: two trials of the baseline itself differ so much, in the mean.",
    "functions": "Left: bar, the interval of the distance over trials. Right: the distance of each two rows.",
    "trials": "A mark is a trial, a black bar the mean of its row; grey lines join trials of one number.",
    "curves": "Line: mean over trials; band: from the least to the greatest.",
    "disagreement": "A square is a pair of runs, trials in order within each row; grey: a run and itself.",
    "cost": "Mark: mean over trials; bar: their standard deviation.",
}
# Drawer, width and height in inches.
_DRAWERS: dict[str, tuple[Callable[[FigureData, SubFigure], None], float, Callable[[FigureData], float]]] = {
    "differences": (differences, 8.4, _rows_height),
    "trials": (trials, 8.4, lambda _: 3.9),
    "curves": (curves, 8.4, lambda _: 4.1),
    "disagreement": (disagreement, 7.4, lambda _: 6.2),
    "functions": (functions, 9.2, lambda data: 2.2 + 0.35 * len(by_row(data.lines))),
    "cost": (cost, 9.2, lambda _: 3.6),
}
