"""Where a trial runs: on a GPU a stream of its own, on which training step and evaluation are captured once each and
replayed.

Trials share nothing but the dataset, so that each gives the same bits whether it runs alone or together with others.
"""

import contextlib
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

# CUDA allows one capture at a time in a process. What other threads want of the device meanwhile, but replays, waits: a
# graph that is destroyed ends another thread's capture (pytorch#176754), and memory cannot be freed during one.
_EAGER = threading.Lock()


class Gate:
    """Lets the trials of a row replay once all that are under way have captured their training step.

    Replays would fill the device's queue before the captures of the others.
    """

    def __init__(self) -> None:
        self._pending: set[object] = set()
        self._change = threading.Condition()

    def begin(self, trial: object) -> None:
        """Note that the training step of `trial` is to be captured."""
        with self._change:
            self._pending.add(trial)

    def end(self, trial: object) -> None:
        """Note that it is captured, or will not be."""
        with self._change:
            self._pending.discard(trial)
            self._change.notify_all()

    def wait(self) -> None:
        """Return when no training step is still to be captured."""
        with self._change:
            self._change.wait_for(lambda: not self._pending)


@dataclass
class _Captures:
    """What the captures of this process have in common; used with `_EAGER` held."""

    largest: float = math.inf  # bytes that one took, unknown at first
    broken: str = ""  # why no more are begun


_captures = _Captures()


def _leaves_allocator_broken(version: str) -> bool:
    """Return whether torch of this version believes that a capture that failed is still under way (pytorch#180395).

    It then cannot free memory any more, and ends in an internal error when told to.
    """
    major, minor = version.split(".")[:2]
    return (int(major), int(minor)) < (2, 12)


def new_process_needed() -> bool:
    """Return whether further rows need a process of their own."""
    return bool(_captures.broken)


