"""The configuration: every file composes and builds; `trial=`; an identity is what can change the science."""

import copy
import dataclasses
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import hydra
import pytest
import torch
import yaml
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from hybridsep import config
from hybridsep.config import identity, schema
from hybridsep.config.targets import check_keywords, locate
from hybridsep.errors import ConfigError
from hybridsep.networks import cost_of
from hybridsep.train import build
from hybridsep.train.optimiser import initialise


@pytest.fixture
def compose():
    config.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(config.config_dir()), **config.hydra_defaults()):
        yield lambda *overrides: hydra.compose("config", list(overrides))


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
    ("text", "trials"),
    [
        (3, [3]),
        ("3", [3]),
        ("0..9", list(range(10))),
        ("4..4", [4]),
        ([0, 2, "5..7"], [0, 2, 5, 6, 7]),
        ("0,2,5..7", [0, 2, 5, 6, 7]),
        ("range(0,10)", list(range(10))),
        ("4, range(0, 3)", [4, 0, 1, 2]),
        (["range(3)", "range(4,9,2)"], [0, 1, 2, 4, 6, 8]),
    ],
)
def test_trials(text, trials):
    assert config.parse_trials(text) == trials


@pytest.mark.parametrize(
    "text",
    [
        "9..0",
        "",
        "a",
        "-1",
        "1.5",
        1.5,
        True,
        None,
        [],
        [1, "0..3"],
        "1,0..3",
        "0,",
        "range(3,0)",
        "range(0,)",
        "range(0,9,0)",
        "0...3",
        "0..",
        "0..99999",
        "٣",
        {"a": 1},
    ],
)
def test_what_is_not_a_trial(text):
    with pytest.raises(ConfigError, match=r"^trial=.*allowed: 3, 0\.\.9 or \[0,2,5\.\.7\]") as error:
        config.parse_trials(text)
    assert "\n" not in str(error.value)


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
    key = override.split("=")[0]
    with pytest.raises(ConfigError, match=f"^{key.replace('.', '[.]')}=") as error:
        config.resolve(compose(override))
    assert "\n" not in str(error.value)


def test_a_training_shorter_than_its_warm_up_says_what_to_type(compose):
    with pytest.raises(ConfigError, match=r"^schedule.warmup_epochs=5 .*schedule.epochs=1; .*add (.*)$") as error:
        config.resolve(compose("schedule.epochs=1"))
    config.resolve(compose("schedule.epochs=1", str(error.value).rpartition(" ")[2]))


def test_a_dataset_without_its_path(compose):
    with pytest.raises(ConfigError, match="^data.path is missing"):
        config.resolve(compose("data=imagefolder"))


@pytest.mark.parametrize("name", ["cifar10", "synthetic"])
def test_a_path_that_a_dataset_does_not_read(compose, name):
    with pytest.raises(ConfigError, match="^data.path=x is not used .*data=imagefolder"):
        config.resolve(compose(f"data={name}", "data.path=x"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+schedule.lr=0.01", "schedule.lr is not a key: did you mean schedule.learning_rate?"),
        ("+schedule.wd=0", "schedule.wd is not a key: did you mean schedule.weight_decay?"),
        ("+schedule.batchsize=8", "schedule.batchsize is not a key: did you mean schedule.batch_size?"),
        ("+schedule.epoch=8", "schedule.epoch is not a key: did you mean schedule.epochs?"),
        ("+lr=0.1", "lr is not a key: did you mean schedule.learning_rate?"),
        ("+widths=[8]", "widths is not a key: did you mean size.widths?"),
        ("+size.zzz=1", "size.zzz is not a key: allowed are size.name, size.widths,"),
        ("+data.folder=x", "data.folder is not a key: allowed are data.name, data.title,"),
    ],
)
def test_an_added_key_that_nothing_reads(compose, override, said):
    with pytest.raises(ConfigError, match="^" + re.escape(said)):
        config.resolve(compose(override))


