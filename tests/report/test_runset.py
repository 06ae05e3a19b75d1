"""What a study's tables share: what a processor adds is estimated once, from all of them."""

import csv
import json
from pathlib import Path

import made_runs
import numpy as np
import pytest

from hybridsep.errors import RecordError
from hybridsep.report import __main__ as command
from hybridsep.report import folders, runset, settings
from hybridsep.runs import records
from hybridsep.runs.record import State

ROWS = {"separable": 20.0, "hybrid": 22.0, "hybrid_matched": 24.0}
OTHER = 3.0  # points that the other processor adds


@pytest.fixture
def two_machines(tmp_path) -> Path:
    """A study of two tables; of the row that only the second has, all trials but one ran on another processor."""
    for index, (row, error) in enumerate(ROWS.items()):
        for trial in range(4):
            other = trial == 3 or (row == "hybrid_matched" and trial > 0)
            noise = 0.4 * ((trial + index) % 3 - 1)
            folder = made_runs.run(
                tmp_path, "m", row, trial, error=error + noise + OTHER * other, images=500, index=index
            )
            record = json.loads((folder / "record.json").read_text())
            record["machine"]["processor"] = "Other CPU" if other else "First CPU"
            (folder / "record.json").write_text(json.dumps(record))
    return tmp_path


def split(results: Path, *words: str) -> dict[str, runset.RunSet]:
    runs, _ = folders.read(results, ["m"])
    options = settings.load(["report.subset=all", *words]).report
    return {one.table: one for one in runset.split("m", runs, settings.paper(), options)[0]}


def test_a_processor_adds_the_same_in_every_table(two_machines):
    plain = split(two_machines)
    assert set(plain) == {"figure4", "equal_parameters"}
    errors = [
        error
        for row in ROWS
        for error in plain["figure4" if row in plain["figure4"].runs else "equal_parameters"].errors(row).values()
    ]
    rows = np.repeat(np.eye(3), 4, axis=0)
    other = np.array([0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 1, 1.0])
    estimate = np.linalg.lstsq(np.column_stack([rows, other]), np.array(errors), rcond=None)[0][-1]
    adjusted = split(two_machines, "report.adjust_machines=true")
    for table in ("figure4", "equal_parameters"):
        [effect] = adjusted[table].machines.effects.values()
        assert effect.mean == pytest.approx(estimate) and effect.mean == pytest.approx(OTHER, abs=0.6)
    first, second = (one.errors("separable") for one in adjusted.values())
    assert first == second
    before = plain["figure4"].errors("separable")
    assert [before[trial] - first[trial] for trial in range(4)] == pytest.approx([0, 0, 0, estimate])


def test_the_heading_says_by_how_much_errors_are_adjusted(two_machines):
    for words, said in (
        ([], "errors are not adjusted (report.adjust_machines=true)"),
        (["report.adjust_machines=true"], "here its errors are adjusted by -"),
    ):
        assert (
            command.main([f"results={two_machines}", "study=m", "report.draw=false", "report.redraws=1", *words]) == 0
        )
        text = (two_machines / "tables/m/report.md").read_text()
        lines = [line for line in text.splitlines() if "Other CPU less First CPU: +" in line]
        assert len(lines) == 2 and len(set(lines)) == 1 and said in lines[0]


def test_a_page_does_not_stay_beside_newer_tables(two_machines):
    words = [f"results={two_machines}", "study=m", "report.redraws=1", "report.groups=100", "report.resamples=99"]
    page = two_machines / "tables/m/index.html"
    assert command.main(words) == 0 and page.exists()
    assert command.main([*words, "report.draw=false", "report.adjust_machines=true"]) == 0
    assert not page.exists() and not list((two_machines / "figures/m").glob("*.svg"))
    with open(two_machines / "tables/m/figure4.csv") as file:
        assert next(csv.DictReader(file))["row"] == "separable"


def test_trials_are_sorted_into_states_in_one_place(tmp_path):
    statuses = ("finished", "running", "interrupted", "diverged", "failed")
    for trial, status in enumerate(statuses):
        made_runs.run(tmp_path, "m", "separable", trial, images=200, status=status)
    runs, _ = folders.read(tmp_path, ["m"])
    states = runset.by_state(range(8), runs, {6})
    assert states == {state: [statuses.index(state)] for state in statuses} | {
        State.MISSING: [5, 7],
        State.UNUSABLE: [6],
        State.BUSY: [],
        State.KILLED: [],
    }
    options = settings.load(["report.trials=null"]).report
    for asked, begun, expected in (
        ({}, True, range(3)),
        ({"separable": [1, 4]}, True, [1, 4]),
        ({"hybrid": [0]}, True, []),
        ({"hybrid": [0]}, False, range(3)),
    ):
        assert runset.expected_trials("separable", asked, options, of_table=3, begun=begun) == list(expected)
    options = settings.load(["report.trials=2"]).report
    assert runset.expected_trials("separable", {"separable": [7]}, options, of_table=3, begun=True) == [0, 1]


def test_no_record_has_a_state_that_is_not_one_of_its_own(tmp_path):
    folder = made_runs.run(tmp_path, "m", "separable", 0, images=200)
    record = json.loads((folder / "record.json").read_text())
    assert records.load(folder).status is State.FINISHED and record["status"] == "finished"
    for status in ("missing", "busy", "done"):
        (folder / "record.json").write_text(json.dumps({**record, "status": status}))
        with pytest.raises(RecordError, match="has no valid status: Input should be .finished., .running., "):
            records.load(folder)
