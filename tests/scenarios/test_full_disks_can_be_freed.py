"""Not a byte, inode or block of quota is left: prunes free what the plan says all the same.

What rests on proof is deleted at once, environments stay whole, and no command
ends with an unexpected error.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.cli.app import run
from cacheadmin.fs.removal import Removed
from cacheadmin.hosts.turns import Undisputed
from cacheadmin.prune import in_place
from tests.support.cacheadmin_cli import Cacheadmin, Result
from tests.support.filesystems import filesystem, fill, free_bytes, quota_on, use_up_inodes
from tests.support.packages import Index
from tests.support.shared_cache import SharedCache, age, dangling_links, names_in
from tests.support.uv_releases import NEWEST

pytestmark = pytest.mark.root


@dataclass
class FullDisk:
    """A cache on a filesystem of its own that is full; ``measure`` tells what is free there."""

    name: str
    shared: SharedCache
    mounted: Path
    environment: Path
    command_line: Cacheadmin
    measure: Callable[[Path], int]

    def __call__(self, *arguments: str, code: int | None = None) -> Result:
        """Run one command, and see that it ends with words of ours."""
        result = self.command_line(*arguments, code=code)
        assert "unexpected" not in result.stderr
        return result

    def policy(self, text: str = "") -> str:
        """Return a policy whose state lies on the full filesystem, too."""
        state = f"state: sqlite:///{self.mounted}/state/state.sqlite\n"
        return str(self.command_line.policy(self.shared.path, text + state))

    def prune_frees_what_the_plan_says(self, policy: str) -> None:
        """Prune, and fail where less than four fifths of what the plan says come back."""
        before = self.free()
        totals = self("plan", policy, "--format", "json", code=4).json["totals"]
        removable = totals["files" if self.measure is free_files else "reclaimable_bytes"]
        assert removable > 0
        done = self("prune", policy, "--format", "json", code=0)
        assert done.json["outcome"] == "committed"
        assert self.free() - before >= 0.8 * removable
        assert dangling_links(self.environment) == {}
        assert "is full" in done.stderr
        assert len(done.stderr.splitlines()) == 1

    def free(self) -> int:
        """Return what is free: bytes, or inodes where these are what is short."""
        return self.measure(self.mounted)


def free_files(mounted: Path) -> int:
    return os.statvfs(mounted).f_ffree


def free_in_quota(mounted: Path) -> int:
    """Return what the quota leaves, as btrfs counts it."""
    subprocess.run(["sync", "-f", mounted], check=True)
    shown = subprocess.run(
        ["btrfs", "qgroup", "show", "--raw", "-fr", mounted],
        check=True,
        capture_output=True,
        text=True,
    )
    _, used, _, limit = shown.stdout.splitlines()[-1].split()[:4]
    return int(limit) - int(used)


@dataclass(frozen=True)
class Shape:
    """A way for a disk to be full."""

    kind: str
    use_up: Callable[[Path, str], object]
    measure: Callable[[Path], int] = free_bytes
    make: tuple[str, ...] = ()
    size_mib: int = 64


SHAPES = {
    "ext4": Shape("ext4", fill),
    "xfs": Shape("xfs", fill, size_mib=320),
    "tmpfs": Shape("tmpfs", fill),
    "inodes": Shape("ext4", use_up_inodes, free_files, ("-N", "2048")),
    "quota": Shape("btrfs", fill, free_in_quota, size_mib=256),
}


@pytest.fixture(params=SHAPES)
def disk(
    request: pytest.FixtureRequest, open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> Iterator[FullDisk]:
    """An environment that links to the cache, and much that nobody needs, on a full disk."""
    shape = SHAPES[request.param]
    with filesystem(shape.kind, open_folder, shape.size_mib, make=shape.make) as whole:
        mounted = quota_on(whole, "limited", 24) if request.param == "quota" else whole
        (mounted / "state").mkdir()
        shared = SharedCache.create(mounted, index)
        environment = shared.environment("known", NEWEST, "six==1.16.0", "idna==3.7")
        gone = shared.environment("gone", NEWEST, "cowsay==6.0")
        shared.remove_environment(gone)
        for pointer in shared.path.glob("wheels-v*/*/*/cowsay/*"):
            pointer.unlink()
        abandoned(shared.path)
        age(shared.path, 60)
        shape.use_up(mounted, "filler")
        yield FullDisk(request.param, shared, mounted, environment, cacheadmin, shape.measure)


def abandoned(cache: Path, name: str = "First", files: int = 20) -> None:
    """Leave a bucket of a release that nobody has, builds, and an archive without pointers."""
    for folder in ("simple-v1/pypi", f"builds-v0/.tmp{name}", f"archive-v0/{name}_abcdefghij"):
        (cache / folder).mkdir(parents=True)
        for number in range(files):
            (cache / folder / f"{number}").write_bytes(os.urandom(20_000))


def test_the_first_prune_and_later_ones_free_what_the_plan_says(disk: FullDisk) -> None:
    policy = disk.policy()
    disk.prune_frees_what_the_plan_says(policy)
    assert disk("plan", policy, "--format", "json").json["removals"] == []

    abandoned(disk.shared.path, "Later", 8)
    age(disk.shared.path, 60)
    SHAPES[disk.name].use_up(disk.mounted, "again")
    disk.prune_frees_what_the_plan_says(policy)


def test_a_run_that_was_killed_is_undone_and_restored_without_room(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("ext4", open_folder, 64) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        before = names_in(disk.shared.path)
        run = disk("prune", policy, "--format", "json", code=0).json
        assert run["made_room"] is None
        quarantine = Path(run["quarantine"])
        journal = quarantine / run["run_id"] / "journal.jsonl"
        committed = journal.read_bytes()
        # As a kill leaves it: after the moves, before anything else is written.
        moving = committed[: committed.index(b"\n", committed.index(b'"moving"')) + 1]
        journal.write_bytes(moving)
        fill(mounted)
        # Padded to the end of its block: not a line more has room.
        disk("scan", policy)
        done = disk("prune", policy, "--format", "json", code=0).json
        assert done["recovered"] == [run["run_id"]]
        assert disk.free() > 800_000
        assert dangling_links(disk.environment) == {}
        assert len(before - names_in(disk.shared.path)) > 20


def test_a_prune_is_undone_without_room(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("ext4", open_folder, 64) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        before = names_in(disk.shared.path)
        run = disk("prune", policy, "--format", "json", code=0).json["run_id"]
        fill(mounted)
        disk("runs", "restore", policy, run, code=0)
        assert names_in(disk.shared.path) >= before
        assert dangling_links(disk.environment) == {}


def test_what_earlier_runs_hold_is_purged_without_room(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("ext4", open_folder, 64) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        disk("prune", policy, code=0)
        fill(mounted)
        before = free_bytes(mounted)
        disk("runs", "purge", policy, "--all", code=0)
        assert free_bytes(mounted) - before > 800_000


def test_now_deletes_at_once_where_there_is_room(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    disk = small_disk(open_folder, index, cacheadmin)
    policy = disk.policy()
    done = disk("prune", policy, "--now", "--format", "json", code=0)
    assert done.json["made_room"] is None
    assert done.json["deleted_bytes"] > 800_000
    assert done.stderr == ""
    disk("runs", "restore", policy, done.json["run_id"], code=5)
    assert dangling_links(disk.environment) == {}
    disk("prune", policy, "--now", "--dry-run", code=2)


@pytest.mark.parametrize("at_least", ["1d", "0d"])
def test_a_full_disk_ends_silent_trials_early_but_never_before_at_least(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, at_least: str
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        text = f"state: sqlite:///{mounted}/state/state.sqlite\n"
        text += f"prune: {{trial: {{for: 30d, at_least: {at_least}}}}}\n"
        policy = str(cacheadmin.policy(disk.shared.path, text, complete=False))
        name = "First_abcdefghij"
        tried = disk.shared.path / "archive-v0" / "cacheadmin.trial" / name
        fill(mounted)
        done = disk("prune", policy, "--format", "json", code=0).json
        assert "simple-v1" in done["made_room"]["removed"]
        assert f"archive-v0/{name}" in done["trial"]["planted"]
        assert (tried / "0").exists()

        fill(mounted, "again")
        done = disk("prune", policy, "--format", "json", code=0).json
        assert done["trial"]["ended"] == ([] if at_least == "1d" else [f"archive-v0/{name}"])
        assert tried.exists() == (at_least == "1d")
        assert dangling_links(disk.environment) == {}


def test_a_disk_that_is_full_of_what_is_used_says_so_and_leaves_with_7(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = str(cacheadmin.policy(disk.shared.path, complete=False))
        shutil.rmtree(disk.shared.path / "simple-v1")
        for name in ("archive-v0", "simple-v1", "wheels-v1"):
            (disk.shared.path / name).mkdir(exist_ok=True)
        os.rmdir(disk.shared.path / "simple-v1")
        os.rmdir(disk.shared.path / "wheels-v1")
        before = names_in(disk.shared.path)
        fill(mounted)
        done = disk("-q", "prune", policy)
        assert names_in(disk.shared.path) >= before
        assert done.code in (0, 7)
        assert "No space left on device" in done.stderr


def test_commands_that_only_read_say_what_is_free_and_what_a_run_needs(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        room = disk("plan", policy, "--format", "json").json["room"]
        assert room["fits"]
        assert 0 < room["needs_bytes"] < room["free_bytes"] <= 32 * 2**20
        assert "room: " in disk("plan", policy).stdout
        fill(mounted)
        room = disk("plan", policy, "--format", "json").json["room"]
        assert (room["fits"], room["free_bytes"]) == (False, 0)
        checks = disk("preflight", policy, "--format", "json").json["checks"]
        (check,) = (one for one in checks if one["id"] == "room")
        assert check["status"] == "warn"
        assert check["fix"]


@pytest.mark.parametrize("step", ["verify", "remove_tree"])
def test_an_interrupt_while_room_is_made_leaves_entries_whole_or_gone(
    open_folder: Path,
    index: Index,
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        before = names_in(disk.shared.path)
        fill(mounted)

        def interrupt(*_arguments: object, **_options: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(in_place, step, interrupt)
            assert run(["-q", "prune", policy]) == 130
        if step == "verify":
            assert names_in(disk.shared.path) == before
        assert dangling_links(disk.environment) == {}
        assert (disk.shared.path / "archive-v0" / "First_abcdefghij" / "19").exists()
        disk("prune", policy, code=0)
        assert not (disk.shared.path / "archive-v0" / "First_abcdefghij").exists()


def test_what_users_remove_while_room_is_made_is_no_error(
    open_folder: Path,
    index: Index,
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        fill(mounted)

        def remove_what_is_set_aside(*_arguments: object) -> None:
            (aside,) = (disk.shared.path / "archive-v0").glob(".tmp*")
            shutil.rmtree(aside)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(in_place, "verify", remove_what_is_set_aside)
            assert run(["-q", "prune", policy]) == 130
        assert "unexpected error" not in capfd.readouterr().err
        assert dangling_links(disk.environment) == {}
        disk("prune", policy, code=0)


def test_what_was_set_aside_in_a_bucket_that_users_remove_is_gone(tmp_path: Path) -> None:
    for name in ("deleted", "put-back"):
        (tmp_path / "sdists-v9" / name).mkdir(parents=True)
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        aside = in_place._Aside(fd, set(), Undisputed())
        aside.set_aside("sdists-v9/deleted")
        aside.set_aside("sdists-v9/put-back")
        assert {one.name[:4] for one in (tmp_path / "sdists-v9").iterdir()} == {".tmp"}
        shutil.rmtree(tmp_path / "sdists-v9")
        assert aside.delete("sdists-v9/deleted", tmp_path.stat().st_dev) == Removed()
        aside.put_back(tuple(aside.names))
        assert aside.names == {}
    finally:
        os.close(fd)


def test_a_full_disk_of_the_state_alone_keeps_nothing_from_being_removed(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("tmpfs", open_folder, 8) as mounted:
        disk = small_disk(open_folder, index, cacheadmin)
        policy = cacheadmin.policy(disk.shared.path, f"state: sqlite:///{mounted}/s.sqlite\n")
        fill(mounted)
        done = disk("prune", str(policy), "--format", "json", code=0)
        assert done.json["made_room"] is None
        assert {row["path"] for row in done.json["removals"]} >= {"simple-v1"}
        assert "disk is full" in done.stderr
        disk("runs", "restore", str(policy), done.json["run_id"], code=0)


def test_a_file_that_has_no_room_is_named(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        fill(mounted)
        saved = f"{mounted}/saved.plan"
        assert saved in disk("plan", policy, "--out", saved, code=7).stderr
        assert not os.path.exists(saved)
        begun = f"{mounted}/begun.yaml"
        assert begun in disk("policy", "init", begun, code=7).stderr
        assert not os.path.exists(begun)
        for command in (
            ("pin", "add", policy, "six"),
            ("protect", policy),
            ("runs", "list", policy),
        ):
            disk(*command)


def test_an_observation_that_has_no_room_is_no_matter_of_rights(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy()
        disk("observe", policy, code=0)
        fill(mounted)
        said = disk("observe", policy, code=7).stderr
        assert said.startswith("cacheadmin: no room: ")
        assert "can't be written" in said
        assert "run it as root" not in said


@pytest.mark.parametrize(
    "words", [("pin", "add"), ("venv", "add"), ("venv", "remove"), ("venv", "discover")]
)
def test_what_can_not_be_noted_for_want_of_room_is_no_matter_of_rights_either(
    open_folder: Path, index: Index, cacheadmin: Cacheadmin, words: tuple[str, ...]
) -> None:
    with filesystem("tmpfs", open_folder, 32) as mounted:
        disk = small_disk(mounted, index, cacheadmin)
        policy = disk.policy("venvs: {complete: false}\n")
        disk("venv", "add", policy, str(disk.environment), code=0)
        fill(mounted)
        what = {"pin": "six", "venv": str(disk.environment)}[words[0]]
        rest = ("--register",) if words[1] == "discover" else (what,)
        said = disk(*words, policy, *rest, code=7).stderr
        assert said.startswith("cacheadmin: no room: ")
        assert said.splitlines()[1:] == ["  free some room there"]


def small_disk(folder: Path, index: Index, command_line: Cacheadmin) -> FullDisk:
    """Make a cache with much that nobody needs, on a disk that is not full yet."""
    (folder / "state").mkdir()
    shared = SharedCache.create(folder, index)
    environment = shared.environment("known", NEWEST, "six==1.16.0")
    abandoned(shared.path)
    age(shared.path, 60)
    return FullDisk("small", shared, folder, environment, command_line, free_bytes)
