"""Files that mean harm: each ends in a right result or one clear line, and no code in them ever runs.

Here: run folders. Words: test_hostile_arguments.py; archives, images and pickles of the original:
data/test_archive.py, test_images.py, test_layout.py, test_cifar10.py.
HYBRIDSEP_SOAK=20 tries twenty times as many cases.
"""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from fault_injection import Trainer, stop_in_epoch
from hostile import cases, json_values
from hypothesis import given
from hypothesis import strategies as st
from made_runs import read_record
from refusals import one_line, refused
from same_bits import digest

from hybridsep.config.identity import identity
from hybridsep.errors import RecordError
from hybridsep.runs import records
from hybridsep.train import checkpoint
from hybridsep.train.trial_runner import existing_record, result_line


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A trainer and the folder of a run that it has finished."""
    trainer, results = Trainer(), tmp_path_factory.mktemp("hostile")
    trainer(results)
    trainer.folder(results).joinpath("whole.json").write_bytes((trainer.folder(results) / "record.json").read_bytes())
    return trainer, trainer.folder(results)


def read_back(trainer: Trainer, folder: Path) -> bool:
    """Read a record the way a second start does; return whether it was taken."""
    try:
        record = existing_record(trainer.row, 0)
    except RecordError as error:
        assert str(folder) in str(error) and one_line(str(error)), str(error)
        return False
    assert record.status != "finished" or "\n" not in result_line(record)
    return True


@cases(1000)
@given(st.data())
def test_a_record_changed_by_hand_is_taken_or_refused(finished, data):
    trainer, folder = finished
    record = json.loads((folder / "whole.json").read_text())
    node = record
    key = data.draw(st.sampled_from(sorted(node)))
    while isinstance(node[key], dict) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node)))
    if data.draw(st.booleans()):
        del node[key]
    else:
        node[key] = data.draw(json_values)
    (folder / "record.json").write_text(json.dumps(record))
    read_back(trainer, folder)


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Return something else than `content`: other bytes, a part of it, some of its bytes changed, or doubled."""
    kind = data.draw(st.sampled_from(["other", "cut", "changed", "doubled", "spliced"]))
    if kind == "other":
        return data.draw(st.binary(max_size=300))
    place = data.draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:place]
    if kind == "doubled":
        return content[:place] + content
    piece = data.draw(st.binary(min_size=1, max_size=8))
    if kind == "spliced":
        return content[:place] + piece + content[place:]
    return content[:place] + piece + content[place + len(piece) :]


@cases(1000)
@given(st.data())
def test_a_damaged_record_is_taken_or_refused(finished, data):
    trainer, folder = finished
    (folder / "record.json").write_bytes(damaged((folder / "whole.json").read_bytes(), data))
    read_back(trainer, folder)


@cases(1000)
@given(st.data())
def test_damaged_predictions_are_right_or_refused(finished, tmp_path, data):
    content = (finished[1] / "predictions.npz").read_bytes()
    (tmp_path / "predictions.npz").write_bytes(damaged(content, data))
    try:
        logits, labels = records.read_predictions(tmp_path)
    except RecordError as error:
        assert str(tmp_path) in str(error) and one_line(str(error)), str(error)
    else:
        expected = records.read_predictions(finished[1])
        assert np.array_equal(logits, expected[0]) and np.array_equal(labels, expected[1])


@cases(1000)
@given(st.data())
def test_a_damaged_history_is_a_history_or_refused(finished, tmp_path, data):
    (tmp_path / "history.csv").write_bytes(damaged((finished[1] / "history.csv").read_bytes(), data))
    try:
        frame = records.read_history(tmp_path)
    except RecordError as error:
        assert str(tmp_path) in str(error) and one_line(str(error)), str(error)
    else:
        assert tuple(frame.columns) == records.HISTORY_COLUMNS and list(frame["epoch"]) == [*range(1, len(frame) + 1)]
        assert np.isfinite(frame.to_numpy(np.float64)).all()


@pytest.mark.parametrize(
    "rows",
    [
        ["1" + ",0.5" * 7, "1" + ",0.5" * 7],
        ["1" + ",0.5" * 7, "3" + ",0.5" * 7],
        ["2" + ",0.5" * 7],
        ["7,1" + ",0.5" * 7],
        ["1,0.5"],
        ["1,nan" + ",0.5" * 6],
        ["1,1e999" + ",0.5" * 6],
        ["1,half" + ",0.5" * 6],
        [],
    ],
)
def test_a_history_is_a_row_of_numbers_for_each_epoch(tmp_path, rows):
    (tmp_path / "history.csv").write_text("\n".join([",".join(records.HISTORY_COLUMNS), *rows, ""]))
    with refused(str(tmp_path), "history.csv", kind=RecordError):
        records.read_history(tmp_path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 5000])
def test_a_record_with_a_number_that_is_none_is_refused(finished, number):
    trainer, folder = finished
    text = (folder / "whole.json").read_text().replace('"seconds": ', f'"seconds": {number}, "other": ')
    (folder / "record.json").write_text(text)
    assert not read_back(trainer, folder)


