"""`--help`: every choice, and every key with its value and what the YAML files say of it. Hydra is not needed."""

import re
from pathlib import Path

from hybridsep import __version__
from hybridsep.config import config_dir

_HEAD = """hybridsep: train several networks, several trials each; after a stop the same command continues.

One row, ten trials:    python -m hybridsep.run model=resnext trial=0..9
The paper's Figure 4:   python -m hybridsep.run experiment=figure4
Half a minute on a CPU: python -m hybridsep.run experiment=quick
Any experiment, small:  python -m hybridsep.run experiment=figure5 scale=quick
Several rows:           python -m hybridsep.run -m 'model=glob(*)' trial=0..9
The tables:             python -m hybridsep.report study=quick
Show, do not run:       add --cfg job (all values, resolved; without -m)
Shell completion:       eval "$(hybridsep -sc install=bash)"

Choices, each a file under conf/ (choose with group=name):"""
_EXIT = (
    "Exit status: 0 done, 1 a trial failed, diverged or was lost, 2 something to mend (one line says what),"
    " 75 stopped early (the same command continues)."
)
_NOT_CHOICES = {"model/base", "hydra/sweeper", "report"}


def answer(arguments: list[str]) -> str:
    """Return the version or the help for a command line that asks for one, or is empty; else nothing."""
    if "--version" in arguments:
        return f"hybridsep {__version__}"
    return text(arguments) if not arguments or {"--help", "-h"} & set(arguments) else ""


def text(arguments: list[str]) -> str:
    """Return the help; a group that is chosen (`data=synthetic`) shows the keys of that choice."""
    root = config_dir()
    main = (root / "config.yaml").read_text(encoding="utf-8")
    defaults = dict(re.findall(r"^  - (\w+): (\w+)$", main, re.MULTILINE))
    chosen = {**defaults, **dict(argument.split("=", 1) for argument in arguments if "=" in argument)}
    parts = [_HEAD, *_choices(root), "", "Every key with its value (set with key=value):"]
    parts.append(_own_keys(main))
    for group in (group for group, name in defaults.items() if name != "null"):
        file = root / group / f"{chosen[group]}.yaml"
        if not file.is_file() or file.parent != root / group:
            file = root / group / f"{defaults[group]}.yaml"
        parts += [f"\n{group}:  # of {group}={file.stem}", _indented(file.read_text(encoding="utf-8"))]
    return "\n".join([*parts, "", _EXIT])


def _choices(root: Path) -> list[str]:
    groups: dict[str, list[str]] = {}
    for file in sorted(root.rglob("*.yaml"), key=lambda file: (len(file.parts), file)):
        group, name = file.parent.relative_to(root).as_posix(), file.stem
        if group == "model/variant":
            group, name = "model", f"variant/{name}"
        if group != "." and group not in _NOT_CHOICES:
            groups.setdefault(group, []).append(name)
    return [f"  {group}: {', '.join(names)}" for group, names in sorted(groups.items())]


def _own_keys(main: str) -> str:
    """Return the lines of config.yaml between its list of defaults and what it says to Hydra."""
    body = main.split("\n\n", 1)[1].split("\nhydra:", 1)[0]
    return body.rstrip()


def _indented(content: str) -> str:
    lines = content.splitlines()
    start = next((at for at, line in enumerate(lines) if not line.startswith(("#", "defaults:", "  - ")) and line), 0)
    return "\n".join(f"  {line}" for line in lines[start:] if line.strip() and not line.startswith("#"))
