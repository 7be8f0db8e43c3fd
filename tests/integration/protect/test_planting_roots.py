"""Planting on a real disk: exact, incremental, and out of reach of whoever writes there too."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cacheadmin.cli.app import run
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.inventory.reader import OpenCache, open_cache, read_inventory
from cacheadmin.planner.plan import Plan
from cacheadmin.policy.loader import load_policy
from cacheadmin.protect.planted_roots import examine, plant, planted_archives, withdraw
from cacheadmin.protect.protection import plant_wanted
from cacheadmin.protect.roots import WantedRoots, root_buckets, root_name, root_target
from cacheadmin.protect.trial_roots import with_trials
from cacheadmin.snapshot.snapshot import Snapshot
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age, dangling_links, links_of, names_in, tree_snapshot
from tests.support.trial_sites import ENTRY, add_archive, lay_out
from tests.support.uv_releases import newest_bucket

BUCKETS = root_buckets(2)
NAMES = ("one", "-two_", "three")


def wanted(*names: str) -> WantedRoots:
    return WantedRoots(BUCKETS, frozenset(ArchiveId(name) for name in names or NAMES))


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[OpenCache]:
    folder = tmp_path / "cache"
    for name in NAMES:
        (folder / "archive-v0" / name / f"{name}-1.0.dist-info").mkdir(parents=True)
    (folder / "sdists-v9" / "pypi").mkdir(parents=True)
    (folder / "sdists-v9" / ".git").touch()
    (folder / "CACHEDIR.TAG").touch()
    folder.chmod(0o2775)
    with open_cache(str(folder)) as opened:
        yield opened


def path_of(cache: OpenCache) -> Path:
    return Path(cache.identity.path)


def missing(cache: OpenCache, roots: WantedRoots) -> int:
    return sum(bucket.missing for bucket in examine(cache.fd, roots))


def test_every_bucket_gets_a_root_for_every_archive(cache: OpenCache) -> None:
    assert missing(cache, wanted()) == len(BUCKETS) * len(NAMES)
    done = plant(cache.fd, wanted(), removable=())
    assert [bucket.planted for bucket in done] == [len(NAMES)] * len(BUCKETS)
    links = links_of(path_of(cache))
    assert len(links) == len(BUCKETS) * len(NAMES)
    for path in links:
        assert Path(path).resolve(strict=True).parent == path_of(cache) / "archive-v0"
    assert missing(cache, wanted()) == 0
    assert planted_archives(cache.fd) == set(NAMES)


def test_planting_again_and_looking_write_nothing(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    before = tree_snapshot(path_of(cache))
    done = plant(cache.fd, wanted(), removable=NAMES)
    examine(cache.fd, wanted())
    assert sum(bucket.planted + bucket.removed for bucket in done) == 0
    assert tree_snapshot(path_of(cache)) == before


def test_only_roots_known_before_the_look_are_removed(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    plant(cache.fd, wanted("one"), removable={"three"})
    assert planted_archives(cache.fd) == {"one", "-two_"}
    plant(cache.fd, wanted("one"), removable=planted_archives(cache.fd))
    assert planted_archives(cache.fd) == {"one"}


def test_withdrawing_leaves_the_cache_as_it_was(cache: OpenCache) -> None:
    before = names_in(path_of(cache))
    plant(cache.fd, wanted(), removable=())
    assert names_in(path_of(cache)) > before
    withdraw(cache.fd)
    assert names_in(path_of(cache)) == before


def test_nothing_to_protect_makes_nothing_and_takes_the_rest_away(cache: OpenCache) -> None:
    before = names_in(path_of(cache))
    nothing = WantedRoots(BUCKETS, frozenset())
    plant(cache.fd, nothing, removable=())
    assert names_in(path_of(cache)) == before
    plant(cache.fd, wanted(), removable=())
    plant(cache.fd, nothing, removable=NAMES)
    assert names_in(path_of(cache)) == before


def test_a_bucket_that_uv_uses_survives_withdrawing_with_all_in_it(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    (path_of(cache) / "sdists-v12" / ".git").touch()
    withdraw(cache.fd)
    assert names_in(path_of(cache) / "sdists-v12") == {".git"}


def test_folders_have_the_rights_of_the_caches_root_whatever_the_umask(cache: OpenCache) -> None:
    old = os.umask(0o077)
    try:
        plant(cache.fd, wanted(), removable=())
    finally:
        os.umask(old)
    for bucket in BUCKETS:
        made = [path_of(cache) / bucket / "cacheadmin"]
        if bucket != "sdists-v9":
            made.append(path_of(cache) / bucket)
        for folder in made:
            assert stat.S_IMODE(folder.stat().st_mode) == 0o2775, folder


@pytest.mark.root
def test_folders_belong_to_the_owner_and_group_of_the_caches_root(cache: OpenCache) -> None:
    os.fchown(cache.fd, 61001, 61000)
    plant(cache.fd, wanted(), removable=())
    for folder in (path_of(cache) / "sdists-v12", path_of(cache) / "sdists-v12" / "cacheadmin"):
        assert (folder.stat().st_uid, folder.stat().st_gid) == (61001, 61000)


# What an attacker who may write to the buckets can do


def victim(tmp_path: Path) -> Path:
    """A folder outside the cache, with things that look like roots in it."""
    folder = tmp_path / "victim"
    folder.mkdir()
    for name in ("precious", root_name(ArchiveId("stale")), root_name(ArchiveId("one"))):
        (folder / name).write_text("x")
    (folder / "cacheadmin").mkdir()
    (folder / "cacheadmin" / root_name(ArchiveId("stale"))).write_text("x")
    return folder


def test_a_bucket_that_is_a_link_is_refused_and_its_target_untouched(
    cache: OpenCache, tmp_path: Path
) -> None:
    outside = victim(tmp_path)
    (path_of(cache) / newest_bucket("sdists")).symlink_to(outside)
    (path_of(cache) / "sdists-v8").write_text("a file")
    before = tree_snapshot(outside)
    done = {b.name: b for b in plant(cache.fd, wanted(), removable={"stale", *NAMES})}
    withdrawn = {b.name: b for b in withdraw(cache.fd)}
    assert tree_snapshot(outside) == before
    for name, what in ((newest_bucket("sdists"), "a link"), ("sdists-v8", "a regular file")):
        assert what in done[name].problem
        assert what in withdrawn[name].problem
        assert done[name].missing == len(NAMES)
    assert done["sdists-v9"].problem == ""


@pytest.mark.parametrize("kind", ["link", "file", "fifo", "folder", "marked by hand"])
def test_what_stands_in_our_folders_place_is_left_alone_and_told(
    cache: OpenCache, tmp_path: Path, kind: str
) -> None:
    outside = victim(tmp_path)
    place = path_of(cache) / "sdists-v9" / "cacheadmin"
    if kind == "link":
        place.symlink_to(outside)
    elif kind == "file":
        place.write_text("x")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir(mode=0o700)
        (place / "secret").write_text("x")
        (place / root_name(ArchiveId("stale"))).write_text("x")
        if kind == "marked by hand":
            (place / ".cacheadmin").symlink_to("/etc/passwd")
    before = tree_snapshot(path_of(cache) / "sdists-v9"), tree_snapshot(outside)
    withdraw(cache.fd)
    (done,) = [
        one
        for one in plant(cache.fd, wanted(), removable={"stale", *NAMES})
        if one.name == "sdists-v9"
    ]
    assert "left alone" in done.problem
    assert done.missing == len(NAMES)
    assert (tree_snapshot(path_of(cache) / "sdists-v9"), tree_snapshot(outside)) == before
    assert missing(cache, wanted()) == len(NAMES)


@pytest.mark.root
def test_our_folder_is_known_without_its_marker_and_gets_it_again(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    folder = path_of(cache) / "sdists-v9" / "cacheadmin"
    marker = folder / ".cacheadmin"
    marker.unlink()
    assert missing(cache, wanted()) == 0
    plant(cache.fd, wanted("one"), removable=NAMES)
    assert marker.is_file()
    # A member's own folder is not ours, however much it looks like it.
    marker.unlink()
    os.chown(folder, 61001, 61000)
    (done,) = [b for b in plant(cache.fd, wanted(), removable=()) if b.name == "sdists-v9"]
    assert "uid 61001" in done.problem
    assert not marker.exists()


def test_roots_that_lead_elsewhere_or_are_something_else_are_replaced(
    cache: OpenCache, tmp_path: Path
) -> None:
    outside = victim(tmp_path)
    plant(cache.fd, wanted(), removable=())
    before = tree_snapshot(outside)
    folder = path_of(cache) / "sdists-v9" / "cacheadmin"
    names = [root_name(ArchiveId(name)) for name in NAMES]
    for name in names:
        (folder / name).unlink()
    (folder / names[0]).symlink_to(outside)
    (folder / names[1]).write_text("x")
    (folder / names[2]).mkdir()
    assert missing(cache, wanted()) == len(NAMES)
    (done,) = [b for b in plant(cache.fd, wanted(), removable=()) if b.name == "sdists-v9"]
    assert (done.planted, done.missing, done.problem) == (3, 0, "")
    for name, root in zip(NAMES, names, strict=True):
        assert os.readlink(folder / root) == root_target(ArchiveId(name))
    assert tree_snapshot(outside) == before


def test_a_folder_with_things_in_it_is_no_root_and_keeps_no_other_root_away(
    cache: OpenCache,
) -> None:
    plant(cache.fd, wanted(), removable=())
    folder = path_of(cache) / "sdists-v9" / "cacheadmin"
    names = [root_name(ArchiveId(name)) for name in (*NAMES, "stale")]
    for name in names:
        (folder / name).unlink(missing_ok=True)
    for name in (names[0], names[3]):
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "deep" / "precious").write_text("x")
    done = plant(cache.fd, wanted(), removable={"stale"})
    (found,) = [bucket for bucket in done if bucket.name == "sdists-v9"]
    assert (found.planted, found.missing) == (2, 1)
    assert "not ours" in found.problem
    (withdrawn,) = [bucket for bucket in withdraw(cache.fd) if bucket.name == "sdists-v9"]
    assert "not ours" in withdrawn.problem
    for name in (names[0], names[3]):
        assert (folder / name / "deep" / "precious").read_text() == "x"


def test_a_single_changed_link_is_noticed_although_nothing_is_missing(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    link = path_of(cache) / "sdists-v9" / "cacheadmin" / root_name(ArchiveId("one"))
    link.unlink()
    link.symlink_to("../../archive-v0/three")
    (found,) = [b for b in examine(cache.fd, wanted()) if b.name == "sdists-v9"]
    assert found.missing == 1


def test_what_has_no_roots_name_in_our_folder_is_left_alone_and_told(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    folder = path_of(cache) / "sdists-v9" / "cacheadmin"
    (folder / "notes").mkdir()
    (folder / "notes" / "mine").write_text("x")
    assert [b.foreign for b in examine(cache.fd, wanted()) if b.name == "sdists-v9"] == [1]
    (done,) = [b for b in withdraw(cache.fd) if b.name == "sdists-v9"]
    assert "not ours" in done.problem
    assert names_in(folder) == {".cacheadmin", "notes", "notes/mine"}


# Roots are no evidence


def test_the_inventory_sees_neither_roots_nor_buckets_that_hold_nothing_else(
    cache: OpenCache,
) -> None:
    before = read_inventory(cache)
    plant(cache.fd, wanted(), removable=())
    after = read_inventory(cache)
    assert after.buckets == before.buckets
    assert (after.revisions, after.strays, after.unreadable) == ((), (), ())
    assert after.wheel_pointers == before.wheel_pointers


def test_a_real_pointer_beside_the_roots_still_counts(cache: OpenCache) -> None:
    plant(cache.fd, wanted(), removable=())
    revision = path_of(cache) / "sdists-v12" / "pypi" / "six" / "1.16.0" / "rev"
    revision.mkdir(parents=True)
    (revision / "six-1.16.0-py3-none-any").symlink_to("../../../../../archive-v0/one")
    found = read_inventory(cache)
    assert [one.archives for one in found.revisions] == [{"one"}]
    assert "sdists-v12" in {bucket.name for bucket in found.buckets}


def test_a_source_package_called_like_us_still_counts(cache: OpenCache) -> None:
    revision = path_of(cache) / "sdists-v9" / "pypi" / "cacheadmin" / "1.0" / "rev"
    revision.mkdir(parents=True)
    (revision / "cacheadmin-1.0-py3-none-any").symlink_to("../../../../../archive-v0/one")
    assert [one.archives for one in read_inventory(cache).revisions] == [{"one"}]


def test_our_folder_in_the_git_bucket_is_no_write_of_anybody(cache: OpenCache) -> None:
    (path_of(cache) / "git-v0" / "locks").mkdir(parents=True)
    plant(cache.fd, wanted(), removable=())
    (git,) = [b for b in read_inventory(cache).buckets if b.name == "git-v0"]
    assert git.writes == ()


def site_on_trial(
    folder: Path, cacheadmin: Cacheadmin, more: str = "", *, complete: bool = False
) -> tuple[Path, Path]:
    """Make a cache of an archive whose environment is gone; return it, and a policy."""
    lay_out(folder)
    shutil.rmtree(folder / "env")
    age(folder / "cache", days=60)
    text = f"venvs: {{discover: [{{root: {folder / 'home'}}}]}}\n{more}"
    policy = cacheadmin.policy(folder / "cache", text, complete=complete)
    (folder / "home").mkdir()
    return folder / "cache", policy


def roots_of(cache: Path, archive: str) -> int:
    name = root_name(ArchiveId(archive))
    return len([one for one in cache.glob(f"*/cacheadmin/{name}") if one.is_symlink()])


def test_buckets_that_another_policy_or_host_knows_keep_their_roots(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    lay_out(open_folder)
    path, archive = open_folder / "cache", ENTRY.partition("/")[2]
    found = f"venvs: {{discover: [{{root: {open_folder / 'env'}}}]}}\n"
    knowing = cacheadmin.policy(path, f"{found}protect: {{ahead: 6}}\n", name="knowing")
    other = cacheadmin.policy(path, f"{found}protect: {{ahead: 1}}\n", name="other")
    cacheadmin("protect", knowing, code=0)
    planted = roots_of(path, archive)
    for words in (("protect", other), ("prune", other)):
        cacheadmin(*words, code=0)
        assert roots_of(path, archive) == planted
        assert cacheadmin("protect", knowing, "--check").code == 0
    shutil.rmtree(open_folder / "env" / "site-packages")
    cacheadmin("protect", other, code=0)
    assert roots_of(path, archive) == 0, "what is not in use any more has none, in no bucket"


def test_taking_protection_away_leaves_what_is_on_trial_every_root(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    path, knowing = site_on_trial(open_folder, cacheadmin, "protect: {ahead: 6}\n")
    cacheadmin("prune", knowing, code=0)
    root = f"/cacheadmin/{root_name(ArchiveId(ENTRY.partition('/')[2]))}"
    # By names alone: a look through a root is a use.
    planted = {name for name in names_in(path) if name.endswith(root)}
    other = cacheadmin.policy(path, name="other", complete=False)
    for words in (("protect", other, "--remove"), ("prune", other)):
        cacheadmin(*words, code=0)
        assert {name for name in names_in(path) if name.endswith(root)} == planted


def test_what_went_on_trial_after_a_look_keeps_its_roots(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    path, policy_file = site_on_trial(open_folder, cacheadmin)
    policy = load_policy(str(policy_file)).policy
    archive = ENTRY.partition("/")[2]
    before = frozenset({ArchiveId(archive)})
    with open_cache(str(path)) as cache:
        # A look that found it unused, with roots from when it was in use.
        stale = WantedRoots(root_buckets(0), frozenset())
        plant(cache.fd, wanted(archive), removable=())
        assert cacheadmin("prune", policy_file, "--format", "json", code=0).json["trial"]["planted"]
        plant_wanted(policy, cache, stale, before, 5.0)
        assert roots_of(path, archive) >= len(root_buckets(0))
        assert all(one.missing == 0 for one in examine(cache.fd, with_trials(cache, stale)))


def test_a_prune_leaves_roots_that_were_planted_while_it_looked(
    open_folder: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "protect: {enabled: true}\nprune: {archives: false}\n"
    path, policy_file = site_on_trial(open_folder, cacheadmin, more, complete=True)
    newer = add_archive(path, "archive-v0/Newer_aBcDeFgHijk", "newer")
    plan = Snapshot.plan

    def plan_while_a_guard_plants(snapshot: Snapshot) -> Plan:
        with open_cache(str(path)) as cache:
            plant(cache.fd, wanted(newer.name), removable=())
        return plan(snapshot)

    monkeypatch.setattr(Snapshot, "plan", plan_while_a_guard_plants)
    assert run(["-q", "prune", str(policy_file)]) == 0
    assert roots_of(path, newer.name) >= len(root_buckets(0))


def test_a_trial_that_is_ended_at_once_leaves_no_root_that_leads_nowhere(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    path, policy = site_on_trial(open_folder, cacheadmin)
    cacheadmin("prune", policy, code=0)
    assert roots_of(path, ENTRY.partition("/")[2])
    cacheadmin("runs", "purge", policy, "--all", "--now", code=0)
    assert dangling_links(path) == {}
