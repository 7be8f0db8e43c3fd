"""The state: what was seen comes back the same, from SQLite and from a real PostgreSQL."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cacheadmin.accounting import Size
from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.fs.mounts import Mount
from cacheadmin.inventory.entries import ArchiveId, CacheIdentity
from cacheadmin.state.archive_sizes import ArchiveSizes, RememberedSize
from cacheadmin.state.location import storable
from cacheadmin.state.size_history import SizeHistory, SizeRecord
from cacheadmin.state.store import MOST_GONE_OF_ONE, State, open_state
from cacheadmin.state.tables import SCHEMA_NUMBER, TABLES, ColumnKind
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.facts import DAY, HOUR, NOW, environment
from tests.support.postgresql import binaries, running_postgresql
from tests.support.shared_cache import SharedCache
from tests.support.users import User
from tests.support.uv_releases import NEWEST, REPOSITORY

CACHE = CacheIdentity("/srv/uv", 1, 2)
ODD = os.fsdecode(b"/home/ana/100%/\xff\nx")


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    from tests.support.users import open_temporary_folder

    if binaries() is None:
        pytest.skip("no PostgreSQL server is installed (initdb was not found)")
    folder = open_temporary_folder("cacheadmin-postgresql-")
    with running_postgresql(folder) as url:
        assert url is not None
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    return f"sqlite:///{tmp_path}/inner/state.db"


def a_state(url: str, name: str) -> State:
    return open_state(url, cache=CacheIdentity(f"/srv/{name}", 1, 2))


def test_what_is_long_gone_of_one_account_is_forgotten_beyond_a_limit(url: str) -> None:
    state = a_state(url, "gone")
    theirs = environment("/home/ben/proj", "a", uid=1001)
    state.remember([theirs], NOW - DAY)
    state.register("/home/eve/named", EnvironmentKind.VENV, 1002, NOW - DAY)
    most = MOST_GONE_OF_ONE
    old = [environment(f"/home/eve/{n}%\udcff", uid=1002) for n in range(5)]
    state.remember(old, NOW - HOUR)
    state.remember([environment(f"/home/eve/new{n}", uid=1002) for n in range(most)], NOW)
    # All of these are gone but one; the oldest of that account are forgotten, and only of it.
    here = [environment("/home/eve/now", uid=1002), old[0]]
    state.remember(here, NOW + HOUR)
    paths = {one.path for one in state.known_environments()}
    assert {"/home/ben/proj", "/home/eve/named", "/home/eve/now", old[0].path} <= paths
    assert not {one.path for one in old[1:]} & paths
    assert len(paths) == most + 4


def test_what_was_seen_comes_back_and_only_changes_are_written(url: str) -> None:
    state = a_state(url, "same")
    assert state.remembered_environments() == ()
    seen = environment(ODD, "a", "b", uv_version="0.8.5", fingerprint="f", entries=frozenset({"e"}))
    assert state.remember([seen], NOW) == 1
    assert state.remember([seen], NOW + 1) == 0
    (memory,) = a_state(url, "same").remembered_environments()
    assert memory.path == ODD
    assert (memory.archives, memory.entries) == (seen.archives, seen.entries)
    assert (memory.uv_version, memory.uid, memory.kind) == ("0.8.5", 1000, EnvironmentKind.VENV)
    assert memory.seen_ns == NOW
    assert state.remember([seen], NOW + DAY) == 1
    assert a_state(url, "another").remembered_environments() == ()


def test_missing_and_unreadable_environments_keep_what_was_last_seen(url: str) -> None:
    state = a_state(url, "missing")
    state.remember([environment("/e", "a")], NOW)
    for status in (EnvironmentStatus.MISSING, EnvironmentStatus.UNREADABLE):
        state.remember([environment("/e", status=status)], NOW + 2 * DAY)
    (memory,) = state.remembered_environments()
    assert (memory.archives, memory.seen_ns) == (frozenset({"a"}), NOW)


def test_registering_by_hand_survives_being_seen_and_ends_by_hand(url: str) -> None:
    state = a_state(url, "registered")
    state.register("/e", EnvironmentKind.VENV, 1000, NOW)
    state.remember([environment("/e", "a")], NOW)
    (known,) = state.known_environments()
    assert known.registered
    (memory,) = state.remembered_environments()
    assert memory.archives == {"a"}
    assert state.forget("/e")
    assert not state.forget("/e")
    assert state.known_environments() == ()


@pytest.mark.parametrize("number", [3, 40])
def test_what_environments_led_to_is_read_of_those_that_are_asked_for(
    url: str, number: int
) -> None:
    state = a_state(url, f"asked-{number}")
    state.remember([environment(f"/e{one}%", f"a{one}") for one in range(number + 5)], NOW)
    asked = {f"/e{one}%" for one in range(number)}
    found = state.remembered_environments(asked | {"/elsewhere"})
    assert {one.path: one.archives for one in found} == {
        f"/e{one}%": {f"a{one}"} for one in range(number)
    }
    assert len(state.known_environments()) == number + 5


def test_what_is_known_to_be_as_it_was_is_recorded_where_that_look_was_not(url: str) -> None:
    state = a_state(url, "looked")
    state.remember([environment("/e", "a")], NOW)
    # Another archive behind the same distributions, seen after that was recorded.
    now = [environment("/e", "b")]
    assert state.remember(now, NOW + 2, {"/e": NOW + 1}) == 1
    assert state.remember(now, NOW + 3, {"/e": NOW + 1}) == 0
    (memory,) = state.remembered_environments()
    assert memory.archives == {"b"}
    assert state.forget("/e")
    assert state.remember(now, NOW + 4, {"/e": NOW + 1}) == 1


def test_sizes_of_archives_come_back_and_gone_ones_are_forgotten(url: str) -> None:
    def sizes(name: str) -> ArchiveSizes:
        return ArchiveSizes(url, CacheIdentity(f"/srv/{name}", 1, 2))

    first = RememberedSize(7, 2**62, "a-1.0.dist-info/METADATA", Size(2**41, 4096, 4096, 3))
    second = RememberedSize(8, 1, "b-1.0.dist-info/METADATA", Size(1, 2, 2, 3))
    assert sizes("sized").read() == {}
    sizes("sized").replace({ArchiveId("a"): first, ArchiveId("b"): second})
    sizes("other").replace({ArchiveId("a"): second})
    assert sizes("sized").read() == {"a": first, "b": second}
    sizes("sized").replace({ArchiveId("b"): first})
    assert sizes("sized").read() == {"b": first}
    assert sizes("other").read() == {"a": second}


def test_sizes_over_time_come_back_at_most_one_an_hour(url: str) -> None:
    def history(name: str) -> SizeHistory:
        return SizeHistory(url, CacheIdentity(f"/srv/{name}", 1, 2))

    def record(taken_ns: int, size: int) -> SizeRecord:
        packages = {"six": 5, os.fsdecode(b"\xff"): 6, "<script>": 7}
        return SizeRecord(taken_ns, size, 3, {"archive-v0": size}, {"ml": 9}, packages)

    first, second = record(NOW, 2**41), record(NOW + HOUR, 7)
    assert history("grown").read() == ()
    assert history("grown").note(first)
    assert not history("grown").note(record(NOW + HOUR - 1, 1))
    assert history("grown").note(second)
    assert history("other").note(second)
    assert history("grown").read() == (first, second)
    # A year later the two are one day's, and the last of a day stays.
    late = record(NOW + 300 * DAY, 8)
    assert history("grown").note(late)
    assert history("grown").read() == (second, late)
    assert history("other").read() == (second,)


DAMAGED = ("", "[]", "{}", "7", '{"bytes": "x"}', '[1, 2, "p", {}, 4, 5]', "\x00")


def test_sizes_that_are_damaged_are_measured_again_and_fail_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    history, sizes = SizeHistory(url, CACHE), ArchiveSizes(url, CACHE)
    point = SizeRecord(NOW, 1, 2, {}, {}, {"six": 1})
    whole = RememberedSize(7, 8, "a-1.0.dist-info/METADATA", Size(1, 2, 2, 3))
    assert history.note(point)
    sizes.replace({ArchiveId(str(number)): whole for number in range(len(DAMAGED) + 1)})
    with closing(sqlite3.connect(tmp_path / "state.db")) as database, database:
        (key,) = database.execute("SELECT cache FROM size_history").fetchone()
        for number, text in enumerate(DAMAGED):
            row = (key, NOW - DAY - number, text)
            database.execute("INSERT INTO size_history VALUES (?, ?, ?)", row)
            change = "UPDATE archive_size SET record = ? WHERE archive = ?"
            database.execute(change, (text, str(number)))
    assert history.read() == (point,)
    assert sizes.read() == {str(len(DAMAGED)): whole}


def test_the_last_run_of_every_host_comes_back(url: str) -> None:
    state = a_state(url, "clocks")
    for moment in (NOW - DAY, NOW):
        state.note_clock(HostTime("node7", "boot", 1), moment)
    state.note_clock(HostTime("node8", "boot", 1), NOW - 2 * DAY)
    assert state.clocks() == {"node7": NOW, "node8": NOW - 2 * DAY}


def test_what_hosts_told_is_replaced_by_account_and_forgotten_by_host(url: str) -> None:
    state = open_state(url, cache=CACHE)
    for uid, document in ((0, "old"), (0, "new"), (1000, "ana's")):
        state.note_observation("token", "node1", uid, document)
    state.note_observation("token", "node2", 0, "other")
    state.note_observation("another cache", "node1", 0, "not this")
    assert sorted(state.observations("token")) == [
        ("node1", 0, "new"),
        ("node1", 1000, "ana's"),
        ("node2", 0, "other"),
    ]
    assert state.forget_observations("token", "node1")
    assert not state.forget_observations("token", "node1")
    assert state.observations("token") == [("node2", 0, "other")]


def test_sqlite_on_a_network_filesystem_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = Mount("/srv/nfs", 7, "nfs4", "server:/export", ())
    monkeypatch.setattr("cacheadmin.state.store.mount_of", lambda path: mount)
    with pytest.raises(CacheadminError, match=r"is SQLite on nfs4 .mounted at .srv.nfs."):
        open_state(f"sqlite:///{tmp_path}/state.db", cache=CACHE)
    # Nobody named the default: it is one user's, wherever that home lies.
    open_state(None, cache=CACHE)


def test_fast_reading_equals_sqlalchemy_in_every_table(tmp_path: Path) -> None:
    state = open_state(f"sqlite:///{tmp_path}/state.db", cache=CACHE)
    state._connect()
    values = {ColumnKind.TEXT: "text", ColumnKind.INTEGER: 2**53, ColumnKind.BOOLEAN: True}
    for table in TABLES:
        # What is optional is there once, and once it is not.
        for number in range(2):
            row = tuple(
                None if column.optional and number else
                f"{storable(ODD)} {number}" if column.kind is ColumnKind.TEXT else
                number if column.key else values[column.kind]
                for column in table.columns
            )  # fmt: skip
            if table != SCHEMA_NUMBER:
                state._put(table, [row])
        fast = state._read(table, table.names)
        assert fast == state._read_by_sqlalchemy(table, table.names)
        assert len(fast) == (1 if table == SCHEMA_NUMBER else 2)
        assert state._put_quickly(table, fast)
        assert state._read(table, table.names) == fast


def test_reading_sqlite_does_not_import_sqlalchemy(tmp_path: Path) -> None:
    open_state(f"sqlite:///{tmp_path}/state.db", cache=CACHE).remember(
        [environment("/e", "a")], NOW
    )
    program = (
        "import sys; from cacheadmin.state.store import open_state;"
        "from cacheadmin.inventory.entries import CacheIdentity;"
        f"state = open_state('sqlite:///{tmp_path}/state.db',"
        "  cache=CacheIdentity('/srv/uv', 1, 2));"
        "assert len(state.remembered_environments()) == 1;"
        "assert 'sqlalchemy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_a_writer_that_was_killed_in_the_middle_leaves_a_state_that_can_be_read(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    seen = [environment(f"/e{number}", "a") for number in range(500)]
    open_state(url, cache=CACHE).remember(seen, NOW)
    # A cache of one page makes SQLite write to the file before the commit.
    program = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "connection.execute('PRAGMA cache_size=1'); connection.execute('BEGIN');"
        "connection.execute('UPDATE environment SET fingerprint = hex(randomblob(2000))');"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, f"{tmp_path}/state.db"], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "state.db-journal").stat().st_size > 0
    rows = open_state(url, cache=CACHE).remembered_environments()
    assert {row.path: row.fingerprint for row in rows} == {e.path: e.fingerprint for e in seen}


def test_one_that_was_killed_while_it_made_its_tables_leaves_a_state_that_can_be_read(
    tmp_path: Path,
) -> None:
    program = (
        "import os, sqlite3, sys; connection = sqlite3.connect(sys.argv[1]);"
        "connection.execute('CREATE TABLE clock (host TEXT)'); connection.commit();"
        "connection.execute('PRAGMA cache_size=1'); connection.execute('BEGIN');"
        "[connection.execute(f'CREATE TABLE t{n} (a TEXT)') for n in range(200)];"
        "connection.execute('DROP TABLE clock');"
        "os.kill(os.getpid(), 9)"
    )
    killed = subprocess.run([sys.executable, "-c", program, f"{tmp_path}/state.db"], check=False)
    assert killed.returncode == -9
    assert (tmp_path / "state.db-journal").stat().st_size > 0
    state = open_state(f"sqlite:///{tmp_path}/state.db", cache=CACHE)
    assert state.remembered_environments() == ()
    assert state.pin_ages() == {}


def test_what_is_remembered_survives_a_mount_that_gives_another_device_number(url: str) -> None:
    before = CacheIdentity("/srv/remounted", 41, 2)
    open_state(url, cache=before).remember([environment("/e", "a")], NOW)
    after = CacheIdentity("/srv/remounted", 57, 2)
    assert len(open_state(url, cache=after).remembered_environments()) == 1
    another = CacheIdentity("/srv/remounted", 57, 3)
    assert open_state(url, cache=another).remembered_environments() == ()


@pytest.mark.parametrize("damage", ["garbage", "folder", "unreachable"])
def test_a_damaged_state_is_one_line_that_says_which_and_what_to_do(
    tmp_path: Path, damage: str
) -> None:
    url = f"sqlite:///{tmp_path}/state.db"
    if damage == "garbage":
        (tmp_path / "state.db").write_bytes(b"no database at all" * 1000)
    elif damage == "folder":
        (tmp_path / "state.db").mkdir()
    else:
        url = "postgresql+psycopg://someone:secret@127.0.0.1:1/none"
    with pytest.raises(CacheadminError) as caught:
        open_state(url, cache=CACHE).remembered_environments()
    assert "state" in caught.value.message
    assert "\n" not in caught.value.message
    assert "secret" not in caught.value.message
    assert "set `state` in the policy" in caught.value.hint


def test_an_environment_named_only_in_an_erased_interpreter_bucket_is_still_known(
    shared: SharedCache, cacheadmin
) -> None:
    environment = shared.environment("proj", "0.8.5", "six==1.16.0")
    (shared.path / "archive-v0" / ".tmprubbish").mkdir()
    policy = cacheadmin.policy(shared.path)
    cacheadmin("prune", policy, code=0)
    # What another release's prune does to the evidence.
    for folder in shared.path.glob("interpreter-v*"):
        subprocess.run(["rm", "-rf", folder], check=True)
    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    found = {row["path"]: row["sources"] for row in rows}
    assert found[str(environment)] == ["remembered"]


def test_the_registry_folder_is_the_users_own(shared: SharedCache, cacheadmin) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    registry = shared.homes / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    policy = cacheadmin.policy(
        shared.path, f"venvs:\n  from_cache: false\n  registry: {registry}\n"
    )
    cacheadmin("venv", "add", policy, environment, code=0)
    cacheadmin("venv", "add", policy, environment, code=0)
    (link,) = registry.iterdir()
    assert os.readlink(link) == str(environment)
    rows = cacheadmin("scan", policy, "--format", "json", code=0).json["venvs"]
    assert {row["path"]: row["sources"] for row in rows}[str(environment)] == ["registry"]
    listed = cacheadmin("venv", "list", policy, "--format", "json").json["registrations"]
    # The scan before remembers what it saw.
    assert [one["how"] for one in listed] == ["registry", "remembered"]
    cacheadmin("venv", "remove", policy, environment, code=0)
    assert list(registry.iterdir()) == []
    cacheadmin("venv", "remove", policy, environment, code=66)
    assert "is not an environment" in cacheadmin("venv", "add", policy, registry, code=2).stderr


@pytest.mark.root
def test_a_state_that_is_not_ones_own_to_write_is_a_matter_of_rights(
    shared: SharedCache, cacheadmin: Cacheadmin, three_users: list[User]
) -> None:
    policy = cacheadmin.policy(shared.path)
    environment = shared.environment("proj", NEWEST)
    cacheadmin("venv", "add", policy, environment, code=0)
    for words in (("add", environment), ("remove", environment), ("discover", "--register")):
        said = cacheadmin("venv", words[0], policy, words[1], user=three_users[0], code=77).stderr
        assert "can't be written" in said
    listed = cacheadmin("venv", "list", policy, "--format", "json", code=0).json["registrations"]
    assert [row["how"] for row in listed] == ["added"]
