"""Disks that are full, read-only or damaged: one clear line, finished results untouched, the right bits in the end."""

import errno
import hashlib
import shutil
from pathlib import Path

import pytest
import torch
import wording
from fault_injection import Child, Strike, Trainer, clean, command, full_from, read_only_from, stop_in_epoch
from made_runs import read_record
from refusals import check_refused, names, one_line
from same_bits import assert_same, digest

from hybridsep.errors import RecordError
from hybridsep.runs import records
from hybridsep.train import checkpoint


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def fail_at(root: Path, strikes: dict[str, list[Strike]]) -> int:
    """Let the disk of a study fail in every given way while it trains trial 1, with trial 0 finished before.

    Whatever happens to trial 1, it ends as failed or refused in one line and trial 0 is left as it was; when the disk
    is well again the same command goes on to the right bits.
    """
    trainer = Trainer()
    trainer(root / "reference", trials=(0, 1))
    reference = trainer.folder(root / "reference", 1)
    shutil.copytree(root / "reference", root / "begun")
    shutil.rmtree(trainer.folder(root / "begun", 1))
    tried = 0
    for name, kinds in strikes.items():
        for strike in kinds:
            tried += 1
            results = root / "failed"
            shutil.copytree(root / "begun", results)
            finished, what = contents(trainer.folder(results, 0)), f"{name} at operation {strike.at}"
            try:
                disk = trainer(results, trials=(0, 1), strike=strike)
            except RecordError as error:
                assert wording.CANNOT_BE_WRITTEN in str(error) and one_line(str(error)), f"{what}: {error}"
                # Only before the first file of the trial: later there is a record to say how it ended.
                assert ".writing-" not in str(error) and "tfevents" not in str(error), f"{what}: {error}"
            else:
                ended = trainer.outcome
                said = "\n".join(trainer.listener.lines)
                reached = any(strike.falls(at, kind) for at, (kind, _) in enumerate(disk.trace, 1))
                assert ended.finished == 2 - reached and bool(ended.failed) == reached, f"{what}: {said}"
                assert not reached or "separable trial-01: failed, " in said and "Error: [Errno" in said, (
                    f"{what}: {said}"
                )
            assert contents(trainer.folder(results, 0)) == finished, f"{what}: trial 0 was changed"
            trainer(results, trials=(0, 1))
            assert trainer.outcome.finished == 2, f"{what}: {trainer.listener.lines}"
            assert_same(trainer.folder(results, 1), reference, what)
            shutil.rmtree(results)
    return tried


def fail_at_every_operation(root: Path, every: int) -> int:
    """Try each `every`-th operation in every way; return the number of cases."""
    trainer = Trainer()
    trainer(root / "counted", trials=(0,))
    last = len(trainer(root / "counted", trials=(0, 1)).trace)
    shutil.rmtree(root / "counted")
    numbers = range(1, last + 1)
    return fail_at(
        root,
        {
            "one write fails": [Strike(number, errno.ENOSPC) for number in numbers[::every]],
            "the disk is full": [full_from(number) for number in numbers[1::every]],
            "the disk is read-only": [read_only_from(number) for number in numbers[2::every]],
            "permission is gone": [read_only_from(number, errno.EACCES) for number in numbers[3::every]],
        },
    )


