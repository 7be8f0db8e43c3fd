"""An environment that is as it was is not looked at again; what is not as it was, is."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cacheadmin.evidence.archive_names import ArchiveNames
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.sightings import Sightings
from cacheadmin.evidence.stamps import Stamp, stamp_of
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.fs import linked_tree
from cacheadmin.fs.mounts import parse_mount
from cacheadmin.fs.precise_times import Devices, LookTime
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.inventory.reader import open_cache, read_inventory
from cacheadmin.snapshot.snapshot import look_at
from cacheadmin.state.memory_file import MemoryFile
from tests.support.small_farm import DAY_NS, SmallFarm
from tests.support.waiting import let_clocks_tick

NAMES = ("one", "two", "three")


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SmallFarm]:
    """Three environments of one wheel each, looked at once, older than a clock's tick."""
    farm = SmallFarm(tmp_path)
    for number, name in enumerate(NAMES):
        farm.make_environment(name)
        farm.install(name, number)
    let_clocks_tick()
    farm.look(deep=False)
    yield farm


def memory_file(farm: SmallFarm) -> Path:
    with open_cache(str(farm.cache)) as cache:
        return Path(MemoryFile(farm.state, read_inventory(cache), ()).path)


def path_of(farm: SmallFarm, name: str) -> str:
    return str(farm.environment(name))


def test_what_is_as_it_was_is_not_scanned_again(farm: SmallFarm) -> None:
    remembered, scanned = farm.look(deep=False)
    assert scanned == []
    assert remembered == farm.look(deep=False, remembering=False)[0]


def test_only_what_changed_is_scanned(farm: SmallFarm) -> None:
    farm.install("two", 4)
    _, scanned = farm.look(deep=False)
    assert scanned == [path_of(farm, "two")]


def test_what_changed_is_scanned_in_full(farm: SmallFarm) -> None:
    farm.install("two", 4)
    (farm.packages("two") / "p4.py").unlink()
    # A file of another wheel in a distribution's place: no metadata tells of it.
    (farm.packages("two") / "p4.py").symlink_to(farm.archive(3) / "p3.py")
    assert farm.archive(3).name in archives_of(farm, "two")


def test_a_change_in_the_same_tick_as_the_look_is_seen(farm: SmallFarm) -> None:
    for number in range(20):
        farm.install("one", number % 5)
        farm.look()
        farm.install("one", (number + 1) % 5)
        assert farm.look()[0] == farm.look(remembering=False)[0]


def test_what_is_younger_than_a_tick_is_not_remembered(farm: SmallFarm) -> None:
    home = path_of(farm, "one")
    changed_ns = max(os.stat(path).st_ctime_ns for path in (home, farm.packages("one")))

    def stamp(after_ns: int, steady_ns: int = 0) -> Stamp | None:
        """Return the stamp by a look that began so long after the last change."""
        wall_ns = changed_ns + after_ns
        ago_ns = time.time_ns() - wall_ns
        found = Sightings(
            CacheLocator(CacheIdentity(str(farm.cache), 0, 0), ()),
            ArchiveNames("", {}),
            home=home,
            stamped=[str(farm.packages("one"))],
        )
        begun = LookTime(wall_ns, time.monotonic_ns() - ago_ns + steady_ns)
        return stamp_of(home, EnvironmentKind.VENV, found, begun, Devices())

    assert stamp(1_000_000) is None
    assert stamp(30_000_000) is not None
    # The clock was set while it was looked.
    assert stamp(30_000_000, 3_600 * 10**9) is None


@pytest.mark.parametrize(("age_ns", "tells"), [(1_500_000_000, False), (2_500_000_000, True)])
def test_a_time_of_whole_seconds_tells_when_it_is_older(age_ns: int, tells: bool) -> None:
    """A filesystem that knows only seconds hides a second change in the same one."""
    whole_ns = 1_700_000_000 * 10**9
    assert LookTime(whole_ns + age_ns, 0).tells(whole_ns) is tells
    assert LookTime(whole_ns + age_ns, 0).tells(whole_ns + 1)


def test_an_edit_in_place_is_seen_when_a_full_look_is_due(farm: SmallFarm) -> None:
    inner = farm.packages("one") / "tool"
    inner.mkdir()
    let_clocks_tick()
    farm.look()
    (inner / "part.py").symlink_to(farm.archive(4) / "p4.py")
    # No time of the folders above moves.
    assert farm.archive(4).name not in archives_of(farm, "one")
    farm.now_ns += 8 * DAY_NS
    assert farm.archive(4).name in archives_of(farm, "one")


def archives_of(farm: SmallFarm, name: str) -> frozenset[str]:
    environments, _ = farm.look(deep=False)
    found = {Path(one.path).name: one.archives for one in environments}
    return frozenset(found[name])


