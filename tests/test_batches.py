"""Plans and batches: every offset, each image its own, paired between models, and the pixels a slow loop would give."""

import colorsys

import numpy as np
import pytest
import torch

from hybridsep.data.batches import EpochPlan, evaluation_batches, gather, normalise, pad_images, plan_epoch
from hybridsep.data.jitter import jitter
from hybridsep.errors import ConfigError

MEAN, STD = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])


def plan(**changes) -> EpochPlan:
    keywords = {"count": 1000, "batch_size": 64, "height": 32, "size": 32, "padding": 4, "kind": "crop_flip"}
    keywords |= {"cutout": 8, "hue": 0.1, "saturation": 0.75, "exposure": 0.75, "study_seed": 0, "trial": 0, "epoch": 1}
    return plan_epoch(**keywords | changes)


def images(count: int, side: int = 32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def slow(source: np.ndarray, *, padding: int, size: int, top: int, left: int, flip: bool) -> np.ndarray:
    """One crop of one image, pixel by pixel: float64 (3, size, size), normalised."""
    side = len(source)
    crop = np.zeros((3, size, size))
    for row in range(size):
        for column in range(size):
            y, x = row + top - padding, (size - 1 - column if flip else column) + left - padding
            inside = 0 <= y < side and 0 <= x < side
            crop[:, row, column] = source[y, x] if inside else 0  # black before normalisation
    return (crop / 255 - MEAN.numpy()[:, None, None]) / STD.numpy()[:, None, None]


def test_all_81_offsets_occur_and_each_image_has_its_own():
    drawn = plan(count=50_000, batch_size=128)
    offsets, counts = np.unique(torch.stack([drawn.top, drawn.left]).flatten(1).numpy(), axis=1, return_counts=True)
    assert offsets.shape == (2, 81) and offsets.min() == 0 and offsets.max() == 8
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()
    assert 0.49 < drawn.flip.float().mean() < 0.51
    for step in range(drawn.top.shape[0]):
        assert len(np.unique(np.stack([drawn.top[step], drawn.left[step]]), axis=1).T) > 40
        assert 0 < drawn.flip[step].sum() < 128


def test_an_epoch_shows_every_image_once_and_drops_what_fills_no_batch():
    drawn = plan(count=1000, batch_size=64)
    assert drawn.order.shape == (15, 64) and all(field.shape[:2] == (15, 64) for field in drawn)
    assert len(drawn.order.unique()) == 960
    assert torch.equal(plan(count=960).order.flatten().sort().values, torch.arange(960))
    assert plan(count=64).order.shape == (1, 64)


def test_a_plan_is_a_function_of_seed_trial_and_epoch_only():
    assert all(torch.equal(a, b) for a, b in zip(plan(), plan(), strict=True))
    for change in ({"study_seed": 1}, {"trial": 1}, {"epoch": 2}):
        other = plan(**change)
        assert not torch.equal(plan().order, other.order) and not torch.equal(plan().top, other.top), change
    assert plan().order[0, :4].tolist() == [925, 985, 300, 20]
    assert plan().top[0, :8].tolist() == [6, 8, 4, 4, 4, 4, 5, 1]


def test_the_kind_of_augmentation_changes_neither_order_nor_crops():
    cropped, cut, plain = plan(), plan(kind="crop_flip_cutout", cutout=16), plan(kind="none")
    assert torch.equal(cropped.order, cut.order) and torch.equal(cropped.order, plain.order)
    assert all(torch.equal(a, b) for a, b in zip(cropped[1:4], cut[1:4], strict=True))
    assert plain.top.eq(4).all() and plain.left.eq(4).all() and not plain.flip.any()
    assert plan(kind="none", padding=0).top.eq(0).all()
    assert cut.hole_top.min() == -8 and cut.hole_top.max() == 23


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"count": 63}, "schedule.batch_size=64"),
        ({"kind": "mixup"}, "augmentation.kind=mixup"),
        ({"size": 41}, "augmentation.padding=4"),
    ],
)
def test_impossible_plans_are_refused_in_one_line(changes, word):
    with pytest.raises(ConfigError, match=word) as caught:
        plan(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("padding, size", [(4, 32), (0, 32), (0, 28), (2, 36), (3, 20)])
def test_gather_equals_a_loop_over_pixels(padding, size):
    source = images(20)
    last = 32 + 2 * padding - size
    corners = [(0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 3)]
    top, left = torch.tensor(corners * 2).T
    flip = torch.tensor([False] * 5 + [True] * 5)
    index = torch.tensor([3, 3, 19, 0, 7, 3, 11, 19, 0, 2])
    got = gather(pad_images(source, padding), index, top, left, flip, size=size, mean=MEAN, std=STD)
    want = [
        slow(source[i].numpy(), padding=padding, size=size, top=t, left=x, flip=f)
        for i, t, x, f in zip(index.tolist(), top.tolist(), left.tolist(), flip.tolist(), strict=True)
    ]
    assert got.dtype == torch.float32 and got.shape == (10, 3, size, size)
    assert got.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(got.numpy(), np.stack(want), atol=2e-6)


def test_a_batch_is_the_same_images_alone():
    source, drawn = pad_images(images(256), 4), plan(count=256, batch_size=64)
    fields = [field[2] for field in drawn]
    batch = gather(source, *fields, size=32, mean=MEAN, std=STD)
    for position in (0, 17, 63):
        alone = [field[position : position + 1] for field in fields]
        assert torch.equal(gather(source, *alone, size=32, mean=MEAN, std=STD)[0], batch[position])


def test_cutout_zeroes_one_square_per_image_cut_off_at_the_border():
    source, zeros = pad_images(images(4), 4), torch.zeros(4, dtype=torch.int64)
    hole_top, hole_left = torch.tensor([-4, 3, 28, 0]), torch.tensor([5, -7, 30, 0])
    fields = (torch.arange(4), zeros + 4, zeros + 4, zeros.bool())
    plain = gather(source, *fields, size=32, mean=MEAN, std=STD)
    got = gather(source, *fields, hole_top, hole_left, size=32, mean=MEAN, std=STD, hole=8)
    inside = torch.zeros(4, 1, 32, 32, dtype=torch.bool)
    inside[0, :, 0:4, 5:13] = inside[1, :, 3:11, 0:1] = inside[2, :, 28:, 30:] = inside[3, :, :8, :8] = True
    assert torch.equal(got, torch.where(inside, torch.zeros(()), plain))


def test_evaluation_sees_every_image_once_in_order_unaugmented():
    source = images(10)
    batches = list(evaluation_batches(source, 4, size=32, mean=MEAN, std=STD))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    want = (source.double().permute(0, 3, 1, 2) / 255 - MEAN[:, None, None]) / STD[:, None, None]
    torch.testing.assert_close(torch.cat(batches).double(), want, atol=2e-6, rtol=0)
    centre = torch.cat(list(evaluation_batches(source, 3, size=28, mean=MEAN, std=STD)))
    assert torch.equal(centre, torch.cat(batches)[:, :, 2:30, 2:30])
    assert torch.equal(normalise(source, mean=MEAN, std=STD), torch.cat(batches))


def test_unaugmented_training_images_are_the_evaluation_images():
    source, drawn = images(64), plan(count=64, kind="none")
    got = gather(pad_images(source, 4), *(field[0] for field in drawn), size=32, mean=MEAN, std=STD)
    want = torch.cat(list(evaluation_batches(source, 64, size=32, mean=MEAN, std=STD)))
    assert torch.equal(got, want[drawn.order[0]])


@pytest.mark.gpu
def test_a_captured_gather_follows_its_plan():
    source, drawn = pad_images(images(256), 4), plan(count=256, batch_size=64)
    on_device = {"mean": MEAN.cuda(), "std": STD.cuda(), "size": 32, "hole": 8}
    padded, fields = source.cuda(), [field[0].cuda() for field in drawn]
    gather(padded, *fields, **on_device)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = gather(padded, *fields, **on_device)
    for step in range(4):
        for static, field in zip(fields, drawn, strict=True):
            static.copy_(field[step])
        graph.replay()
        want = gather(source, *(field[step] for field in drawn), size=32, mean=MEAN, std=STD, hole=8)
        torch.testing.assert_close(got.cpu(), want, atol=2e-6, rtol=0)


def test_jitter_is_hsv_arithmetic_and_none_is_the_identity():
    picture = images(3, 8).float() / 255
    same = jitter(picture, torch.tensor([[0.0, 1.0, 1.0]] * 3))
    assert torch.allclose(same, picture, atol=1e-6)
    amounts = torch.tensor([[0.1, 0.75, 1.0], [-0.4, 1.3, 0.75], [0.5, 1.0, 1.3]])
    changed = jitter(picture, amounts)
    for one, (shift, saturation, exposure), result in zip(picture, amounts.tolist(), changed, strict=True):
        for pixel, got in zip(one.reshape(-1, 3).tolist(), result.reshape(-1, 3).tolist(), strict=True):
            hue, sat, value = colorsys.rgb_to_hsv(*pixel)
            # Darknet limits the colours after the conversion back, not saturation and value before it.
            chroma = value * sat * saturation * exposure
            pure = colorsys.hsv_to_rgb((hue + shift) % 1, 1, 1)
            expected = [min(1, max(0, value * exposure - chroma * (1 - part))) for part in pure]
            assert got == pytest.approx(expected, abs=2e-5)


def test_jitter_draws_factors_and_their_inverses_for_each_image():
    colour = plan(count=64_000).colour.reshape(-1, 3)
    shift, saturation, exposure = colour.T
    assert shift.abs().max() <= 0.1 and len(shift.unique()) > 60_000
    for factor in (saturation, exposure):
        assert 0.75 <= factor.min() and factor.max() <= 1 / 0.75 + 1e-6
        assert (factor > 1).float().mean().item() == pytest.approx(0.5, abs=0.01)
    still = plan(hue=0.0, saturation=1.0, exposure=1.0)
    assert (still.colour == torch.tensor([0.0, 1.0, 1.0])).all()
    assert (still.order == plan().order).all() and (still.top == plan().top).all()
