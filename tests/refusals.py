"""What a refusal is, whatever its words: one line that names the key or file, and exit status 2.

The words themselves are in tests/wording.txt (what a wrong command line is told) and tests/wording.py.
"""

import contextlib
import re
from collections.abc import Iterator

import pytest

from hybridsep.errors import UserError


def one_line(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text) < 1000


def names(text: str, name: str) -> bool:
    """Return whether a text names a key, file or value: `name` stands there and is no part of another name."""
    begin, end = (r"(?<![\w.])" if name[0].isalnum() else ""), (r"(?!\w)" if name[-1].isalnum() else "")
    return re.search(begin + re.escape(name) + end, text) is not None


@contextlib.contextmanager
def refused(*named: str, key: str = "", kind: type[UserError] = UserError) -> Iterator[pytest.ExceptionInfo[UserError]]:
    """Expect an error of the user's in one line, about `key` if one is given, that names every one of `named`.

    About `key` is a message, or a part of one between semicolons, that begins with it: with `size.depth`, or with
    `size.depth=0` if that value is what is refused.
    """
    with pytest.raises(kind) as caught:
        yield caught
    _check(str(caught.value), named, key)


def check_refused(
    ended: tuple[int, str], *named: str, key: str = "", program: str = "hybridsep", notice: str = ""
) -> str:
    """Check a command's exit status and standard error as `refused` does an error; return the line.

    One line that begins with `notice` may stand before it.
    """
    status, said = ended
    assert status == 2, (status, said)
    if notice and said.startswith(notice):
        said = said.partition("\n")[2]
    assert said.startswith(f"{program}: ") and said.endswith("\n"), said
    line = said.removeprefix(f"{program}: ")[:-1]
    _check(line, named, key)
    return line


def _check(line: str, named: tuple[str, ...], key: str) -> None:
    assert one_line(line), line
    end = r"(?!\w)" if key[-1:].isalnum() else ""
    assert any(re.match(re.escape(key) + end, part) for part in line.split("; ")), line
    for name in named:
        assert names(line, name), (name, line)
