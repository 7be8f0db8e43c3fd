"""uv issue 12003: numpy in symlink mode lost its extension modules to a prune.

uv 0.6.4 to 0.7.3 did not count pointers of wheels with several platform tags,
so their own prune deleted archives in use, even without any other release.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache, copy_in_place_of, dangling_links, links_of
from tests.support.uv_releases import NEWEST


def imports_its_extension_modules(environment: Path) -> bool:
    program = "import numpy.linalg._umath_linalg as module; print(module.__file__)"
    python = environment / "bin" / "python"
    finished = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    return finished.returncode == 0 and finished.stdout.strip().endswith(".so")


@pytest.mark.parametrize("release", ["0.6.4", NEWEST])
def test_numpy_imports_before_and_after_our_prune(
    shared: SharedCache, cacheadmin: Cacheadmin, release: str
) -> None:
    environment = shared.environment("science", release, "numpy==2.3.5")
    extensions = [path for path in links_of(environment) if path.endswith(".so")]
    assert len(extensions) > 10
    assert imports_its_extension_modules(environment)

    (shared.path / "archive-v0" / "left-by-a-crash").mkdir()
    policy = cacheadmin.policy(
        shared.path, f"venvs:\n  include: ['{environment}']\nprune:\n  builds:\n    after: 0s\n"
    )
    result = cacheadmin("prune", policy, "--format", "json", code=0).json

    assert "archive-v0/left-by-a-crash" in {row["path"] for row in result["removals"]}
    assert dangling_links(environment) == {}
    assert imports_its_extension_modules(environment)


def test_the_release_of_the_issue_breaks_it_with_its_own_prune(shared: SharedCache) -> None:
    environment = shared.environment("science", "0.6.4", "pandas==2.3.3")
    with copy_in_place_of(shared.path):
        shared.uv("0.6.4", "cache", "prune")
        assert dangling_links(environment)
        assert not imports_its_extension_modules(environment)
