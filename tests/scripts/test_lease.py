"""What a lease does, in which order, and what it leaves: with a Python that only notes what it is asked for."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = """#!{python} -S
import json, os, sys
from pathlib import Path

words = sys.argv[1:]
with open({notes!r}, "a") as file:
    file.write(json.dumps([os.environ["HYBRIDSEP_COMMIT"], *words]) + "\\n")
if words[:2] == ["-m", "pip"]:
    Path(words[words.index("--target") + 1]).mkdir()
if words[1:2] == ["scripts.benchmarks.step_times"]:
    print("an epoch of 2 trials of 2 rows takes 3 s\\nepochs 7" if {measured!r} else "interrupted")
if words[1:2] == ["hybridsep.run"]:
    study = "canary" if "study=canary" in words else "s"
    results = next(word for word in words if word.startswith("results=")).partition("=")[2]
    canary = json.loads({canary!r}) if study == "canary" else dict(status="finished")
    for trial in (0, 1):
        # The last trial of the study stays unfinished.
        folder = Path(results, "runs", study, "row", f"trial-0{{trial}}")
        folder.mkdir(parents=True, exist_ok=True)
        record = dict(status="interrupted") if study == "s" and trial else canary
        (folder / "record.json").write_text(json.dumps(record, indent=1))
        for name in ("predictions.npz", "history.csv", "checkpoint.pt", "checkpoint-before.pt"):
            (folder / name).write_bytes(b"0")
    (folder.parents[1] / "asked.json").write_text("[]")
    sys.exit(0 if study == "canary" else 75)
"""


@pytest.fixture
def lease(tmp_path):
    """Call scripts/lease.sh and return its status, what it said, and what the programs were asked for."""

    def call(*words, canary=None, measured=True, **environment):
        notes, python = tmp_path / "notes", tmp_path / "python"
        notes.write_text("")
        canary = json.dumps({"status": "finished"} if canary is None else canary)
        python.write_text(PYTHON.format(python=sys.executable, notes=str(notes), canary=canary, measured=measured))
        python.chmod(0o755)
        kit = tmp_path / "kit"
        kit.mkdir(exist_ok=True)
        (kit / "commit").write_text("abc1234\n")
        paths = {"LEASE": str(kit), "STATE": str(tmp_path / "state"), "PYTHON": str(python)}
        done = subprocess.run(
            ["bash", "scripts/lease.sh", str(tmp_path / "out"), *words],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", **paths, **environment},
            capture_output=True,
            text=True,
        )
        asked = [json.loads(line) for line in notes.read_text().splitlines()]
        assert all(each[0] == "abc1234" for each in asked), "records name the commit"
        return done.returncode, done.stdout + done.stderr, [each[1:] for each in asked]

    return call


def test_a_lease_proves_measures_trains_and_packs_and_the_next_call_goes_on(lease, tmp_path):
    words = ("500", "separable,hybrid", "experiment=figure4", "trial=0..1")
    status, said, asked = lease(*words, EPOCHS="fit", MEASURE="20")
    assert status == 75, said
    modules = [each[1] for each in asked if each[0] == "-m"]
    assert modules == ["pip", "hybridsep.run", "scripts.benchmarks.step_times", "hybridsep.run"]
    measure, study = asked[-2], asked[-1]
    assert measure[measure.index("--models") + 1 :] == ["separable", "hybrid", "--", "experiment=figure4", "trial=0..1"]
    for word in ("model=separable,hybrid", "data=cifar10_jpeg", "schedule.epochs=7", "schedule.warmup_epochs=1"):
        assert word in study
    minutes = float(next(word for word in study if word.startswith("max_minutes=")).partition("=")[2])
    assert 6 < minutes < 455 / 60, "45 s are kept for the end"
    with tarfile.open(tmp_path / "out/records.tar.gz") as archive:
        names = {name for name in archive.getnames() if archive.getmember(name).isfile()}
    first = "results/runs/s/row/trial-00"
    files = {f"{first}/{name}" for name in ("record.json", "history.csv", "predictions.npz")}
    assert names == files | {"results/runs/s/asked.json"}
    assert "1 finished trials" in (tmp_path / "out/lease.log").read_text()
    # The machine is still there: nothing again but the study, with the same number of epochs.
    status, said, asked = lease(*words, EPOCHS="fit", MEASURE="20")
    assert [each[1] for each in asked if each[0] == "-m"] == ["hybridsep.run"], said
    assert "schedule.epochs=7" in asked[-1]


def test_without_a_measurement_few_epochs_are_trained_rather_than_all(lease):
    status, said, asked = lease("500", "separable", "experiment=figure4", measured=False, EPOCHS="fit", MEASURE="20")
    assert "schedule.epochs=6" in asked[-1] and "no measurement says how many epochs fit: 6" in said


@pytest.mark.parametrize(
    ("canary", "line", "options"),
    [
        ({"status": "diverged"}, "0 of 2 trials finished", ["cuda_graph=false", "trials_at_once=1"]),
        (
            {"status": "finished", "machine": {"cuda_graph": "none: an error"}},
            "2 of 2 trials captured no graph",
            ["cuda_graph=false"],
        ),
        ({"status": "finished", "machine": {"gpu": "NVIDIA H200", "cuda_graph": None}}, "trained; captured", []),
        ({"status": "finished", "machine": {"gpu": None, "cuda_graph": None}}, "trained; no GPU", []),
    ],
)
def test_what_the_canary_shows_decides_how_the_study_is_trained(lease, canary, line, options):
    status, said, asked = lease("500", "darknet", "experiment=figure6", "trial=0", canary=canary, MEASURE="20")
    assert status == 75, said
    assert line in said
    assert [word for word in asked[-1] if word in ("cuda_graph=false", "trials_at_once=1")] == options
    assert any(word.startswith("scripts.benchmarks") for each in asked for word in each) == (not options)
    # The experiment's own epochs.
    assert not any(word.startswith("schedule.") for word in asked[-1])


def test_what_is_missing_is_said(tmp_path):
    done = subprocess.run(["bash", "scripts/lease.sh", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode and "usage: scripts/lease.sh OUT SECONDS ROWS" in done.stderr
