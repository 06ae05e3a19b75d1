"""Everybody's trials: a CSV file or a DataFrame in, the report's tables and page out; wrong input in one line."""

import contextlib
import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from refusals import check_refused, refused

import hybridsep
import hybridsep.report
from hybridsep.errors import DataError
from hybridsep.report import trials_file
from hybridsep.report.__main__ import main
from hybridsep.statistics import difference

ROOT = Path(__file__).resolve().parents[2]


def frame_of(rows: dict[str, list[float]]) -> pd.DataFrame:
    lines = [
        {"row": row, "trial": trial, "error": error}
        for row, errors in rows.items()
        for trial, error in enumerate(errors)
    ]
    return pd.DataFrame(lines)


OURS, THEIRS = [19.7, 19.8, 19.9, 19.7, 19.8, 20.0], [18.1, 18.0, 18.3, 18.2, 17.9, 18.4]


def test_a_frame_gets_the_statistics_of_a_study():
    found = hybridsep.report.compare(frame_of({"ours": OURS, "theirs": THEIRS}), baseline="ours")
    line = found.table.set_index("row").loc["theirs"]
    interval = difference.mean_interval((np.array(THEIRS) - np.array(OURS),), 0.05)
    assert (line["mean"], line["low"], line["high"]) == pytest.approx((interval.mean, interval.low, interval.high))
    assert line["p"] == 2 / 64 and line["least"] == 2 / 64 and line["many_better"] > 0.99
    assert "better than the baseline" in found.says[1]
    assert hybridsep.report.compare(frame_of({"a": OURS, "b": THEIRS})).table["row"].tolist() == ["a", "b"]


def test_a_higher_score_is_better():
    found = hybridsep.report.compare(
        frame_of({"ours": OURS, "theirs": THEIRS}), unit="F1", margin=0.1, higher_is_better=True
    )
    assert "F1 worse than the baseline" in found.says[1]
    assert found.table.set_index("row").loc["theirs", "many_worse"] > 0.99


F1 = {
    "ours": [0.8111, 0.8142, 0.8093, 0.8124, 0.8135, 0.8106],
    "theirs": [0.8141, 0.8173, 0.8125, 0.8152, 0.8168, 0.8133],
}


def test_one_trial_a_row_has_every_column_and_no_statistic():
    found = hybridsep.report.compare(frame_of({"ours": OURS[:1], "theirs": THEIRS[:1]}))
    whole = hybridsep.report.compare(frame_of({"ours": OURS, "theirs": THEIRS}))
    assert list(found.table) == list(whole.table) and found.table[["p", "many_p", "many_low"]].isna().all(axis=None)
    assert "distance" not in found.table


def test_predictions_add_the_distance_of_functions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame, rng = frame_of({"ours": OURS, "theirs": THEIRS}), np.random.default_rng(0)
    means = {row: rng.dirichlet(np.ones(3), 40) for row in ("ours", "theirs")}
    for at, line in frame.iterrows():
        np.save(f"{at}.npy", means[line["row"]] + rng.normal(0, 0.05, (40, 3)))
    found = hybridsep.report.compare(frame.assign(predictions=[f"{at}.npy" for at in frame.index]))
    line = found.table.set_index("row").loc["theirs"]
    apart = found.comparison.distances.rows["theirs"]
    assert line["distance"] == apart.distance.value > 1 and line["distance_shows"] == "undecided"
    assert (line["distance_low"], line["distance_p_holm"]) == (apart.distance.low, apart.p_holm)
    assert found.table.set_index("row").loc["ours", ["distance", "distance_p"]].isna().all()


