"""Bytes and operations against counting by hand."""

import json

import pytest
import torch
from scripts.benchmarks import roofline
from scripts.benchmarks.traffic import Traffic, traffic
from torch import nn

from hybridsep.bench import rows

TINY = ("size=tiny", "data=synthetic", "schedule.batch_size=16")


def test_needs_of_a_network_counted_by_hand():
    words = ["size.widths=[2]", "size.depth=1", "size.stem_stride=1", "augmentation.crop=4"]
    found = roofline.requirements(rows.compose(["model=separable", *TINY, *words]), classes=10, height=8)
    # Stem, depthwise and pointwise put out 2 x 4 x 4 values each, the head 10.
    assert found.activations == 3 * 32 + 10 and found.images == 3 * 16
    # Stem 54 weights, depthwise 18, pointwise 4, two BatchNorms of 4, head 20 + 10.
    assert found.params == 54 + 18 + 4 + 2 * 4 + 30
    assert found.macs == 16 * (54 + 18 + 4) + 20
    assert found.training(2) == (2 * 2 * (5 * 106 + 3 * 48) + 24 * 114, 2 * 6 * found.macs)
    assert found.evaluation(3) == (3 * 2 * 2 * (106 + 48) + 4 * 114, 3 * 2 * found.macs)


def test_bytes_moved_counted_by_hand():
    a, b = torch.ones(1000), torch.ones(1000)

    def count(call):
        found = traffic(call)
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
    chip = roofline.Chip("made up", bytes_per_second=100.0, flops_per_second=1000.0, seconds_per_launch=0.5)
    found = roofline.seconds(chip, (200, 3000), Traffic(300, 100, 7))
    expected = roofline.Times(memory=2.0, matrix=3.0, floor=3.0, sum=5.0, unfused=7.0, launching=3.5)
    assert found == expected and found + found == found * 2


def test_a_row_of_the_floor_adds_up():
    config = rows.compose(["model=hybrid", *TINY, "schedule.epochs=2", "schedule.warmup_epochs=0"])
    line = roofline.line(config, experiment="figure4", trials=3, train_images=64, test_images=500)
    chip, other = line.chips
    assert line.steps_per_epoch == 4 and line.launches > 50 and line.unfused_bytes > line.floor_bytes
    assert chip.step.unfused > chip.step.sum > chip.step.floor > 0
    # By the data sheets an H100 has as much arithmetic as an H200, and 3.35 of its 4.8 TB/s.
    assert other.name == "NVIDIA H100" and other.step.matrix == chip.step.matrix
    assert other.step.memory / chip.step.memory == pytest.approx(4.8 / 3.35)
    # Three trials, two epochs, four steps and an evaluation each.
    assert 3 * 2 * 4 * chip.step.floor < 3600 * chip.hours.floor < 3 * 2 * 40 * chip.step.floor


def test_an_experiment_and_its_files(tmp_path):
    roofline.main(f"--experiments quick --size tiny --batch 16 --train-images 64 --results {tmp_path}".split())
    record = json.loads((tmp_path / "bench/floor-tiny.json").read_text())
    assert len(record["lines"]) == 6 and record["lines"][0]["row"] == "separable"
    text = (tmp_path / "bench/floor-tiny.md").read_text()
    assert "NVIDIA H200: 4.8 TB/s" in text and "NVIDIA H100: 3.35 TB/s" in text and "none is measured" in text
    with pytest.raises(SystemExit, match="2"):
        roofline.main(["--batch", "100", "--train-images", "64"])
