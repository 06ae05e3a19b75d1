"""What this machine can do, asked with the system's usual ways there and taken away."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from hybridsep.runs import machine


@pytest.fixture
def proc(monkeypatch):
    """Return a function that gives a file of /proc other content; until then there is no /proc."""
    files: dict[str, str] = {}
    read = Path.read_text

    def read_text(path: Path, *arguments, **keywords) -> str:
        if str(path).startswith("/proc/"):
            if str(path) not in files:
                raise FileNotFoundError(path)
            return files[str(path)]
        return read(path, *arguments, **keywords)

    monkeypatch.setattr(Path, "read_text", read_text)
    return files.__setitem__


def test_cores_with_and_without_an_affinity(monkeypatch, proc):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1, 4, 5}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "process_cpu_count", lambda: 6, raising=False)
    assert machine.cores() == 6
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert machine.cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1


V1, V2 = "4:cpu,cpuacct:{group}\n1:name=systemd:/x\n", "0::{group}\n"
QUOTAS = {
    "none": (V2, "/a/b", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "max 100000\n"}, 8),
    "one": (V2, "/a/b", {"a/b/cpu.max": "100000 100000\n"}, 1),
    "rounded up": (V2, "/a/b", {"a/b/cpu.max": "250000 100000\n"}, 3),
    "less than one": (V2, "/a/b", {"a/b/cpu.max": "10000 100000\n"}, 1),
    "more than there are": (V2, "/a/b", {"a/b/cpu.max": "9900000 100000\n"}, 8),
    "of a group above": (V2, "/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000"}, 2),
    "container": (V2, "/docker/1", {"cpu.max": "200000 100000"}, 2),
    "container with a namespace": (V2, "/", {"cpu.max": "200000 100000"}, 2),
    "path of the host": (V2, "/../host", {"cpu.max": "200000 100000"}, 2),
    "v1": (V1, "/a", {"cpu/a/cpu.cfs_quota_us": "150000\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 2),
    "v1 none": (V1, "/a", {"cpu/a/cpu.cfs_quota_us": "-1\n", "cpu/a/cpu.cfs_period_us": "100000\n"}, 8),
    "v1 container": (
        *(V1, "/docker/1/in"),
        {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
        1,
    ),
    "another controller": (V1.replace("cpu,cpuacct", "memory"), "/a", {"cpu.max": "1 1"}, 8),
    "nonsense": (V2, "/a", {"a/cpu.max": "many"}, 8),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_a_quota_of_cpu_time_counts(monkeypatch, proc, tmp_path, case):
    groups, group, files, expected = QUOTAS[case]
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "c")
    proc("/proc/self/cgroup", groups.format(group=group))
    for name, content in files.items():
        path = tmp_path / "c" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert machine.cores() == expected


def test_a_worker_keeps_to_its_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 4)
    for told, used in (("1", 1), ("3", 3), ("5", 4), ("", 4), ("many", 4), ("0", 1), ("9" * 5000, 4)):
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert machine.share_of_cores() == used, told


def test_glibc(monkeypatch):
    for said, answer in ((("glibc", "2.39"), True), (("", ""), False)):
        monkeypatch.setattr(platform, "libc_ver", lambda said=said: said)
        assert machine.glibc() == answer

    def unreadable():
        raise PermissionError("python")

    monkeypatch.setattr(platform, "libc_ver", unreadable)
    assert not machine.glibc()


def test_the_name_of_the_processor(monkeypatch, proc):
    commands = []

    def said_by(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, 0, "Architecture: aarch64\nModel name:   Neoverse-V1\n")

    monkeypatch.setattr(subprocess, "run", said_by)
    proc("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n")
    assert machine.processor() == "Some CPU @ 2 GHz" and not commands
    proc("/proc/cpuinfo", "processor\t: 0\nFeatures\t: fp asimd\n")
    assert machine.processor() == "Neoverse-V1"
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess("", 0, "machdep.cpu.brand_string: Apple M2\n")
    )
    assert machine.processor() == "Apple M2"


def test_a_processor_without_a_name(monkeypatch, proc):
    def no_such_program(*_, **__):
        raise FileNotFoundError("lscpu")

    monkeypatch.setattr(subprocess, "run", no_such_program)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    for system in ("linux", "darwin"):
        monkeypatch.setattr(sys, "platform", system)
        assert machine.processor() == "riscv64"
    # A program that says nothing is no better than none.
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess("", 0, ""))
    for system in ("linux", "darwin"):
        monkeypatch.setattr(sys, "platform", system)
        assert machine.processor() == "riscv64"


def test_busy_seconds_count_the_usable_cores_only(monkeypatch, proc):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {1}, raising=False)
    monkeypatch.setattr(os, "sysconf", lambda name: 100)
    proc("/proc/stat", "cpu  9 9 9 9 9 9 9 9\ncpu0 900 0 0 0 0 0 0 0\ncpu1 100 20 30 5000 400 1 2 47 0 0\nintr 1\n")
    assert machine.busy_seconds() == 2.0
    proc("/proc/stat", "nothing of use\n")
    assert machine.busy_seconds() is None
    proc("/proc/stat", "cpu1 a few\n")
    assert machine.busy_seconds() is None
    monkeypatch.delattr(os, "sched_getaffinity")
    assert machine.busy_seconds() is None


def test_asking_imports_neither_torch_nor_numpy():
    text = "import sys, hybridsep.runs.machine; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", text], capture_output=True, text=True).stdout.strip() == "[]"
