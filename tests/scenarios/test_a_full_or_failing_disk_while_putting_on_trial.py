"""The disk is full, or fails, at each record and each sync of a run with trials.

Wherever it comes: each entry is at its place, or in quarantine, or on trial
with its link, never twice and never nowhere; the run says so, and the next one
ends as usual. The fault alone is made; the rest is real.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.cli.app import run
from cacheadmin.prune.journal import JournalWriter
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age, dangling_links
from tests.support.trial_sites import ENTRY, add_archive, lay_out

UNUSED = [f"archive-v0/Unused{number}_abcdefgh" for number in range(2)]
BUILD = "builds-v0/.tmpAbandoned"
ENTRIES = (ENTRY, *UNUSED, BUILD)


class FailingDisk:
    """Lets journals be written, but for one record, or that one and all later ones."""

    def __init__(self, error: int, at: int, *, lasting: bool, torn: bool) -> None:
        self.error, self.at, self.lasting, self.torn = error, at, lasting, torn
        self.seen = 0
        self._append = JournalWriter._append

    def append(self, journal: JournalWriter, *records: Mapping[str, Any]) -> None:
        """Stand in for the journal's own way to write."""
        self.seen += 1
        if self.seen != self.at and not (self.lasting and self.seen > self.at > 0):
            self._append(journal, *records)
            return
        if self.torn:
            os.write(journal._fd, b'{"record": "sta')
        raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def site(open_folder: Path) -> Path:
    lay_out(open_folder)
    for number, entry in enumerate(UNUSED):
        add_archive(open_folder / "cache", entry, f"p{number}")
    (open_folder / "cache" / BUILD).mkdir(parents=True)
    (open_folder / "elsewhere").mkdir()
    age(open_folder / "cache", days=60)
    return open_folder


def standing(cache: Path, entry: str) -> str:
    """Return where an entry is; fail where it is nowhere, or twice."""
    place, name = cache / entry, entry.rpartition("/")[2]
    tried = cache / "archive-v0" / "cacheadmin.trial" / name
    quarantined = list(Path(f"{cache}.cacheadmin").glob(f"quarantine/*/entries/{entry}"))
    link = os.readlink(place) if place.is_symlink() else None
    found = [
        *(["place"] if link is None and os.path.lexists(place) else []),
        *(["trial"] if link == f"cacheadmin.trial/{name}" and tried.is_dir() else []),
        *(["quarantine"] * len(quarantined)),
    ]
    assert len(found) == 1, (entry, found)
    # What came back may have left a link there, for who knows that path.
    assert (tried.is_dir() and not tried.is_symlink()) == (found == ["trial"])
    if found == ["place"]:
        assert stat.S_ISDIR(place.lstat().st_mode)
    return found[0]


@dataclass
class Faults:
    """A site whose prunes meet a fault, and what must hold wherever it comes."""

    site: Path
    policy: str
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def prune(self, owner: object, name: str, stand_in: Callable[..., object]) -> int:
        """Prune with something of Python's, or ours, replaced; return the exit code."""
        with self.monkeypatch.context() as patched:
            patched.setattr(owner, name, stand_in)
            return run(["-q", "prune", self.policy])

    def make_again(self) -> None:
        """Put the cache as it was before the first prune in its place."""
        cache, kept = self.site / "cache", self.site / "kept"
        if kept.exists():
            shutil.rmtree(cache)
            shutil.rmtree(f"{cache}.cacheadmin", ignore_errors=True)
        else:
            cache.rename(kept)
        shutil.copytree(kept, cache, symlinks=True)
        self.capsys.readouterr()

    def check(self, code: int, at: int) -> None:
        """Fail where an entry is lost, or the next run does not end as usual."""
        cache = self.site / "cache"
        said = self.capsys.readouterr().err.splitlines()
        assert not any("unexpected" in line or "Traceback" in line for line in said), said
        before = {entry: standing(cache, entry) for entry in ENTRIES}
        assert code == 0 or said, at
        assert run(["-q", "prune", self.policy]) == 0, (at, before)
        where = {entry: standing(cache, entry) for entry in ENTRIES}
        assert where[BUILD] == "quarantine", (at, before)
        for entry in (ENTRY, *UNUSED):
            # Where it was on trial, the look at its link was a use.
            expected = "place" if before[entry] == "trial" else "trial"
            assert where[entry] == expected, (at, before)
        assert dangling_links(self.site / "env") == {}


@pytest.fixture
def faults(
    cacheadmin: Cacheadmin,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Faults:
    text = f"venvs: {{discover: [{{root: {site}/elsewhere}}]}}\nprune: {{builds: {{after: 0s}}}}\n"
    policy = os.fspath(cacheadmin.policy(site / "cache", text, complete=False))
    return Faults(site, policy, monkeypatch, capsys)


@pytest.mark.parametrize(
    ("error", "torn", "lasting"),
    [(errno.ENOSPC, True, True), (errno.ENOSPC, True, False), (errno.EIO, False, False)],
    ids=["full", "full-for-a-moment", "failing"],
)
def test_no_record_that_fails_loses_anything(
    faults: Faults, error: int, torn: bool, lasting: bool
) -> None:
    def prune(at: int) -> tuple[int, int]:
        disk = FailingDisk(error, at, lasting=lasting, torn=torn)

        def append(journal: JournalWriter, *records: Mapping[str, Any]) -> None:
            disk.append(journal, *records)

        faults.make_again()
        return faults.prune(JournalWriter, "_append", append), disk.seen

    code, records = prune(at=0)
    faults.check(code, 0)
    assert (code, records >= 4) == (0, True)
    for at in range(1, records + 1):
        code, _ = prune(at)
        assert code != 0
        faults.check(code, at)


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.long), 3])
def test_no_sync_that_fails_loses_anything(faults: Faults, every: int) -> None:
    """Journal, record of trials, folders: whatever a run makes durable."""
    real = os.fsync

    def prune(at: int) -> tuple[int, int]:
        seen = 0

        def fsync(fd: int) -> None:
            nonlocal seen
            seen += 1
            # Every second time the disk fails from then on.
            if seen == at or (at % 2 == 0 and seen > at > 0):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(fd)

        faults.make_again()
        return faults.prune(os, "fsync", fsync), seen

    code, syncs = prune(at=0)
    faults.check(code, 0)
    assert (code, syncs >= 6) == (0, True)
    # An odd step: the disk fails once, and from then on, by turns.
    for at in range(1, syncs + 1, every):
        code, _ = prune(at)
        faults.check(code, at)
