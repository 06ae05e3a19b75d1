"""Everybody's trials: a CSV file or a DataFrame in, the report's tables and page out; wrong input in one line."""

import contextlib
import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import hybridsep
import hybridsep.report
from hybridsep.errors import DataError, UserError
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
    ("text", "said"),
    [
        ("row,trial,error\na,0,1\na,0,2\nb,0,1", "trial 0 of row a stands there twice (line 3)"),
        ("row,trial,error\na,0,1\nb,0,x", "line 3: error 'x' is no number"),
        ("row,trial,error\na,0,1\nb,0,nan", "line 3: error"),
        ("row,trial,error\na,0,1\nb,0,inf", "line 3: error 'inf' is no number"),
        ("row,trial,error\na,0,1\na,1,2", "one row, a"),
        ("row,trial,error\na,0,0.19\nb,0,19", "mixed units"),
        ("row,trial,error,unit\na,0,1,s\nb,0,2,ms", "mixed units: s, ms"),
        ("row,trial\na,0", "no column error"),
        ("row,trial,error\na,0.5,1\nb,0,2", "line 2: trial is a whole number"),
        ("row,trial,error\n,0,1\nb,0,2", "line 2 has no row"),
        ("row,trial,error,predictions\na,0,1,no.npy\nb,0,2,no.npy", "line 2: predictions no.npy"),
        ("row,trial,error\n", "no trials"),
        ("", "cannot be read as CSV"),
    ],
)
def test_wrong_input_ends_in_one_line(text, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("bad.csv").write_text(text)
    assert main(["csv=bad.csv"]) == 2
    shown = capsys.readouterr()
    assert said in shown.err and shown.err.count("\n") == 1 and not Path("results").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["csv=there.csv", "baseline=c"], "no row c to be the baseline; there are a, b"),
        (["csv=there.csv", "unit=s"], "margin= is needed, in s"),
        (["csv=nowhere.csv"], "nowhere.csv: cannot be read"),
        (["baseline=a"], "baseline= belongs to csv=FILE"),
    ],
)
def test_wrong_words_end_in_one_line(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("row,trial,error\na,0,1\nb,0,2\n")
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_frame_with_a_mistake_is_refused():
    with pytest.raises(DataError, match="one row"):
        hybridsep.report.compare(frame_of({"ours": OURS}))
    with pytest.raises(UserError, match="alpha"):
        hybridsep.report.compare(frame_of({"ours": OURS, "theirs": THEIRS}), alpha=2)


def test_the_examples_of_the_docs_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/trials.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        for block in blocks:
            exec(compile(block, "docs/trials.md", "exec"), {})
    assert "better than the baseline" in out.getvalue() and "hybrid_matched" in out.getvalue()


def test_a_study_is_a_table():
    found = hybridsep.trials("cifar10-jpeg-small-30ep", results=ROOT / "results")
    assert {"study", "row", "trial", "error", "error_all", "processor", "params"} <= set(found.columns)
    assert found.attrs["left_out"] == [] and (found["status"] == "finished").all()
    means = found[found["trial"] < 10].groupby("row")["error_all"].mean()
    assert means["separable"] == pytest.approx(19.874)
