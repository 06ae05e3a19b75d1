"""The bench: its variants train the same, its arithmetic against counting by hand, its files, its one-line errors."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import DeviceType

from hybridsep.bench import (
    gpu,
    memory,
    numerics,
    output,
    profile,
    roofline,
    rows,
    scaling,
    settings,
    startup,
    throughput,
    throughput_tables,
    timing,
)
from hybridsep.bench.__main__ import COMMANDS, main
from hybridsep.bench.contention import own_seconds
from hybridsep.bench.reference_loop import loader_batches
from hybridsep.bench.subprocess_worker import SubprocessWorkload
from hybridsep.bench.throughput import way_record
from hybridsep.bench.variants import Variant, ablation
from hybridsep.bench.workloads import ConcurrentTrials, RowWorkloads
from hybridsep.data.batches import normalise
from hybridsep.errors import ConfigError, RecordError
from hybridsep.report.table import Column, Table
from hybridsep.train.graph import TrialStream

CPU = torch.device("cpu")
HERE = {"gpu": False, "bfloat16": True, "glibc": True, "fast": False, "grouped": False, "compiled": False}
MISSING_ON_A_GPU = {"+ freed memory kept"}
VARIANTS = ablation(at_once=2, **HERE)
TINY = ("size=tiny", "data=synthetic", "schedule.batch_size=16")


@pytest.fixture(scope="module")
def workloads():
    """Make variants train in earnest: `separable` at size=tiny on 64 images, four steps an epoch."""
    torch.set_num_threads(1)
    dataset = rows.dataset(train=64, test=10)
    return RowWorkloads(rows.compose(["model=separable", *TINY]), dataset, CPU, learning_rate=0.1)


def losses_of(trial):
    return trial.training.step.losses


def test_every_variant_trains_the_same_network_on_the_same_batches(workloads):
    found = {}
    for variant in VARIANTS[1:5]:
        side = workloads.make(variant)
        # Seven steps of four an epoch: the second epoch has another order and other crops, the same in every variant.
        for steps in (4, 3):
            timing.time_block(side, steps, CPU)
        found[variant.name] = side.losses / 3 if hasattr(side, "losses") else float(losses_of(side)[:3].mean())
    device, channels_last, bfloat16, ours = found.values()
    assert device == pytest.approx(channels_last, rel=1e-4) and bfloat16 == pytest.approx(ours, rel=1e-2)
    assert bfloat16 == pytest.approx(device, rel=3e-2) and bfloat16 != device
    exact = workloads.make(dataclasses.replace(VARIANTS[4], bfloat16=False))
    timing.time_block(exact, 7, CPU)
    assert float(losses_of(exact)[:3].mean()) == pytest.approx(device, rel=1e-4)


def test_a_switch_stands_where_it_applies_and_what_is_tried_aside_is_not_built_on():
    narrow = ablation(at_once=2, **{**HERE, "grouped": True, "compiled": True})
    assert [variant.name for variant in narrow[5:]] == [
        "+ freed memory kept",
        "+ groups merged",
        "+ CUDA graph",
        "torch.compile, aside",
        "+ 2 trials at once",
    ]
    assert [variant.merged for variant in narrow[5:]] == [False, True, True, True, True]
    assert [variant.name for variant in narrow if variant.compiled] == ["torch.compile, aside"]
    quick = ablation(at_once=2, **{**HERE, "fast": True})
    assert next(variant.name for variant in quick if variant.fast) == "+ the module's fast way"
    assert not quick[3].fast and all(variant.fast for variant in quick[4:])
    # Our runs do neither on a GPU, so what they do comes first there.
    gpu_ways = ablation(at_once=10, gpu=True, bfloat16=True, glibc=True, fast=True, grouped=True, compiled=False)
    assert [way.name for way in gpu_ways if way.fast] == ["+ the module's fast way", "+ groups merged"]
    assert [way.name for way in gpu_ways if way.merged] == ["+ groups merged"] == [gpu_ways[-1].name]
    assert gpu_ways[-1].graph
    assert {way.name for way in gpu_ways if way.missing} == MISSING_ON_A_GPU


@pytest.mark.slow
def test_a_compiled_network_trains_the_same(workloads):
    """Needs a C++ compiler and most of a minute."""
    plain, compiled = (workloads.make(dataclasses.replace(VARIANTS[4], compiled=way)) for way in (False, True))
    for side in (plain, compiled):
        timing.time_block(side, 4, CPU)
    torch.testing.assert_close(losses_of(compiled), losses_of(plain), rtol=3e-2, atol=0)
    assert workloads.memory(dataclasses.replace(VARIANTS[4], compiled=True)) == workloads.memory(VARIANTS[4])


def test_trials_side_by_side_are_those_of_one_alone(workloads):
    one, both = workloads.make(VARIANTS[4]), workloads.make(dataclasses.replace(VARIANTS[7], kept=False))
    assert isinstance(both, ConcurrentTrials) and both.work == 2 * one.work
    for side in (one, both):
        timing.time_block(side, 3, CPU)
    alone, first, second = map(losses_of, (one, *both.trials))
    assert torch.equal(alone, first) and not torch.equal(first, second)
    # Counted for one trial and multiplied; a dataset is in neither.
    assert workloads.memory(VARIANTS[7]) == 2 * workloads.memory(VARIANTS[4]) > 0


def test_the_reference_loop_sees_our_images():
    # Mirror images without padding: neither flip nor crop changes them, so only normalisation and order are left.
    half = np.random.default_rng(0).integers(0, 256, (10, 8, 4, 3), dtype=np.uint8)
    images = np.concatenate([half, half[:, :, ::-1]], axis=2)
    mean, std = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
    begin = loader_batches(images, np.arange(10), CPU, batch=10, workers=0, padding=0, mean=mean, std=std)
    batches = begin()
    (first, labels), (_, again) = next(batches), next(batches)
    ours = normalise(torch.from_numpy(images), mean=torch.tensor(mean), std=torch.tensor(std))
    torch.testing.assert_close(first[labels.argsort()], ours.contiguous(), rtol=1e-5, atol=1e-5)
    assert sorted(labels.tolist()) == list(range(10)) and labels.tolist() != again.tolist()


def test_rates_and_ratios_of_alternating_rounds(monkeypatch):
    class Side(timing.Workload):
        def __init__(self, work):
            self.work = work

    slow, fast = Side(10.0), Side(30.0)
    order = []

    def timed(side, steps, _device):
        order.append(side)
        # Both take 0.1 s a step; after three calls each and two rounds everything takes twice as long.
        return steps * 0.1 * (2 if len(order) > 10 else 1)

    monkeypatch.setattr(timing, "time_block", timed)
    found = timing.time_in_rounds({"slow": slow, "fast": fast}, CPU, seconds=0.4, rounds=4)
    assert order[-8:] == [slow, fast, fast, slow, slow, fast, fast, slow]
    assert found["slow"].rates == pytest.approx([100, 100, 50, 50])
    assert found["fast"].rates == pytest.approx([300, 300, 150, 150]) and found["fast"].steps == 4
    assert timing.ratios(found["fast"].rates, found["slow"].rates) == pytest.approx([3.0] * 4)


def test_a_block_is_ended_also_when_it_fails():
    class Broken(timing.Workload):
        work, ended = 1.0, 0

        def step(self):
            raise ZeroDivisionError

        def end(self):
            self.ended += 1

    side = Broken()
    with pytest.raises(ZeroDivisionError):
        timing.time_block(side, 1, CPU)
    assert side.ended == 1


def test_needs_of_a_network_counted_by_hand():
    words = ["size.widths=[2]", "size.depth=1", "size.stem_stride=1", "augmentation.crop=4"]
    found = roofline.requirements(rows.compose(["model=separable", *TINY, *words]), classes=10, height=8)
    # Stem, depthwise and pointwise put out 2 x 4 x 4 values each, the head 10.
    assert found.activations == 3 * 32 + 10 and found.images == 3 * 16
    # Stem 54 weights, depthwise 18, pointwise 4, two BatchNorms of 4, head 20 + 10.
    assert found.params == 54 + 18 + 4 + 2 * 4 + 30
    assert found.macs == 16 * (54 + 18 + 4) + 20
    assert found.training_bytes(2) == 2 * 2 * (5 * 106 + 3 * 48) + 24 * 114
    assert found.training_flops(2) == 2 * 6 * found.macs
    assert found.evaluation_bytes(3) == 3 * 2 * 2 * (106 + 48) + 4 * 114


def test_bytes_moved_counted_by_hand():
    a, b = torch.ones(1000), torch.ones(1000)

    def count(call):
        found = roofline.traffic(call)
        return found.read, found.written, found.launches

    assert count(lambda: a + b) == (8000, 4000, 1)
    assert count(lambda: a.add_(b)) == (8000, 4000, 1)
    assert count(lambda: a.zero_()) == (0, 4000, 1)
    assert count(lambda: a.view(10, 100).t()) == (0, 0, 0)
    # Of a thousand values ten are read and written, with ten places of 8 bytes each at most.
    assert count(lambda: a.index_select(0, torch.arange(10))) == (80, 120, 2)
    norm = nn.BatchNorm2d(1)
    # Input read twice; scale, shift and two running statistics; the two saved statistics are written too.
    assert count(lambda: norm(a.view(10, 1, 10, 10)))[0] >= 8000 + 16
    weight = [nn.Parameter(torch.ones(1000))]
    weight[0].grad = torch.ones(1000)
    step = torch.optim.SGD(weight, lr=0.1, fused=True)
    assert count(step.step)[0] >= 8000 and count(step.step)[1] >= 4000


def test_seconds_on_a_chip():
    chip = settings.Chip("made up", bytes_per_second=100.0, flops_per_second=1000.0, seconds_per_launch=0.5)
    found = roofline.seconds(chip, floor_bytes=200, flops=3000, real=roofline.Traffic(300, 100, 7))
    assert found == {"memory": 2.0, "matrix": 3.0, "floor": 3.0, "sum": 5.0, "unfused": 7.0, "launching": 3.5}


def test_a_row_of_the_floor_adds_up():
    given = settings.load(["floor.train_images=64", "floor.test_images=500"], commands="")
    line = roofline.line(
        rows.compose(["model=hybrid", *TINY, "schedule.epochs=2", "schedule.warmup_epochs=0"]), trials=3, settings=given
    )
    step, unfused = line["step_seconds"], line["step_bytes"]["unfused"]
    assert line["steps_per_epoch"] == 4 and line["launches"] > 50
    assert unfused > line["step_bytes"]["floor"]
    assert step["unfused"] > step["sum"] > step["floor"] > 0
    # Three trials, two epochs, four steps and an evaluation each.
    assert 3 * 2 * 4 * step["floor"] < 3600 * line["row_hours"]["floor"] < 3 * 2 * 40 * step["floor"]


def test_what_bfloat16_changes_is_small_and_leaves_the_network_alone(workloads):
    loop = workloads.make(VARIANTS[4])
    network, before = loop.training.network, {}
    for name, value in network.state_dict().items():
        before[name] = value.clone()
    found = numerics.compare(network, workloads.data, 16)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert 1e-4 < found["logits"] < 0.1 and found["loss"] < 0.05
    assert 0.9 < found["gradient_norm"] < 1.1 and found["other_batch"] < found["gradient_cosine"] < 1
    same = [numerics.outcome(network, workloads.data, 16, first=0, number_format="float32") for _ in range(2)]
    assert torch.equal(same[0][2], same[1][2])


def test_operations_are_sorted_by_what_they_do():
    x, g = [128, 64, 8, 8], [128, 32, 8, 8]
    found = profile.sort(
        [
            ("aten::mkldnn_convolution", [x, [64, 1, 3, 3], []], 1.0),
            ("aten::convolution_backward", [x, x, [64, 1, 3, 3], []], 2.0),
            ("aten::mkldnn_convolution", [x, [64, 16, 3, 3], []], 4.0),
            ("aten::cudnn_convolution", [x, [32, 64, 1, 1], []], 8.0),
            ("aten::convolution_backward", [g, x, [32, 64, 3, 3]], 16.0),
            ("aten::native_batch_norm_backward", [x], 32.0),
            ("aten::max_pool2d_with_indices_backward", [x], 64.0),
            ("aten::_fused_sgd_", [], 128.0),
            ("autograd::engine::evaluate_function: ConvolutionBackward0", [], 256.0),
        ]
    )
    assert found == {
        "depthwise, forward": 1.0,
        "depthwise, backward": 2.0,
        "grouped, forward": 4.0,
        "1x1, forward": 8.0,
        "3x3, backward": 16.0,
        "norm": 32.0,
        "pooling": 64.0,
        "optimiser": 128.0,
        "rest": 256.0,
    }


def test_a_kernel_is_not_counted_beside_the_operation_that_launched_it(monkeypatch):
    """On a GPU the profiler has a row for each: self_device_time_total of both is the kernel's time."""

    def row(name, kind, shapes):
        return SimpleNamespace(key=name, device_type=kind, input_shapes=shapes, self_device_time_total=50.0)

    class Profiler(contextlib.nullcontext):
        def __init__(self, **_):
            super().__init__(self)

        def key_averages(self, group_by_input_shape):
            shapes = [[8, 8, 4, 4], [8, 1, 3, 3], []]
            kernel = row("void cudnn::depthwise_fprop", DeviceType.CUDA, [])
            return [row("aten::cudnn_convolution", DeviceType.CPU, shapes), kernel]

    monkeypatch.setattr("torch.profiler.profile", Profiler)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: None)
    found = profile.shares(timing.Repeated(lambda: None, 1.0), torch.device("cuda"), steps=2, untimed=1)
    assert found["milliseconds"] == 0.05 and found["shares"]["depthwise, forward"] == 1.0


