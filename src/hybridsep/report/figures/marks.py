"""Colours, marks and labels that figures share."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.image import AxesImage

# Okabe and Ito (2008), ordered so that neighbours differ in lightness too.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#999999")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES = ((None, None), (5, 1.5), (1.5, 1.5), (5, 1.5, 1.5, 1.5), (8, 2), (3, 1, 1, 1, 1, 1))


def broken(label: str) -> str:
    """Break a label at the space nearest to its middle."""
    spaces = [place for place, letter in enumerate(label) if letter == " "]
    if len(label) < 14 or not spaces:
        return label
    place = min(spaces, key=lambda space: abs(space - len(label) / 2))
    return f"{label[:place]}\n{label[place + 1 :]}"


def tilt(axes: "Axes", rows: int) -> None:
    if rows > 7:
        axes.tick_params(axis="x", rotation=60)
    axes.tick_params(axis="x", labelsize=9)


def finish_matrix(body: "SubFigure", axes: "Axes", image: "AxesImage", label: str) -> None:
    """Take grid and frame from a matrix of shades, and put the scale of its values beside it."""
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = body.colorbar(image, ax=axes, shrink=0.7)
    bar.set_label(label)
    bar.outline.set_visible(False)
