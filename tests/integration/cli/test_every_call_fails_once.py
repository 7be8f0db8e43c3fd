"""A few of all faults: one system call of a command fails, or is the last one.

`make proof` tries all of them; ``tests/faults`` says how.
"""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cacheadmin.cli.app import run
from cacheadmin.evidence.pins import SUFFIX
from tests.faults.blinding import ERRORS, Blinding
from tests.faults.commands import commands
from tests.faults.small_site import KNOWN, UNUSED, SmallSite
from tests.faults.trying import Faults
from tests.support.supervised import Call, is_possible, supervised, unsupervised
from tests.support.warm_start import import_everything

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not is_possible(), reason="needs root on Linux, x86_64"),
]

#: So many faults of each command, spread over all of its calls.
SOME = 3


# `make test-long` tries every command.
QUICK = frozenset({"prune", "restore", "guard", "recovery"})


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.long]) for name in commands()],
)
def test_some_faults_of_each_command_are_met(name: str, open_folder: Path) -> None:
    import_everything()
    faults = Faults(SmallSite.build(open_folder), commands()[name])
    every = list(faults.faults(alike=1))
    tried = list(faults.try_all(alike=1, sample=max(1, len(every) // SOME)))
    assert len(tried) >= SOME
    assert [str(one) for one in tried if one.wrong] == []


@pytest.mark.parametrize(
    "name",
    ["restore", *(pytest.param(one, marks=pytest.mark.long) for one in ("prune", "guard"))],
)
def test_a_lock_service_that_stops_answering_is_told_in_words(name: str, open_folder: Path) -> None:
    """Giving a lock back is a question to the server, too."""
    import_everything()
    faults = Faults(SmallSite.build(open_folder), commands()[name])
    calls = [one for one in faults.calls() if one.name == "flock"]
    assert len(calls) >= 4
    tried = [faults.attempt(one, errno.ENOLCK) for one in calls]
    assert [str(one) for one in tried if one.wrong] == []


@pytest.mark.long
def test_a_folder_of_trials_that_cant_go_stays_for_the_next_run(open_folder: Path) -> None:
    import_everything()
    site = SmallSite.build(open_folder)
    faults = Faults(site, commands()["prune-ends-trials"])
    marker = str(site.cache / "archive-v0" / "cacheadmin.trial" / ".cacheadmin")
    calls = [one for one in faults.calls() if one.name == "unlinkat" and one.paths == (marker,)]
    assert calls
    assert faults.attempt(calls[-1], errno.EBUSY).wrong == []


@pytest.mark.long
def test_a_decoy_that_cant_be_removed_waits_for_the_next_run(open_folder: Path) -> None:
    import_everything()
    site = SmallSite.build(open_folder)
    faults = Faults(site, commands()["recovery"])
    bucket = str(site.cache / "archive-v0")
    decoys = [
        call
        for call in faults.calls()
        if call.name == "unlinkat" and call.paths[0].rpartition("/")[0] == bucket
    ]
    assert decoys
    assert faults.attempt(decoys[0], errno.EBUSY).wrong == []


def test_some_places_that_cant_be_read_keep_what_they_could_use(open_folder: Path) -> None:
    """Everybody is known by the site's word, so what is overlooked goes without a trial."""
    import_everything()
    blinding = Blinding(open_folder)
    places = len(blinding.places())
    assert places > 100
    tried = list(blinding.try_all(sample=places // SOME))
    assert [str(one) for one in tried if one.wrong] == []


@pytest.mark.long
def test_a_trial_whose_end_cant_be_looked_at_is_not_over(open_folder: Path) -> None:
    import_everything()
    site = SmallSite.build(open_folder)
    faults = Faults(site, commands()["prune-ends-trials"])
    looks = [
        call
        for call in faults.calls()
        if call.name in ("newfstatat", "statx") and "/.ending-" in call.paths[0]
    ]
    assert len(looks) > 2
    assert [one for call in looks[:6] for one in faults.attempt(call, errno.EIO).wrong] == []


def _prune_where_all_are_known(site: SmallSite, place: Path) -> None:
    """Prune; every call that asks for a place fails, those of readers too."""
    policy = Path(site.policy)
    text = policy.read_text().replace("venvs: {", "venvs: {complete: true, ")
    policy.write_text(text)

    def decide(call: Call) -> int | None:
        return errno.EIO if str(place) in call.paths else None

    words = ["-q", "prune", site.policy]
    done = supervised(lambda: run(words), [site.folder], decide, children=True)
    assert done.code == 0, done.stderr
    assert any(str(place) in call.paths for call in done.calls)


def test_a_link_that_cant_be_read_may_lead_to_any_archive(open_folder: Path) -> None:
    """The only link of an environment."""
    import_everything()
    site = SmallSite.build(open_folder)
    (link,) = (path for path in (site.folder / "home").rglob("*.py") if path.is_symlink())
    _prune_where_all_are_known(site, link)
    assert site.standing(KNOWN) == ["place"]


def test_a_pin_that_cant_be_read_may_name_any_archive(open_folder: Path) -> None:
    import_everything()
    site = SmallSite.build(open_folder)
    name = UNUSED[0].rpartition("/")[2]
    added = unsupervised(lambda: run(["pin", "add", site.policy, name, "--reason", "a test"]))
    assert added.code == 0, added.stderr
    (pin,) = site.folder.rglob(f"*{SUFFIX}")
    _prune_where_all_are_known(site, pin)
    assert site.standing(UNUSED[0]) == ["place"]


@pytest.mark.long
@pytest.mark.parametrize("error", (*ERRORS, errno.ENOTCONN))
@pytest.mark.parametrize("place", ["tree/project-e2/.venv", "disk/libraries-5", "cache/tools"])
def test_what_an_unreadable_place_could_name_is_kept(
    open_folder: Path, place: str, error: int
) -> None:
    import_everything()
    blinding = Blinding(open_folder)
    assert place in blinding.places()
    assert blinding.attempt(place, error).wrong == []
