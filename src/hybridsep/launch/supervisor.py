"""From a command line to an exit status: Hydra's main is started, started again when workers died, and summed up."""

import contextlib
import os
import re
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool

import hydra
from omegaconf import DictConfig

from hybridsep import config as configuration
from hybridsep.errors import ConfigError, UserError
from hybridsep.launch import sweep, words
from hybridsep.launch.command import Command
from hybridsep.launch.explain import explain
from hybridsep.launch.result import JobResult, conclude
from hybridsep.runs.stop import FAIL_FAST

_EXTRAS = {"hydra_joblib_launcher": "joblib", "launchers_of_hybridsep": "slurm", "hydra_ray_launcher": "ray"}
_TIMES = 3  # a job that was in progress when workers died is begun so often: twice beside others, then alone


def supervise(job: Callable[[DictConfig], float | None], command: Command) -> int:
    """Let Hydra compose the command line and call `job` for what it names; return the exit status.

    `job` is a function that another process can import by name.
    """
    # With Hydra's own short error texts off, they arrive here as exceptions and can be said in one line.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = words.prepare(sys.argv[1:])
        configuration.register()
        sweep.register()
        main = hydra.main(version_base="1.3", config_path=str(configuration.config_dir()), config_name="config")(job)
        command.results.extend(_launch(main, command))
        if command.jobs is not None and not all(result.errors for result in command.results):
            done = sum(result.done for result in command.results)
            goes_on = "; the same command goes on" if command.stop.requested() else ""
            command.monitor.say(f"{done} of {command.jobs} jobs done{goes_on}")
    except BrokenPipeError:
        raise  # nobody reads what `--cfg` shows
    except Exception as error:
        # Jobs keep their errors to themselves; what arrives is Hydra's, OmegaConf's or a launcher's.
        command.results.append(JobResult(errors=[explain(error, words.own_folder(sys.argv[1:]))]))
    finally:
        command.close()
    status = conclude(command.results, lambda line: command.monitor.say(line))
    command.close()
    for line in dict.fromkeys(line for result in command.results for line in result.errors):
        print(f"hybridsep: {line}", file=sys.stderr)
    return status


def _launch(start: Callable[[], None], command: Command) -> list[JobResult]:
    """Call `start` (Hydra's main), and again for what is missing when workers died; return how the jobs ended.

    Empty when no launcher was used: then every job ran in this process. Raises ConfigError when the launcher cannot
    begin.
    """
    stopped = command.stop.requested
    ended: dict[int, JobResult] = {}
    deaths: Counter[int] = Counter()
    while True:
        died: Exception | None = None
        try:
            with _passed_on(command):
                start()
        except Exception as error:
            died = _workers_death(error, command)
        if command.jobs == 0:
            raise ConfigError("-m names no job: a glob(...) of this command line matches nothing")
        if command.sweep is None:
            return []
        reported = command.sweep.read_results()
        ended |= {number: result for number, result in reported.items() if isinstance(result, JobResult)}
        missing = [number for number in range(len(command.sweep.names)) if number not in ended]
        begun = [number for number in missing if number in reported]
        deaths.update(begun)
        todo = [number for number in missing if deaths[number] < _TIMES - 1]
        todo = todo or [number for number in missing if deaths[number] < _TIMES][:1]
        if stopped() or died is None or not begun or not todo:
            rest = (lambda _: JobResult(stopped=True)) if stopped() else command.sweep.lost
            return [ended.get(number) or rest(number) for number in range(len(command.sweep.names))]
        interrupted = "; ".join(command.sweep.names[number] for number in begun)
        command.monitor.say(f"a worker died ({_reason(died)}) during {interrupted}: going on")
        command.sweep, command.todo = None, set(todo)


def _workers_death(error: Exception, command: Command) -> Exception:
    """Return `error` if it says that joblib's or Ray's worker processes died; raise it, or a clearer one, if not."""
    unknown = re.search(r"Unknown plugin class : 'hydra_plugins\.(\w+)\.", str(error))
    if unknown and unknown[1] in _EXTRAS:
        raise ConfigError(f"this launcher is not installed: pip install 'hybridsep[{_EXTRAS[unknown[1]]}]'") from None
    if isinstance(error, BrokenProcessPool) or type(error).__module__.startswith("ray.exceptions"):
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()  # with what still runs of this attempt
        return error
    if command.unwritable is not None:
        raise ConfigError(f"results= cannot be written: {command.unwritable}") from None
    if command.sweep is not None and not command.sweep.read_results() and not isinstance(error, UserError):
        text = " ".join(str(error).split())
        raise ConfigError(f"hydra/launcher: no job was begun: {type(error).__name__}: {text[:300]}") from None
    raise error


@contextlib.contextmanager
def _passed_on(command: Command) -> Iterator[None]:
    """Meanwhile, pass a wish to stop on to the workers of this machine: a scheduler may tell the main process only."""
    over = threading.Event()

    def watch() -> None:
        passed: set[int] = set()
        while not over.wait(0.5):
            if command.sweep is None:
                continue
            if command.sweep.ended():
                command.stop.request(FAIL_FAST)
            if command.stop.requested():
                found = command.sweep.read_results().values()
                here = {process for process in found if isinstance(process, int)} - {os.getpid()}
                for process in here - passed:
                    with contextlib.suppress(OSError):
                        os.kill(process, signal.SIGTERM)
                passed |= here

    watcher = threading.Thread(target=watch, name="pass on the wish to stop", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return "SIGKILL, perhaps for want of memory" if "SIGKILL" in text else text[:120]
