"""YAML files of one's own, in the folder of `--config-dir`, checked before Hydra reads them."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybridsep.config import config_dir
from hybridsep.errors import ConfigError


def check_own_files(folder: Path) -> None:
    """Raise ConfigError for a file that Hydra would not read, because a packaged one has its name, or cannot read.

    Only files where a configuration has some count: the folder may be a whole project with YAML of other programs.
    """
    packaged, includes = config_dir(), {}
    if not folder.is_dir() or folder.resolve() == packaged.resolve():
        return
    groups = [folder / path.name for path in packaged.iterdir() if path.is_dir()]
    top = [folder / path.name for path in packaged.glob("*.yaml") if (folder / path.name).is_file()]
    for path in sorted([*top, *(path for group in groups for path in group.rglob("*.yaml"))]):
        name = path.relative_to(folder).as_posix()
        if (packaged / name).is_file():
            raise ConfigError(
                f"{path} would not be read: hybridsep has a file {name} of its own; give yours another name"
            )
        includes[path] = _included(path, folder)
    try:
        TopologicalSorter(includes).prepare()
    except CycleError as error:
        raise ConfigError(f"{error.args[1][0]} contains itself: its defaults lead back to it") from None


def _included(path: Path, folder: Path) -> list[Path]:
    """Return the files that the defaults of a file name. Raises ConfigError for one that cannot be read."""
    try:
        content: Any = OmegaConf.to_container(OmegaConf.load(path))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path} cannot be read as YAML, line {line}: {error.problem}") from None
    except RecursionError:
        raise ConfigError(f"{path} contains itself: an alias (*name) stands inside its own anchor (&name)") from None
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    defaults = content.get("defaults") or [] if isinstance(content, dict) else []
    names = [entry.partition("@")[0] for entry in defaults if isinstance(entry, str)]
    return [(folder / name[1:] if name[:1] == "/" else path.parent / name).with_suffix(".yaml") for name in names]
