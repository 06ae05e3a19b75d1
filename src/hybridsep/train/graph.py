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
    """

    _EAGER_CALLS = 3

    def __init__(
        self, step: Callable[[], None], *, generator: torch.Generator | None, stream: torch.cuda.Stream | None = None
    ):
        self._step, self._generator = step, generator
        self._stream = stream or torch.cuda.Stream()
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        """Do one step: enqueue it on the stream and return, without waiting for it."""
        with torch.cuda.stream(self._stream):
            if self._graph is not None:
                self._graph.replay()
                return
            with _EAGER:
                if self._calls < self._EAGER_CALLS:
                    self._calls += 1
                    self._step()
                    return
                self._graph = self._capture()
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

    def __init__(self, device: torch.device, *, cuda_graph: bool):
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._cuda_graph = cuda_graph
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
        return GraphRunner(step, generator=generator, stream=self._stream)

    def eager(self) -> contextlib.AbstractContextManager:
        """Return the context for device work that is no step: on a GPU one trial at a time, never during a capture."""
        return contextlib.nullcontext() if self._stream is None else _EAGER

    def wait(self) -> None:
        """Return when all work of this trial is done."""
        if self._stream is not None:
            self._stream.synchronize()