class Harm:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def member(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
        archive.writestr("labels.npy", content)
    return buffer.getvalue()


def test_predictions_that_mean_harm_are_refused_and_run_nothing(tmp_path):
    ran = tmp_path / "ran"
    objects = io.BytesIO()
    np.savez(objects, logits=np.array([[Harm(ran)]], dtype=object), labels=np.zeros(1, np.uint8))
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f2", "fortran_order": False, "shape": (1 << 50, 10)})
    contents = {
        "objects": objects.getvalue(),
        "pickle": pickle.dumps(Harm(ran)),
        "no array": member("logits", b"not an array"),
        "huge shape": member("logits.npy", huge.getvalue()),
        "one array": huge.getvalue(),
    }
    for name, content in contents.items():
        (tmp_path / "predictions.npz").write_bytes(content)
        with pytest.raises(RecordError) as error:
            records.read_predictions(tmp_path)
        assert one_line(str(error.value)), f"{name}: {error.value}"
    assert not ran.exists()


def test_predictions_are_not_unpacked_beyond_a_limit(tmp_path, monkeypatch):
    content = records.predictions_bytes(np.zeros((5000, 10)), np.zeros(5000))
    (tmp_path / "predictions.npz").write_bytes(content)
    assert len(records.read_predictions(tmp_path)[1]) == 5000
    assert len(content) < 5000
    monkeypatch.setattr(records, "_MAX_PREDICTIONS", 50_000)
    with refused("predictions.npz", "50000", kind=RecordError):
        records.read_predictions(tmp_path)


@cases(600)
@given(st.data())
def test_a_damaged_checkpoint_is_right_or_refused(finished, tmp_path, data):
    trainer, folder = finished
    content = (folder / checkpoint.NAME).read_bytes()
    of = identity(trainer.row.config, 0)
    (tmp_path / checkpoint.NAME).write_bytes(damaged(content, data))
    try:
        state, complaints = checkpoint.load(tmp_path, identity=of)
    except RecordError as error:
        assert str(tmp_path) in str(error) and one_line(str(error)), str(error)
    else:
        assert not complaints
        assert digest(state) == digest(checkpoint.load(folder, identity=of)[0])


@pytest.mark.parametrize("form", ["pickle", "archive", "old archive", "beside a sound state"])
def test_a_checkpoint_that_means_harm_is_refused_and_runs_nothing(tmp_path, form):
    ran = tmp_path / "ran"
    path = tmp_path / checkpoint.NAME
    if form == "pickle":
        path.write_bytes(pickle.dumps({"network": Harm(ran)}))
    elif form == "beside a sound state":
        state = {"network": {"weight": torch.ones(2)}}
        torch.save({**state, "more": Harm(ran)}, path)
    else:
        torch.save({"network": Harm(ran)}, path, _use_new_zipfile_serialization=form == "archive")
    with refused(checkpoint.NAME, kind=RecordError):
        checkpoint.load(tmp_path, identity="one")
    assert not ran.exists()
    # The same file runs its code in a reader that is less careful: the test would notice.
    with pytest.MonkeyPatch.context() as patch:
        load = torch.load
        patch.setattr(torch, "load", lambda file, **options: load(file, **{**options, "weights_only": False}))
        with pytest.raises(RecordError):
            checkpoint.load(tmp_path, identity="one")
    assert ran.is_dir() or form in ("pickle", "old archive")  # which is not even opened


@pytest.mark.parametrize(
    "change",
    [
        {"history": 5},
        {"network": {}},
        {"momentum": None},
        {"inputs": {"side": 16}},
        {"steps_done": "x"},
        {"dropout": torch.zeros(3)},
    ],
)
def test_a_state_that_fits_nothing_fails_its_trial_in_a_line(tmp_path, change):
    trainer = Trainer()
    stop_in_epoch(trainer, 1, after=2)
    trainer(tmp_path)
    folder = trainer.folder(tmp_path)
    state = torch.load(folder / checkpoint.NAME, weights_only=True)
    torch.save({**state, **change}, folder / checkpoint.NAME)
    trainer(tmp_path)
    assert trainer.outcome.failed == ["separable trial-00"]
    assert "\n" not in trainer.listener.lines[-1] and "failed" in trainer.listener.lines[-1]
    assert read_record(folder)["status"] == "failed"


# With what Python makes of bytes that are no UTF-8, on a command line for instance.
typed = st.one_of(st.text(), st.binary().map(lambda content: content.decode(errors="surrogateescape")))


@cases(300)
@given(typed, typed)
def test_any_text_survives_a_record(finished, title, message):
    folder = finished[1]
    record = json.loads((folder / "whole.json").read_bytes())
    record |= {"message": message, "dataset": record["dataset"] | {"title": title}}
    record["config"]["data"]["title"] = title
    records.write(folder, record)
    assert read_record(folder) == record
    read = records.load(folder)
    shown = [text.encode(errors="replace").decode() for text in (message, title)]
    assert [read.message, read.dataset.title] == shown and read.config == record["config"]
