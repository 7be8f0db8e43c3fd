"""Tests of a room lie in the folder with its name, whichever sort of test they are."""

from __future__ import annotations

import pytest

from tests.support.uv_releases import REPOSITORY

# What holds everywhere, what is shipped, and whole sites.
OF_NO_ROOM = {"house", "packaging", "sites"}


@pytest.mark.parametrize("kind", ["unit", "integration", "property"])
def test_each_folder_of_tests_is_named_after_a_room(kind: str) -> None:
    rooms = {path.stem for path in (REPOSITORY / "cacheadmin").iterdir()}
    folder = REPOSITORY / "tests" / kind
    assert {path.name for path in folder.iterdir() if list(path.glob("test_*.py"))} <= (
        rooms | OF_NO_ROOM
    )
    assert list(folder.glob("test_*.py")) == []
