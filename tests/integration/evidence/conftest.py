"""Fixtures of the tests of evidence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.shared_cache import SharedCache

_RELEASE = "0.8.5"


@pytest.fixture
def hidden(shared: SharedCache) -> Path:
    """An environment that links an archive which nothing else keeps: neither pointer nor record."""
    environment = shared.environment("hidden", _RELEASE, "six==1.16.0")
    for pattern in ("wheels-v*", "interpreter-v*"):
        for folder in shared.path.glob(pattern):
            shutil.rmtree(folder)
    return environment