def test_all_wrong_keys_are_named_at_once(compose):
    with pytest.raises(ConfigError) as error:
        config.resolve(compose("schedule.epochs=0", "evaluation.subset=best", "threads=0", "+schedule.lr=1"))
    for key in ("schedule.epochs=0", "evaluation.subset=best", "threads=0", "schedule.lr is not a key"):
        assert key in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["study", "row", "model.name", "data.name", "results"])
@pytest.mark.parametrize("value", [1.1, 20261126, True])
def test_text_of_a_file_that_yaml_reads_as_a_number(compose, key, value):
    composed = compose()
    OmegaConf.update(composed, key, value)
    with pytest.raises(ConfigError, match=f"{key}={str(value).lower()} is not allowed: "):
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


def test_a_configuration_is_frozen_and_has_the_identity_of_its_dictionary(compose):
    composed = compose("precision=bfloat16", "threads=3")
    resolved = config.resolve(composed)
    with pytest.raises(dataclasses.FrozenInstanceError):
        resolved.schedule.epochs = 3
    as_dictionary = OmegaConf.to_container(composed, resolve=True)
    assert config.plain(resolved) == as_dictionary
    assert identity.identity(resolved, 0) == identity.identity(as_dictionary, 0) == "77013266a36869f3"


def test_identity_is_the_science(compose):
    plain = config.resolve(compose())
    same = config.resolve(
        compose("study=x", "row=y", "results=r", "data_dir=d", "device=cpu", "threads=1", "max_minutes=1", "trial=7")
    )
    assert identity.identity(plain, 0) == identity.identity(same, 0)
    other = [
        "seed=1",
        "paired=false",
        "match=params",
        "precision=float32",
        "schedule.epochs=189",
        "schedule.weight_decay=0",
        "augmentation.padding=3",
        "size.depth=2",
        "model=hybrid",
        "data.mean=[0.5,0.5,0.5]",
    ]
    identities = {identity.identity(plain, 0), identity.identity(plain, 1)}
    identities |= {identity.identity(config.resolve(compose(override)), 0) for override in other}
    assert len(identities) == len(other) + 2


def test_identity_does_not_change_between_versions(compose):
    # If this number changes, nobody's finished trials are found again. A new key needs a default in the schema that
    # means "as before": such a key, at its default, is not part of the identity.
    plain = config.resolve(compose("model=separable", "precision=bfloat16"))
    assert identity.identity(plain, 0) == "77013266a36869f3"


def test_a_key_at_its_schema_default_is_not_part_of_the_identity(compose):
    plain = config.plain(config.resolve(compose()))
    before = copy.deepcopy(plain)
    del before["augmentation"]["crop"]
    assert plain["augmentation"]["crop"] is None
    assert identity.identity(before, 0) == identity.identity(plain, 0)
    plain["augmentation"]["crop"] = 28
    assert identity.identity(before, 0) != identity.identity(plain, 0)


def test_differences_name_the_keys(compose):
    old, new = config.resolve(compose()), config.resolve(compose("schedule.epochs=5", "study=other"))
    assert identity.differences(old, new) == ["schedule.epochs 190 -> 5"]


def test_records_keep_no_places(compose):
    words = ("data=imagefolder", "data.path=/home/me/birds.tar", "results=/tmp/r", "data_dir=/tmp/d")
    plain = config.plain(config.resolve(compose(*words)))
    assert "/" not in "".join(str(value) for value in identity.flatten(identity.without_places(plain)).values())


def test_places_in_a_source_of_ones_own_are_not_kept_either(compose):
    tree = config.plain(config.resolve(compose("data=synthetic")))
    tree["data"]["source"] |= {
        "annotations": "/home/me/a.json",
        "parts": ["/b/c", {"d": "e/f"}],
        "url": "https://x.org/y",
    }
    kept = identity.without_places(tree)["data"]["source"]
    assert (kept["annotations"], kept["parts"], kept["url"]) == ("a.json", ["c", {"d": "f"}], "https://x.org/y")
    # Only the place differs from what a record kept, so no key is named.
    assert identity.differences(identity.without_places(tree), tree) == []


