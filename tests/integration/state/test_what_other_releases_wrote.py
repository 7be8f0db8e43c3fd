"""What 0.1.0 left is read and brought up to date; what a newer release left is refused.

`tests.support.made_by_0_1_0` made the former, by the code of 0.1.0 itself.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.state.archive_sizes import open_archive_sizes
from cacheadmin.state.migrations import MIGRATIONS
from cacheadmin.state.size_history import open_size_history
from cacheadmin.state.store import open_state
from cacheadmin.state.tables import SCHEMA, TABLES
from cacheadmin.trial.folder import LEDGER
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.made_by_0_1_0 import FIXTURE
from tests.support.shared_cache import tree_snapshot
from tests.support.trial_sites import trial_site
from tests.support.uv_releases import REPOSITORY


@dataclass(frozen=True)
class Old:
    """What 0.1.0 left, on a disk of now."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def policy(self) -> Path:
        return self.folder / "policy.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state.db"

    @property
    def quarantine(self) -> Path:
        return self.folder / "quarantine"

    def tables(self) -> dict[str, list[str]]:
        """Return the columns of each table there is."""
        with closing(sqlite3.connect(self.state)) as connection:
            names = [row[0] for row in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'")]  # fmt: skip
            return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
                    for name in names}  # fmt: skip


@pytest.fixture
def old(open_folder: Path) -> Old:
    """The fixture unpacked. Only where it lies is another: its path, device and inode."""
    folder = open_folder / "old"
    with tarfile.open(FIXTURE) as archive:
        archive.extractall(folder, filter="tar")
    manifest = json.loads((folder / "manifest.json").read_text())
    made = manifest["cache"]
    status = (folder / "cache").stat()
    for link in folder.rglob("*"):
        if link.is_symlink():
            target = str(link.readlink()).replace(manifest["place"], str(folder))
            link.unlink()
            link.symlink_to(target)
    for file in (folder / "policy.yaml", *folder.glob("quarantine/*/journal.jsonl"),
                 *folder.glob("cache.pins/*")):  # fmt: skip
        text = file.read_text().replace(manifest["place"], str(folder))
        text = text.replace(f'"inode": {made["inode"]}', f'"inode": {status.st_ino}')
        text = text.replace(f'"device": {made["device"]}', f'"device": {status.st_dev}')
        file.write_text(text)
    found = Old(folder, manifest)
    was = f"{made['inode']}:{made['path']}"
    with closing(sqlite3.connect(found.state)) as connection, connection:
        for name, columns in found.tables().items():
            if "cache" in columns:
                connection.execute(f"UPDATE {name} SET cache = ? WHERE cache = ?",
                                   (f"{status.st_ino}:{found.cache}", was))  # fmt: skip
        connection.execute("UPDATE environment SET path = replace(path, ?, ?)",
                           (manifest["place"], str(folder)))  # fmt: skip
    return found


def identity(old: Old) -> CacheIdentity:
    status = old.cache.stat()
    return CacheIdentity(str(old.cache), status.st_dev, status.st_ino)


def remembered(old: Old) -> tuple[Any, ...]:
    """Return all that a state of 0.1.0 holds, as today's code reads it."""
    state = open_state(f"sqlite:///{old.state}", cache=identity(old))
    sizes = sorted(open_archive_sizes(state).read())
    archives = {one.path: sorted(one.archives) for one in state.remembered_environments()}
    rows = [(one.path, one.registered, archives[one.path]) for one in state.known_environments()]
    return (
        rows,
        state.learned_releases()["9.9.9"],
        state.archive_uses(),
        state.pin_ages(),
        state.clocks(),
        sizes,
        len(open_size_history(state).read()),
    )


def test_a_state_of_the_first_release_is_read_as_it_is(old: Old) -> None:
    before = old.state.read_bytes()
    rows, buckets, uses, pins, clocks, sizes, history = remembered(old)
    assert rows == [(f"{old.folder}/proj", True, ["Hw3nR7kq0ZbT5mXc"])]
    assert buckets == {"wheels-v99"}
    assert list(uses) == ["Hw3nR7kq0ZbT5mXc"]
    assert len(pins) == 1
    assert len(clocks) == 1
    assert sizes == ["Hw3nR7kq0ZbT5mXc"]
    assert history == 1
    assert old.state.read_bytes() == before
    assert "schema_number" not in old.tables()


def test_its_first_write_brings_it_up_to_date_and_loses_nothing(old: Old) -> None:
    before = remembered(old)
    state = open_state(f"sqlite:///{old.state}", cache=identity(old))
    state.note_observation("token", "node1", 0, "{}")
    assert remembered(old) == before
    declared = {table.name: sorted(table.names) for table in TABLES}
    assert {name: sorted(columns) for name, columns in old.tables().items()} == declared
    with closing(sqlite3.connect(old.state)) as connection:
        assert connection.execute("SELECT number FROM schema_number").fetchall() == [(SCHEMA,)]


