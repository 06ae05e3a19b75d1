"""Trials side by side, and the step as something that a CUDA graph can replay."""

import contextlib
import platform
import subprocess
import sys
import threading
import types

import pytest
import torch
from fault_injection import Trainer
from made_runs import read_record
from same_bits import assert_same

from hybridsep.runs.stop import NEW_PROCESS
from hybridsep.train import graph
from hybridsep.train.concurrent import run_concurrently
from hybridsep.train.row import trials_that_fit
from hybridsep.train.step import Evaluation, TrainingStep


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_memory_that_a_step_frees_is_there_for_the_next():
    """The kernel counts the pages that it had to give: none in the best of 32 rounds, and thousands without us.

    The first two to nine rounds still need new ones, because small things lie between the freed ones and hold them
    apart. 38 MB are more than glibc ever takes from its heap on its own.
    """
    code = (
        "import resource, sys, torch\n"
        "from hybridsep.train.allocator import keep_freed_memory\n"
        "assert sys.argv[1] != 'kept' or keep_freed_memory()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    torch.ones(9 << 20)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "print(min(faults() for _ in range(32)))\n"
    )
    kept, given_back = (
        int(subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True, check=True).stdout)
        for word in ("kept", "given back")
    )
    assert kept < 10 < 30 < given_back


SMALL_FRACTALNET = ("model=fractalnet", "model.network.widths=[8,8,8]", "model.network.dropout=[0,0.1,0.2]")


def test_trials_give_the_same_bits_side_by_side_as_alone(tmp_path):
    # fractalnet draws drop-path and dropout in every step; the trials' generators must not meet.
    overrides = SMALL_FRACTALNET
    Trainer(*overrides)(tmp_path / "alone", trials=range(3))
    beside = Trainer(*overrides, "trials_at_once=3")
    beside(tmp_path / "beside", trials=range(3))
    assert beside.outcome.finished == 3, beside.listener.lines
    for trial in range(3):
        assert_same(beside.folder(tmp_path / "beside", trial), beside.folder(tmp_path / "alone", trial), f"{trial}")


def test_one_trial_that_diverges_does_not_end_the_others_beside_it(tmp_path, monkeypatch):
    begin, poisoned = TrainingStep.begin_epoch, []

    def begin_epoch(self, *arguments, **options):
        if not poisoned:
            poisoned.append(self)
            with torch.no_grad():
                next(self.network.parameters()).fill_(float("nan"))
        begin(self, *arguments, **options)

    monkeypatch.setattr(TrainingStep, "begin_epoch", begin_epoch)
    trainer = Trainer("trials_at_once=2")
    trainer(tmp_path, trials=range(4))
    outcome = trainer.outcome
    assert outcome.finished == 3 and len(outcome.diverged) == 1 and not outcome.failed, trainer.listener.lines


def test_a_trial_that_fails_leaves_a_traceback_and_the_next_start_removes_it(tmp_path, monkeypatch):
    trainer = Trainer("trials_at_once=2")
    with monkeypatch.context() as patch:
        patch.setattr(TrainingStep, "__call__", lambda self: [][0])
        trainer(tmp_path, trials=range(3))
    assert len(trainer.outcome.failed) == 3, trainer.listener.lines
    assert "IndexError: list index out of range" in (trainer.folder(tmp_path, 1) / "error.txt").read_text()
    trainer(tmp_path, trials=range(3))
    assert trainer.outcome.finished == 3 and not list(tmp_path.rglob("error.txt"))


def test_a_wish_to_stop_reaches_all_trials_under_way_and_they_go_on(tmp_path):
    Trainer("threads=1")(tmp_path / "alone", trials=range(4))
    trainer = Trainer("threads=1", "trials_at_once=2")
    seen = iter(range(100))

    def stop(done: int) -> None:
        if next(seen) == 6:
            trainer.stop.reason = "SIGTERM"

    trainer.listener.step = stop
    trainer(tmp_path / "beside", trials=range(4))
    assert trainer.outcome.stopped and trainer.outcome.finished < 4
    said = "\n".join(trainer.listener.lines)
    assert said.count("stopped after") == 2 and "trial-02" not in said, said
    trainer.listener.step = lambda done: None
    trainer(tmp_path / "beside", trials=range(4))
    assert trainer.outcome.finished == 4, trainer.listener.lines
    for trial in range(4):
        assert_same(trainer.folder(tmp_path / "beside", trial), trainer.folder(tmp_path / "alone", trial), f"{trial}")


