"""The disk is full, or fails, at each record of a run's journal, with trials in the run.

Wherever it comes: each entry is at its place, or in quarantine, or on trial
with its link, never twice and never nowhere; the run says so, and the next one
ends as usual. The fault alone is made; the rest is real.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Mapping
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
    assert tried.is_dir() == (found == ["trial"])
    if found == ["place"]:
        assert stat.S_ISDIR(place.lstat().st_mode)
    return found[0]


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize(
    ("error", "torn"), [(errno.ENOSPC, True), (errno.EIO, False)], ids=["ENOSPC", "EIO"]
)
def test_no_failing_record_loses_anything(
    cacheadmin: Cacheadmin,
    site: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: int,
    torn: bool,
    lasting: bool,
) -> None:
    text = f"venvs: {{discover: [{{root: {site}/elsewhere}}]}}\nprune: {{builds: {{after: 0s}}}}\n"
    policy = os.fspath(cacheadmin.policy(site / "cache", text, complete=False))
    cache, kept = site / "cache", site / "kept"
    shutil.copytree(cache, kept, symlinks=True)
    entries = [ENTRY, *UNUSED, BUILD]

    def prune(at: int) -> tuple[int, int, list[str]]:
        disk = FailingDisk(error, at, lasting=lasting, torn=torn)

        def append(journal: JournalWriter, *records: Mapping[str, Any]) -> None:
            disk.append(journal, *records)

        with monkeypatch.context() as patched:
            patched.setattr(JournalWriter, "_append", append)
            capsys.readouterr()
            code = run(["-q", "prune", policy])
        said = capsys.readouterr().err.splitlines()
        return code, disk.seen, said

    code, records, _ = prune(at=0)
    assert code == 0
    assert {standing(cache, entry) for entry in entries} == {"trial", "quarantine"}
    assert records >= 4
    for at in range(1, records + 1):
        shutil.rmtree(cache)
        shutil.rmtree(f"{cache}.cacheadmin", ignore_errors=True)
        shutil.copytree(kept, cache, symlinks=True)
        code, _, said = prune(at)
        assert code != 0
        assert said
        assert not any("unexpected" in line or "Traceback" in line for line in said), said
        for entry in entries:
            standing(cache, entry)
        assert prune(0)[0] == 0
        where = {entry: standing(cache, entry) for entry in entries}
        assert where[BUILD] == "quarantine"
        assert {where[entry] for entry in (ENTRY, *UNUSED)} == {"trial"}
        assert dangling_links(site / "env") == {}
