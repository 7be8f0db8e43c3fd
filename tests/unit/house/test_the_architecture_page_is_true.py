"""Every file and room that docs/architecture.md names is there."""

from __future__ import annotations

import re

import pytest

from tests.support.uv_releases import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+(?:\.py)?)?|[a-z_]+\.py)`", PAGE)))
DRAWN = sorted(set(re.findall(r"\b[a-z_]+/[a-z_]+\b", PAGE.split("```")[1].removeprefix("text"))))


def test_the_page_names_files() -> None:
    assert len(NAMED) > 30
    assert len(DRAWN) > 8


@pytest.mark.parametrize("name", [*NAMED, *DRAWN])
def test_it_is_there(name: str) -> None:
    path = REPOSITORY / "cacheadmin" / name
    assert path.exists() or path.with_suffix(".py").exists(), name
