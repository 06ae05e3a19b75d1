"""Who waits for a lock says for what, and a stop request ends the wait."""

import signal
import subprocess
import sys
import threading

import pytest
import wording
from conftest import TINY
from filelock import FileLock

from hybridsep.runs import asked, records, stop, waiting


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(waiting, "_QUIET", 0.3)
    monkeypatch.setattr(waiting, "_TURN", 0.05)


def test_a_free_lock_is_taken_without_a_word(tmp_path, capsys):
    with waiting.held(FileLock(tmp_path / "x.lock"), "x"), pytest.raises(Exception, match="already|could not"):
        FileLock(tmp_path / "x.lock").acquire(blocking=False)
    FileLock(tmp_path / "x.lock").acquire(blocking=False).lock.release()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("take", ["data", "asked"])
def test_a_wait_is_said_once_and_ends_with_the_lock(tmp_path, capsys, take):
    path = tmp_path / (".some.lock" if take == "data" else "s/.plan.lock")
    path.parent.mkdir(exist_ok=True)
    lock = FileLock(path, thread_local=False)  # to be released by another thread
    lock.acquire()
    threading.Timer(1.0, lock.release).start()
    if take == "data":
        with waiting.held_in(tmp_path, ".some.lock", "the decoded images"):
            pass
    else:
        asked.extend(tmp_path / "s", {"a": [0]})
    (line,) = capsys.readouterr().err.splitlines()
    assert ("the decoded images" if take == "data" else "asked.json of study s") in line and ".lock" in line


def test_a_stop_request_ends_a_wait(tmp_path):
    with FileLock(tmp_path / "x.lock"), stop.Stop() as asked_to_stop:
        threading.Timer(0.2, asked_to_stop.request, ["SIGTERM"]).start()
        with pytest.raises(stop.Stopped, match="SIGTERM"), waiting.held(FileLock(tmp_path / "x.lock"), "x"):
            raise AssertionError("nobody gave the lock back")
    with FileLock(tmp_path / "x.lock"), stop.Stop() as limited:
        limited.limit(0.0001)
        with pytest.raises(stop.Stopped, match="max_minutes"), waiting.held(FileLock(tmp_path / "x.lock"), "x"):
            raise AssertionError("nobody gave the lock back")
    stop.check()  # nothing is entered any more


@pytest.mark.parametrize("words", [(), ("-m", "trial=0,1")])
def test_a_command_that_waits_is_ended_by_sigterm(tmp_path, words):
    with records.lock(tmp_path / "results" / "runs" / "tiny" / "plan"):
        command = [sys.executable, "-m", "hybridsep.run", *words, *TINY, f"results={tmp_path / 'results'}"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            assert "waiting for asked.json of study tiny" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            said = process.stderr.read()
        assert process.returncode == 75 and "SIGTERM" in said and wording.GOES_ON in said
