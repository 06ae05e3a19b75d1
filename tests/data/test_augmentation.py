"""Plans and batches: every offset, each image its own, paired between models, and the pixels a slow loop would give."""

import colorsys

import numpy as np
import pytest
import torch
from refusals import refused

from hybridsep.config.schema import AugmentationConfig
from hybridsep.data.augmentation import Augmentation, Draws, doubts
from hybridsep.data.batches import evaluation_batches, normalise, pad_images
from hybridsep.data.jitter import jitter

MEAN, STD = torch.tensor([0.4914, 0.4822, 0.4465]), torch.tensor([0.2470, 0.2435, 0.2616])


BATCH = {"count": 1000, "batch_size": 64, "height": 32, "study_seed": 0}


def augmentation(**changes) -> Augmentation:
    batch = {key: changes.pop(key, value) for key, value in BATCH.items()}
    return Augmentation(AugmentationConfig(**{"kind": "crop_flip", "padding": 4, "cutout": 8} | changes), **batch)


def draw(*, trial: int = 0, epoch: int = 1, **changes) -> Draws:
    return augmentation(**changes).draw(trial=trial, epoch=epoch)


def apply(some: Augmentation, source: torch.Tensor, draws: Draws) -> torch.Tensor:
    return some.apply(source, draws, mean=MEAN, std=STD)


def batch_of(index, top, left, flip, hole_top=None, hole_left=None) -> Draws:
    return Draws(index, top, left, flip, hole_top, hole_left, None)


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
    drawn = draw(count=50_000, batch_size=128)
    offsets, counts = np.unique(torch.stack([drawn.top, drawn.left]).flatten(1).numpy(), axis=1, return_counts=True)
    assert offsets.shape == (2, 81) and offsets.min() == 0 and offsets.max() == 8
    assert counts.min() > 0.8 * counts.mean() and counts.max() < 1.2 * counts.mean()
    assert 0.49 < drawn.flip.float().mean() < 0.51
    for step in range(drawn.top.shape[0]):
        assert len(np.unique(np.stack([drawn.top[step], drawn.left[step]]), axis=1).T) > 40
        assert 0 < drawn.flip[step].sum() < 128


def test_an_epoch_shows_every_image_once_and_drops_what_fills_no_batch():
    drawn = draw(count=1000, batch_size=64)
    assert drawn.order.shape == (15, 64) and all(field.shape == (15, 64) for field in drawn[:4])
    assert len(drawn.order.unique()) == 960
    assert torch.equal(draw(count=960).order.flatten().sort().values, torch.arange(960))
    assert draw(count=64).order.shape == (1, 64)


def test_a_plan_is_a_function_of_seed_trial_and_epoch_only():
    everything = {"kind": "crop_flip_cutout", "hue": 0.1, "saturation": 0.75}
    assert all(torch.equal(a, b) for a, b in zip(draw(**everything), draw(**everything), strict=True))
    assert draw()[4:] == (None, None, None)  # what is not used is not drawn
    for change in ({"study_seed": 1}, {"trial": 1}, {"epoch": 2}):
        other = draw(**change)
        assert not torch.equal(draw().order, other.order) and not torch.equal(draw().top, other.top), change
    assert draw().order[0, :4].tolist() == [925, 985, 300, 20]
    assert draw().top[0, :8].tolist() == [6, 8, 4, 4, 4, 4, 5, 1]


def test_the_kind_of_augmentation_changes_neither_order_nor_crops():
    cropped, cut, plain = draw(), draw(kind="crop_flip_cutout", cutout=16), draw(kind="none")
    assert torch.equal(cropped.order, cut.order) and torch.equal(cropped.order, plain.order)
    assert all(torch.equal(a, b) for a, b in zip(cropped[1:4], cut[1:4], strict=True))
    assert plain.top.eq(4).all() and plain.left.eq(4).all() and not plain.flip.any()
    assert draw(kind="none", padding=0).top.eq(0).all()
    assert cut.hole_top.min() == -8 and cut.hole_top.max() == 23


@pytest.mark.parametrize(
    "changes, key, named",
    [
        ({"count": 63}, "schedule.batch_size=64", "63"),
        ({"crop": 44}, "augmentation.crop=44", "augmentation.padding=4"),
    ],
)
def test_impossible_plans_are_refused_in_one_line(changes, key, named):
    with refused(named, key=key):
        draw(**changes)


