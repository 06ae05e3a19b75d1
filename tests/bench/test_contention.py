"""What is ours is not work elsewhere."""

import subprocess
import sys
import time

from hybridsep.bench.contention import CpuContention, own_seconds


def test_processes_we_start_are_not_busy_elsewhere():
    own, this = own_seconds(), time.process_time()
    subprocess.run([sys.executable, "-S", "-c", "for _ in range(3_000_000): pass"], check=True)
    assert own_seconds() - own > time.process_time() - this + 0.02


def test_work_of_this_process_is_not_work_elsewhere():
    elsewhere = CpuContention()
    sum(range(1_000_000))
    assert elsewhere.cores() is None or elsewhere.cores() >= 0