def test_as_many_trials_as_fit_and_never_none():
    assert trials_that_fit(10, free_bytes=130 * 10**9, trial_bytes=4 * 10**9) == 10
    assert trials_that_fit(10, free_bytes=13 * 10**9, trial_bytes=2 * 10**9) == 4  # 0.8 * 13 / (1.3 * 2)
    assert trials_that_fit(10, free_bytes=10**9, trial_bytes=4 * 10**9) == 1


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_item_is_done_once_and_never_more_than_asked_for_at_a_time(at_once):
    done, running, most, lock = [], 0, 0, threading.Lock()
    full = threading.Barrier(at_once)

    def do(item: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        full.wait(timeout=10)
        with lock:
            done.append(item)
            running -= 1

    run_concurrently(range(9), do, at_once=at_once)
    assert sorted(done) == list(range(9)) and most == at_once


def test_the_first_error_is_raised_and_nothing_is_begun_after_it():
    begun = []

    def do(item: int) -> None:
        begun.append(item)
        raise OSError(f"item {item}")

    with pytest.raises(OSError, match="item"):
        run_concurrently(range(100), do, at_once=2)
    assert len(begun) <= 2


class Recorder:
    """Stands for torch.cuda: what is called while a graph records is done by every replay of it, and not before.

    With `fails` the capture ends as one does that was spoilt: recorded, and an error at its end. Nothing here waits for
    the device: there is no `synchronize` and no `graph`, which begins with one.
    """

    def __init__(self, *, fails: bool = False):
        self.recording, self.recorded, self.done, self.generators = False, [], [], []
        self.free_bytes, self.emptied, self.resets = 100, 0, 0
        self._fails = fails

    def CUDAGraph(self):
        return self

    def register_generator_state(self, generator):
        self.generators.append(generator)

    def stream(self, stream):
        return contextlib.nullcontext()

    def mem_get_info(self):
        return self.free_bytes, 100

    def empty_cache(self):
        self.emptied += 1

    def memory_reserved(self):
        return 40 * len(self.recorded)

    def capture_begin(self, *, capture_error_mode):
        assert graph._EAGER.locked() and capture_error_mode == "thread_local"
        self.recording = True

    def capture_end(self):
        self.recording = False
        if self._fails:
            if self.generators:
                self.generators[-1].draws = -1
            raise RuntimeError("CUDA error: operation failed\ndue to a previous error during capture")

    def replay(self):
        self.done += self.recorded

    def reset(self):
        assert graph._EAGER.locked(), "another trial may be capturing"
        self.resets += 1


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch):
    """Nothing is known of captures yet."""
    monkeypatch.setattr(graph, "_captures", graph._Captures())


class Draws:
    """Stands for a generator on a GPU: the number of draws so far."""

    def __init__(self, draws: int = 0):
        self.draws = draws

    def clone_state(self) -> "Draws":
        return Draws(self.draws)

    def graphsafe_set_state(self, other: "Draws") -> None:
        self.draws = other.draws


def test_a_capture_that_fails_is_told_once_and_every_step_is_done_once(monkeypatch):
    cuda, generator, told, seen = Recorder(fails=True), Draws(), [], []
    monkeypatch.setattr(torch, "cuda", cuda)

    def step() -> None:
        if cuda.recording:
            return
        seen.append(generator.draws)
        generator.draws += 1

    run = graph.GraphRunner(step, generator=generator, stream="a stream", on_failure=told.append)
    for _ in range(8):
        run()
    assert seen == list(range(8)), "each step draws what follows on the step before"
    assert told == ["CUDA error: operation failed due to a previous error during capture"]