def test_small_numbers_keep_their_digits_and_a_score_its_direction(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame_of(F1).to_csv("scores.csv", index=False)
    assert main(["csv=scores.csv", "higher_is_better=true", "unit=F1", "margin=0.01", "baseline=ours"]) == 0
    text = (tmp_path / "results/tables/scores/report.md").read_text()
    assert "0.8119 ± 0.0019" in text and "+0.0030 [+0.0028, +0.0033]" in text and "| 0.8111 |" in text
    assert "theirs is 0.0030 F1 better than the baseline; its 95 % interval, +0.0028 to +0.0033, excludes 0" in text
    assert "difference lies above 0.01, within ±0.01, below -0.01 F1" in " ".join(text.split())
    for wrong in ("0.00 ", "+0.00,", "baseline's error", "Error %", "points", "test images"):
        assert wrong not in text, wrong
    page = (tmp_path / "results/tables/scores/index.html").read_text()
    assert "every trial of the file could be used" in page and "run folder could" not in page
    assert "csv=scores.csv, unit=F1, higher_is_better=true" in page.replace("report.csv", "")
    assert " baseline=ours," in page and "report.baseline" not in page


def test_a_mean_that_rounds_to_nothing_is_not_called_none():
    near = frame_of({"ours": OURS, "theirs": [error + 0.004 - 0.001 * (at % 2) for at, error in enumerate(OURS)]})
    found = hybridsep.report.compare(near, margin=0.25)
    assert "theirs is less than 0.01 points worse than the baseline; its 95 % interval" in found.says[1]
    same = hybridsep.report.compare(frame_of({"ours": OURS, "theirs": OURS[1:] + OURS[:1]}))
    assert "theirs has the baseline's error; its" in same.says[1] and "includes 0" in same.says[1]


def test_decimals_are_those_of_the_margin_or_the_spread():
    for rows, unit, margin, decimals in (
        ({"a": OURS, "b": THEIRS}, "%", 0.25, 2),
        ({"a": [1210.0, 1250.0, 1190.0], "b": [1300.0, 1310.0, 1270.0]}, "s", 30.0, 0),
        ({"a": F1["ours"], "b": F1["theirs"]}, "F1", 0.01, 4),
        ({"a": [1e-12, 3e-12], "b": [2e-12, 5e-12]}, "x", 1e-12, 6),
        ({"a": [5.0, 5.0], "b": [6.0, 6.0]}, "x", 0.5, 2),
    ):
        found = trials_file.runset_of(frame_of(rows), name="t", baseline="a", margin=margin, unit=unit)
        assert found.decimals == decimals, (rows, unit)


def test_accuracy_in_percent_is_no_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame_of({"ours": OURS, "theirs": THEIRS}).to_csv("accuracy.csv", index=False)
    assert main(["csv=accuracy.csv", "higher_is_better=true", "report.draw=false"]) == 0
    text = (tmp_path / "results/tables/accuracy/report.md").read_text()
    assert "Value, %" in text and "Error %" not in text and "test error" not in text
    assert "The baseline, ours, has 19.82 %, over 6 trials." in text


def test_errors_of_scikit_learn(tmp_path, monkeypatch):
    """docs/digits.csv, made by the script of docs/trials.md, through the command that stands there."""
    monkeypatch.chdir(ROOT)
    [command] = re.findall(r"hybridsep.report (csv=docs/digits.csv .*)", (ROOT / "docs/trials.md").read_text())
    assert main([*command.split(), f"results={tmp_path}", "report.draw=false"]) == 0
    with open(tmp_path / "tables/digits/rows.csv") as file:
        line = next(line for line in csv.DictReader(file) if line["row"] == "extra trees")
    frame = pd.read_csv(ROOT / "docs/digits.csv").pivot(index="trial", columns="row", values="error")
    gain = frame["extra trees"] - frame["forest"]
    assert float(line["mean"]) == pytest.approx(gain.mean(), rel=1e-5) and gain.mean() < -0.8
    assert (line["n"], line["equivalent"]) == ("10", "false") and float(line["p_holm"]) == pytest.approx(
        2 / 1024, rel=1e-5
    )
    text = (tmp_path / "tables/digits/report.md").read_text()
    assert "extra trees is 0.90 points better than the baseline" in text and "test images" not in text


def test_a_file_gets_tables_and_a_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    frame = frame_of({"ours": OURS, "theirs": THEIRS, "copy": [error + 0.01 for error in OURS]})
    rng = np.random.default_rng(0)
    means = {row: rng.dirichlet(np.ones(3), 40) for row in ("ours", "theirs")} | {"copy": None}
    means["copy"] = means["ours"]
    for at, line in frame.iterrows():
        np.save(tmp_path / f"{at}.npy", means[line["row"]] + rng.normal(0, 0.05, (40, 3)))
    frame["predictions"] = [f"{at}.npy" for at in frame.index]
    frame.assign(note="kept").to_csv("my trials.csv", index=False)
    assert main(["csv=my trials.csv", "baseline=ours"]) == 0
    place = tmp_path / "results/tables/my-trials"
    assert "Written" in capsys.readouterr().out and "theirs" in (place / "index.html").read_text()
    with open(place / "rows-trials.csv") as file:
        assert next(csv.DictReader(file))["note"] == "kept"
    with open(place / "rows-distance.csv") as file:
        distances = {line["row"]: float(line["distance"]) for line in csv.DictReader(file)}
    assert distances["theirs"] > 1 > 0.2 > abs(distances["copy"])


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("row,trial,error\na,0,1\na,0,2\nb,0,1", ("trial 0", "row a", "line 3")),
        ("row,trial,error\na,0,1\nb,0,x", ("line 3", "error 'x'")),
        ("row,trial,error\na,0,1\nb,0,nan", ("line 3", "error")),
        ("row,trial,error\na,0,1\nb,0,inf", ("line 3", "error 'inf'")),
        ("row,trial,error\na,0,1\na,1,2", ("one row, a",)),
        ("row,trial,error\na,0,0.19\nb,0,19", ("mixed units",)),
        ("row,trial,error\na,0,0.10\nb,0,0.11", ("line 2", "0.1", "shares")),
        ("row,trial,error,unit\na,0,1,s\nb,0,2,ms", ("mixed units", "s, ms")),
        ("row,trial\na,0", ("column error",)),
        ("name\na", ("columns row, trial, error",)),
        ("row,trial,error\na,0.5,1\nb,0,2", ("line 2", "trial")),
        ("row,trial,error\n,0,1\nb,0,2", ("line 2", "row")),
        ("row,trial,error,predictions\na,0,1,no.npy\nb,0,2,no.npy", ("line 2", "no.npy")),
        ("row,trial,error\n", ("no trials",)),
        ("", ("CSV",)),
    ],
)
def test_wrong_input_ends_in_one_line(text, named, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text(text)
    status = main(["csv=bad.csv"])
    check_refused((status, capsys.readouterr().err), "bad", *named, program="hybridsep.report")
    assert not Path("results").exists()


def test_a_frame_with_a_mistake_is_refused():
    with refused("one row, ours", kind=DataError):
        hybridsep.report.compare(frame_of({"ours": OURS}))
    with refused(key="report.alpha=2"):
        hybridsep.report.compare(frame_of({"ours": OURS, "theirs": THEIRS}), alpha=2)


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs/trials.md").read_text(), re.DOTALL)


def test_the_examples_of_the_docs_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = python_blocks()
    assert len(blocks) == 3
    blocks = [block for block in blocks if "sklearn" not in block]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for block in blocks:
            exec(compile(block, "docs/trials.md", "exec"), {})
    assert "better than the baseline" in out.getvalue() and "hybrid_matched" in out.getvalue()


def test_the_script_for_scikit_learn_makes_the_committed_file(tmp_path, monkeypatch):
    pytest.importorskip("sklearn")
    [block] = [block for block in python_blocks() if "sklearn" in block]
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/trials.md", "exec"), {})
    made, kept = pd.read_csv("digits.csv"), pd.read_csv(ROOT / "docs/digits.csv")
    assert made[["row", "trial"]].equals(kept[["row", "trial"]])
    # Another version may draw other trees: within three standard deviations over seeds.
    assert np.abs(made["error"] - kept["error"]).max() < 0.75


def test_a_study_is_a_table():
    found = hybridsep.trials("cifar10-jpeg-small-30ep", results=ROOT / "results")
    assert {"study", "row", "trial", "error", "error_all", "processor", "params"} <= set(found.columns)
    assert found.attrs["left_out"] == [] and (found["status"] == "finished").all()
    means = found[found["trial"] < 10].groupby("row")["error_all"].mean()
    assert means["separable"] == pytest.approx(19.874)