def captured(row, at_once, monkeypatch, *, fails=False):
    """A workload whose steps a stream would capture, and the thread that each step of each trial was made in."""
    calls = []

    def stepper(self, step, *, generator=None):
        threads = []
        calls.append(threads)

        def advance():
            threads.append(threading.current_thread())
            if fails and len(threads) == 4:
                self._failed("CUDA error: made up")
            step()

        return advance

    monkeypatch.setattr(TrialStream, "stepper", stepper)
    return row.make(dataclasses.replace(VARIANTS[4], graph=True, at_once=at_once)), calls


@pytest.mark.parametrize("at_once", [1, 2])
def test_eager_steps_and_their_capture_are_made_in_one_thread(workloads, monkeypatch, at_once):
    work, timed = captured(workloads, at_once, monkeypatch)
    timing.time_in_rounds({"captured": work}, CPU, seconds=1e-9, rounds=1)
    work, counted = captured(workloads, at_once, monkeypatch)
    memory.step_bytes(lambda: work, CPU)
    # Three eager steps, the capture, a replay: cuDNN's plans belong to the thread.
    for calls in (timed, counted):
        assert len(calls) == at_once and all(len(set(threads[:5])) == 1 for threads in calls)


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_failed_capture_is_an_error_and_no_number(workloads, monkeypatch, at_once):
    work, _ = captured(workloads, at_once, monkeypatch, fails=True)
    with pytest.raises(ConfigError, match="model=separable: no CUDA graph was captured.*CUDA error: made up"):
        timing.time_in_rounds({"captured": work}, CPU, seconds=1e-9, rounds=1)