def test_a_trial_whose_capture_fails_says_so_notes_it_and_ends_with_the_same_bits(tmp_path, monkeypatch):
    overrides = ("schedule.epochs=6", "size.dropout=0.2")
    Trainer(*overrides)(tmp_path / "as ever")
    cuda = Recorder(fails=True)
    for name in ("stream", "CUDAGraph", "mem_get_info", "memory_reserved", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))

    def training(self, step, *, generator=None):
        def recorded() -> None:
            if not cuda.recording:
                step()

        return graph.GraphRunner(recorded, generator=None, stream="a stream", on_failure=self._failed)

    monkeypatch.setattr(graph.TrialStream, "training", training)
    trainer = Trainer(*overrides)
    trainer(tmp_path / "spoilt")
    said = [line for line in trainer.listener.lines if "CUDA graph" in line]
    assert len(said) == 1 and "\n" not in said[0] and said[0].endswith("going on without"), trainer.listener.lines
    folder = trainer.folder(tmp_path / "spoilt")
    assert read_record(folder)["machine"]["cuda_graph"].startswith("none: CUDA error")
    assert_same(folder, trainer.folder(tmp_path / "as ever"), "capture failed")


def test_every_call_of_a_replayed_step_is_done_exactly_once(monkeypatch):
    cuda, calls = Recorder(), []
    monkeypatch.setattr(torch, "cuda", cuda)

    def step() -> None:
        calls.append("called")
        (cuda.recorded if cuda.recording else cuda.done).append("done")

    replay = graph.GraphRunner(step, generator=Draws(), stream="a stream")
    for number in range(1, 9):
        replay()
        assert len(cuda.done) == number
    assert len(calls) == 4  # three as they are, one recorded


def gpu_stream(cuda, monkeypatch, **options) -> graph.TrialStream:
    """A trial's stream on a GPU that `cuda` stands for."""
    monkeypatch.setattr(torch, "cuda", cuda)
    cuda.Stream = lambda device=None: types.SimpleNamespace(synchronize=lambda: None)
    return graph.TrialStream(torch.device("cuda"), cuda_graph=True, **options)


def test_an_evaluation_is_captured_after_one_call_and_what_a_trial_captured_ends_with_it(monkeypatch):
    cuda, calls = Recorder(), []
    stream = gpu_stream(cuda, monkeypatch)
    step, evaluate = (make(lambda: calls.append("called")) for make in (stream.training, stream.evaluation))
    for call in (evaluate, step):
        for _ in range(6):
            call()
    assert len(calls) == 2 + 4
    stream.close()
    assert cuda.resets == 2
    step()
    assert len(calls) == 7, "what is called after the end is done as it is"


def test_memory_is_given_back_before_a_capture_only_where_it_may_be_short(monkeypatch):
    cuda = Recorder()
    monkeypatch.setattr(torch, "cuda", cuda)
    emptied = []
    for free in (100, 49, 47):
        cuda.free_bytes = free
        run = graph.GraphRunner(lambda: cuda.recorded.append("done"), eager_calls=0, generator=None, stream="a stream")
        run()
        emptied.append(cuda.emptied)
    # 40 bytes were taken by the first: 48 are enough for the next.
    assert emptied == [1, 1, 2]


@pytest.mark.parametrize(("version", "goes_on"), [("2.11.0+cu130", False), ("2.12.0", True), ("3.0", True)])
def test_after_a_failed_capture_older_torch_captures_no_more_and_wants_a_new_process(monkeypatch, version, goes_on):
    cuda, told = Recorder(fails=True), []
    monkeypatch.setattr(torch, "cuda", cuda)
    monkeypatch.setattr(torch, "__version__", version)
    begin = cuda.capture_begin
    begun = []
    cuda.capture_begin = lambda **options: (begun.append(1), begin(**options))
    for _ in range(2):
        run = graph.GraphRunner(lambda: None, eager_calls=0, generator=None, stream="a stream", on_failure=told.append)
        run()
    assert len(begun) == 1 + goes_on and len(told) == 2
    assert graph.new_process_needed() is not goes_on
    if not goes_on:
        assert told[1].startswith("an earlier capture of this process failed: CUDA error")


def test_a_row_whose_capture_spoilt_the_process_is_finished_and_the_next_is_not_begun(tmp_path, monkeypatch):
    trainer = Trainer("trials_at_once=2")
    monkeypatch.setattr(graph, "_captures", graph._Captures(broken="made up"))
    trainer(tmp_path, trials=range(3))
    assert trainer.outcome.finished == 3 and not trainer.outcome.stopped
    assert trainer.stop.reason == NEW_PROCESS


