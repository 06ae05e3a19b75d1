"""`plan`: trials, hours and predicted noise of a fabricated study, against what NumPy and simulation give."""

import json
from pathlib import Path

import made_runs as fabricate
import numpy as np
import pytest
from made_runs import read_record
from scipy import stats

from hybridsep.report import __main__ as command
from hybridsep.report import folders
from hybridsep.runs import records
from hybridsep.statistics import power

ROWS = {"separable": 8.0, "hybrid": 9.0, "resnext": 9.0}


def table(text: str, title: str) -> dict[str, list[str]]:
    """Return the lines of the printed table of that title: the first word of each, and what follows its label."""
    lines = text.split(title)[1].split("\n")
    start = next(number for number, line in enumerate(lines) if "──" in line)
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[start + 1 :]]
    end = cells.index([])
    return {line[0].split()[0]: line[1:] for line in cells[:end]}


def errors(results: Path, row: str) -> np.ndarray:
    found = [folder for folder in records.find(results) if folder.parts[-2] == row]
    return np.array([read_record(folder)["result"]["test_error"] for folder in found])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Six trials of the baseline and the hybrid, two of ResNeXt, none of the others."""
    place = tmp_path_factory.mktemp("results")
    fabricate.study(place, "s", {"separable": 8.0, "hybrid": 9.0}, trials=6, images=1000, spread=0.3, agreement=0.7)
    for trial in range(2):
        fabricate.run(place, "s", "resnext", trial, images=1000, index=2)
    for path in (place / "runs" / "s").glob("*/*/record.json"):
        record = json.loads(path.read_text())
        # Two hours for a pair of trials side by side: one hour each.
        record["timings"] |= {"seconds": 7200.0, "trials_at_once": 2}
        path.write_text(json.dumps(record))
    return place


def test_trials_and_hours_of_a_row(results, capsys):
    words = ["plan", f"results={results}", "study=s", "plan.difference=1", "plan.powers=[0.8]", "report.margin=1.5"]
    assert command.main(words) == 0
    shown = capsys.readouterr()
    found = table(shown.out, "trials that would settle it")
    differences = errors(results, "hybrid") - errors(results, "separable")
    spread = differences.std(ddof=1)
    low, high = spread * np.sqrt(5 / stats.chi2.ppf([0.975, 0.025], 5))
    n, with_interval, detect, equal = found["Hybrid"]
    assert n == "6" and with_interval == f"{spread:.2f} [{low:.2f}, {high:.2f}]"

    def share(trials: int, *, mean: float) -> tuple[float, float]:
        """Of simulated studies: how many tell the mean from 0, how many show it within 1.5 points."""
        rng = np.random.default_rng(trials)
        studies = rng.normal(mean, spread, size=(40_000, trials))
        error = studies.std(axis=1, ddof=1) / np.sqrt(trials)
        beyond = np.abs(studies.mean(axis=1)) > stats.t.ppf(0.975, trials - 1) * error
        within = np.abs(studies.mean(axis=1)) < 1.5 - stats.t.ppf(0.95, trials - 1) * error
        return beyond.mean(), within.mean()

    trials = int(detect.split(":")[0])
    assert share(trials, mean=1.0)[0] > 0.79 and share(trials - 1, mean=1.0)[0] < 0.81
    # Two rows, an hour each, for every trial beyond the six.
    assert detect.split(": ")[1] == (f"{2 * (trials - 6)}.0 h" if trials > 6 else "0 min")
    trials = int(equal.split(":")[0])
    assert share(trials, mean=0.0)[1] > 0.79 and share(trials - 1, mean=0.0)[1] < 0.81
    assert found["ResNeXt"] == ["2", "too few"] and found["Inception"] == ["0", "too few"]
    assert found["All"] == [detect.split(": ")[1], equal.split(": ")[1]]
    assert not (results / "tables").exists() and not shown.err


def test_the_noise_measured_and_predicted(results, capsys):
    assert command.main(["plan", f"results={results}", "study=s", "report.subset=all", "report.images=null"]) == 0
    found = table(capsys.readouterr().out, "what the seed alone does")
    wrong = []
    for trial in range(6):
        with np.load(results / "runs" / "s" / "hybrid" / f"trial-0{trial}" / "predictions.npz") as file:
            wrong.append(file["logits"].argmax(axis=1) != file["labels"])
    wrong = np.array(wrong)
    own = 100 * wrong.mean(axis=1)
    # The unbiased variance of each image over the trials, added up.
    theory = 100 * np.sqrt(wrong.var(axis=0, ddof=1).sum()) / 1000
    pairs = np.abs(own[:, np.newaxis] - own)[~np.eye(6, dtype=bool)].mean()
    floor = f"{pairs:.2f} ({2 * theory / np.sqrt(np.pi):.2f})"
    assert found["Hybrid"][1].startswith(f"{own.std(ddof=1):.2f} [")
    # On all images, the same and each trial's own are one.
    assert found["Hybrid"][2:] == [f"{theory:.2f}", floor, floor]
    assert found["ResNeXt"] == ["2", *["too few"] * 4]


def test_what_cannot_be_planned_is_one_line(tmp_path, capsys):
    fabricate.study(tmp_path, "one", ROWS, trials=1, images=100)
    assert command.main(["plan", f"results={tmp_path}", "study=one"]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "one: no row has two trials" in said.err and not said.out


def test_a_spread_of_nothing_has_no_number_of_trials(tmp_path, capsys):
    for row in ("separable", "hybrid"):
        for trial in range(3):
            fabricate.run(tmp_path, "same", row, trial, error=10.0, images=100, index=0)
    assert command.main(["plan", f"results={tmp_path}", "study=same"]) == 0
    assert table(capsys.readouterr().out, "trials that would settle it")["Hybrid"] == ["3", "no spread"]


def test_one_spread_of_all_rows_says_what_a_row_takes(results, capsys):
    words = ["plan", f"results={results}", "study=s", "plan.powers=[0.8]", "report.margin=0.8", "plan.difference=1"]
    assert command.main(words) == 0
    [(rows, line)] = table(capsys.readouterr().out, "by the spread of all rows together").items()
    # Of ResNeXt there are two trials, too few to be counted.
    runs = folders.read(results, ["s"])[0]
    by_row = {row: np.array([100 * run.wrong.mean() for run in runs if run.row == row]) for row in ROWS}
    spread = np.sqrt(np.mean([by_row[row].var(ddof=1) for row in ("separable", "hybrid")]))
    assert [rows, *line[:3]] == ["2", "12", f"{spread:.2f}", f"{spread * np.sqrt(2):.2f}"]
    for cell, powers in (
        (line[3], lambda n: power.detection_power(spread * np.sqrt(2), 1.0, n, 0.05)),
        (line[4], lambda n: power.equivalence_power(spread * np.sqrt(2), 0.8, n, 0.05)),
    ):
        assert powers(int(cell)) >= 0.8 > powers(int(cell) - 1)


def test_the_docs_say_what_plan_says_of_the_committed_study(capsys):
    root = Path(__file__).resolve().parents[2]
    study = ["study=cifar10-jpeg-small-30ep", f"results={root / 'results'}"]
    assert command.main(["plan", *study, "plan.powers=[0.8]"]) == 0
    [(_, line)] = table(capsys.readouterr().out, "by the spread of all rows together").items()
    text = " ".join((root / "docs/statistics.md").read_text().split())
    assert f"({line[1]} points a trial, all images) and unlike starts it is {line[-1]} trials for 80 % power" in text