def half_a_copy(root: Path) -> int:
    """Copy a finished and a begun run in part; go on; return the number of cases.

    Either it is refused in a line that says what to do, and nothing is changed, or the end is the right one.
    """
    trainer = Trainer()
    trainer(root / "finished")
    stop_in_epoch(trainer, 2, after=2)
    trainer(root / "begun")
    trainer.listener.step = lambda done: None
    reference = trainer.folder(root / "finished")
    tried = refused = 0
    for source in (reference, trainer.folder(root / "begun")):
        files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
        parts = [(f"{present} whole, then half a file", files[: present + 1]) for present in range(len(files))]
        parts += [(f"without {name}", [file for file in files if file != name]) for name in files]
        parts += [("without checkpoints", [file for file in files if "checkpoint" not in file.name])]
        for what, present in parts:
            tried += 1
            folder = trainer.folder(root / "copy")
            for number, file in enumerate(present):
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                content = (source / file).read_bytes()
                half = "half" in what and number == len(present) - 1
                (folder / file).write_bytes(content[: len(content) // 2] if half else content)
            before, what = contents(folder), f"{source.parts[-5]} run, {what} ({present[-1]})"
            try:
                trainer(root / "copy")
            except RecordError as error:
                refused += 1
                assert wording.COPY_AGAIN in str(error) and one_line(str(error)), f"{what}: {error}"
                assert contents(folder) == before, f"{what}: refused and yet changed"
            else:
                ended, said = trainer.outcome, trainer.listener.lines
                if ended.failed:
                    assert wording.NO_SOUND_CHECKPOINT in said[-1], f"{what}: {said}"
                elif wording.ALREADY_FINISHED in said[0]:
                    # Nothing but what the reader does not need is missing, and the reader's part is whole.
                    assert contents(folder) == before, f"{what}: {said}"
                else:
                    assert ended.finished == 1, f"{what}: {said}"
                    assert_same(folder, reference, what)
                    lost = source != reference and not any("checkpoint" in file.name for file in present)
                    assert not lost or "its checkpoint is gone" in said[0], f"{what}: {said}"
                    assert (folder / "predictions.npz").read_bytes() == (reference / "predictions.npz").read_bytes()
            shutil.rmtree(root / "copy")
    assert 0 < refused < tried
    return tried


def damage_a_checkpoint(root: Path, flips: int) -> int:
    """Cut the newest of two checkpoints at many places and flip bytes all over it; return the number of cases."""
    trainer = Trainer()
    trainer(root)
    folder = trainer.folder(root)
    identity = read_record(folder)["identity"]
    newest = (folder / checkpoint.NAME).read_bytes()
    older = (folder / checkpoint.PREVIOUS).read_bytes()
    states = {}
    for name, content in (("newest", newest), ("older", older)):
        (folder / checkpoint.NAME).write_bytes(content)
        states[name] = digest(checkpoint.load(folder, identity=identity)[0])
    cuts = [newest[:size] for size in (0, 1, 3, 22, 100, len(newest) // 2, len(newest) - 22, len(newest) - 1)]
    turned = []
    for number in range(flips):
        place, bit = number * len(newest) // flips, 1 << number % 8
        turned.append(newest[:place] + bytes([newest[place] ^ bit]) + newest[place + 1 :])
    unsound = 0
    for content in cuts + turned:
        (folder / checkpoint.NAME).write_bytes(content)
        (folder / checkpoint.PREVIOUS).write_bytes(older)
        state, complaints = checkpoint.load(folder, identity=identity)
        unsound += bool(complaints)
        assert digest(state) == states["older" if complaints else "newest"]
        assert not complaints or names(complaints[0], checkpoint.NAME) and one_line(complaints[0]), complaints
    # What is not found has turned a byte that means nothing: padding, or a field of the archive that is there twice.
    assert unsound >= len(cuts) + flips // 2, f"only {unsound} found"
    return len(cuts) + flips


def no_sound_checkpoint_is_left(root: Path) -> None:
    trainer = Trainer()
    stop_in_epoch(trainer, 2, after=2)
    trainer(root)
    folder = trainer.folder(root)
    for name in (checkpoint.NAME, checkpoint.PREVIOUS):
        (folder / name).write_bytes((folder / name).read_bytes()[:-50])
    before = contents(folder)
    trainer(root)
    after = contents(folder)
    assert trainer.outcome.failed == ["separable trial-00"]
    assert f"{wording.NO_SOUND_CHECKPOINT} {folder}" in trainer.listener.lines[-1]
    del before["record.json"], after["record.json"]
    assert after == before
    record = read_record(folder)
    assert record["status"] == "failed" and str(root) not in record["message"]


def a_strangers_checkpoint_is_refused(root: Path) -> None:
    """The checkpoint of another trial fits in shape; nothing but its identity tells."""
    trainer = Trainer()
    for trial in (0, 1):
        stop_in_epoch(trainer, 2, after=2)
        trainer(root, trials=(trial,))
    trainer.listener.step = lambda done: None
    mine, other = trainer.folder(root, 0), trainer.folder(root, 1)
    kept = (mine / checkpoint.NAME).read_bytes()
    shutil.copy(other / checkpoint.NAME, mine / checkpoint.NAME)
    trainer(root)
    assert trainer.outcome.failed == ["separable trial-00"], trainer.listener.lines
    assert "is of another run than the record beside it" in trainer.listener.lines[-1]
    (mine / checkpoint.NAME).write_bytes(kept)
    trainer(root)
    assert trainer.outcome.finished == 1


def statuses_of_bad_places(root: Path) -> None:
    (root / "file").write_text("")
    for place in ("file", "file/below"):
        child = Child(command, f"results={root / place}")
        assert child.wait() == 2, child.said
        check_refused((2, child.said), key=f"results={root / place}")
    assert (root / "file").read_text() == ""


@pytest.mark.parametrize(
    "case",
    [half_a_copy, no_sound_checkpoint_is_left, a_strangers_checkpoint_is_refused, statuses_of_bad_places],
    ids=lambda case: case.__name__,
)
def test_bad_disks(tmp_path, case):
    clean(case, tmp_path)


def test_every_seventh_operation_fails_in_every_way(tmp_path):
    clean(fail_at_every_operation, tmp_path, 7)


def test_every_cut_and_turned_checkpoint_is_found(tmp_path):
    clean(damage_a_checkpoint, tmp_path, 400)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    from fault_injection import Disk

    for strike in (*(Strike(number, errno.ENOSPC) for number in (1, 2, 3, 4)), full_from(1), full_from(2)):
        with pytest.raises(OSError, match=wording.NO_SPACE), Disk(tmp_path, strike):
            records.write_atomically(path, b"new" * 100)
        assert path.read_bytes() == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_checkpoint_that_cannot_be_read_now_is_not_given_up(tmp_path, monkeypatch):
    nothing = torch.zeros(0)
    state = checkpoint.TrialState(
        network={"weight": torch.ones(3)},
        momentum={},
        history=[],
        steps_done=0,
        seconds=0.0,
        losses=nothing,
        wrong=nothing,
        dropout=nothing,
    )
    checkpoint.save(tmp_path, state, identity="one")
    checkpoint.save(tmp_path, state, identity="one")
    before = contents(tmp_path)

    def unreadable(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", unreadable)
    with pytest.raises(OSError, match="Input/output"):
        checkpoint.load(tmp_path, identity="one")
    monkeypatch.undo()
    assert contents(tmp_path) == before
