"""One person, one uv, no root and no policy: a prune frees what `uv cache prune` frees, and more.

Root's processes can't be looked into, so nothing is proven: what they may use
goes on trial. One of them does use an archive, and goes on.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.packages import Index
from tests.support.projects import library_in, project_in, uv_in
from tests.support.shared_cache import (
    SharedCache,
    age,
    copy_in_place_of,
    dangling_links,
    names_in,
)
from tests.support.users import User, open_temporary_folder, other_users
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root


@dataclass
class Own:
    """Ana's own cache, and how she calls the command line on it."""

    ana: User
    shared: SharedCache
    command_line: Cacheadmin

    def __call__(self, *arguments: str, code: int | None = None) -> Result:
        """Run one command as ana, without a policy."""
        return self.command_line(
            *arguments, code=code, user=self.ana, environment=self.environment()
        )

    def environment(self) -> dict[str, str]:
        """Return what tells ana's commands where her cache is."""
        return {"UV_CACHE_DIR": str(self.shared.path), "HOME": str(self.shared.home(self.ana))}

    @property
    def project(self) -> Path:
        """Ana's project."""
        return self.shared.home() / "project"

    def archives_with(self, name: str) -> list[Path]:
        """Return the archives that hold a file or folder of this name."""
        return [path.parent for path in self.shared.path.glob(f"archive-v0/*/{name}")]

    def archives_of_latest_tool(self) -> set[str]:
        """Return the archive that is the newest cached environment."""
        found = self.shared.path.glob("archive-v0/*/lib/*/site-packages/cowsay-6.1.dist-info")
        return {path.parents[3].name for path in found}

    def removable_kinds(self) -> set[str]:
        """Return the kinds of entries that a plan would remove."""
        plan = self("plan", "--format", "json", code=4).json
        return {row["kind"] for row in plan["removals"]}

    def archives(self) -> set[str]:
        """Return the archives that lie at their place, as folders."""
        found = os.scandir(self.shared.path / "archive-v0")
        return {one.name for one in found if one.is_dir(follow_symlinks=False)}


@pytest.fixture(scope="module")
def built(index: Index) -> Iterator[SharedCache]:
    """A cache with a project, a library that was built twice, and a tool of two months ago."""
    folder = open_temporary_folder("cacheadmin-own-")
    (ana,) = other_users(1)
    (folder / "work").mkdir()
    shared = SharedCache.create(folder / "work", index, users=[ana])
    home = shared.home()
    shared.path.rmdir()
    shared.path = home / ".cache" / "uv"
    shared.path.mkdir(parents=True)
    own_all(home, ana)
    shared.uv(NEWEST, "tool", "run", "cowsay@6.0", "-t", "moo")
    age(shared.path, 60)
    shared.uv(NEWEST, "tool", "run", "cowsay@6.1", "-t", "moo")
    library = library_in(home / "mylib")
    project = project_in(home / "project", "six==1.16.0", library=library)
    own_all(library, ana)
    own_all(project, ana)
    uv_in(shared, project, NEWEST, "sync", "--quiet")
    library_in(library, 2)
    own_all(library, ana)
    uv_in(shared, project, NEWEST, "sync", "--quiet", "--upgrade")
    subprocess.run(["cp", "-a", folder / "work", folder / "kept"], check=True)
    yield shared
    shutil.rmtree(folder)


@pytest.fixture
def own(built: SharedCache, cacheadmin: Cacheadmin) -> Own:
    """Ana's cache as it was built, however the last test left it."""
    work = built.homes.parent
    shutil.rmtree(work)
    subprocess.run(["cp", "-a", work.with_name("kept"), work], check=True)
    return Own(built.users[0], built, cacheadmin)


def own_all(folder: Path, user: User) -> None:
    subprocess.run(["chown", "-R", f"{user.uid}:{user.gid}", folder], check=True)


