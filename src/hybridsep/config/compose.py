"""From Hydra's configuration to ours: the schema that Hydra composes into, and the checked `Config` of the result."""

import dataclasses
import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import omegaconf
from omegaconf import MISSING, BooleanNode, DictConfig, FloatNode, IntegerNode, Node, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from hybridsep.config.identity import flatten
from hybridsep.config.keys import fields, is_group
from hybridsep.config.ranges import bare, expand_home
from hybridsep.config.schema import Config
from hybridsep.config.validation import refuse, validate
from hybridsep.errors import ConfigError

_NODES: dict[Any, Callable[[Any], Node]] = {int: IntegerNode, float: FloatNode, bool: BooleanNode}
_ARCHIVE_SUFFIX = re.compile(r"\.(tar(\.(xz|gz|bz2))?|tgz|txz|zip)$", re.IGNORECASE)


def stem(path: str | None) -> str:
    """Name of a dataset from its path: `a/b/cifar10-jpeg.tar.xz` and `a/b/cifar10-jpeg/` are both `cifar10-jpeg`."""
    return _ARCHIVE_SUFFIX.sub("", Path(path or "").name) or "data"


def config_dir() -> Path:
    """Folder of the YAML files: inside the installed package, or `conf/` at the top of a source checkout."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package / "conf", package.parents[1] / "conf"):
        if (candidate / "config.yaml").is_file():
            return candidate
    raise ConfigError(f"no conf/ folder beside {package}: reinstall hybridsep")


def groups() -> list[str]:
    """Return the groups of which a configuration chooses one file each."""
    others = ("hydra", "report")
    return sorted(path.name for path in config_dir().iterdir() if path.is_dir() and path.name not in others)


def register() -> None:
    """Give Hydra the schema and the resolvers of conf/."""
    from hydra.core.config_store import ConfigStore

    store = ConfigStore.instance()
    if "schema.yaml" not in store.repo:  # storing it again is an error from Hydra 1.5 on
        store.store(name="schema", node=schema_node(Config))
    register_resolver("stem", stem)
    register_resolver("residual", lambda residual: "_residual" if residual else "")
    register_resolver("small_warmup", lambda decay: 0 if decay == "polynomial" else 2)


def hydra_defaults() -> dict[str, str]:
    """Return the keywords with which Hydra behaves as version 1.3 and later: from 1.4 on that is its only way."""
    from importlib.metadata import version

    return {"version_base": "1.3"} if version("hydra-core").startswith("1.3.") else {}


def register_resolver(name: str, resolver: Callable[..., object], *, use_cache: bool = False) -> None:
    """Give OmegaConf a resolver, in place of an earlier one of that name."""
    # From 2.4 on, `register_resolver` is the new one, and the name of 2.3 warns.
    new = tuple(map(int, omegaconf.__version__.split(".")[:2])) >= (2, 4)
    register: Any = OmegaConf.register_resolver if new else OmegaConf.register_new_resolver
    register(name, resolver, replace=True, use_cache=use_cache)


def schema_node(schema: type) -> DictConfig:
    """Return a schema for Hydra to compose into: keys, defaults, and no check but that a number is one.

    `resolve` checks all values. Numbers are converted here already, because interpolations repeat them: in the network
    too, `size.dropout=0` is 0.0. Text is not: OmegaConf would turn `row: 1.10` of a file into "1.1".
    """
    node = DictConfig({})
    for entry in dataclasses.fields(schema):
        base, _, _ = bare(fields(schema)[entry.name])
        if is_group(base):
            node[entry.name] = schema_node(base)
            continue
        default = entry.default if entry.default_factory is dataclasses.MISSING else entry.default_factory()
        default = MISSING if default is dataclasses.MISSING else default
        node[entry.name] = _NODES[base](default) if base in _NODES else default
    return node


def resolve(composed: DictConfig, overrides: Iterable[str] = ()) -> Config:
    """Return what Hydra composed as a checked `Config`, every interpolation resolved and every `~` expanded.

    `overrides`: those of the command line that it was composed of, for the record.

    Raises ConfigError, one line that names the keys that are wrong and what is allowed.
    """
    overrides = list(overrides)
    ours = [str(key) for key in composed if key != "hydra"]  # a job has Hydra's part too
    try:
        composed = OmegaConf.masked_copy(composed, ours)
        _check_size(composed, overrides)
        tree: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise _missing(error) from None
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    _check_source(tree)
    _expand_source(tree["data"]["source"])
    config = validate(Config, tree, further=groups())
    _check_together(config, tree)
    return dataclasses.replace(config, overrides=overrides)


def plain(config: Config) -> dict[str, Any]:
    """Return a configuration as a record holds it: nested dictionaries."""
    return dataclasses.asdict(config)


def _check_size(composed: DictConfig, overrides: Iterable[str]) -> None:
    """Check that what is typed of `size` reaches the network; one that takes nothing from it has the size `own`."""
    taken = re.findall(r"\$\{size\.(\w+)\}", OmegaConf.to_yaml(composed.model))
    for override in overrides:
        group, _, key = override.lstrip("+").partition("=")[0].partition(".")
        if group == "size" and key != "name" and (key or not taken) and key not in taken:
            keys = ", ".join(f"size.{each}" for each in taken) or "nothing from size"
            raise ConfigError(f"{override.lstrip('+')} does not reach the network of this model, which takes {keys}")
    if not taken:
        composed.size.name = "own"


def _missing(error: MissingMandatoryValue) -> ConfigError:
    key = str(error.full_key)
    if key == "model.name":
        return ConfigError("model.name is missing: a model's file begins with name: and title:, what its row is called")
    return ConfigError(f"{key} is missing: give it on the command line or in the file that was chosen")


def _check_source(tree: dict[str, Any]) -> None:
    """Check that what is said of a dataset's files reaches its source: the keys of the source lead back to them."""
    data = tree.get("data")
    source = data.get("source") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(source, dict):
        raise refuse("data.source", source, "keys, one of them _target_")
    if data.get("path") is None and "path" in source:
        raise ConfigError(
            "data.path is missing: data.path=FOLDER_OR_ARCHIVE, with train/CLASS/FILE and test/CLASS/FILE in it"
        )
    for key, inside in {"path": "path", "side": "resize", "split": "hold_out"}.items():
        value = data.get(key)
        # A source of one's own may call the path otherwise; a number can be there for another reason.
        if value is not None and inside not in source and not (key == "path" and value in source.values()):
            raise ConfigError(
                f"data.{key}={value} is not used by this dataset ({source.get('_target_')}): "
                f"data=imagefolder and data=cifar10_jpeg take a {key}"
            )