class GraphRunner:
    """Calls `step` as a CUDA graph: its first `eager_calls` run as they are, the next one is captured, then replayed.

    The calls before the capture are training like all others; they make the optimiser's state and let the libraries
    choose their kernels. The work runs on `stream`. `generator` is what the step draws from on the device, or None.
    `on_end` is called when the step is captured or will not be, `on_first_replay` before the first replay. When the
    capture fails, `on_failure` is told why, and every call goes on as it is: kernel by kernel, the same bits.
    """

    def __init__(
        self,
        step: Callable[[], None],
        *,
        generator: torch.Generator | None,
        eager_calls: int = 3,
        stream: torch.cuda.Stream | None = None,
        on_end: Callable[[], None] = lambda: None,
        on_first_replay: Callable[[], None] = lambda: None,
        on_failure: Callable[[str], None] = lambda reason: None,
    ):
        self._step, self._generator = step, generator
        self._on_end, self._on_first_replay, self._on_failure = on_end, on_first_replay, on_failure
        self._stream = stream or torch.cuda.Stream()
        self._eager_calls, self._calls, self._failed = eager_calls, 0, False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do one step: enqueue it on the stream and return, without waiting for it."""
        with torch.cuda.stream(self._stream):
            if self._graph is None:
                with _EAGER:
                    if self._calls < self._eager_calls or self._failed or not self._captured():
                        self._calls += 1
                        self._step()
                        return
                self._on_first_replay()
            assert self._graph is not None
            self._graph.replay()

    def close(self) -> None:
        """Destroy the graph; the caller holds `_EAGER`, and no replay is under way."""
        if self._graph is not None:
            self._graph.reset()
            self._graph = None
        self._failed = True

    def _captured(self) -> bool:
        """Capture the step, and return whether that went well."""
        if _captures.broken:
            self._fail(f"an earlier capture of this process failed: {_captures.broken}")
            return False
        # A capture that fails can leave the generator in the state of one that goes on.
        spare = self._generator.clone_state() if self._generator is not None else None
        try:
            self._graph = self._capture()
        except RuntimeError as error:
            # What was recorded has not been done, and the step makes its gradients anew: it is simply called.
            if spare is not None and self._generator is not None:
                self._generator.graphsafe_set_state(spare)
            first = error.__context__ or error
            reason = " ".join((str(first) or type(first).__name__).split())[:120]
            if _leaves_allocator_broken(torch.__version__):
                _captures.broken = reason
            self._fail(reason)
            return False
        self._on_end()
        return True

    def _fail(self, reason: str) -> None:
        self._failed = True
        self._on_end()
        self._on_failure(reason)

    def _capture(self) -> torch.cuda.CUDAGraph:
        # `torch.cuda.graph` waits for the whole device and gives its unused memory back first. Both would stand still
        # until the other trials' queues are empty, so it is done only where the graph might not find room.
        free_bytes, _ = torch.cuda.mem_get_info()
        if free_bytes < 1.2 * _captures.largest:
            torch.cuda.empty_cache()
        before = torch.cuda.memory_reserved()
        graph = torch.cuda.CUDAGraph()
        if self._generator is not None:
            graph.register_generator_state(self._generator)
        # thread_local: other trials' threads go on with their own streams; backward runs in autograd's thread anyway.
        graph.capture_begin(capture_error_mode="thread_local")
        try:
            self._step()
        finally:
            graph.capture_end()
        taken = torch.cuda.memory_reserved() - before
        _captures.largest = taken if math.isinf(_captures.largest) else max(taken, _captures.largest)
        return graph


class TrialStream:
    """The stream of one trial: nothing but the calls themselves on a CPU. `close` it when the trial ends.

    The thread that does the trial's work enters it. `gate` is that of the trials beside it, if it is to wait for them.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        cuda_graph: bool,
        gate: Gate | None = None,
        on_failure: Callable[[str], None] = lambda reason: None,
    ):
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._captures = cuda_graph and self._stream is not None
        self._gate, self._on_failure = gate or Gate(), on_failure
        self._entered = contextlib.ExitStack()
        self._runners: list[GraphRunner] = []
        if self._captures and gate is not None:
            gate.begin(self)

    def __enter__(self) -> "TrialStream":
        if self._stream is not None:
            self._entered.enter_context(torch.cuda.stream(self._stream))
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def close(self) -> None:
        """Destroy the graphs, while no other trial captures one."""
        self._gate.end(self)
        if self._runners:
            try:
                self.wait()
            finally:
                with self.eager():
                    for runner in self._runners:
                        runner.close()

    def training(self, step: Callable[[], None], *, generator: torch.Generator | None = None) -> Callable[[], None]:
        """Return the call that does one training step here: a captured one's replay on a GPU, `step` itself elsewhere.

        A step is the same work on the same tensors each time. It draws from `generator`.
        """
        if not self._captures:
            return step
        return self._runner(
            step, generator=generator, on_end=lambda: self._gate.end(self), on_first_replay=self._gate.wait
        )

    def evaluation(self, evaluate: Callable[[], None]) -> Callable[[], None]:
        """Return the call that does one whole evaluation here, as `training` does for a step."""
        return self._runner(evaluate, generator=None, eager_calls=1) if self._captures else evaluate

    def _runner(self, step: Callable[[], None], **options: Any) -> GraphRunner:
        self._runners.append(GraphRunner(step, stream=self._stream, on_failure=self._failed, **options))
        return self._runners[-1]

    def _failed(self, reason: str) -> None:
        """Tell of the first failed capture, of the step's or the evaluation's."""
        on_failure, self._on_failure = self._on_failure, lambda reason: None
        on_failure(reason)

    def eager(self) -> contextlib.AbstractContextManager[object]:
        """Return the context for device work that is no step: on a GPU one trial at a time, never during a capture.

        What waits for the device stays outside, after `wait`, lest a queue of one trial holds up all others.
        """
        return contextlib.nullcontext() if self._stream is None else _EAGER

    def wait(self) -> None:
        """Return when all work of this trial is done."""
        if self._stream is not None:
            self._stream.synchronize()
