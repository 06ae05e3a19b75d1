"""Names within a source: placed or refused, whatever they are."""

import contextlib
import io
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_images import encoded, load, pixels, refused_source, small, write_tar

from hybridsep.data import layout
from hybridsep.errors import DataError


@pytest.mark.parametrize(
    "name",
    ["../x.png", "/train/a/x.png", "train/a/../../../x.png", "a/..", "train/a/new\nline.png", "train/\x1b[2J/x.png"]
    + ["train/x.png", "train/a/b/x.png", "top/train/a/x.png", "train/a/0.png", "./train/a/0.png", "train/c/x.png"],
)
def test_hostile_and_misplaced_names_are_refused(tmp_path, name):
    packed = write_tar(tmp_path / "some.tar.gz", small(), "w:gz")
    with tarfile.open(packed, "w:gz") as tar:
        for known, data in [*small().items(), (name, encoded(pixels(0)))]:
            member = tarfile.TarInfo(known)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    refused_source(packed)


TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)


PIECE = st.one_of(
    st.sampled_from(["train", "test", "a", "b", "..", ".", "", "x.png", "/", "~", "C:", "\\", "\0"]), TEXT
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(PIECE, max_size=6).map("/".join))
def test_any_name_is_placed_or_refused(name):
    with contextlib.suppress(DataError):
        found = layout.Contents().add(name)
        if found is not None:
            assert found.part in ("train", "test") and found.label and found.file
            for piece in found:
                assert piece.isprintable() and "/" not in piece and not piece.startswith(".")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECE, min_size=1, max_size=6).map("/".join))
def test_any_member_name_in_a_real_tar(tmp_path, name):
    packed = tmp_path / "some.tar"
    try:
        write_tar(packed, small() | {name: encoded(pixels(0))})
    except (ValueError, UnicodeError):
        return  # not even tarfile writes this one
    with contextlib.suppress(DataError):
        found = load(packed, tmp_path / "cache")
        assert found.classes == ("a", "b") and len(found.train_images) + len(found.test_images) in (8, 9)
    assert {item.name for item in tmp_path.iterdir()} <= {"some.tar", "cache"}