def test_what_no_full_look_is_left_for_is_looked_at_as_if_for_the_first_time(
    farm: SmallFarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linked_tree, "MAX_ENTRIES_OF_ONE", 12)
    farm.now_ns += 8 * DAY_NS
    environments, scanned = farm.look(deep=False)
    # Some of them twice: there was enough for one or two.
    assert len(NAMES) < len(scanned) < 2 * len(NAMES)
    assert all(one.complete for one in environments)


def test_each_is_looked_at_in_full_at_least_that_often(farm: SmallFarm) -> None:
    scanned: set[str] = set()
    for _ in range(7):
        farm.now_ns += DAY_NS
        scanned.update(farm.look(deep=False)[1])
    assert scanned == {path_of(farm, name) for name in NAMES}
    # And it is remembered that it was in full.
    assert farm.look(deep=True)[1] == []


def test_a_clock_set_back_makes_a_full_look_due(farm: SmallFarm) -> None:
    farm.now_ns -= DAY_NS
    assert len(farm.look()[1]) == len(NAMES)


def test_one_whose_archive_is_another_now_is_scanned(farm: SmallFarm) -> None:
    farm.archive(0).rename(farm.folder / "kept")
    farm.make_archive(0)
    assert farm.look(deep=False)[1] == [path_of(farm, "one")]


def test_one_whose_archive_is_gone_is_scanned_until_it_is_back(farm: SmallFarm) -> None:
    farm.install("one", 0, "hardlink")
    let_clocks_tick()
    assert farm.look()[0] == farm.look()[0]
    farm.archive(0).rename(farm.folder / "kept")
    farm.look()
    farm.look()
    # Its file is that of an archive again, which no time of the environment tells.
    (farm.folder / "kept").rename(farm.archive(0))
    assert farm.look()[0] == farm.look(remembering=False)[0]


def test_one_that_another_spelling_of_the_cache_leads_from_is_scanned_when_that_changes(
    farm: SmallFarm,
) -> None:
    link = farm.folder / "link"
    link.symlink_to(farm.cache)
    farm.install("one", 3, cache=link)
    let_clocks_tick()
    farm.look()
    assert farm.look()[1] == []
    link.unlink()
    (farm.folder / "other" / "archive-v0").mkdir(parents=True)
    link.symlink_to(farm.folder / "other")
    assert path_of(farm, "one") in farm.look()[1]


def test_what_is_in_doubt_is_scanned_every_time(farm: SmallFarm) -> None:
    away = farm.folder / "away"
    farm.packages("one").rename(away)
    farm.packages("one").symlink_to(away)
    (farm.packages("two") / "p1-1.0.dist-info" / "METADATA").unlink()
    (farm.packages("two") / "p1-1.0.dist-info" / "METADATA").symlink_to(farm.archive(1) / "nothing")
    let_clocks_tick()
    farm.look()
    assert set(farm.look()[1]) == {path_of(farm, "one"), path_of(farm, "two")}


def test_environments_that_are_gone_for_long_are_forgotten(farm: SmallFarm) -> None:
    before = memory_file(farm).stat().st_size
    for name in ("one", "two"):
        farm.environment(name).rename(farm.folder / name)
    farm.look()
    for _ in range(8):
        farm.now_ns += DAY_NS
        farm.look()
    assert memory_file(farm).stat().st_size < before * 2 / 3


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: b"SQLite format 3\0" + content,
        lambda content: content[: len(content) // 2] + content,
    ],
)
def test_a_damaged_file_is_no_memory(farm: SmallFarm, spoil) -> None:
    file = memory_file(farm)
    file.write_bytes(spoil(file.read_bytes()))
    assert len(farm.look()[1]) == len(NAMES)
    assert farm.look()[1] == []


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_no_memory(farm: SmallFarm, mode: int) -> None:
    memory_file(farm).chmod(mode)
    assert len(farm.look()[1]) == len(NAMES)
    # It is a new file then, that only its owner may write.
    assert stat.S_IMODE(memory_file(farm).stat().st_mode) == 0o600
    assert farm.look()[1] == []


def test_a_folder_that_others_may_write_has_no_memory(farm: SmallFarm) -> None:
    memory_file(farm).parent.chmod(0o777)
    assert len(farm.look()[1]) == len(NAMES)


def test_a_link_is_no_memory_and_is_left_alone(farm: SmallFarm) -> None:
    file = memory_file(farm)
    file.rename(farm.folder / "elsewhere")
    file.symlink_to(farm.folder / "elsewhere")
    for _ in range(2):
        assert len(farm.look()[1]) == len(NAMES)
    assert file.is_symlink()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away")
def test_a_file_of_another_account_is_no_memory(farm: SmallFarm) -> None:
    os.chown(memory_file(farm), 1234, 1234)
    assert len(farm.look()[1]) == len(NAMES)