def test_a_migration_that_was_killed_changes_nothing_and_is_made_by_the_next(old: Old) -> None:
    before = remembered(old)
    program = (
        "import os, sys; from cacheadmin.state import migrations;"
        "from cacheadmin.state.store import open_state;"
        "from cacheadmin.inventory.entries import CacheIdentity;"
        "last = migrations.MIGRATIONS[-1];"
        "kill = lambda _connection: os.kill(os.getpid(), 9);"
        "migrations.MIGRATIONS = (migrations.Migration(last.number, last.what, kill),);"
        "open_state(sys.argv[1], cache=CacheIdentity('/x', 1, 2)).note_observation('t', 'n', 0, '')"
    )
    killed = subprocess.run([sys.executable, "-c", program, f"sqlite:///{old.state}"], check=False,
                            cwd=REPOSITORY)  # fmt: skip
    assert killed.returncode == -9
    assert remembered(old) == before
    assert "schema_number" not in old.tables()
    open_state(f"sqlite:///{old.state}", cache=identity(old)).note_observation("t", "n", 0, "")
    assert remembered(old) == before
    assert "schema_number" in old.tables()


def test_numbers_of_the_schema_have_no_gap_and_what_came_later_is_declared_so() -> None:
    assert [one.number for one in MIGRATIONS] == list(range(2, SCHEMA + 1))
    assert all(one.what for one in MIGRATIONS)
    for table in TABLES:
        assert 1 <= table.since <= SCHEMA
        for column in table.columns:
            # Rows of before have nothing there.
            assert column.since <= max(table.since, 1) or column.optional, column.name


def test_runs_of_the_first_release_are_ended_listed_and_put_back(
    old: Old, cacheadmin: Cacheadmin
) -> None:
    killed, committed = old.manifest["killed"], old.manifest["committed"]
    listed = cacheadmin("runs", "list", old.policy, "--format", "json", code=0).json["runs"]
    assert {row["run_id"]: row["state"] for row in listed} == {
        committed: "committed", killed: "moved"}  # fmt: skip
    said = cacheadmin("prune", old.policy, "--format", "json", code=0).json
    assert said["recovered"] == [killed]
    cacheadmin("runs", "restore", old.policy, committed, code=0)
    assert (old.cache / "archive-v0" / ".tmpcommitted" / "file").read_text() == "committed"
    cacheadmin("runs", "purge", old.policy, "--older-than", "0s", "--now")
    assert (old.cache / "archive-v0" / "Hw3nR7kq0ZbT5mXc" / "six.py").exists()


def refused_in_one_line(cacheadmin: Cacheadmin, cache: Path, *words: str | Path) -> str:
    before = tree_snapshot(cache)
    result = cacheadmin(*words, code=5)
    assert result.stdout == ""
    first, *rest = result.stderr.splitlines()
    assert first.startswith("cacheadmin: refused: ")
    assert "newer cacheadmin" in first
    assert rest == ["  upgrade cacheadmin on this host; nothing was changed"]
    assert tree_snapshot(cache) == before
    return first


@pytest.mark.parametrize("words", ["preflight", "plan", "prune", "usage", "audit", "protect"])
def test_a_state_of_a_newer_release_is_refused_in_one_line(
    old: Old, cacheadmin: Cacheadmin, words: str
) -> None:
    open_state(f"sqlite:///{old.state}", cache=identity(old)).note_observation("t", "n", 0, "")
    with closing(sqlite3.connect(old.state)) as connection, connection:
        connection.execute("UPDATE schema_number SET number = ?", (SCHEMA + 1,))
    before = old.state.read_bytes()
    said = refused_in_one_line(cacheadmin, old.cache, words, old.policy)
    assert f"of number {SCHEMA + 1}, this release knows up to {SCHEMA}" in said
    assert str(old.state) in said
    assert old.state.read_bytes() == before


@pytest.mark.parametrize("words", [("prune",), ("runs", "list"), ("runs", "restore")],
                         ids=" ".join)  # fmt: skip
def test_a_journal_of_a_newer_release_is_refused_in_one_line(
    old: Old, cacheadmin: Cacheadmin, words: tuple[str, ...]
) -> None:
    journal = old.quarantine / old.manifest["committed"] / "journal.jsonl"
    text = journal.read_text()
    assert '"record": "run", ' in text
    journal.write_text(text.replace('"record": "run", ', '"record": "run", "format": 2, '))
    said = refused_in_one_line(cacheadmin, old.cache, *words, old.policy)
    assert "its journal is of format 2, this release knows up to 1" in said


@pytest.mark.root
def test_trials_of_a_newer_release_are_left_alone_and_none_is_added(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    with trial_site(open_folder / "site") as site:
        site.put_on_trial()
        ledger = Path(f"/proc/self/fd/{site.trials.folder.fd}") / LEDGER
        document = json.loads(ledger.read_text())
        name, _, number = document["schema"].rpartition("/")
        newer = f"{name}/{int(number) + 1}"
        ledger.write_text(json.dumps(document | {"schema": newer}))
        noted = ledger.read_text()
        result = cacheadmin("prune", cacheadmin.policy(site.path), code=0)
        warning, *_ = result.stderr.splitlines()
        assert "nothing goes on trial: what is on trial was noted by a newer cacheadmin" in warning
        assert newer in warning
        assert ledger.read_text() == noted
        assert site.link.exists()
