"""Where a trial runs: on a GPU a stream of its own, on which training step and evaluation are captured once each and
replayed.

Trials share nothing but the dataset, so that each gives the same bits whether it runs alone or together with others.
"""

import contextlib
import threading
from collections.abc import Callable

import torch

# CUDA allows one capture at a time in a process, and what other threads allocate meanwhile is best left for later.
_EAGER = threading.Lock()


class GraphRunner:
    """Calls `step` as a CUDA graph: the first calls of it run as they are, the next one is captured, then replayed.

    The calls before the capture are training like all others; they make the optimiser's state and let the libraries
    choose their kernels. The work runs on `stream`. `generator` is what the step draws from on the device, or None.
    When the capture fails, `on_failure` is told why, and every call goes on as it is: kernel by kernel, the same bits.
    """

    _EAGER_CALLS = 3

    def __init__(
        self,
        step: Callable[[], None],
        *,
        generator: torch.Generator | None,
        stream: torch.cuda.Stream | None = None,
        on_failure: Callable[[str], None] = lambda reason: None,
    ):
        self._step, self._generator, self._on_failure = step, generator, on_failure
        self._stream = stream or torch.cuda.Stream()
        self._calls, self._failed = 0, False
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do one step: enqueue it on the stream and return, without waiting for it."""
        with torch.cuda.stream(self._stream):
            if self._graph is not None:
                self._graph.replay()
                return
            with _EAGER:
                if self._calls < self._EAGER_CALLS or self._failed:
                    self._calls += 1
                    self._step()
                    return
                # A capture that fails can leave the generator in the state of one that goes on.
                spare = self._generator.clone_state() if self._generator is not None else None
                try:
                    self._graph = self._capture()
                except RuntimeError as error:
                    # What was recorded has not been done, and the step makes its gradients anew: it is simply called.
                    self._failed = True
                    if spare is not None:
                        self._generator.graphsafe_set_state(spare)
                    self._on_failure(" ".join((str(error) or type(error).__name__).split())[:120])
                    self._step()
                    return
            self._graph.replay()

    def _capture(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        if self._generator is not None:
            graph.register_generator_state(self._generator)
        # thread_local: other trials' threads go on with their own streams; backward runs in autograd's thread anyway.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            self._step()
        return graph


class TrialStream:
    """The stream of one trial, entered by the thread that trains it: nothing but the calls themselves on a CPU."""

    def __init__(
        self, device: torch.device, *, cuda_graph: bool, on_failure: Callable[[str], None] = lambda reason: None
    ):
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._cuda_graph, self._on_failure = cuda_graph, on_failure
        self._entered = contextlib.ExitStack()

    def __enter__(self) -> "TrialStream":
        if self._stream is not None:
            self._entered.enter_context(torch.cuda.stream(self._stream))
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def stepper(self, step: Callable[[], None], *, generator: torch.Generator | None = None) -> Callable[[], None]:
        """Return the call that does one step here: a captured one's replay on a GPU, `step` itself elsewhere.

        A step is the same work on the same tensors each time: a training step, or a whole evaluation.
        """
        if self._stream is None or not self._cuda_graph:
            return step
        return GraphRunner(step, generator=generator, stream=self._stream, on_failure=self._failed)

    def _failed(self, reason: str) -> None:
        """Tell of the first failed capture, of the step's or the evaluation's."""
        told, self._on_failure = self._on_failure, lambda reason: None
        told(reason)

    def eager(self) -> contextlib.AbstractContextManager:
        """Return the context for device work that is no step: on a GPU one trial at a time, never during a capture."""
        return contextlib.nullcontext() if self._stream is None else _EAGER

    def wait(self) -> None:
        """Return when all work of this trial is done."""
        if self._stream is not None:
            self._stream.synchronize()