def test_as_much_is_freed_as_by_uv_and_the_printed_line_puts_it_back(own: Own) -> None:
    before = names_in(own.shared.path)
    archives = own.archives()
    with copy_in_place_of(own.shared.path):
        own.shared.uv(NEWEST, "cache", "prune")
        uvs = archives - own.archives()
    # The newest environment of a tool stays for its next call, which uv's prune makes slow.
    latest = own.archives_of_latest_tool()
    assert len(uvs - latest) == 3

    done = own("prune", code=0).stdout
    assert archives - own.archives() >= uvs - latest
    assert dangling_links(own.project) == {}
    (undo,) = re.findall("^undo: (.*)$", done, re.MULTILINE)
    own(*shlex.split(undo)[1:], code=0)
    assert names_in(own.shared.path) >= before
    assert own.archives() >= archives


def test_a_cache_in_a_folder_of_roots_has_its_quarantine_inside(own: Own) -> None:
    home = own.shared.path.parent
    os.chown(home, 0, 0)
    home.chmod(0o755)
    archives = own.archives()
    done = own("prune", "--format", "json", code=0).json
    assert done["quarantine"] == f"{own.shared.path}/.cacheadmin/quarantine"
    assert any(f"you may not write to {home}" in warning for warning in done["warnings"])
    assert done["removals"]
    own("runs", "restore", done["run_id"], code=0)
    assert own.archives() >= archives


def test_a_program_of_root_that_nobody_sees_goes_on_and_brings_its_archive_back(
    own: Own, open_folder: Path
) -> None:
    (superseded,) = own.archives_with("mylib-1.0.dist-info")
    environment = open_folder / "closed" / "site-packages"
    environment.mkdir(parents=True)
    environment.parent.chmod(0o700)
    for name in os.listdir(superseded):
        (environment / name).symlink_to(superseded / name)
    code = "import sys; sys.stdin.readline(); import mylib; print(mylib.VALUE)"
    with subprocess.Popen(
        [sys.executable, "-B", "-c", code],
        env={"PYTHONPATH": str(environment)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        planted = own("prune", "--format", "json", code=0).json["trial"]["planted"]
        assert f"archive-v0/{superseded.name}" in planted
        assert superseded.is_symlink()
        assert program.communicate("now\n")[0] == "1\n"

    again = own("prune", "--format", "json", code=0).json
    assert f"archive-v0/{superseded.name}" in again["trial"]["put_back"]
    assert not superseded.is_symlink()
    kept = {row["path"]: row["rule"] for row in again["kept"]}
    assert kept[f"archive-v0/{superseded.name}"] == "trial.sprung"


def test_preflight_says_that_what_roots_processes_may_use_goes_on_trial(own: Own) -> None:
    answer = own("preflight", "--format", "json", code=4).json
    said = [one["detail"] for one in answer["checks"] if one["id"] == "unseen.process"]
    assert any("of root's processes" in detail for detail in said)
    assert all("goes on trial" in detail and "kept" not in detail for detail in said)
    assert {"unseen.process"} <= {gap["id"] for gap in answer["gaps"]}


@pytest.mark.parametrize(("gaps", "code"), [("keep", 0), ("refuse", 5)])
def test_the_policy_may_keep_or_refuse_instead(own: Own, gaps: str, code: int) -> None:
    state = f"state: sqlite:///{own.shared.home()}/state.sqlite\n"
    policy = own.command_line.policy(
        own.shared.path, f"venvs: {{gaps: {gaps}}}\n{state}", complete=False
    )
    archives = own.archives()
    answer = own("prune", str(policy), "--format", "json", code=code)
    assert own.archives() == archives
    assert "unseen.process" in {limit["id"] for limit in answer.json["limits"]}


@pytest.mark.alone
def test_a_uv_of_an_account_that_left_nothing_here_keeps_nothing(
    own: Own, open_folder: Path
) -> None:
    """It works in another cache, most likely; one that left something may know any entry."""
    ben = other_users(2)[1]
    program = open_folder / "uv"
    shutil.copy("/bin/sleep", program)
    with subprocess.Popen([program, "60"], **ben.process_arguments()) as uv:
        try:
            assert "archive" in own.removable_kinds()
            left = own.shared.path / "archive-v0" / ".tmpAbCdEf"
            left.mkdir()
            os.chown(left, ben.uid, ben.gid)
            assert "archive" not in own.removable_kinds()
        finally:
            uv.kill()