def test_profile_and_its_files(tmp_path, capsys):
    words = "profile size=tiny models=[separable,resnext] batch=16 threads=1 profile.steps=2 profile.untimed=1".split()
    assert main([*words, f"results={tmp_path}"]) == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "bench/profile-tiny-cpu.json").read_text())
    separable, resnext = (line["shares"] for line in record["lines"])
    for shares in (separable, resnext):
        assert set(shares) == set(profile.KINDS) and sum(shares.values()) == pytest.approx(1)
        assert all(shares[kind] > 0 for kind in ("1x1, forward", "1x1, backward", "norm", "activation", "optimiser"))
    assert separable["depthwise, backward"] > 0 and separable["grouped, forward"] == 0
    assert "| separable |" in (tmp_path / "bench/profile-tiny-cpu.md").read_text()


def test_throughput_and_its_files(tmp_path, capsys):
    words = "size=tiny models=separable batch=16 threads=1 throughput.images=64 throughput.rounds=2".split()
    words += ["throughput.seconds=0.001", "throughput.starts=0", "throughput.workers=0", f"results={tmp_path}"]
    assert main(["throughput", *words]) == 0, capsys.readouterr().err
    record = json.loads((tmp_path / "bench/throughput-tiny-cpu.json").read_text())
    assert record["machine"]["threads"] == 1 and record["versions"]["torch"] and record["busy_elsewhere"] >= 0
    ways = {way["name"]: way for way in record["models"][0]["ways"]}
    assert list(ways) == [variant.name for variant in ablation(at_once=record["at_once"], **HERE)]
    for name, way in ways.items():
        if "CUDA" in name:
            assert way["missing"] == "needs a GPU"
        elif not way["missing"]:
            assert way["images_per_second"]["n"] == 2 and way["memory_bytes"] > 4 * record["models"][0]["params"]
    assert ways["usual loop"]["ratio"] == {"median": 1.0, "iqr": 0.0, "n": 2}
    assert 0 < ways["usual loop"]["data_share"]["median"] < 1
    text = (tmp_path / "bench/throughput-tiny-cpu.md").read_text()
    assert f"`python -m hybridsep.bench throughput {' '.join(words)}`" in text and text.count("needs a GPU") == 1


