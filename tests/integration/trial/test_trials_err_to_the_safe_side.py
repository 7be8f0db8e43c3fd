"""Each decision of a trial that spares a user whom no source knows: what turning it round would do.

Found by changes of the code that no other test noticed (``tests/mutation``).
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.errors import Refused
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.trial import tripwires
from cacheadmin.trial.ledger import HostLook, Ledger, Spring, Trial, read_ledger, write_ledger
from cacheadmin.trial.trials import Rules, nobody_named
from tests.support.filesystems import mounted_tmpfs
from tests.support.trial_sites import (
    DAY_NS,
    ENTRY,
    RULES,
    TrialSite,
    add_archive,
    lay_out,
    opened_site,
    trial_site,
)

MINUTE_NS = 60 * 10**9
SLOW = Rules(RULES.lasts_ns, unseen_ns=2 * MINUTE_NS)


def other(number: int) -> str:
    return f"archive-v0/Other_archive_{number:02}"


def place_of(site: TrialSite, name: str) -> Path:
    return site.path / "archive-v0" / "cacheadmin.trial" / name.rpartition("/")[2]


def walk(site: TrialSite) -> None:
    """Resolve every name in the bucket, as a backup does."""
    for name in os.listdir(site.path / "archive-v0"):
        os.path.realpath(site.path / "archive-v0" / name)


def test_a_decoy_that_a_user_takes_is_no_use_and_no_archive(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        decoy = site.path / min(site.trials.ledger.decoys)
        decoy.unlink()
        assert site.watch().springs == ()
        assert not os.path.lexists(decoy)
        assert site.trials.entries() == [ENTRY]


def test_without_roots_for_it_nothing_goes_on_trial(tmp_path: Path) -> None:
    """Any user's prune would delete it there."""
    with trial_site(tmp_path) as site:
        site.trials.shield = lambda _: "no roots could be planted"
        now = time.time_ns()
        failed = site.trials.prepare([Trial(ENTRY, "run", now, now + DAY_NS)], now)
        assert failed == {ENTRY: "no roots could be planted"}
        with pytest.raises(FileNotFoundError):
            site.trials.plant(ENTRY)
        site.trials.unprepare([ENTRY])
        assert not (site.path / ENTRY).is_symlink()
        assert site.trials.ledger.trials == {}


def test_lookups_that_clients_answer_from_memory_are_waited_for(tmp_path: Path) -> None:
    """On a network filesystem a link that was set a moment ago is followed unseen."""
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        site.watch(SLOW)
        before = site.trials.ledger.trials[ENTRY]
        looked = site.trials.ledger.looked_ns
        walk(site)
        assert site.watch(SLOW).doubtful
        after = site.trials.ledger.trials[ENTRY]
        assert looked is not None
        assert after.until_ns - before.until_ns >= 2 * MINUTE_NS
        assert after.discounted_ns - before.discounted_ns >= 2 * MINUTE_NS
        # A copy of the cache: its links are others.
        link = site.path / ENTRY
        text = os.readlink(link)
        link.unlink()
        link.symlink_to(text)
        os.utime(link, ns=(0, 0), follow_symlinks=False)
        moment = time.time_ns()
        site.trials.ledger = replace(site.trials.ledger, trials={})
        place_of(site, ".ledger.json").unlink()
    with opened_site(tmp_path) as site:
        site.trials.tripwires.set_back(ENTRY)
        site.watch(SLOW)
        again = site.trials.ledger.trials[ENTRY]
        assert again.until_ns - moment >= RULES.lasts_ns + 2 * MINUTE_NS
        assert again.discounted_ns >= 2 * MINUTE_NS


