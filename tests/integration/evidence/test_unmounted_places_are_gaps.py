"""A tree or pattern of the policy whose disk is not mounted tonight is not an empty one.

No earlier look has seen them: the state is new, or they were made since.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import mounted_tmpfs, moved_away
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.uv_releases import NEWEST


def in_project(shared: SharedCache, projects: Path) -> Path:
    """Return an environment in a project, whose archives nothing else leads to."""
    environment = projects / "one" / ".venv"
    environment.parent.mkdir(parents=True)
    made = shared.environment("made", NEWEST, "six==1.16.0")
    # Between filesystems; links and folders are all that counts.
    shutil.copytree(made, environment, symlinks=True)
    shared.remove_environment(made)
    for folder in (*shared.path.glob("wheels-v*"), *shared.path.glob("interpreter-v*")):
        shutil.rmtree(folder)
    return environment


def test_a_pattern_whose_folder_is_not_there_keeps_what_it_would_find(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path
) -> None:
    projects, away = open_folder / "projects", open_folder / "away"
    environment = in_project(shared, projects)
    projects.rename(away)
    text = f"venvs: {{include: ['{projects}/*/.venv']}}\n"
    policy = cacheadmin.policy(shared.path, text)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    away.rename(projects)
    assert dangling_links(environment) == {}
    (gap,) = [one for one in done["gaps"] if one["subject"] == str(projects)]
    assert gap["id"] == "unseen.include"
    assert gap["fix"] == "mount it, or correct the pattern in venvs.include"
    assert "archive" not in {row["kind"] for row in done["removals"]}
    # Where it is there, a pattern may well match nothing.
    shutil.rmtree(environment.parent)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert str(projects) not in {one["subject"] for one in done["gaps"]}


@pytest.mark.root
@pytest.mark.parametrize(
    "venvs",
    [
        "discover: [{root: PROJECTS}]",
        "discover: [{root: ABOVE, depth: 4}]",
        "include: ['PROJECTS/*/.venv']",
        "include: ['ABOVE/*/*/.venv']",
    ],
)
def test_a_disk_of_fstab_that_is_not_mounted_is_a_gap(
    cacheadmin: Cacheadmin, shared: SharedCache, open_folder: Path, venvs: str
) -> None:
    if not os.path.exists("/etc/fstab"):
        pytest.skip("no /etc/fstab to put another in the place of")
    above = open_folder / "disks"
    projects = above / "projects"
    projects.mkdir(parents=True)
    fstab = open_folder / "fstab"
    fstab.write_text(f"# disks\n/dev/sdz1 {projects} xfs defaults,nofail 0 2\n")
    venvs = venvs.replace("PROJECTS", str(projects)).replace("ABOVE", str(above))
    policy = cacheadmin.policy(shared.path, f"venvs: {{{venvs}}}\n")

    def prune() -> Any:
        words = cacheadmin.command("prune", policy, "--format", "json")
        inside = 'mount --bind "$0" /etc/fstab && exec "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", inside, fstab, *words],
            env=cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    with mounted_tmpfs(projects):
        environment = in_project(shared, projects)
        with moved_away(projects):
            done = prune()
        # With the site's word (complete) it was removed; it goes on trial at most.
        assert dangling_links(environment) == {}
        (gap,) = [one for one in done["gaps"] if one["id"] == "search.unmounted"]
        assert gap["subject"] == str(projects)
        assert {row["rests_on"] for row in done["removals"] if row["kind"] == "archive"} <= {
            "absence"
        }
        (archive,) = shared.path.glob("archive-v0/*/six.py")
        assert archive.exists()
        prune()
        assert dangling_links(environment) == {}
        assert "search.unmounted" not in {one["id"] for one in prune()["gaps"]}
