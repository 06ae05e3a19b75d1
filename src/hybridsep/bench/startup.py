"""How long the commands take to start, each in a process of its own."""

import subprocess
import sys
import tempfile
import time

from hybridsep.bench import scaling
from hybridsep.bench.timing import spread
from hybridsep.errors import ConfigError

# One trial of one step.
_ONE_STEP = (
    "data=synthetic",
    "data.source.train=64",
    "data.source.test=64",
    "size=tiny",
    "schedule=short",
    "schedule.epochs=1",
    "schedule.warmup_epochs=0",
    "schedule.batch_size=64",
    "evaluation.images=64",
)
_HELPS = ("run", "report", "bench")


def measure(*, device: str, starts: int) -> list[dict[str, object]]:
    """Return `{"what", "seconds": spread}` of each start; in every round each command is started once.

    The first round, which fills the page cache, is not counted. Raises ConfigError when a command fails.
    """
    found: dict[str, list[float]] = {}
    for number in range(starts + 1):
        taken = {
            f"{module} --help": scaling.measure(["-m", f"hybridsep.{module}", "--help"])["seconds"] for module in _HELPS
        }
        first, whole = _training(device)
        taken |= {"run, to the first step": first, "run, a trial of one step, to its end": whole}
        for what, seconds in taken.items():
            if number:
                found.setdefault(what, []).append(seconds)
    return [{"what": what, "seconds": spread(seconds)} for what, seconds in found.items()]


def _training(device: str) -> tuple[float, float]:
    """Return the seconds until the run program says that it begins to train, and until it has ended."""
    first = None
    with tempfile.TemporaryDirectory() as folder:
        words = (*_ONE_STEP, f"device={device}", f"results={folder}/results", f"data_dir={folder}/data")
        begun = time.perf_counter()
        command = [sys.executable, "-m", "hybridsep.run", *words]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            said = ""
            for said in process.stderr:
                if first is None and ": training " in said:
                    first = time.perf_counter() - begun
        whole = time.perf_counter() - begun
    if process.returncode or first is None:
        raise ConfigError(f"the run program did not train a step on device={device}: {said.strip()}")
    return first, whole