def test_a_clock_that_is_years_ahead_forgets_no_use(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        site.use()
        assert site.watch().springs
        ahead = time.time_ns() + 800 * DAY_NS
        site.trials.watch(lambda: ahead, RULES, nobody_named)
        assert set(site.trials.ledger.uses_since(0)) == {ENTRY}


def test_uses_are_remembered_for_a_year(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        site.use()
        site.watch()
        for days, known in ((300, True), (400, False)):
            site.watch_after(days)
            assert (ENTRY in site.trials.ledger.uses_since(0)) == known


def test_what_a_disk_can_not_read_is_no_decoy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoys are removed with their links; this one leads to packages."""
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        place_of(site, ".ledger.json").unlink()
    with opened_site(tmp_path) as site, monkeypatch.context() as disk:

        def fails(*_: object) -> int:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        disk.setattr("cacheadmin.trial.trials.open_content", fails)
        site.watch()
        assert ENTRY in site.trials.ledger.trials
        (site.path / ENTRY).unlink()
        assert [one.entry for one in site.watch().springs] == [ENTRY]
        site.use()


def test_an_entry_that_can_not_be_condemned_is_back_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its link was taken away in the first step: until it is back, nothing leads to it."""
    with trial_site(tmp_path) as site:
        site.put_on_trial(since_ns=time.time_ns() - 31 * DAY_NS)

        def fails(*_: object) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(site.trials.tripwires, "condemn", fails)
        ended = site.trials.end([ENTRY], 0.0)
        assert ended.deleted == []
        assert ended.stuck == [(ENTRY, "Input/output error")]
        assert not (site.path / ENTRY).is_symlink()
        site.use()


def test_with_what_springs_at_the_last_moment_its_kin_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program imports a part of what it has installed; the rest is of the same trial's end."""
    with trial_site(tmp_path) as site:
        add_archive(site.path, other(1), "same")
        stranger = add_archive(site.path, other(2), "stranger")
        os.utime(stranger, (0, 0))
        entries = (ENTRY, other(1), other(2))
        site.put_on_trial(*entries, since_ns=time.time_ns() - 31 * DAY_NS)
        take_away = site.trials.tripwires.take_away

        def used_before(entry: str) -> str:
            if entry == ENTRY:
                site.use()
            return take_away(entry)

        monkeypatch.setattr(site.trials.tripwires, "take_away", used_before)
        ended = site.trials.end(entries, 0.0)
        assert [one.entry for one in ended.deleted] == [other(2)]
        assert set(ended.came_back) == {ENTRY, other(1)}
        assert (site.path / other(1) / "same").is_dir()
        assert not (site.path / other(1)).is_symlink()


def test_an_end_that_is_interrupted_gives_back_what_had_sprung_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trial_site(tmp_path) as site:
        add_archive(site.path, other(1), "stranger")
        os.utime(site.path / other(1), (0, 0))
        site.put_on_trial(ENTRY, other(1), since_ns=time.time_ns() - 31 * DAY_NS)
        site.use()

        def interrupted(_: str) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(site.trials.tripwires, "condemn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            site.trials.end([ENTRY, other(1)], 0.0)
        site.use()
        assert (site.path / other(1) / "stranger").is_dir()


@pytest.mark.root
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda place: place.chmod(0o777), "others can write to it"),
        (lambda place: os.chown(place, 61001, 0), "it belongs to uid 61001"),
        (lambda place: os.chown(place / ".cacheadmin", 61001, 0), "its marker is not ours"),
        (lambda place: (place / ".cacheadmin").unlink(), "it has no marker of ours"),
        (lambda place: a_link_for(place / ".cacheadmin"), "its marker is not ours"),
    ],
)
def test_a_folder_that_a_user_could_have_made_is_not_ours(
    open_folder: Path, change: Callable[[Path], None], why: str
) -> None:
    """What is on trial would lie where that user deletes it."""
    with trial_site(open_folder) as site:
        site.put_on_trial()
        place = place_of(site, "").parent / "cacheadmin.trial"
    change(place)
    with pytest.raises(Refused, match=why), opened_site(open_folder):
        pass


