"""Our sweeper where Hydra looks for it, and Hydra's submitit launchers changed in three ways: they wait for every job,
limit the number of workers on this machine, and requeue a job only after it has saved.

hydra-submitit-launcher 1.2.0 raises at the first job whose process was killed and forgets the others; its local form
starts all jobs at once; and its checkpoint hook ends the process in the middle of a step, which costs up to an epoch.
Hydra finds plugins in the package `hydra_plugins` only.
"""

import importlib.util
import os
import signal
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus

from hybridsep.errors import ConfigError
from hybridsep.launch import command, sweeper
from hybridsep.runs import machine

_KEYBOARD = {signal.SIGINT}


class JobSweeper(sweeper.JobSweeper):
    """`hydra/sweeper=jobs`, the one of conf/config.yaml."""


if importlib.util.find_spec("hydra_plugins.hydra_submitit_launcher") is not None:
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import BaseSubmititLauncher

    class _Waiting(BaseSubmititLauncher):
        """What both have in common. `LEAVES_ITS_JOBS`: a stop request ends the waiting and not the jobs."""

        LEAVES_ITS_JOBS: bool

        def __call__(self, *arguments: Any) -> JobReturn:
            """Do a job in its own process. SIGUSR2 ends it at the next step with a checkpoint; then it is requeued."""
            if self.params["cpus_per_task"]:
                os.environ.setdefault("OMP_NUM_THREADS", str(self.params["cpus_per_task"]))
            requeue: Any = signal.getsignal(signal.SIGUSR2)
            stop = signal.getsignal(signal.SIGTERM)
            asked: list[tuple[int, FrameType | None]] = []

            def ask(number: int, frame: FrameType | None) -> None:
                if signal.getsignal(signal.SIGTERM) is stop:  # nothing listens yet, and nothing would be lost
                    requeue(number, frame)
                asked.append((number, frame))
                os.kill(os.getpid(), signal.SIGTERM)

            signal.signal(signal.SIGUSR2, ask)
            try:
                returned = super().__call__(*arguments)
            finally:
                signal.signal(signal.SIGUSR2, requeue)
            if asked:
                requeue(*asked[0])
            if self._EXECUTOR == "slurm" and command.here().stop.reason == "SIGTERM":
                # Preempted or cancelled: Slurm knows which. It requeues a preempted job that still runs when its time
                # of grace is over, and not one that has ended. All is saved; SIGUSR2 still requeues.
                while True:
                    signal.pause()
            return returned

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
            import submitit

            parameters = dict(self.params)
            folder, starts = parameters.pop("submitit_folder"), parameters.pop("max_num_timeout", None)
            options = {f"{self._EXECUTOR}_max_num_timeout": starts} if starts is not None else {}
            try:
                executor = submitit.AutoExecutor(cluster=self._EXECUTOR, folder=folder, **options)
            except RuntimeError as error:
                raise ConfigError(f"hydra/launcher=submitit_{self._EXECUTOR}: {error}") from None
            common = submitit.AutoExecutor._typed_parameters()
            executor.update_parameters(
                **{key if key in common else f"{self._EXECUTOR}_{key}": value for key, value in parameters.items()}
            )
            arguments = [
                (list(overrides), "hydra.sweep.dir", number, f"job_id_for_{number}", Singleton.get_state())
                for number, overrides in enumerate(job_overrides, start=initial_job_idx)
            ]
            jobs = self._start(executor, arguments)
            returned = [self._returned(job, each[0]) for job, each in zip(jobs, arguments, strict=False)]
            if not all(job.done() for job in jobs):
                command.here().monitor.say(f"left in the queue: job {jobs[0].job_id.split('_')[0]} (scancel ends it)")
            return returned

        def _start(self, executor: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
            """Hand the jobs over and return them."""
            raise NotImplementedError

        def _returned(self, job: Any, overrides: list[str]) -> JobReturn:
            """Wait for a job and return what it returned; of a lost one a failure with the path of its log."""
            from submitit.core.utils import FailedJobError, UncompletedJobError

            while not job.done():
                if self.LEAVES_ITS_JOBS and command.here().stop.due():
                    return JobReturn(overrides=overrides, status=JobStatus.COMPLETED)
                time.sleep(0.5)
            try:
                returned: JobReturn = job.results()[0]
                return returned
            except (FailedJobError, UncompletedJobError):
                lost = JobReturn(overrides=overrides, status=JobStatus.FAILED)
                lost.return_value = sweeper.LostJobError(str(job.paths.stderr))
                return lost

    class WaitingSlurmLauncher(_Waiting):
        """`hydra/launcher=submitit_slurm`. A stop request ends the waiting; the array stays in the queue."""

        _EXECUTOR = "slurm"
        LEAVES_ITS_JOBS = True

        def _start(self, executor: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
            return executor.map_array(self, *zip(*arguments, strict=True))

    class WaitingLocalLauncher(_Waiting):
        """`hydra/launcher=submitit_local`. A stop request is passed on to the jobs, and no more are begun."""

        _EXECUTOR = "local"
        LEAVES_ITS_JOBS = False

        def __call__(self, *arguments: Any) -> JobReturn:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _KEYBOARD)
            # submitit shows its processes GPUs 0, 1 and so on, whichever were visible where the command was typed.
            if self._visible is None:
                os.environ.pop("CUDA_VISIBLE_DEVICES", None)
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = self._visible
            return super().__call__(*arguments)

        def _start(self, executor: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
            self._visible = os.environ.get("CUDA_VISIBLE_DEVICES")
            cores = machine.cores()
            at_once = self.params["gpus_per_node"] or max(1, cores // (self.params["cpus_per_task"] or 1))
            jobs: list[Any] = []
            for each in arguments:
                while sum(not job.done() for job in jobs) >= at_once:
                    time.sleep(0.1)
                if command.here().stop.due():
                    break
                # A terminal's Ctrl-C reaches every process, and submitit's between us and the job would kill it within
                # a second. What is blocked here is blocked there, and waits here until it is not.
                signal.pthread_sigmask(signal.SIG_BLOCK, _KEYBOARD)
                try:
                    jobs.append(executor.submit(self, *each))
                finally:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, _KEYBOARD)
            return jobs