@pytest.mark.parametrize("padding, size", [(4, 32), (0, 32), (0, 28), (2, 36), (3, 20)])
def test_gather_equals_a_loop_over_pixels(padding, size):
    source = images(20)
    last = 32 + 2 * padding - size
    corners = [(0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 3)]
    top, left = torch.tensor(corners * 2).T
    flip = torch.tensor([False] * 5 + [True] * 5)
    index = torch.tensor([3, 3, 19, 0, 7, 3, 11, 19, 0, 2])
    cropped = augmentation(padding=padding, crop=size)
    got = apply(cropped, pad_images(source, padding), batch_of(index, top, left, flip))
    want = [
        slow(source[i].numpy(), padding=padding, size=size, top=t, left=x, flip=f)
        for i, t, x, f in zip(index.tolist(), top.tolist(), left.tolist(), flip.tolist(), strict=True)
    ]
    assert got.dtype == torch.float32 and got.shape == (10, 3, size, size)
    assert got.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(got.numpy(), np.stack(want), atol=2e-6)


def test_a_batch_is_the_same_images_alone():
    source, some = pad_images(images(256), 4), augmentation(count=256, kind="crop_flip_cutout", hue=0.1)
    draws = some.draw(trial=0, epoch=1).map(lambda part: part[2])
    batch = apply(some, source, draws)
    for position in (0, 17, 63):
        alone = draws.map(lambda part, position=position: part[position : position + 1])
        assert torch.equal(apply(some, source, alone)[0], batch[position])


def test_cutout_zeroes_one_square_per_image_cut_off_at_the_border():
    source, zeros = pad_images(images(4), 4), torch.zeros(4, dtype=torch.int64)
    hole_top, hole_left = torch.tensor([-4, 3, 28, 0]), torch.tensor([5, -7, 30, 0])
    fields = (torch.arange(4), zeros + 4, zeros + 4, zeros.bool())
    plain = apply(augmentation(), source, batch_of(*fields))
    got = apply(augmentation(kind="crop_flip_cutout"), source, batch_of(*fields, hole_top, hole_left))
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
    source, plain = images(64), augmentation(count=64, kind="none")
    drawn = plain.draw(trial=0, epoch=1)
    got = apply(plain, pad_images(source, 4), drawn.map(lambda part: part[0]))
    want = torch.cat(list(evaluation_batches(source, 64, size=32, mean=MEAN, std=STD)))
    assert torch.equal(got, want[drawn.order[0]])


@pytest.mark.gpu
def test_a_captured_gather_follows_its_draws():
    source, cut = pad_images(images(256), 4), augmentation(count=256, kind="crop_flip_cutout")
    drawn = cut.draw(trial=0, epoch=1)
    mean, std = MEAN.cuda(), STD.cuda()
    padded, static = source.cuda(), drawn.map(lambda part: part[0].cuda())
    cut.apply(padded, static, mean=mean, std=std)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = cut.apply(padded, static, mean=mean, std=std)
    for step in range(4):
        static.copy_(drawn.map(lambda part, step=step: part[step]))
        graph.replay()
        want = apply(cut, source, drawn.map(lambda part, step=step: part[step]))
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
    limits = {"hue": 0.1, "saturation": 0.75, "exposure": 0.75}
    colour = draw(count=64_000, **limits).colour.reshape(-1, 3)
    shift, saturation, exposure = colour.T
    assert shift.abs().max() <= 0.1 and len(shift.unique()) > 60_000
    for factor in (saturation, exposure):
        assert 0.75 <= factor.min() and factor.max() <= 1 / 0.75 + 1e-6
        assert (factor > 1).float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert draw().colour is None
    assert (draw(**limits).order == draw().order).all() and (draw(**limits).top == draw().top).all()


@pytest.mark.parametrize(
    "height, classes, changes, words",
    [
        (32, ["cat", "dog"], {}, []),
        (8, ["cat", "dog"], {}, ["half their side"]),
        (8, ["cat", "dog"], {"kind": "none"}, []),
        (12, ["cat", "dog"], {}, []),
        (32, ["0", "1", "2"], {}, ["digits"]),
        (8, ["0", "1"], {}, ["half their side", "digits"]),
        (32, ["0", "1", "10"], {}, []),
    ],
)
def test_augmentation_that_hardly_makes_sense_is_said(height, classes, changes, words):
    config = AugmentationConfig(**{"kind": "crop_flip", "padding": 4, "cutout": 8} | changes)
    lines = doubts(config, height=height, classes=classes)
    assert len(lines) == len(words)
    assert all(word in line and "augmentation=none" in line for line, word in zip(lines, words, strict=True))
