"""Each process claims a GPU of its own."""

import os
import subprocess
import sys

from refusals import refused

from hybridsep.train import device_lock

_CLAIM = """
import sys
from hybridsep.train.device_lock import lock_free_device
print(lock_free_device(sys.argv[1].split(",")), flush=True)
sys.stdin.read()
"""


def claimer(devices: str) -> subprocess.Popen:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", _CLAIM, devices], **pipes)


def test_processes_claim_different_gpus_and_the_dead_free_theirs(monkeypatch):
    monkeypatch.setattr(device_lock, "_held", {})
    a, b, c = (f"{letter}-{os.getpid()}" for letter in "abc")
    owners = [claimer(f"{a},{b}") for _ in range(2)]
    assert sorted(owner.stdout.readline().strip() for owner in owners) == ["0", "1"]
    with refused("all 2 GPUs", "device=cuda:0"):
        device_lock.lock_free_device([a, b])
    # What is visible to a process has other numbers there: the name counts.
    assert device_lock.lock_free_device([b, c]) == 1
    assert device_lock.lock_free_device([c, b]) == 0
    owners[0].kill()
    owners[0].communicate()
    owners.append(claimer(f"{a},{b}"))
    assert owners[-1].stdout.readline().strip() in ("0", "1")
    for owner in owners[1:]:
        owner.communicate()
    for held in device_lock._held.values():
        held.close()


def test_elsewhere_than_on_linux_the_first_gpu_is_taken(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert device_lock.lock_free_device(["a", "b"]) == 0 and not device_lock._held