def test_a_row_is_kept_as_soon_as_it_is_measured(tmp_path, capsys, monkeypatch):
    def measure(config, *_, **__):
        if config["row"] == "resnext":
            raise KeyboardInterrupt
        return measured(config, *_, **__)

    measured = throughput._measure
    monkeypatch.setattr(throughput, "_measure", measure)
    words = "size=tiny models=[separable,resnext] batch=16 threads=1 throughput.images=64 throughput.rounds=2".split()
    words += ["throughput.seconds=0.001", "throughput.starts=0", "throughput.workers=0", f"results={tmp_path}"]
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "throughput-tiny-cpu.json").write_text("an earlier one")
    assert main(words) == 130
    assert (folder / "throughput-tiny-cpu.json").read_text() == "an earlier one"
    record = json.loads((folder / "throughput-tiny-cpu-unfinished.json").read_text())
    assert [model["row"] for model in record["models"]] == ["separable"] and record["missing"] == ["resnext"]
    assert "Not finished: resnext not measured." in (folder / "throughput-tiny-cpu-unfinished.md").read_text()
    monkeypatch.setattr(throughput, "_measure", measured)
    assert main([*words, "models=separable"]) == 0, capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"throughput-tiny-cpu.json", "throughput-tiny-cpu.md"}


