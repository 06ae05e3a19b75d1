"""BatchNorm with activation in Triton: how it cuts its work, that it compiles for an H200, and its numbers on a GPU.

Its numbers in Triton's interpreter are in `interpreted_norm.py`, which `test_kernels.py` runs.
"""

import re
import sys
import threading

import pytest
import torch
from compiled_kernels import compiling
from interpreted_norm import check, problem, run
from torch.nn import functional

from hybridsep.bench import rows
from hybridsep.kernels import batch_norm_act, blocks, install, norm_cases

PROGRAMS = ("statistics", "combine_statistics", "normalise", "gradient_sums", "combine_sums", "input_gradient")


@pytest.mark.parametrize(
    "pixels, chs, expected",
    [
        (128 * 1024, 128, (1, 131072, 128, 1024, 4, 256, True)),
        (128 * 64, 512, (1, 8192, 512, 64, 1, 64, True)),
        (128 * 1024, 24, (8, 16384, 192, 128, 1, 128, True)),  # 8 pixels side by side: 3 columns of 64
        (128 * 1024, 32, (2, 65536, 64, 512, 1, 512, True)),
        (128 * 1024, 3, (64, 2048, 192, 16, 1, 16, True)),  # 16 slabs of 64 pixels a row: 1024 partial sums
        (2 * 9 * 7, 6, (2, 63, 12, 1, 1, 1, False)),
        (1, 1, (1, 1, 1, 1, 1, 1, False)),
    ],
)
def test_views_by_hand(pixels, chs, expected):
    assert blocks.view(pixels, chs) == expected


def test_views_miss_nothing():
    for pixels, chs in ((n, c) for n in (2, 63, 5000, 12800, 2**22) for c in (1, 3, 16, 70, 512, 4095)):
        cut = blocks.view(pixels, chs)
        assert cut.rows * cut.fold == pixels and cut.width == chs * cut.fold
        chunk = blocks.TILE_ROWS * blocks.TILES
        assert (cut.chunks - 1) * chunk < cut.rows <= cut.chunks * chunk
        assert (cut.slabs - 1) * cut.each < cut.chunks <= cut.slabs * cut.each
        assert cut.slabs * cut.fold <= 1024 or cut.slabs == 1


def test_floor_of_bytes_by_hand():
    first = norm_cases(128)[0]
    assert first.floor_bytes("forward", precision="bfloat16") == 3 * 2 * 128 * 128 * 32 * 32
    assert first.floor_bytes("backward", precision="float32") == 5 * 4 * 128 * 128 * 32 * 32


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is made for Linux")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_launches_compile_for_an_h200_with_wide_loads(monkeypatch, tmp_path, dtype):
    """Activations are loaded and stored 16 bytes at a time: eight values a thread and tile, four tiles."""
    from hybridsep.kernels import norm, norm_programs

    monkeypatch.setattr(norm, "interpreted", lambda: True)
    with compiling(monkeypatch, tmp_path, norm_programs, PROGRAMS) as compiled:
        run(problem((128, 24, 4, 4), dtype), slope=0.1)
        run(problem((128, 24, 4, 4), dtype), slope=1.0, training=False)
        run(problem((2, 5, 3, 7), dtype))
    assert [name for name, _ in compiled] == [*PROGRAMS, "normalise", *PROGRAMS[3:], *PROGRAMS]
    vectors = 4 * 8 * dtype.itemsize // 16
    loads = {"statistics": vectors, "normalise": vectors, "gradient_sums": 2 * vectors, "input_gradient": 2 * vectors}
    stores = {"normalise": vectors, "input_gradient": vectors}
    for name, kernel in compiled[: len(PROGRAMS)]:
        wide = {what: len(re.findall(rf"{what}\.global\S*\.v4\.b32", kernel.asm["ptx"])) for what in ("ld", "st")}
        assert wide["ld"] >= loads.get(name, 0) and wide["st"] == stores.get(name, 0), name


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_study_shapes_on_a_gpu(dtype):
    """Against float64, and the same bits a second time."""
    for case in norm_cases(128):
        given = problem((case.batch, case.chs, case.height, case.width), dtype, device="cuda")
        found = run(given)
        check(given, found, slope=0.0, training=True, exact_cast=True)
        assert all(torch.equal(one, found[name]) for name, one in run(given).items())


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(2, 1, 1, 1), (5, 3, 1, 1), (3, 24, 8, 8), (2, 70, 5, 7), (600, 37, 9, 19)])
def test_odd_shapes_on_a_gpu(shape, training, dtype):
    for slope in (0.0, 0.1, 1.0):
        given = problem(shape, dtype, device="cuda", offset=100.0)
        check(given, run(given, slope=slope, training=training), slope=slope, training=training, exact_cast=True)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_near_the_library_on_a_gpu(dtype):
    given = problem((128, 128, 16, 16), dtype, device="cuda")
    mean, var = given.mean.clone(), given.var.clone()
    y = functional.relu(functional.batch_norm(given.x, mean, var, given.weight, given.bias, True, 0.1, 1e-5))
    expected = (y, *torch.autograd.grad(y, (given.x, given.weight, given.bias), given.gradient), mean, var)
    found = run(given)
    for one, name in zip(expected, ("y", "dx", "dweight", "dbias", "mean", "var"), strict=True):
        # Next to zero the two may see another sign, and one value of dx in millions is another.
        far = (one - found[name]).abs() > (2**-6 if one.dtype == torch.bfloat16 else 1e-3) * (1 + one.abs())
        assert far.float().mean() < 1e-5, name


