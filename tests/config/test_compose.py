"""Every file of conf/ composes and builds, and a value that is not allowed is refused by its key."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from refusals import refused

from hybridsep import config
from hybridsep.config import schema
from hybridsep.networks import cost_of
from hybridsep.report import settings
from hybridsep.train import build
from hybridsep.train.optimiser import initialise


def choices(group: str) -> list[str]:
    return sorted(path.stem for path in (config.config_dir() / group).glob("*.yaml"))


@pytest.mark.parametrize("row", choices("model"))
def test_every_row_composes_builds_and_runs(compose, row):
    composed = compose(f"model={row}", "size=tiny")
    resolved = config.resolve(composed)
    if row.startswith("fractalnet"):
        resolved.model.network["widths"] = [8] * len(resolved.model.network["widths"])
    network = build.network_factory(resolved, classes=7)().eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert cost_of(network, 32, 32).params == parameters


@pytest.mark.parametrize("group", ["size", "schedule", "augmentation", "experiment"])
def test_every_choice_composes_and_passes_its_checks(compose, group):
    names = choices(group)
    assert names
    for name in names:
        config.resolve(compose(f"{group}={name}"))


@pytest.mark.parametrize("name", choices("experiment"))
def test_every_experiment_says_its_name(compose, name):
    composed = compose(f"experiment={name}", "scale=quick")
    assert composed.study == f"{name}-quick".replace("_", "-") and composed.size.name == "tiny"


@pytest.mark.parametrize(("size", "parts"), [("paper", 1), ("small", 8), ("tiny", 8)])
def test_a_size_sizes_every_network(compose, size, parts):
    network = config.resolve(compose("model=darknet", f"size={size}")).model.network
    assert network["width_ratio"] == 1 / parts
    network = config.resolve(compose("model=fractalnet", f"size={size}")).model.network
    assert network["widths"][0] == 64 / parts


@pytest.mark.parametrize("name", choices("data"))
def test_every_dataset_composes(compose, name):
    takes_path = name in ("cifar10_jpeg", "imagefolder")
    config.resolve(compose(f"data={name}", *["data.path=somewhere/cifar10-jpeg.tar.xz"] * takes_path))


def test_names_of_datasets(compose):
    composed = compose("data=cifar10_jpeg", "data.path=a/cifar10-jpeg.tar.xz", "size=small", "schedule=cpu")
    assert (composed.data.name, composed.study) == ("cifar10-jpeg", "cifar10-jpeg-small-12ep")
    assert config.stem("x/birds/") == config.stem("birds.tgz") == "birds"


@pytest.mark.parametrize(
    "override",
    [
        "schedule.epochs=0",
        "schedule.batch_size=0",
        "schedule.learning_rate=-1",
        "schedule.warmup_epochs=191",
        "schedule.decay=linear",
        "schedule.decay_steps=[0.7,0.5]",
        "schedule.momentum=1",
        "schedule.momentum=0",
        "schedule.label_smoothing=1",
        "augmentation.kind=mixup",
        "augmentation.crop=30",
        "evaluation.subset=best",
        "evaluation.images=0",
        "size.depth=0",
        "size.widths=[]",
        "data.mean=[1,2]",
        "match=macs",
        "precision=float16",
        "device=tpu",
        "threads=0",
        "threads=1000000000",
        "trials_at_once=1000",
        "schedule.epochs=1000000",
        "schedule.batch_size=10000000",
        "max_minutes=0",
        "study=../elsewhere",
        "row=.hidden",
    ],
)
def test_values_out_of_range_name_their_key(compose, override):
    with refused(key=override.split("=")[0] + "="):
        config.resolve(compose(override))


def test_a_training_shorter_than_its_warm_up_says_what_to_type(compose):
    with refused("schedule.epochs=1", key="schedule.warmup_epochs=5") as error:
        config.resolve(compose("schedule.epochs=1"))
    config.resolve(compose("schedule.epochs=1", str(error.value).rpartition(" ")[2]))


@pytest.mark.parametrize("name", ["cifar10", "synthetic"])
def test_a_path_that_a_dataset_does_not_read(compose, name):
    with refused("data=imagefolder", key="data.path=x"):
        config.resolve(compose(f"data={name}", "data.path=x"))


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("schedule.lr", "schedule.learning_rate"),
        ("schedule.wd", "schedule.weight_decay"),
        ("schedule.batchsize", "schedule.batch_size"),
        ("schedule.epoch", "schedule.epochs"),
        ("lr", "schedule.learning_rate"),
        ("widths", "size.widths"),
        ("size.zzz", "size.widths"),  # near none, so those that there are
        ("data.folder", "data.title"),
    ],
)
def test_an_added_key_that_nothing_reads(compose, key, meant):
    with refused(meant, key=key):
        config.resolve(compose(f"+{key}=1"))


def test_all_wrong_keys_are_named_at_once(compose):
    keys = ("schedule.epochs=0", "evaluation.subset=best", "threads=0", "schedule.lr")
    with refused(*keys):
        config.resolve(compose(*keys[:3], f"+{keys[3]}=1"))


@pytest.mark.parametrize("key", ["study", "row", "model.name", "data.name", "results"])
@pytest.mark.parametrize("value", [1.1, 20261126, True])
def test_text_of_a_file_that_yaml_reads_as_a_number(compose, key, value):
    composed = compose()
    OmegaConf.update(composed, key, value)
    with refused(key=f"{key}={str(value).lower()}"):
        config.resolve(composed)


def test_home_is_expanded_in_every_path(compose, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    words = ["data=imagefolder", "data.path='~/images'", "results='~/r'", "data_dir='~/d'"]
    resolved = config.resolve(compose(*words))
    assert (resolved.results, resolved.data_dir, resolved.data.path) == tuple(
        f"/home/somebody/{name}" for name in ("r", "d", "images")
    )
    assert resolved.data.source["path"] == "/home/somebody/images"
    assert resolved.data.source["cache"] == "/home/somebody/d/cache"


def test_match_gives_every_row_the_baseline_parameters(compose):
    for row in ("hybrid", "separable_equivalent"):  # the others: test_stack.py, by the same search
        plain = config.resolve(compose(f"model={row}", "size=small", "match=params"))
        matched = build.matched(plain, classes=10, height=32, width=32)
        params = cost_of(build.network_factory(matched, classes=10)(), 32, 32).params
        assert abs(params / 39_050 - 1) <= 0.02


def test_schema_and_files_state_the_same_keys():
    for group, dataclass in (
        ("size", schema.SizeConfig),
        ("schedule", schema.ScheduleConfig),
        ("augmentation", schema.AugmentationConfig),
    ):
        keys = {entry.name for entry in dataclasses.fields(dataclass)}
        needed = {entry.name for entry in dataclasses.fields(dataclass) if entry.default is dataclasses.MISSING}
        whole = [
            path for path in Path(config.config_dir() / group).glob("*.yaml") if "defaults:" not in path.read_text()
        ]
        for path in whole:
            assert needed <= set(yaml.safe_load(path.read_text())) <= keys, path


def test_quicknet_has_the_sister_papers_network(compose):
    words = ("experiment=quicknet", "precision=float32")
    for scale, params in (((), 3_543_316), (("scale=quick",), None)):
        plain = config.resolve(compose(*words, *scale))
        network = build.network_factory(plain, classes=10)()
        initialise(network, study_seed=0, trial=0)
        slopes = [module.weight for module in network.modules() if isinstance(module, torch.nn.PReLU)]
        assert len(slopes) == (10 if params else 4) and all(slope.tolist() == [0.25] for slope in slopes)
        assert network.dropout.p == 0.5
        if params:
            assert sum(parameter.numel() for parameter in network.parameters()) == params


@pytest.mark.parametrize("point", settings.paper().open_points, ids=lambda point: point.point)
def test_other_readings_of_the_paper_can_be_asked_for_as_the_list_says(compose, point):
    words = re.findall(r"[\w.]+=[^\s;:()]+", point.options or "")
    assert words or point.options is None or not point.keys
    of_report = [word for word in words if word.startswith("report.")]
    settings.load(of_report)
    for word in words:
        if word not in of_report:
            config.resolve(compose(word) if word.startswith("experiment=") else compose("experiment=figure4", word))