def test_numbers_of_a_busy_machine_are_marked_as_rough():
    assert output.rough(0.0, [(100.0, 4.9), (50.0, 1.0)]) == [] == output.rough(None)
    assert output.rough(0.3) == ["other programs kept 0.3 cores busy"]
    (reason,) = output.rough(0.1, [(100.0, 1.0), (50.0, 2.6)])
    assert reason == "the usual loop's rate varied by up to 5% (interquartile range by median)"
    said = output.warning({"rough": [reason], "missing": ["a", "b"]})
    assert said == f"Not finished: a, b not measured. Rough numbers, not to be quoted: {reason}."
    assert output.warning({"rough": []}) is None


def test_all_rows_together_are_their_harmonic_mean():
    def row(name, usual, best):
        ways = [
            way_record(Variant("usual loop"), usual, usual=usual),
            way_record(Variant("ours"), best, usual=usual),
            way_record(Variant("compiled", standalone=True), [1e9, 1e9], usual=usual),
            way_record(Variant("CUDA graph", missing="needs a GPU")),
        ]
        return {"row": name, "macs": 1000, "ways": ways}

    rows = [row("a", [100.0, 100.0], [400.0, 400.0]), row("b", [50.0, 50.0], [100.0, 100.0])]
    cells = throughput_tables.compared(rows).cells("files")
    # A hundred images of each take 1 + 2 s, and 0.25 + 1 s: 2.4 times as fast, and not the mean of 4 and 2.
    assert cells[2] == ["all rows", "", "66.7 ± 0.0", "160 ± 0", "x 2.40 ± 0.00", ""]
    assert [line[4:] for line in cells[:2]] == [["x 4.00 ± 0.00", "ours"], ["x 2.00 ± 0.00", "ours"]]
    assert len(throughput_tables.compared(rows[:1]).lines) == 1


class Fragile(timing.Workload):
    """A side that breaks at one number of steps and takes its process along at another."""

    def __init__(self, work):
        self.work, self.shares = work, []

    def run(self, steps):
        if steps == 13:
            raise ValueError("thirteen steps")
        if steps == 666:
            os._exit(7)
        self.shares.append(os.getpid())


def test_a_side_in_a_process_of_its_own_answers_and_its_end_is_noticed():
    with contextlib.closing(SubprocessWorkload(Fragile, 5.0)) as side:
        assert side.work == 5.0
        for _ in range(2):
            timing.time_block(side, 3, CPU)
        assert side.seconds > 0
        assert len(side.shares) == 2 and set(side.shares) == {side._process.pid} != {os.getpid()}
        with pytest.raises(ValueError, match="thirteen steps"):
            side.run(13)
        side.run(3)
        with pytest.raises(RuntimeError, match="a timed process ended with status 7"):
            side.run(666)
    assert side._process.exitcode == 7
    with pytest.raises(TypeError):
        SubprocessWorkload(Fragile)