@pytest.mark.gpu
def test_captured_step_has_the_bits_of_the_eager_one():
    """Forward and backward in a CUDA graph, replayed on new images; the statistics move at each replay."""
    given = problem((128, 24, 16, 16), torch.bfloat16, device="cuda")
    mean, var, counter = given.mean.clone(), given.var.clone(), given.counter.clone()

    def step() -> tuple[torch.Tensor, ...]:
        keywords = {"training": True, "momentum": 0.1, "eps": 1e-5, "slope": 0.1}
        y = batch_norm_act(given.x, given.weight, given.bias, mean, var, counter, **keywords)
        return y.detach(), *torch.autograd.grad(y, (given.x, given.weight, given.bias), given.gradient)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    with torch.no_grad():
        given.x.mul_(-0.5)
    for start, moved in ((mean, given.mean), (var, given.var), (counter, given.counter)):
        start.copy_(moved)
    graph.replay()
    once = [each.clone() for each in (*captured, mean, var, counter)]
    eager = run(given, slope=0.1)
    assert all(torch.equal(one, two) for one, two in zip(once, eager.values(), strict=True))
    graph.replay()
    assert int(counter) == int(given.counter) + 2


@pytest.mark.gpu
def test_threads_on_streams_of_their_own():
    """Four threads, first use of a shape in all of them at once: the bits of one thread alone."""
    jobs = [problem((32, 40 + number, 11, 8), torch.bfloat16, device="cuda") for number in (0, 0, 1, 1)]
    torch.cuda.synchronize()
    found: list[dict | None] = [None] * len(jobs)

    def work(number: int) -> None:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(20):
                found[number] = run(jobs[number])
        stream.synchronize()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job, parallel in zip(jobs, found, strict=True):
        assert all(torch.equal(one, parallel[name]) for name, one in run(job).items())


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["separable", "inception", "resnext", "darknet_separable"])
def test_network_step_near_the_librarys(model):
    """In float32, without TF32: loss, gradients and running statistics of a whole network."""
    config = rows.compose([f"model={model}", "size=tiny", "data=synthetic"])
    network, fused = (rows.network(config, torch.device("cuda"), classes=10)[0] for _ in range(2))
    assert install(fused).norms > 0
    images = torch.randn(64, 3, 32, 32, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.arange(64, device="cuda") % 10
    found = []
    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        for each in (network, fused):
            loss = functional.cross_entropy(each.train()(images), labels)
            loss.backward()
            found.append([loss, *(parameter.grad for parameter in each.parameters()), *each.buffers()])
    for one, two in zip(*found, strict=True):
        assert (one.double() - two.double()).norm() <= 1e-3 * one.double().norm() + 1e-6