def test_the_memory_of_another_cache_is_none(farm: SmallFarm, tmp_path: Path) -> None:
    other = SmallFarm(tmp_path / "other")
    other.make_environment("one")
    other.state = farm.state
    content = memory_file(farm).read_bytes()
    memory_file(other).write_bytes(content)
    assert other.look()[1] == [path_of(other, "one")]


@pytest.mark.parametrize(
    ("line", "precise"),
    [
        (b"36 35 8:1 / / rw,relatime - ext4 /dev/sda1 rw", True),
        (b"36 35 8:1 / / rw,relatime - xfs /dev/sda1 rw", True),
        (b"36 35 8:1 / / rw,relatime - ext4 /dev/sda1 rw,lazytime", False),
        (b"36 35 8:1 / / rw,relatime - nfs4 server:/export rw,vers=4.2", False),
        (b"36 35 8:1 / / rw,relatime - fuse.sshfs server: rw", False),
        (b"36 35 8:1 / / rw,relatime - vfat /dev/sda1 rw", False),
    ],
)
def test_only_filesystems_with_fine_and_timely_times_are_trusted(
    line: bytes, precise: bool
) -> None:
    devices = Devices((parse_mount(line),))
    assert devices.is_precise(os.makedev(8, 1), "/") is precise
    # A subvolume has a device of its own, and the times of its filesystem.
    assert devices.is_precise(os.makedev(0, 77), "/srv") is precise


def write_policy(farm: SmallFarm) -> str:
    farm.folder.chmod(0o755)
    policy = farm.folder / "policy.yaml"
    policy.write_text(
        f"version: 1\nname: farm\ncache: {farm.cache}\nstate: {farm.state}\n"
        f"venvs:\n  include: ['{farm.envs}/*']\n  from_cache: false\n"
    )
    policy.chmod(0o644)
    return str(policy)


def test_a_whole_look_says_the_same_from_memory(farm: SmallFarm) -> None:
    policy = write_policy(farm)
    memory_file(farm).unlink()
    with look_at(policy):
        pass
    assert memory_file(farm).is_file()
    with look_at(policy, afresh=True) as snapshot:
        expected = snapshot.evidence.environments
    assert {one.path for one in expected} == {path_of(farm, name) for name in NAMES}
    with look_at(policy) as snapshot:
        assert snapshot.evidence.environments == expected
        # What is verified after the moves is all of them.
        assert all(one in snapshot.collected.scanned for one in expected)


def test_later_looks_of_the_same_run_ask_no_memory(farm: SmallFarm) -> None:
    from cacheadmin.evidence.look import Moment

    with look_at(write_policy(farm)) as snapshot:
        look = snapshot.collected.look
        assert look.memory is not None
        assert look.later(Moment.BEFORE_LOCK).memory is None


def test_no_memory_where_the_policy_wants_none(farm: SmallFarm) -> None:
    policy = write_policy(farm)
    with open(policy, "a") as file:
        file.write("scan: {full_every: 0d}\n")
    memory_file(farm).unlink()
    with look_at(policy) as snapshot:
        assert len(snapshot.evidence.environments) == len(NAMES)
    assert not memory_file(farm).exists()


def test_two_looks_at_once_leave_a_whole_memory(farm: SmallFarm) -> None:
    with open_cache(str(farm.cache)) as cache:
        inventory = read_inventory(cache)
    file = MemoryFile(farm.state, inventory, ())
    written = file.read()
    assert written is not None
    assert file.write(replace(written, rows=written.rows[:1]))
    assert file.write(written)
    assert file.read() == written


@pytest.mark.parametrize("complete", [True, False])
def test_what_no_time_tells_is_put_back_after_a_prune(farm: SmallFarm, complete: bool) -> None:
    policy = write_policy(farm)
    with open(policy, "a") as file:
        file.write(f"  complete: {str(complete).lower()}\n")
    inner = farm.packages("one") / "tool"
    inner.mkdir()
    # Nothing leads to these two; then a file in place leads to one.
    for number in (3, 4):
        shutil.rmtree(farm.cache / "wheels-v7" / "pypi" / f"p{number}")
    let_clocks_tick()
    with look_at(policy):
        pass
    (inner / "part.py").symlink_to(farm.archive(4) / "p4.py")
    with look_at(policy) as snapshot:
        assert snapshot.rests_on_memory
        going = {decision.path for decision in snapshot.plan().removals}
        assert {f"archive-v0/{farm.archive(number).name}" for number in (3, 4)} <= going
    done = subprocess.run(
        [sys.executable, "-m", "cacheadmin", "prune", policy],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (inner / "part.py").read_text() == "x = 1\n"
    assert farm.archive(4).is_dir() and not farm.archive(4).is_symlink()
    assert not farm.archive(3).is_dir() or farm.archive(3).is_symlink()
