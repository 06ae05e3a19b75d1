"""Signals, and what another process wrote, ask a training to stop."""

import os
import signal

import pytest

from hybridsep.runs.stop import FILE, Stop, announce


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_every_signal_that_ends_a_session_is_a_stop_request(number):
    with Stop() as stop:
        os.kill(os.getpid(), number)
        assert stop.due() and stop.reason == number.name
        assert (signal.getsignal(signal.SIGINT) is signal.SIG_DFL) and signal.getsignal(number) is not None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_stays_ignored(number):
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), number)
            assert stop.reason == "SIGTERM"
    finally:
        signal.signal(number, before)


def test_a_worker_hears_of_the_stop_request_of_another_process(tmp_path):
    followed = Stop()
    announce(tmp_path / FILE, "")
    followed.follow(tmp_path / FILE, parent=True)
    assert not followed.due()
    announce(tmp_path / FILE, "SIGTERM")
    followed._looked = 0.0
    assert followed.due() and followed.reason == "SIGTERM"
    late, orphan = Stop(), Stop()
    announce(tmp_path / FILE, "", seconds_left=0)
    late.follow(tmp_path / FILE, parent=False)
    assert late.due() and late.reason == "max_minutes"
    orphan.follow(tmp_path / "none", parent=True)
    orphan._parent = 0
    assert orphan.due() and "has ended" in orphan.reason
