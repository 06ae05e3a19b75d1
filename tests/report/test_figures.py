"""Figures: nothing is cut off, the axis says which side is better, and there is none without a difference to show."""

from dataclasses import replace

import pytest
from made_runs import run

from hybridsep.report import comparison, figures, folders, runset, settings
from hybridsep.report.figures import drawing

LONG = "A row of one's own with a long name"


def differences(results, *rows, **spec):
    for place, row in enumerate(rows):
        for trial in range(3):
            run(results, "quick", row, trial, error=6 + place + trial / 5, index=place)
    runs, _ = folders.read(results, ["quick"])
    options = settings.load(["report.resamples=99", "report.groups=100"]).report
    [one], _ = runset.split("quick", runs, settings.paper(), options)
    one.spec = replace(one.spec, **spec)
    return figures.differences(one, comparison.compare(one, options))


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


def test_a_baseline_alone_has_no_picture_of_differences(tmp_path):
    assert differences(tmp_path, "separable").lines == []
