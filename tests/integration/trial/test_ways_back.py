"""Ways back: the place on trial goes on leading to what has come back from there."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from cacheadmin.trial.ledger import Trial
from tests.support.trial_sites import DAY_NS, ENTRY, RULES, TrialSite, trial_site


def resolved_on_trial(site: TrialSite) -> Path:
    """Put the entry on trial, use it, bring it back; return its path as the user resolved it."""
    site.put_on_trial()
    path = Path(os.path.realpath(site.link))
    assert "cacheadmin.trial" in str(path)
    assert [one.why for one in site.watch().springs] == ["sprung"]
    assert not (site.path / ENTRY).is_symlink()
    return path


def last_use_ns(site: TrialSite) -> int:
    return site.trials.ledger.uses_since(0)[ENTRY].at_ns


def test_a_use_by_the_resolved_path_is_a_use_of_the_entry(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        path = resolved_on_trial(site)
        site.watch()
        before = last_use_ns(site)
        assert path.is_file()
        now = time.time_ns()
        # Between a look and the run's tripwires: what was used a moment ago goes on no trial.
        failed = site.trials.prepare([Trial(ENTRY, "run", now, now + DAY_NS)], now)
        assert set(failed) == {ENTRY}
        site.trials.unprepare([ENTRY])
        assert path.is_file()
        site.watch()
        assert last_use_ns(site) > before
        used = last_use_ns(site)
        site.watch()
        assert last_use_ns(site) == used


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
def test_on_trial_again_and_back_again_the_path_holds(tmp_path: Path, exchanges: bool) -> None:
    with trial_site(tmp_path) as site:
        site.trials.tripwires._exchanges = exchanges
        path = resolved_on_trial(site)
        for _ in range(2):
            site.put_on_trial()
            assert path.is_file()
            assert (site.path / ENTRY).is_symlink()
            site.use()
            assert [one.why for one in site.watch().springs] == ["sprung"]
            assert path.is_file()
            site.watch()
        site.put_on_trial()
        # As each run does at its end: what tells of walks goes with the last way back.
        site.trials.note_roots()
        names = os.listdir(site.path / "archive-v0" / "cacheadmin.trial")
        assert not any(name.startswith(".walk-") for name in names)


def test_a_walk_through_our_folder_is_no_use_and_no_time_passes_with_it(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        resolved_on_trial(site)
        used = last_use_ns(site)
        looked = site.trials.ledger.looked_ns
        place = site.path / "archive-v0" / "cacheadmin.trial"
        for name in os.listdir(place):
            # As a backup does.
            if (place / name).is_symlink():
                os.readlink(place / name)
        site.watch()
        assert looked is not None
        # As long after the last look as it was before.
        assert last_use_ns(site) - used <= time.time_ns() - looked
        # What is set back is seen again.
        before = last_use_ns(site)
        os.stat(place / ENTRY.partition("/")[2])
        site.watch()
        assert last_use_ns(site) > before


def test_a_disk_that_fails_a_look_takes_no_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trial_site(tmp_path) as site:
        path = resolved_on_trial(site)

        def fails(*_: object) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr("cacheadmin.trial.ways_back.open_directory", fails)
        site.trials.note_roots()
        assert path.is_file()


def test_walks_of_every_night_make_no_entry_unused(tmp_path: Path) -> None:
    """A backup hides who works by such a path: how long ago the last use was is not known."""
    with trial_site(tmp_path) as site:
        path = resolved_on_trial(site)
        site.watch()
        used = last_use_ns(site)
        for days in (10, 20):
            assert path.is_file()
            for name in os.listdir(site.path / "archive-v0" / "cacheadmin.trial"):
                os.path.realpath(site.path / "archive-v0" / "cacheadmin.trial" / name)
            site.watch_after(days)
            assert last_use_ns(site) >= used + (days - 1) * DAY_NS


def test_a_way_back_goes_with_its_entry_and_the_folder_with_the_last_of_them(
    tmp_path: Path,
) -> None:
    with trial_site(tmp_path) as site:
        path = resolved_on_trial(site)
        shutil.rmtree(site.path / ENTRY)
        site.watch()
        assert not os.path.lexists(path.parent.parent)
        names = set(os.listdir(site.path / "archive-v0" / "cacheadmin.trial"))
        assert names <= {".cacheadmin", ".ledger.json"}


def test_what_no_process_looked_up_leaves_nothing_behind(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        assert site.trials.put_back([ENTRY]) == []
        names = set(os.listdir(site.path / "archive-v0" / "cacheadmin.trial"))
        assert names <= {".cacheadmin", ".ledger.json"}
        # It was set back after a walk, which may have hidden a lookup.
        site.put_on_trial()
        site.use()
        assert site.trials.tripwires.set_back(ENTRY)
        place = Path(os.path.realpath(site.path / "archive-v0" / "cacheadmin.trial"))
        assert site.watch(RULES).springs == ()
        assert site.trials.put_back([ENTRY]) == []
        assert (place / ENTRY.partition("/")[2] / "pkg" / "__init__.py").is_file()


def test_a_folder_of_environments_has_its_way_back(tmp_path: Path) -> None:
    script = "environments-v2/script-0123456789abcdef"
    with trial_site(tmp_path) as site:
        environment = site.path / script
        environment.mkdir(parents=True)
        (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")
        site.put_on_trial(script)
        path = Path(os.path.realpath(environment / "pyvenv.cfg"))
        assert "cacheadmin.trial" in str(path)
        assert [one.why for one in site.watch().springs] == ["sprung"]
        assert path.read_text().startswith("home")