def _expand_source(source: dict[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, str) and value.startswith("~"):
            try:
                source[key] = expand_home(value)
            except ValueError as error:
                raise refuse(f"data.source.{key}", value, str(error)) from None


def _check_together(config: Config, tree: dict[str, Any]) -> None:
    """Check what no key can say alone."""
    schedule, data = config.schedule, config.data
    warmup, epochs, steps = schedule.warmup_epochs, schedule.epochs, schedule.decay_steps
    if warmup > epochs:
        short = "; for a training this short add schedule.warmup_epochs=0"
        raise refuse("schedule.warmup_epochs", f"{warmup:g}", f"at most schedule.epochs={epochs}{short}")
    if steps != sorted(steps):
        raise refuse("schedule.decay_steps", steps, "rising fractions of training between 0 and 1")
    if schedule.nesterov and schedule.momentum == 0:
        raise refuse("schedule.momentum", 0, "above 0 with schedule.nesterov=true")
    if (data.mean is None) != (data.std is None):
        raise refuse("data.mean", data.mean, "null exactly when data.std is null")
    for key, value in flatten({group: tree[group] for group in ("model", "data")}).items():
        # A record holds the configuration, and JSON has no such numbers.
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, float) and not math.isfinite(number):
                raise refuse(key, number, "a finite number")
