"""What TensorBoard reads of a trial: tags, points, pictures, the HParams table."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from event_files import history, points, read, text
from fault_injection import Trainer
from made_runs import read_record
from PIL import Image
from tensorboard.plugins.hparams import metadata as hparams

from hybridsep.config.schema import AugmentationConfig
from hybridsep.data.augmentation import Augmentation
from hybridsep.runs import events, records
from hybridsep.train import hyperparameters, pictures
from hybridsep.train.graph import TrialStream
from hybridsep.train.step import DeviceData
from hybridsep.train.tensorboard import Curves
from hybridsep.train.trial import Trial

TAGS = set(events.TAGS.values())


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A results folder with one finished trial of `Trainer`'s network: 2 epochs, 64 training and 20 test images."""
    results = tmp_path_factory.mktemp("trained")
    Trainer()(results)
    return results


def test_a_finished_trial_has_its_curves_results_configuration_and_pictures(trained):
    (folder,) = records.find(trained)
    found, record = read(folder), read_record(folder)
    assert TAGS | hyperparameters.METRICS.keys() == set(found.Tags()["scalars"])
    rows = records.read_history(folder)
    for column, tag in events.TAGS.items():
        assert points(found, tag) == [(1, pytest.approx(rows[column][0])), (2, pytest.approx(rows[column][1]))], tag
    numbers = [points(found, tag) for tag in hyperparameters.METRICS]
    wanted = [record["result"]["test_error"], record["result"]["test_error_all"]]
    wanted += [record["model"]["params"], record["model"]["macs"], rows["images_per_second"].median()]
    assert numbers == [[(2, pytest.approx(number))] for number in wanted]
    assert text(found, "configuration").startswith("```yaml\nmodel:\n  name: separable\n")
    assert "learning_rate: 0.1\n" in text(found, "configuration")
    sizes = {}
    for tag, about in found.summary_metadata.items():
        if about.plugin_data.plugin_name == "images":
            (event,) = found.Tensors(tag)
            width, height, png = event.tensor_proto.string_val
            sizes[tag] = Image.open(io.BytesIO(png)).size
            assert sizes[tag] == (int(width), int(height))
    wrong = round(record["result"]["test_error_all"] / 100 * 20)
    high = -(-wrong // 8)
    assert sizes == {
        "training images, epoch 1": (8 * 18 - 2, 8 * 18 - 2),
        "wrong test images": (8 * 18 - 2, high * 18 - 2),
    }
    assert text(found, "wrong test images: classes").count(" → ") - 1 == wrong


def test_the_hparams_table_opens_on_row_and_trial_and_names_the_same_columns_in_every_row(trained, tmp_path):
    Trainer("model=resnext")(tmp_path, trials=(3,))
    columns = []
    for results, row, trial in ((trained, "separable", 0), (tmp_path, "resnext", 3)):
        found = read(records.find(results)[0]).summary_metadata
        content = {tag: about.plugin_data.content for tag, about in found.items()}
        experiment = hparams.parse_experiment_plugin_data(content[hparams.EXPERIMENT_TAG])
        # TensorBoard's own order.
        names = [info.name for info in sorted(experiment.hparam_infos, key=lambda info: (not info.differs, info.name))]
        assert names[:2] == ["row", "trial"] and names[2].startswith("argument.")
        assert [metric.name.tag for metric in experiment.metric_infos] == list(hyperparameters.METRICS)
        columns.append(sorted((info.name, info.type) for info in experiment.hparam_infos))
        started = hparams.parse_session_start_info_plugin_data(content[hparams.SESSION_START_INFO_TAG]).hparams
        assert (started["row"].string_value, started["trial"].number_value) == (row, trial)
        assert started["study"].string_value == "s" and started["schedule.batch_size"].number_value == 16
        assert hparams.SESSION_END_INFO_TAG in content
    assert columns[0] == columns[1]
    assert started["argument.cardinality"].string_value == "<=32" and started["argument.inner_ratio"].number_value == 1
    assert "argument.intermediate_activation" not in started and len(columns[0]) < 30


def test_a_resumed_trial_has_each_epoch_once_also_in_a_tensorboard_that_is_open(tmp_path):
    first = Curves(tmp_path, history([50, 40, 30]), [])
    first.add(history([50, 40, 30, 20])[3:])
    first.close()
    is_open = read(tmp_path)
    assert points(is_open, "error/test")[-1] == (4, 20)
    second = Curves(tmp_path, history([50, 40]), [])
    second.add(history([50, 40, 35])[2:])
    for found in (is_open.Reload(), read(tmp_path)):
        assert {tag: len(points(found, tag)) for tag in TAGS} == dict.fromkeys(TAGS, 3)
        assert points(found, "error/test") == [(1, 50), (2, 40), (3, 35)]
    second.add(history([50, 40, 35, 25])[3:])
    second.close()
    assert points(is_open.Reload(), "error/test")[-1] == (4, 25)
    # What was emptied goes when nobody can wait for it any more.
    emptied = [path for path in tmp_path.rglob(events.PATTERN) if not path.stat().st_size]
    assert len(emptied) == 1
    for path in emptied:
        os.utime(path, (0, 0))
    Curves(tmp_path, [], []).close()
    assert sorted(path.stat().st_size > 0 for path in tmp_path.rglob(events.PATTERN)) == [False, True]


@pytest.mark.parametrize("augmentation", ["crop_flip", "crop_flip_cutout", "darknet"])
def test_the_picture_shows_what_the_network_is_given(augmentation):
    trainer = Trainer(f"augmentation={augmentation}", *(["augmentation.crop=12"] if augmentation == "darknet" else []))
    row = trainer.row
    device, padding = torch.device("cpu"), row.config.augmentation.padding
    data = DeviceData.load(row.dataset, device, padding=padding, mean=None, std=None)
    given = []
    with TrialStream(device, cuda_graph=False) as stream:
        trial = Trial(row.config, 0, data=data, build=row.build, device=device, stream=stream)
        before = trial.state()
        shown = trial.training_images(24)
        after = trial.state()
        assert torch.equal(before.dropout, after.dropout)
        trial.network.register_forward_pre_hook(lambda network, inputs: given.append(inputs[0].clone()))
        trial.train_epoch(after_step=lambda done: False)
    batches = torch.cat(given[:2])[:24].permute(0, 2, 3, 1) * data.std + data.mean
    assert shown.shape == (24, trial.image_size, trial.image_size, 3) and shown.dtype == np.uint8
    assert np.abs(shown - 255 * batches.numpy()).max() <= 0.501 and shown.std() > 10


def test_unaugmented_images_come_back_to_the_last_bit():
    trainer = Trainer("augmentation=none")
    row, device = trainer.row, torch.device("cpu")
    data = DeviceData.load(row.dataset, device, padding=0, mean=None, std=None)
    with TrialStream(device, cuda_graph=False) as stream:
        trial = Trial(row.config, 5, data=data, build=row.build, device=device, stream=stream)
        shown = trial.training_images(64)
    none = AugmentationConfig(kind="none", padding=0, cutout=8)
    augmentation = Augmentation(none, count=64, height=16, batch_size=16, study_seed=0)
    order = augmentation.draw(trial=5, epoch=1).order.flatten().numpy()
    assert np.array_equal(shown, row.dataset.train_images[order])


def test_the_grid_and_the_classes_of_wrong_images():
    images = np.stack([np.full((4, 4, 3), shade, np.uint8) for shade in range(20)])
    page = pictures.grid(images[:10])
    assert page.shape == (10, 46, 3) and page[0, 0, 0] == 0 and page[6, 6, 0] == 9
    assert page[4, 0, 0] == page[9, 45, 0] == 255
    assert pictures.grid(np.zeros((1, 130, 130, 3), np.uint8)).shape == (44, 44, 3)
    labels, predicted = np.zeros(20, np.int64), np.zeros(20, np.int64)
    assert pictures.wrong(images, labels, predicted, ["cat", "a|b"], size=4) == []
    many = np.zeros((1000, 4, 4, 3), np.uint8)
    _, classes = pictures.wrong(many, np.arange(1000) // 500, np.full(1000, 2), ["a", "b", "c"], size=4)
    cells = classes.value[0].tensor.string_val[0].decode().split("---")[-1]
    assert cells.count("a → c") == cells.count("b → c") == 32
    predicted[[3, 7]] = 1
    picture, classes = pictures.wrong(images, labels, predicted, ["cat", "a|b"], size=2)
    page = np.array(Image.open(io.BytesIO(picture.value[0].tensor.string_val[2])))
    assert page.shape == (2, 6, 3) and [page[0, 0, 0], page[0, 4, 0]] == [3, 7]
    assert (
        classes.value[0].tensor.string_val[0].decode().endswith("| 1 | 2 |\n| --- | --- |\n| cat → a/b | cat → a/b |")
    )
