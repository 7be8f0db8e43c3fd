"""The check after the moves follows what links through a whole environment in the cache, too."""

from __future__ import annotations

import os
from pathlib import Path

from cacheadmin.evidence.facts import Environment, EnvironmentKind, EnvironmentStatus
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.prune.verification import verify
from cacheadmin.readers import Readers


def test_a_link_that_breaks_behind_an_archive_that_stayed_is_found(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    whole, gone = cache / "archive-v0" / "Whole", cache / "archive-v0" / "Gone"
    packages = whole / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    gone.mkdir()
    (gone / "six.py").touch()
    (packages / "six.py").symlink_to(gone / "six.py")
    project = tmp_path / "project"
    project.mkdir()
    (project / "six.py").symlink_to(packages / "six.py")
    gone.rename(tmp_path / "quarantine")

    status = cache.stat()
    environments = [
        Environment(str(project), EnvironmentKind.TARGET, EnvironmentStatus.OK),
        Environment(str(whole), EnvironmentKind.CACHED, EnvironmentStatus.OK),
    ]
    with Readers() as readers:
        found = verify(
            environments,
            CacheIdentity(str(cache), status.st_dev, status.st_ino),
            ["archive-v0/Gone"],
            lambda inside: os.path.exists(tmp_path / "quarantine" / Path(inside).name),
            readers,
        )
    broken = {(one.environment, one.entry) for one in found.broken}
    assert broken == {
        (str(project), "archive-v0/Gone"),
        (str(whole), "archive-v0/Gone"),
    }
