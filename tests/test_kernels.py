"""The depthwise kernels: how they cut their work, what they refuse, their numbers (in Triton's interpreter, and on a
GPU where there is one), and that they compile for an H200."""

import os
import re
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest
import torch
from compiled_kernels import compiling
from interpreted_kernels import check, run, tensors
from torch import nn

from hybridsep import kernels
from hybridsep.errors import ConfigError
from hybridsep.kernels import blocks, depthwise_cases, depthwise_conv3x3, install

HERE = Path(__file__).parent
needs_triton = pytest.mark.skipif(sys.platform != "linux", reason="Triton is made for Linux")


def triton_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in metadata.version("triton").split(".")[:2])
    except metadata.PackageNotFoundError:
        return (0, 0)


@needs_triton
@pytest.mark.skipif(triton_version() < (3, 7), reason="the interpreter of Triton 3.6 fails with NumPy 2.4 and later")
def test_numbers_in_the_interpreter(tmp_path):
    """A process of its own, because Triton fixes its mode when it is imported."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        str(HERE / "interpreted_kernels.py"),
        str(HERE / "interpreted_norm.py"),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((32, 32, 128), (8, 16, 64, 8)),
        ((16, 16, 256), (8, 16, 64, 8)),
        ((8, 8, 512), (8, 8, 64, 4)),
        ((28, 28, 128), (7, 16, 64, 8)),  # four strips of 7 rows, not 8 + 8 + 8 + 4
        ((7, 7, 32), (7, 8, 32, 2)),
        ((1, 1, 1), (1, 1, 1, 1)),
    ],
)
def test_blocks_by_hand(shape, expected):
    assert blocks.choose(*shape) == expected


def test_blocks_cover_every_shape_once():
    """Powers of two where Triton needs them, at most four values a thread, strips and slabs that miss nothing."""
    for height, width, chs, images in (
        (h, w, c, n) for h in (1, 9, 33) for w in (1, 7, 40) for c in (3, 96, 512) for n in (1, 128)
    ):
        tile = blocks.choose(height, width, chs)
        assert all(blocks.power_of_two(number) == number for number in (tile.columns, tile.channels, tile.warps))
        assert tile.columns * tile.channels <= max(4 * 32 * tile.warps, 1) and tile.warps <= 8
        assert tile.rows <= 8 and tile.rows * -(-height // tile.rows) - height < tile.rows
        slabs = blocks.cut(images, height, width, chs, tile)
        assert (slabs.slabs - 1) * slabs.each < slabs.tasks <= slabs.slabs * slabs.each
        assert slabs.slabs * -(-chs // tile.channels) <= blocks.PROGRAMS


def test_study_fills_an_h200_evenly():
    """Batch 128, a stage each: 512 programs of the gradient, the same number of tasks in each."""
    for chs, side, each in ((128, 32, 4), (256, 16, 2), (512, 8, 2)):
        tile = blocks.choose(side, side, chs)
        slabs = blocks.cut(128, side, side, chs, tile)
        assert (slabs.slabs * chs // tile.channels, slabs.each, slabs.tasks % each) == (512, each, 0)


def test_floor_of_bytes_by_hand():
    first = depthwise_cases(128)[0]
    assert first[:4] == (128, 128, 32, 32)
    assert first.floor_bytes("forward", precision="bfloat16") == 2 * 2 * 128 * 128 * 32 * 32
    assert first.floor_bytes("backward", precision="float32") == 3 * 4 * 128 * 128 * 32 * 32
    assert sum(case.layers for case in depthwise_cases(1)) == 9


@needs_triton
def test_cpu_is_refused_in_one_line():
    convolution = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    with pytest.raises(ConfigError, match=r"^kernels=triton needs device=cuda, not cpu; .*kernels=library[^\n]*$"):
        install(nn.Sequential(convolution))
    assert type(convolution) is nn.Conv2d
    with pytest.raises(ValueError, match="one CUDA device"):
        depthwise_conv3x3(torch.zeros(1, 4, 5, 5), convolution.weight)


def test_without_triton(monkeypatch):
    """Triton is not imported before it is needed, and where it is missing one line says so."""
    command = "import sys, hybridsep.kernels; sys.exit('hybridsep.kernels.programs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
    monkeypatch.delitem(sys.modules, "hybridsep.kernels.programs", raising=False)
    monkeypatch.delattr(kernels, "programs", raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(ConfigError, match=r"^kernels=triton needs the package triton[^\n]*kernels=library is allowed$"):
        install(nn.Linear(2, 2))


@needs_triton
@pytest.mark.parametrize("dtype, width", [(torch.bfloat16, 2), (torch.float32, 4)])
def test_launches_compile_for_an_h200_with_wide_loads(monkeypatch, tmp_path, dtype, width):
    """Every launch, with its own arguments, is compiled instead of run, which needs no GPU.

    The interpreter accepts what the compiler refuses, and knows nothing of loads: four values a thread are `width`
    words of 32 bits.
    """
    from hybridsep.kernels import depthwise, programs

    monkeypatch.setattr(depthwise, "interpreted", lambda: True)
    with compiling(monkeypatch, tmp_path, programs, ("correlate", "gradients", "add_slabs")) as compiled:
        for one_pass in (True, False):
            x, weight, gradient = tensors((2, 512, 8, 8), dtype)
            run(x, weight, gradient, one_pass=one_pass)
    names = [name for name, _ in compiled]
    assert names == ["correlate", "gradients", "add_slabs", "correlate", "gradients", "add_slabs", "correlate"]
    # Three loads a row of 8 (the rows outside an image of 8 are known to be zero); the weight's gradient also loads x.
    rows = {"correlate": 3 * 8, "gradients": 3 * 8 + 8}
    for name, kernel in compiled:
        loads = len(re.findall(rf"ld\.global\S*\.v{width}\.b32", kernel.asm["ptx"]))
        assert loads >= rows.get(name, 0), name


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_study_shapes_on_a_gpu(dtype):
    """Against float64, the same bits a second time, and in two passes."""
    for case in depthwise_cases(128):
        x, weight, gradient = tensors((case.batch, case.chs, case.height, case.width), dtype, device="cuda")
        found = run(x, weight, gradient)
        check(x, weight, gradient, found, exact_cast=True)
        for again in (run(x, weight, gradient), run(x, weight, gradient, one_pass=False)):
            assert all(torch.equal(one, two) for one, two in zip(found, again, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 70, 9, 19), (3, 5, 4, 7), (600, 3, 2, 1)])
def test_odd_shapes_on_a_gpu(shape, dtype):
    x, weight, gradient = tensors(shape, dtype, device="cuda")
    check(x, weight, gradient, run(x, weight, gradient), exact_cast=True)


@pytest.mark.gpu
def test_captured_step_has_the_bits_of_the_eager_one():
    """Forward and backward under autocast in a CUDA graph, replayed on new images."""
    x, weight, gradient = tensors((128, 128, 16, 16), torch.bfloat16, device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run(x, weight, gradient)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run(x, weight, gradient)
    with torch.no_grad():
        x.mul_(-0.5)
    graph.replay()
    eager = run(x, weight, gradient)
    assert all(torch.equal(one, two) for one, two in zip(captured, eager, strict=True))


@pytest.mark.gpu
def test_threads_on_streams_of_their_own():
    """Four threads, first use of a shape in all of them at once: the bits of one thread alone."""
    jobs = [tensors((32, 64, 11, 8 + number), torch.bfloat16, device="cuda") for number in (0, 0, 1, 1)]
    torch.cuda.synchronize()
    found: list[tuple | None] = [None] * len(jobs)

    def work(number: int) -> None:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(20):
                found[number] = run(*jobs[number])
        stream.synchronize()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job, parallel in zip(jobs, found, strict=True):
        assert all(torch.equal(one, two) for one, two in zip(run(*job), parallel, strict=True))
