"""An environment that is not there is gone, or away: then trials wait, and it keeps its links."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cacheadmin.evidence.away import away_because
from tests.support.filesystems import mounted_tmpfs
from tests.support.uv_releases import REPOSITORY

DAY_NS = 86_400 * 10**9
ASK = """
import sys
from cacheadmin.evidence.away import away_because
print(away_because(sys.argv[1]))
"""


def asked(path: Path, script: str) -> str:
    """Return the answer for a path, in mounts of its own that a script makes."""
    words = ["sh", "-ec", f'{script}; exec "$0" "$@"', sys.executable, "-c", ASK, str(path)]
    done = subprocess.run(
        ["unshare", "--mount", *words],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def asked_by(uid: int, path: Path) -> str:
    """Return the answer that an account gets."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.write(theirs, away_because(str(path)).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    os.waitpid(pid, 0)
    with os.fdopen(ours) as answer:
        return answer.read()


@pytest.fixture
def project(open_folder: Path) -> Path:
    """A project whose environment is not there."""
    folder = open_folder / "projects" / "one"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    return folder


def test_what_was_deleted_from_a_folder_with_other_things_is_gone(project: Path) -> None:
    assert away_because(f"{project}/.venv") == ""
    assert away_because(f"{project}/.venv", time.time_ns()) == ""


def test_where_the_first_folder_is_absent_too_it_is_away() -> None:
    assert "its first folder" in away_because("/no-such-scratch-disk/ana/.venv")


def test_an_empty_folder_is_a_mount_point_unless_a_user_emptied_it(project: Path) -> None:
    (project / "pyproject.toml").unlink()
    changed = project.stat().st_mtime_ns
    path = f"{project}/.venv"
    assert "as a mount point is" in away_because(path)
    assert "as a mount point is" in away_because(path, changed + DAY_NS)
    # It was changed since the environment was seen there: all in it was deleted.
    assert away_because(path, changed - DAY_NS) == ""


@pytest.mark.root
def test_a_folder_that_may_not_be_listed_is_not_known_to_be_whole(project: Path) -> None:
    project.chmod(0o711)
    assert asked_by(0, project / ".venv") == ""
    assert "as a mount point is" in asked_by(61001, project / ".venv")


@pytest.mark.root
def test_what_is_in_the_table_of_filesystems_and_not_mounted_is_away(project: Path) -> None:
    """There is a note below the mount point, so that it is not empty."""
    table = project.parent / "fstab"
    table.write_text(f"# a comment\nserver:/one {project} nfs defaults 0 0\n")
    script = f"touch /etc/fstab; mount --bind {table} /etc/fstab"
    there = os.path.exists("/etc/fstab")
    try:
        said = asked(project / ".venv", script)
        mounted = asked(
            project / ".venv", f"{script}; mount -t tmpfs none {project}; touch {project}/x"
        )
        beside = asked(project.parent / "two" / ".venv", script)
    finally:
        if not there:
            os.unlink("/etc/fstab")
    assert said == f"nothing is mounted on {project}, where /etc/fstab has a filesystem"
    assert mounted == ""
    assert beside == ""


@pytest.mark.root
def test_where_the_home_is_absent_too_it_is_away(project: Path) -> None:
    accounts = project.parent / "passwd"
    home = project.parent / "zoe"
    accounts.write_text(f"root:x:0:0::/root:/bin/sh\nzoe:x:61234:61234::{home}:/bin/sh\n")
    script = f"mount --bind {accounts} /etc/passwd"
    assert asked(home / "work" / ".venv", script) == f"the home {home} is absent too"
    home.mkdir()
    (home / "notes").touch()
    assert asked(home / "work" / ".venv", script) == ""


@pytest.mark.root
def test_where_its_filesystem_was_mounted_and_is_not_now_it_is_away(project: Path) -> None:
    point = str(project)
    said = away_because(f"{project}/.venv", 0, point)
    assert said == f"nothing is mounted on {point}, where the filesystem was that it lay on"
    with mounted_tmpfs(project):
        (project / "pyproject.toml").touch()
        assert away_because(f"{project}/.venv", 0, point) == ""


def test_a_project_whose_link_leads_to_a_disk_that_is_away_is_away(project: Path) -> None:
    (project / ".venv").symlink_to("/no-such-scratch-disk/ana/.venv")
    assert "its first folder /no-such-scratch-disk" in away_because(f"{project}/.venv")


def test_a_file_in_the_place_of_a_folder_hides_none(project: Path) -> None:
    """What is below it can't be mounted there again: the nearest folder is told of."""
    (project / "file").touch()
    assert away_because(f"{project}/file/work/.venv") == ""