def a_link_for(file: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/null")


@pytest.mark.root
@pytest.mark.parametrize("kind", ["another filesystem", "a mount of the same"])
def test_a_mount_at_the_place_of_trials_is_not_ours(open_folder: Path, kind: str) -> None:
    """No exchange crosses it; and it may be away tomorrow, with all that is there."""
    lay_out(open_folder)
    with opened_site(open_folder):
        pass
    place = open_folder / "cache" / "archive-v0" / "cacheadmin.trial"
    with mounted(place, kind):
        (place / ".cacheadmin").touch(mode=0o600)
        with pytest.raises(Refused, match="another filesystem"), opened_site(open_folder):
            pass


@contextmanager
def mounted(place: Path, kind: str) -> Iterator[None]:
    if kind == "another filesystem":
        with mounted_tmpfs(place):
            place.chmod(0o711)
            yield
        return
    subprocess.run(["mount", "--bind", place, place], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_who_was_unpacked_within_the_same_minutes_comes_back_before_and_after(
    open_folder: Path,
) -> None:
    """One `uv sync` unpacks what an environment has in any order, by one account."""
    minutes = {0: -9, 1: -4, 2: 4, 3: 9, 4: 1}
    with trial_site(open_folder) as site:
        then = time.time_ns() - DAY_NS
        os.utime(site.path / ENTRY, ns=(then, then))
        for number, after in minutes.items():
            archive = add_archive(site.path, other(number), f"package{number}")
            os.utime(archive, ns=(then, then + after * MINUTE_NS))
        os.chown(site.path / other(4), 61001, 61001)
        site.put_on_trial(ENTRY, *map(other, minutes))
        site.use()
        found = {one.entry: one.why for one in site.watch().springs}
        assert found == {ENTRY: "sprung", other(1): "kin", other(2): "kin"}


def test_what_is_required_through_a_package_that_stayed_comes_back(tmp_path: Path) -> None:
    """An environment that is known keeps the one in between; this one has all three."""
    with trial_site(tmp_path) as site:
        (site.path / ENTRY / "pkg-1.0.dist-info" / "METADATA").write_text(
            "Name: pkg\nVersion: 1.0\nRequires-Dist: between\n\n"
        )
        add_archive(site.path, other(1), "between", ("deeper",))
        archive = add_archive(site.path, other(2), "deeper")
        os.utime(archive, (0, 0))
        site.put_on_trial(ENTRY, other(2))
        site.use()
        found = {one.entry: one.why for one in site.watch().springs}
        assert found == {ENTRY: "sprung", other(2): "kin"}


def test_a_later_use_counts_and_an_earlier_one_does_not(tmp_path: Path) -> None:
    """Of two hosts that saw a use by a way back, the later moment is the last use."""
    ledger = Ledger(springs=(Spring(ENTRY, "run", 9 * DAY_NS, "sprung"),))
    assert ledger.used_again({ENTRY: 4 * DAY_NS}).uses_since(0)[ENTRY].at_ns == 9 * DAY_NS
    assert ledger.used_again({ENTRY: 12 * DAY_NS}).uses_since(0)[ENTRY].at_ns == 12 * DAY_NS
    # Of one whose record was lost, it is the only use that is known.
    assert set(Ledger().used_again({ENTRY: DAY_NS}).uses_since(0)) == {ENTRY}


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """What is lost of it on the way would end a trial too early."""
    here = HostTime("node1 abc", "boot", 9 * DAY_NS, 5 * DAY_NS)
    trial = Trial(ENTRY, "run", 1, 2, 3, "pkg", "1.0", 4, 5, 6)
    ledger = Ledger(
        {ENTRY: trial},
        decoys=frozenset({other(1)}),
        springs=(Spring(ENTRY, "run", 7, "kin", ("ana",)),),
        rooted=frozenset({ENTRY}),
        looked_ns=8,
        looks={here.host: HostLook(9, here)},
        absent={"by\thomes.away /home/ana": 10},
        absent_since_ns=11,
        blind=True,
    )
    with trial_site(tmp_path) as site:
        write_ledger(site.trials.folder, ledger)
        assert read_ledger(site.trials.folder) == ledger


def test_of_very_many_the_newest_are_remembered(tmp_path: Path) -> None:
    def look(number: int) -> HostLook:
        return HostLook(number, HostTime(str(number), "boot", 0, 0))

    looks = {str(number): look(number) for number in range(1200)}
    springs = tuple(Spring(other(number), "run", number, "sprung") for number in range(100_002))
    with trial_site(tmp_path) as site:
        write_ledger(site.trials.folder, Ledger(looks=looks, springs=springs))
        again = read_ledger(site.trials.folder)
        assert "1199" in again.looks
        assert again.springs[-1] == springs[-1]


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
@pytest.mark.parametrize("moment", ["before", "as it goes"])
def test_what_a_user_puts_in_its_place_stays_there_and_goes_on_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchanges: bool, moment: str
) -> None:
    with trial_site(tmp_path) as site:
        site.trials.tripwires._exchanges = exchanges
        now = time.time_ns()
        assert site.trials.prepare([Trial(ENTRY, "run", now, now + DAY_NS)], now) == {}
        origin, elsewhere = site.path / ENTRY, tmp_path / "moved"

        def users_link() -> None:
            origin.rename(elsewhere)
            origin.symlink_to(elsewhere)

        if moment == "before":
            users_link()
        else:
            move = "exchange" if exchanges else "move_to_free_name"
            real = getattr(tripwires, move)

            def late(*arguments: Any) -> Any:
                if not origin.is_symlink() and not elsewhere.exists():
                    users_link()
                return real(*arguments)

            monkeypatch.setattr(tripwires, move, late)
        with pytest.raises(OSError, match=r".*"):
            site.trials.plant(ENTRY)
        site.trials.unprepare([ENTRY])
        assert os.readlink(origin) == str(elsewhere)
        assert site.trials.entries() == []
        site.use()


def test_what_has_the_place_of_a_decoy_and_is_not_ours_stays(open_folder: Path) -> None:
    with trial_site(open_folder) as site:
        site.put_on_trial()
        decoy = site.path / min(site.trials.ledger.decoys)
        decoy.unlink()
        decoy.write_text("of a user")
        assert site.trials.put_back([ENTRY]) == []
        assert decoy.read_text() == "of a user"


def test_a_link_that_is_as_long_as_a_tripwire_is_none(tmp_path: Path) -> None:
    """The administrator's own, in the place of an entry that a user deleted on trial."""
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        origin = site.path / ENTRY
        text = "x" * len(os.readlink(origin))
        origin.unlink()
        shutil.rmtree(place_of(site, ENTRY))
        origin.symlink_to(text)
        site.watch()
        assert os.readlink(origin) == text