def test_files_are_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    machine = {"threads": 1, "cores": 2, "processor": "made up"}
    record = {"command": "bench", "machine": machine, "versions": {}, "measured": "2026-01-01", "values": [1.5, 2.0]}
    tables = [Table("t", "T", [Column("A", "a")], [{"a": "1"}])]
    output.write(str(tmp_path), "kept", record, tables)
    before = {path.name: path.read_bytes() for path in (tmp_path / "bench").iterdir()}
    assert before.keys() == {"kept.json", "kept.md"} and json.loads(before["kept.json"]) == record

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RecordError, match="cannot be written.*No space left"):
        output.write(str(tmp_path), "kept", {**record, "values": []}, tables)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bench").iterdir()} == before


def test_labels_are_of_the_device_and_no_host():
    assert output.label(None, {"device": "cpu"}) == "cpu" and output.label("mine", {}) == "mine"
    assert output.label(None, {"gpu": "NVIDIA H200"}) == "h200"
    assert output.label(None, {"gpu": "NVIDIA GeForce RTX 4090"}) == "rtx-4090"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["thruput"], "'thruput' is not key=value, or one of throughput, profile, floor, numerics, scaling"),
        (["throughput", "floor"], "throughput and floor are two commands"),
        (["throughput.round=3"], "did you mean throughput.rounds?"),
        (["batch=1"], "batch=1 is not allowed: a whole number from 2"),
        (["throughput.seconds=nan"], "throughput.seconds=nan is not allowed: a finite number above 0"),
        (["throughput.rounds=many"], "throughput.rounds=many is not allowed: a whole number from 1 to 1000000"),
        (["label=../x"], "label=../x is not allowed"),
        (["scaling", "scaling.folders=3"], "scaling.folders=3 is not allowed: studies x rows x trials"),
        (["numerics", "size=huge"], "huge"),
        (["numerics", "models=[separable,nope]"], "nope"),
        (["floor", "floor.experiments=nope"], "nope"),
        (["floor", "floor.experiments=quick", "batch=1000", "floor.train_images=10"], "batch=1000 is not allowed"),
        (["numerics", "device=cuda:99"], "cuda:99"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, capsys, words, said):
    assert main([*words, f"results={tmp_path / 'results'}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("hybridsep.bench: ") and said in lines[0]
    assert not (tmp_path / "results").exists()


def test_help_names_every_key_without_torch():
    code = "import sys; from hybridsep.bench.__main__ import main; main(['--help']); assert 'torch' not in sys.modules"
    called = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert called.returncode == 0, called.stderr
    for command in COMMANDS:
        assert f"python -m hybridsep.bench {command}" in called.stdout or command == "throughput"
    assert "  throughput.rounds=9\n" in called.stdout and "  models=[separable," in called.stdout


def test_commands_are_measured_from_outside():
    found = scaling.measure(["-S", "-c", "block = bytearray(300_000_000); print('done')"])
    assert 300e6 < found["peak_bytes"] < 400e6 and found["seconds"] > 0
    with pytest.raises(ConfigError, match="ended with status 3: sorry"):
        scaling.measure(["-S", "-c", "import sys; print('sorry', file=sys.stderr); sys.exit(3)"])


def test_processes_we_start_are_not_busy_elsewhere():
    own, this = own_seconds(), time.process_time()
    subprocess.run([sys.executable, "-S", "-c", "for _ in range(3_000_000): pass"], check=True)
    assert own_seconds() - own > time.process_time() - this + 0.02


def test_the_first_step_is_seen():
    first, whole = startup._training("cpu")
    assert 0 < first < whole


def test_overlapping_kernels_count_once():
    assert gpu.covered([(0, 4), (1, 2), (3, 6), (8, 9)]) == 7
    assert gpu.covered([]) == 0


@pytest.mark.gpu
def test_throughput_on_a_gpu(tmp_path, capsys):
    words = "size=tiny models=separable batch=64 throughput.images=512 throughput.rounds=2 throughput.at_once=2".split()
    assert main([*words, "throughput.seconds=0.02", "throughput.starts=0", f"results={tmp_path}"]) == 0
    (path,) = (tmp_path / "bench").glob("throughput-tiny-*.json")
    record = json.loads(path.read_text())
    ways = {way["name"]: way for way in record["models"][0]["ways"]}
    assert {name for name, way in ways.items() if way["missing"]} == MISSING_ON_A_GPU
    for name in ways.keys() - MISSING_ON_A_GPU:
        assert 0 < ways[name]["busy_share"] <= 1 and ways[name]["memory_bytes"] > 0
    assert record["reached"]["bytes_per_second"]["median"] > 1e11