def test_no_trial_replays_before_all_have_captured(monkeypatch):
    cuda, gate = Recorder(), graph.Gate()
    replayed = threading.Event()
    cuda.replay = replayed.set
    first, second = (gpu_stream(cuda, monkeypatch, gate=gate) for _ in range(2))
    thread = threading.Thread(target=lambda: [step() for step in [first.training(lambda: None)] * 4])
    thread.start()
    assert not replayed.wait(0.2), "the second trial has still to capture"
    step = second.training(lambda: None)
    for _ in range(4):
        step()
    thread.join(10)
    assert replayed.is_set() and not thread.is_alive()


def test_a_trial_that_ends_before_its_capture_holds_nobody_up(monkeypatch):
    cuda, gate = Recorder(), graph.Gate()
    first, second = (gpu_stream(cuda, monkeypatch, gate=gate) for _ in range(2))
    second.close()
    step = first.training(lambda: None)
    for _ in range(5):
        step()


def test_step_and_evaluation_are_what_a_stream_replays(tmp_path, monkeypatch):
    made, places, evaluate = [], [], Evaluation.__call__

    def kept(self, step, *, generator=None):
        made.append(step)
        return step

    def noted(self):
        evaluate(self)
        places.append(self.logits.data_ptr())

    monkeypatch.setattr(graph.TrialStream, "training", kept)
    monkeypatch.setattr(graph.TrialStream, "evaluation", kept)
    monkeypatch.setattr(Evaluation, "__call__", noted)
    trainer = Trainer()
    trainer(tmp_path)
    assert trainer.outcome.finished == 1 and len(made) == 2
    assert len(places) > 1 and len(set(places)) == 1, "a captured evaluation writes to one place"


GPU_ROWS = [
    ("model=separable",),
    ("model=inception",),
    ("model=resnext",),
    ("model=reformulated_inception",),
    ("model=separable_equivalent",),
    ("model=hybrid", "size.dropout=0.2"),
    SMALL_FRACTALNET,
    ("model=darknet", "model.network.width_ratio=0.125", "augmentation=darknet", "augmentation.crop=12"),
]
# Six epochs, because the evaluation is captured at its fourth.
ON_GPU = ("device=cuda", "data.source.train=512", "data.source.test=100", "schedule.epochs=6")


@pytest.mark.gpu
@pytest.mark.parametrize("overrides", GPU_ROWS, ids=" ".join)
def test_on_a_gpu_the_bits_depend_neither_on_the_graph_nor_on_the_trials_beside(tmp_path, overrides):
    eager = Trainer(*ON_GPU, *overrides, "cuda_graph=false", "trials_at_once=1")
    eager(tmp_path / "eager", trials=range(4))
    for name, options in (("alone", ("trials_at_once=1",)), ("beside", ("trials_at_once=4",)), ("chosen", ())):
        trainer = Trainer(*ON_GPU, *overrides, *options)
        trainer(tmp_path / name, trials=range(4))
        assert trainer.outcome.finished == 4, trainer.listener.lines
        for trial in range(4):
            assert_same(trainer.folder(tmp_path / name, trial), eager.folder(tmp_path / "eager", trial), name)


@pytest.mark.gpu
def test_on_a_gpu_a_resumed_trial_ends_with_the_same_bits(tmp_path):
    overrides = (*ON_GPU, "size.dropout=0.2")
    Trainer(*overrides)(tmp_path / "alone", trials=range(3))
    trainer = Trainer(*overrides, "trials_at_once=3")
    for when in (5, 41, 77):
        seen = iter(range(1000))
        trainer.listener.step = lambda done, seen=seen, when=when: (
            setattr(trainer.stop, "reason", "SIGTERM") if next(seen) == when else None
        )
        trainer(tmp_path / "stopped", trials=range(3))
        assert trainer.outcome.stopped
    trainer.listener.step = lambda done: None
    trainer(tmp_path / "stopped", trials=range(3))
    assert trainer.outcome.finished == 3, trainer.listener.lines
    for trial in range(3):
        assert_same(trainer.folder(tmp_path / "stopped", trial), trainer.folder(tmp_path / "alone", trial), "resumed")
