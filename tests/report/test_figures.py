"""Figures: nothing is cut off, the axis says which side is better, and there is none without a difference to show."""

from dataclasses import replace

import pytest
from made_runs import run
from matplotlib.text import Text

from hybridsep.report import comparison, distances, figures, folders, runset, settings
from hybridsep.report.figures import drawing

LONG = "A row of one's own with a long name"


def compared(results, *rows, **spec):
    for place, row in enumerate(rows):
        for trial in range(3):
            run(results, "quick", row, trial, error=6 + place + trial / 5, index=place)
    runs, _ = folders.read(results, ["quick"])
    options = settings.load(["report.resamples=99", "report.groups=100"]).report
    [one], _ = runset.split("quick", runs, settings.paper(), options)
    one.spec = replace(one.spec, **spec)
    return one, comparison.compare(one, options)


def differences(results, *rows, **spec):
    return figures.differences(*compared(results, *rows, **spec))


@pytest.mark.parametrize("rows", [("separable", "hybrid"), ("separable", "inception", "reformulated_inception", LONG)])
def test_no_letter_and_no_mark_is_cut_off(tmp_path, rows):
    data = differences(tmp_path, *rows)
    with drawing.canvas(data.name):
        figure = drawing.compose(data, "A caption.")
        width, height = figure.bbox.size
        left, right = figure.get_axes()
        labels = [
            text for axes in (left, right) for text in (axes.xaxis.label, axes.yaxis.label, *axes.get_yticklabels())
        ]
        texts = [text for part in figure.subfigs for text in part.texts]
        boxes = [text.get_window_extent() for text in (*labels, *texts) if text.get_text()]
        marks = [patch.get_window_extent() for patch in left.patches]
    assert [box for box in boxes if box.x0 < 0 or box.x1 > width or box.y0 < 0 or box.y1 > height] == []
    frame = left.get_window_extent()
    assert all(frame.y0 < mark.y0 and mark.y1 < frame.y1 for mark in marks if mark.height < frame.height)
    low, high = right.get_ylim()
    assert low < -0.5 and high > len(rows) - 2 + 0.5


def test_the_axis_says_which_side_is_better_and_in_which_unit(tmp_path):
    labels = []
    for name, spec in {"points": {}, "F1": {"unit": "F1", "higher_is_better": True}}.items():
        figure = differences(tmp_path / name, "separable", "hybrid", **spec)
        with drawing.canvas(figure.name):
            labels.append(drawing.compose(figure, "").get_axes()[1].get_xlabel())
    assert labels == [
        "signed difference (points)\nbetter \u2190 \u2192 worse",
        "signed difference (F1)\nworse \u2190 \u2192 better",
    ]


def test_a_caption_speaks_of_nothing_that_is_not_drawn(tmp_path):
    """One trial has no spread, no noise floor and no interval; of more than 40 trials none are joined."""

    def pictures(study: str, trials: int) -> dict[str, figures.Figure]:
        for place, row in enumerate(("separable", "hybrid")):
            for trial in range(trials):
                run(tmp_path, study, row, trial, error=6 + place + trial % 7 / 5, index=place, images=40)
        runs, _ = folders.read(tmp_path, [study])
        options = settings.load(["report.resamples=99", "report.groups=100"]).report
        [one], _ = runset.split(study, runs, settings.paper(), options)
        return {each.name.partition("-")[2]: each for each in figures.of_runs(one, comparison.compare(one, options))[0]}

    one, several, many = pictures("one", 1), pictures("several", 6), pictures("many", 41)
    words = {
        "trials": ("grey lines", [several], [many]),
        "differences": ("Dashed", [several, many], [one]),
        "cost": ("bar", [several, many], [one]),
        "curves": ("band", [several, many], [one]),
        "functions": ("interval", [several, many], []),
    }
    for name, (word, with_it, without) in words.items():
        for each in with_it:
            assert word in each[name].legend
        for each in without:
            assert word not in each[name].legend + each[name].title
    assert "noise floor" not in one["differences"].title
    for name, each in several.items():
        with drawing.canvas(name):
            labels = [text.get_text() for part in drawing.compose(each, "").subfigs for text in part.findobj(Text)]
        if name == "differences":
            assert "mean over trials, interval" in labels
    with drawing.canvas("one"):
        picture = drawing.compose(one["differences"], "")
    assert "mean over trials" in [text.get_text() for part in picture.subfigs for text in part.findobj(Text)]


def test_a_baseline_alone_has_no_picture_of_differences(tmp_path):
    assert differences(tmp_path, "separable").lines == []


def test_a_caption_names_the_images_of_its_own_picture(tmp_path):
    drawn, _ = figures.of_runs(*compared(tmp_path, "separable", "hybrid", "resnext"))
    chosen = "Errors on 300 of 500 test images, drawn anew for each trial."
    of_chosen = {one.name.rpartition("-")[2] for one in drawn if chosen in one.legend}
    assert of_chosen == {"differences", "trials", "cost"}
    assert "functions" in {one.name.rpartition("-")[2] for one in drawn}


def test_the_picture_of_distances_has_their_limit_and_the_digits_of_their_table(tmp_path):
    one, numbers = compared(tmp_path, "separable", "hybrid", "resnext")
    figure = figures.functions(one, numbers)
    with drawing.canvas(figure.name):
        left, right = drawing.compose(figure, "").get_axes()[:2]
    assert [line.get_xdata()[0] for line in left.lines if line.get_linestyle() == "--"] == [0.05]
    table = distances.table(one, numbers.distances, settings.load([]).report)
    of_table = [cells[2].split(" ")[0] for cells in table.cells("files")]
    assert [text.get_text() for text in right.texts[:2]] == of_table