def test_a_record_holds_the_words_without_places(compose):
    places = {
        "model=variant/dense": "model=variant/dense",
        "+data.source.x=1": "+data.source.x=1",
        "results='/home/me/r'": "results=r",
        "data_dir=../d/e": "data_dir=e",
        "data.source={root:/home/me/a,x:'~/my b/c'}": "data.source={root:a,x:'c'}",
        "hydra.searchpath=[file:///home/me/conf,pkg://mine]": "hydra.searchpath=[conf,pkg://mine]",
        "trial=0..9": "trial=0..9",
    }
    resolved = config.resolve(compose(), places)
    kept = list(places.values())
    assert identity.overrides_without_places(resolved) == kept
    assert identity.identity(resolved, 0) == identity.identity(config.resolve(compose()), 0)
    assert "overrides" not in identity.without_places(config.plain(resolved))


def test_match_gives_every_row_the_baseline_parameters(compose):
    for row in ("inception", "resnext", "reformulated_inception", "hybrid", "separable_equivalent"):
        plain = config.resolve(compose(f"model={row}", "size=small", "match=params"))
        matched = build.matched(plain, classes=10, height=32, width=32)
        params = cost_of(build.network_factory(matched, classes=10)(), 32, 32).params
        assert abs(params / 39_050 - 1) <= 0.02


def test_network_keywords_of_the_wrong_type(compose):
    plain = config.resolve(compose())
    plain.model.network["colour"] = "red"
    with pytest.raises(ConfigError, match="^model.network.colour is not a key: Stack takes"):
        build.network_factory(plain, classes=10)()
    plain.model.network["_target_"] = "hybridsep.networks.Nothing"
    with pytest.raises(ConfigError, match="^model.network._target_=hybridsep.networks.Nothing: .*no Nothing"):
        build.network_factory(plain, classes=10)


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


def test_a_module_of_the_current_folder_is_found_last(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    (tmp_path / "modules_of_mine.py").write_text("import queue\nclass Mine:\n    puts = queue.Queue.put\n")
    (tmp_path / "queue.py").write_text("raise RuntimeError('not this one')\n")
    assert locate("modules_of_mine.Mine", "model.module").__name__ == "Mine"
    assert sys.path[-1] == str(tmp_path)
    for target, said in (
        ("modules_of_mine.Nothing", "has no Nothing"),
        ("nowhere.Mine", "there is no module nowhere"),
        (3, "a name such as"),
        ("os.sep", "not a class or a function"),
    ):
        with pytest.raises(ConfigError, match=f"^model.module._target_={target}.*{said}"):
            locate(target, "model.module")


def test_files_that_are_called_like_pythons_own(tmp_path):
    for name in ("random", "queue", "statistics", "signal", "threading"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('not this one')\n")
    for program in ("run", "report", "bench", "equivalence"):
        command = [sys.executable, "-m", f"hybridsep.{program}", "--help"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_keywords_of_a_constructor():
    class Mine:
        def __init__(
            self, in_chs: int, out_chs: int, ratio: float, kind: Literal["a", "b"] = "a", *, size: Sequence[int]
        ):
            pass

    def checked(**given):
        return check_keywords(Mine, given, "model.module", positional=2)

    assert checked(ratio=1, size=[3]) == {"ratio": 1, "kind": "a", "size": [3]}
    with pytest.raises(ConfigError) as error:
        checked(ratio="x", kind="c", sizes=[3])
    for said in (
        "model.module.ratio=x is not allowed: a finite number",
        "model.module.kind=c is not allowed: choose a, b",
        "model.module.sizes is not a key: did you mean size?",
        "model.module.size is missing: a list, each a whole number",
    ):
        assert said in str(error.value)


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
