"""Cached environments on trial, hostile members, copies of a cache, and what others see of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cacheadmin.errors import Refused
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.inventory.entries import EntryKind
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.reasons import BUCKET_UNNEEDED
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.on_trial import divide_removals
from cacheadmin.simulate.simulation import simulate_prune
from cacheadmin.trial.ledger import Trial
from cacheadmin.trial.trials import existing_trials
from tests.support.trial_sites import (
    ENTRY,
    RULES,
    TrialSite,
    add_archive,
    lay_out,
    opened_site,
    trial_site,
)
from tests.support.users import other_users

SCRIPT = "environments-v2/script-0123456789abcdef"


def add_script_environment(site: TrialSite) -> Path:
    """Make a script's environment in the cache, and a project's link to it; return that link."""
    environment = site.path / SCRIPT
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.13.8\n")
    (environment / "linked").symlink_to(site.path / ENTRY / "pkg" / "__init__.py")
    project = site.folder / ".venv"
    project.symlink_to(environment)
    return project


def test_a_folder_of_environments_goes_on_and_brings_back_what_it_links_to(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        project = add_script_environment(site)
        site.put_on_trial(SCRIPT, ENTRY)
        inventory = read_inventory(site.cache)
        assert set(inventory.on_trial) >= {SCRIPT, ENTRY}
        assert inventory.environments == inventory.strays == ()
        assert site.watch().springs == ()
        assert (project / "pyvenv.cfg").read_text().startswith("home")
        found = {one.entry: one.why for one in site.watch().springs}
        assert found == {SCRIPT: "sprung", ENTRY: "kin"}
        assert not (site.path / SCRIPT).is_symlink()


def test_a_bucket_that_a_prune_took_is_made_again_for_what_was_on_trial(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        project = add_script_environment(site)
        site.path.chmod(0o2775)
        site.put_on_trial(SCRIPT)
        # As `uv cache prune` of another release does.
        shutil.rmtree(site.path / "environments-v2")
        assert [one.why for one in site.watch().springs] == ["taken"]
        assert (project / "pyvenv.cfg").exists()
        assert (site.path / "environments-v2").stat().st_mode & 0o7777 == 0o2775


def test_an_entry_is_known_behind_its_tripwire(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        locator = CacheLocator(site.cache.identity, ["archive-v0"])
        seen = os.path.realpath(site.link)
        assert "cacheadmin.trial" in seen
        for path in (seen, str(site.link)):
            assert locator.locate_resolved(path).entry == ENTRY
            assert locator.locate_resolved(path).path == f"{ENTRY}/pkg/__init__.py"


def test_looking_at_a_cache_is_no_use_of_it(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        add_script_environment(site)
        site.put_on_trial(ENTRY, SCRIPT)
        read_inventory(site.cache)
        for version in ("0.5.10", "0.8.5", "0.13.8"):
            simulate_prune(site.cache.identity, version)
            simulate_prune(site.cache.identity, version, ci=True)
        assert site.watch().springs == ()


@pytest.mark.parametrize(
    ("version", "gone"),
    [("0.8.5", f"archive-v0/cacheadmin.trial/{ENTRY.partition('/')[2]}"), ("0.13.8", ENTRY)],
)
def test_a_simulation_says_what_a_prune_without_roots_does(
    tmp_path: Path, version: str, gone: str
) -> None:
    with trial_site(tmp_path) as site:
        (site.path / "sdists-v9").mkdir()
        (site.path / "sdists-v10").mkdir()
        site.put_on_trial()
        removals = simulate_prune(site.cache.identity, version).removals
        above = {"archive-v0/cacheadmin.trial"}
        assert gone in removals or above & set(removals)


def test_ids_made_from_content_and_odd_names_never_go_on_trial(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        for entry in ("archive-v0/abcdefghijklmnop01234567", "archive-v0/a.b", "wheels-v5/x"):
            now = time.time_ns()
            failed = site.trials.prepare([Trial(entry, "run", now, now)], now)
            assert set(failed) == {entry}


@pytest.mark.root
def test_a_members_folder_of_our_name_is_not_ours(tmp_path: Path) -> None:
    ana = other_users(1)[0]
    lay_out(tmp_path)
    place = tmp_path / "cache/archive-v0/cacheadmin.trial"
    place.mkdir()
    (place / ".cacheadmin").touch()
    for path in (place, place / ".cacheadmin"):
        os.chown(path, ana.uid, ana.gid)
    with pytest.raises(Refused, match="is not our folder"), opened_site(tmp_path):
        pass


@pytest.mark.root
def test_other_accounts_go_through_and_are_seen_but_can_list_nothing(open_folder: Path) -> None:
    ana = other_users(1)[0]
    with trial_site(open_folder) as site:
        site.put_on_trial()
        place = site.path / "archive-v0/cacheadmin.trial"
        listed = subprocess.run(
            ["ls", place], **ana.process_arguments(), capture_output=True, check=False
        )
        assert listed.returncode != 0
        subprocess.run(["cat", site.link], **ana.process_arguments(), check=True)
        assert [one.why for one in site.watch().springs] == ["sprung"]


@pytest.mark.root
@pytest.mark.parametrize("owner", [0, 61001])
def test_links_can_be_followed_in_a_sticky_bucket(open_folder: Path, owner: int) -> None:
    """fs.protected_symlinks lets nobody follow links of others there, but the folder's owner's."""
    ana = other_users(2)[1]
    with trial_site(open_folder) as site:
        bucket = site.path / "archive-v0"
        os.chown(bucket, owner, -1)
        bucket.chmod(0o1777)
        site.put_on_trial()
        subprocess.run(["cat", site.link], **ana.process_arguments(), check=True)
        assert [one.why for one in site.watch().springs] == ["sprung"]


def test_a_copy_of_a_cache_begins_its_trials_anew(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with trial_site(tmp_path / "a") as site:
        site.put_on_trial(since_ns=time.time_ns() - 2 * RULES.lasts_ns)
    subprocess.run(["cp", "-a", tmp_path / "a", tmp_path / "b"], check=True)
    shutil.rmtree(tmp_path / "a")
    with opened_site(tmp_path / "b") as site:
        assert site.watch().foreign == {}
        trial = site.trials.ledger.trials[ENTRY]
        assert trial.until_ns > time.time_ns() + RULES.lasts_ns // 2


def test_whoever_may_not_change_anything_can_look(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        with existing_trials(site.cache) as trials:
            assert trials is not None
            assert [one.entry for one in trials.current()] == [ENTRY]
            assert {one.standing.value for one in trials.look()} == {"silent"}


def test_a_bucket_with_tripwires_stays_until_their_trials_are_over(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        add_script_environment(site)
        site.put_on_trial(SCRIPT)
        inventory = read_inventory(site.cache)
        for trial in ("never", "{for: 30d}"):
            for rests_on in ("proof", "absence"):
                path = tmp_path / "policy.yaml"
                path.write_text(
                    f"version: 1\nname: t\ncache: {site.path}\nprune: {{trial: {trial}}}\n"
                )
                path.chmod(0o644)
                policy = load_policy(str(path), insecure=True).policy
                name, why = "environments-v2", BUCKET_UNNEEDED
                bucket = Decision(EntryKind.BUCKET, name, None, None, why, rests_on=rests_on)
                divided = divide_removals(policy, inventory, [bucket])
                assert divided.removals == ()
                assert "tripwires" in dict(divided.staying)["environments-v2"]


def test_all_come_back_where_no_reader_can_tell_who_belongs_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trial_site(tmp_path) as site:
        other = f"archive-v0/{'Zq' * 8}"
        add_archive(site.path, other, "stranger")
        # Unpacked at another time by the same account, and required by nothing.
        os.utime(site.path / other, (0, 0))
        site.put_on_trial(ENTRY, other)
        assert site.watch().springs == ()
        assert (site.link).read_text()
        monkeypatch.setattr(
            "cacheadmin.trial.kin._archives_by_package", lambda _: os.kill(os.getpid(), 9)
        )
        found = {one.entry: one for one in site.watch().springs}
    assert {entry: one.why for entry, one in found.items()} == {ENTRY: "sprung", other: "kin"}
    assert "its reader was ended by SIGKILL" in found[other].who[0]
