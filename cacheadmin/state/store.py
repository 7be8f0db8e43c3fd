"""Read and write the state. SQLAlchemy is imported on the first write, or for PostgreSQL."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import CacheadminError, ExitCode, NotPermitted, Refused
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    KnownEnvironment,
    RememberedEnvironment,
)
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.evidence.steady_time import host_key
from cacheadmin.fs.free_space import free_space, is_full
from cacheadmin.fs.mounts import MountPoints, mount_of
from cacheadmin.fs.resolution import resolve
from cacheadmin.inventory.entries import ArchiveId, CacheIdentity
from cacheadmin.state.fast_reader import read_rows
from cacheadmin.state.fast_writer import write_rows
from cacheadmin.state.full_servers import wait_at_full_servers
from cacheadmin.state.location import cache_key, default_url, sqlite_path, storable
from cacheadmin.state.migrations import NewerSchemaError, bring_up_to_date
from cacheadmin.state.tables import (
    ARCHIVE_USE,
    CLOCK,
    ENVIRONMENT,
    LEARNED_PRUNE,
    LEARNED_RELEASE,
    OBSERVATION,
    PIN_AGE,
    SCHEMA_NUMBER,
    StateTable,
)
from cacheadmin.text.percent import percent_decoded

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

Row = tuple[Any, ...]

_KNOWN = (
    *("path", "kind", "uid", "uv_version", "fingerprint", "seen_ns", "registered"),
    *("host", "mount_point"),
)

# So many environments are asked for one by one; of more, all are read.
_ONE_BY_ONE = 16

# So many environments of one account are remembered that are not there any more, half of those
# that are looked at for one account.
MOST_GONE_OF_ONE = 10_000

# A new state instead of an old one loses what is away.
_HINT = (
    "run it as who may use that state, or restore it from a backup; a new one (set `state` in the "
    "policy to a place you may write, such as sqlite:////path/state.db) does not know what "
    "environments that are away have linked"
)


# What SQLite says where it can make no file beside the database.
_NOT_OPENED = "unable to open database file"
_SMALLEST_BYTES = 64 * 1024

# What it says where the file is another account's.
_READ_ONLY = "readonly database"

# The advisory lock of PostgreSQL under which tables are made: "cacheadm" in ASCII.
_TABLES_KEY = 0x636163686561646D


class StateUnusable(CacheadminError):
    """The state is damaged, unreachable, or may not be written."""


class StateFull(StateUnusable):
    """Nothing can be written to the state: its disk, or a quota, is full."""

    exit_code = ExitCode.PARTIAL
    label = "no room"


class StateIsNewer(Refused):
    """A newer release has written the state: nothing is done that it could lose by."""


def open_state(url: str | None, *, cache: CacheIdentity) -> State:
    """Return the state of one cache; nothing is created or connected to yet.

    Raises StateUnusable for SQLite on a network filesystem, where it is named: a
    state of several hosts needs a database. A home may well lie on one; its
    default state is one user's.
    """
    file = None if url is None else sqlite_path(url)
    if file is not None:
        mount = mount_of(resolve(os.path.dirname(os.path.abspath(file))) or "/")
        if mount.is_shared_with_hosts:
            raise StateUnusable(
                f"the state {url} is SQLite on {mount.kind} (mounted at {mount.mount_point}): "
                "several hosts would damage it",
                hint="state: postgresql+psycopg://... for several hosts, or a file on a local disk",
            )
    return State(url or default_url(), cache)


def open_releases(url: str | None) -> State:
    """Return the state for what belongs to no cache: learned releases."""
    return State(url or default_url(), CacheIdentity("", 0, 0))


class State:
    """The state of one cache. Every method raises StateUnusable, StateIsNewer or NotPermitted."""

    def __init__(self, url: str, cache: CacheIdentity) -> None:
        self.url = url
        self.cache = cache
        self._key = cache_key(cache)
        self._engine: Engine | None = None

    def require_known(self) -> None:
        """Raise StateIsNewer before anything is done that a newer release should decide.

        Of SQLite alone: a database of several hosts is asked whose turn it is first. What
        else is wrong with it, who reads it is told.
        """
        if sqlite_path(self.url) is not None:
            with suppress(StateUnusable, NotPermitted):
                self._read(SCHEMA_NUMBER, ("number",))

    def known_environments(self) -> tuple[KnownEnvironment, ...]:
        """Return the environments that earlier runs recorded, without what they led to."""
        rows = self._read(ENVIRONMENT, _KNOWN, cache=self._key)
        here = host_key()
        return tuple(_known(row, here) for row in rows)

    def remembered_environments(
        self, paths: Collection[str] | None = None
    ) -> tuple[RememberedEnvironment, ...]:
        """Return what earlier runs saw of environments; of all, or of those with these paths.

        What ten thousand environments lead to is much, and it is seldom asked of all.
        """
        columns = ENVIRONMENT.names[1:]
        if paths is not None and len(paths) <= _ONE_BY_ONE:
            asked = (
                self._read(ENVIRONMENT, columns, cache=self._key, path=storable(path))
                for path in sorted(paths)
            )
            return tuple(_remembered(row) for rows in asked for row in rows)
        found = (_remembered(row) for row in self._read(ENVIRONMENT, columns, cache=self._key))
        return tuple(one for one in found if paths is None or one.path in paths)

    def remember(
        self,
        environments: Iterable[Environment],
        now_ns: int,
        looked_ns: Mapping[str, int] | None = None,
    ) -> int:
        """Record environments as they are now; return how many had changed.

        Cached ones are the cache's own; missing and unreadable ones keep what
        was last seen of them. A row is written when it differs, or when its
        date is more than an hour old. ``looked_ns``: environments that are known
        to be as they were at a look, by path, with the moment of that look.
        """
        known = {one.path: one for one in self.known_environments()}
        environments = tuple(environments)
        self._forget_the_oldest(len(known), {one.path for one in environments if _is_seen(one)})
        changed = []
        doubtful: dict[str, Environment] = {}
        for environment in environments:
            if not _worth_remembering(environment):
                continue
            path = environment.path
            row = known.get(path)
            if row is None or now_ns - row.seen_ns >= 3600 * 10**9 or not _same(row, environment):
                changed.append(environment)
            elif looked_ns is None or row.seen_ns < looked_ns.get(path, now_ns):
                # Recorded before that look: what it led to then may have been something else.
                doubtful[path] = environment
        if doubtful:
            before = {
                one.path: (one.archives, one.entries)
                for one in self.remembered_environments(doubtful)
            }
            changed += [
                environment
                for path, environment in doubtful.items()
                if before.get(path) != (environment.archives, environment.entries)
            ]
        if not changed:
            return 0
        registered = {one.path for one in known.values() if one.registered}
        points, host = MountPoints(), host_key()
        rows = [
            (self._key, *_values(one, now_ns, points, host, registered=one.path in registered))
            for one in changed
        ]
        if not self._put_quickly(ENVIRONMENT, rows):
            self._put(ENVIRONMENT, rows)
        return len(changed)

    def _forget_the_oldest(self, known: int, seen: Collection[str]) -> None:
        """Drop what was on this host and was not seen for longest, of an account with too much.

        A machine that makes a thousand environments a day, or an account that renames
        twenty thousand each night, would fill the disk, and then every look's allowance
        for that account with what is long gone. ``known``: how many are recorded.
        """
        if known - len(seen) <= MOST_GONE_OF_ONE:
            return
        columns = ("path", "uid", "seen_ns", "registered", "host")
        here = host_key()
        gone: dict[int, list[tuple[int, str]]] = {}
        for stored, uid, seen_ns, registered, host in self._read(
            ENVIRONMENT, columns, cache=self._key
        ):
            # What other hosts have on their own disks is for them to see.
            if uid is not None and not registered and host == here and _path(stored) not in seen:
                gone.setdefault(uid, []).append((seen_ns, stored))
        oldest = [
            stored
            for of_one in gone.values()
            for _, stored in sorted(of_one, reverse=True)[MOST_GONE_OF_ONE:]
        ]
        if oldest:
            self._delete_stored(ENVIRONMENT, oldest)

    def learned_releases(self) -> dict[str, frozenset[str]]:
        """Return the bucket names of releases that were learned, by version.

        Those of this state, and those that were learned for every policy of this host.
        """
        return self._learned(LEARNED_RELEASE, "buckets")

    def learned_prunes(self) -> dict[str, frozenset[str]]:
        """Return what releases that were learned say of a prune's removals, by version."""
        return self._learned(LEARNED_PRUNE, "words")

    def _learned(self, table: StateTable, column: str) -> dict[str, frozenset[str]]:
        columns = ("version", column)
        rows = [
            *self._learned_for_every_policy(table, columns),
            *self._read(table, columns),
        ]
        return {version: frozenset(json.loads(names)) for version, names in rows}

    def _learned_for_every_policy(self, table: StateTable, columns: tuple[str, ...]) -> list[Row]:
        file = sqlite_path(default_url())
        if file is None or self.url == default_url():
            return []
        try:
            return read_rows(file, table, columns, {})
        except (sqlite3.Error, OSError, NewerSchemaError):
            # Commands that use that state report it; without it more is kept.
            return []

    def learn(
        self,
        version: str,
        buckets: Iterable[str],
        source: str,
        now_ns: int,
        prune: Iterable[str] = (),
    ) -> None:
        """Record the bucket names of a release, and what its prune says, read from a binary."""
        words = (version, json.dumps(sorted(prune)))
        names = (version, json.dumps(sorted(buckets)), storable(source), now_ns)
        with self._transaction() as connection:
            _upsert(connection, LEARNED_PRUNE, [words])
            _upsert(connection, LEARNED_RELEASE, [names])

    def archive_uses(self) -> dict[str, str]:
        """Return the record of each archive that was observed (``evidence.idleness``)."""
        return dict(self._read(ARCHIVE_USE, ("archive", "record"), cache=self._key))

    def note_archive_uses(self, records: Mapping[str, str]) -> None:
        """Replace the records of this cache's archives; those of others' are dropped."""
        self._replace(ARCHIVE_USE, [(self._key, *record) for record in records.items()])

    def pin_ages(self) -> dict[str, str]:
        """Return the record of each pin's age (``evidence.pin_ages``)."""
        return dict(self._read(PIN_AGE, ("pin", "record"), cache=self._key))

    def note_pin_ages(self, records: Mapping[str, str]) -> None:
        """Replace the records of this cache's pins."""
        self._replace(PIN_AGE, [(self._key, *record) for record in records.items()])

    def clock(self, host: str) -> tuple[HostTime, int] | None:
        """Return host time and steady moment (ns) of a host's last run; None before the first."""
        rows = self._read(CLOCK, ("boot", "uptime_ns", "wall_ns", "steady_ns"), host=host)
        for boot, uptime_ns, wall_ns, steady_ns in rows:
            return HostTime(host, boot, uptime_ns), wall_ns if steady_ns is None else steady_ns
        return None

    def clocks(self) -> dict[str, int]:
        """Return what each host's wall clock (ns) said at its last run."""
        return dict(self._read(CLOCK, ("host", "wall_ns")))

    def note_clock(self, now: HostTime, wall_ns: int, steady_ns: int | None = None) -> None:
        """Remember what this host's clock says; ``steady_ns``: by what it judges ages, if not that.

        See `evidence.steady_time`.
        """
        self._put(CLOCK, [(now.host, now.boot, now.uptime_ns, wall_ns, steady_ns)])

    def observations(self, cache: str) -> list[tuple[str, int, str]]:
        """Return (host, uid, document) of everything that hosts told of the cache of this token."""
        rows = self._read(OBSERVATION, ("host", "uid", "document"), cache=cache)
        return [(host, uid, document) for host, uid, document in rows]

    def note_observation(self, cache: str, host: str, uid: int, document: str) -> None:
        """Replace what an account of a host told before."""
        self._put(OBSERVATION, [(cache, host, uid, document)])

    def forget_observations(self, cache: str, host: str) -> bool:
        """Drop what a host told; False when it told nothing."""
        return self._delete(OBSERVATION, cache=cache, host=host) > 0

    def register(self, path: str, kind: EnvironmentKind, uid: int, now_ns: int) -> None:
        """Add an environment by hand."""
        environment = Environment(path, kind, EnvironmentStatus.OK, uid=uid)
        values = _values(environment, now_ns, MountPoints(), host_key(), registered=True)
        self._put(ENVIRONMENT, [(self._key, *values)])

    def forget(self, path: str) -> bool:
        """Drop what is remembered of an environment; False when nothing was."""
        return self._delete(ENVIRONMENT, cache=self._key, path=storable(path)) > 0

    # What all tables are read and written by.

    def _read(self, table: StateTable, columns: Sequence[str], **where: object) -> list[Row]:
        """Return columns of the rows that have these values, by their key's order."""
        with self._explained():
            file = sqlite_path(self.url)
            if file is not None:
                return read_rows(file, table, columns, where)
        return self._read_by_sqlalchemy(table, columns, **where)

    def _read_by_sqlalchemy(
        self, table: StateTable, columns: Sequence[str], **where: object
    ) -> list[Row]:
        from sqlalchemy import select

        from cacheadmin.state.models import table_of

        made = table_of(table)
        query = select(*(made.c[name] for name in columns))
        query = query.where(*(made.c[name] == value for name, value in where.items()))
        with self._transaction() as connection:
            ordered = query.order_by(*(made.c[name] for name in table.key))
            return [tuple(row) for row in connection.execute(ordered)]

    def _put(self, table: StateTable, rows: Sequence[Row]) -> None:
        """Write whole rows, in the place of those that have the same key."""
        with self._transaction() as connection:
            _upsert(connection, table, rows)

    def _put_quickly(self, table: StateTable, rows: Sequence[Row]) -> bool:
        """Write rows without SQLAlchemy; False where there is no SQLite, or no such table yet."""
        file = sqlite_path(self.url)
        if file is None:
            return False
        with self._explained():
            return write_rows(file, table, rows)

    def _replace(self, table: StateTable, rows: Sequence[Row]) -> None:
        """Write rows in the place of all of this cache."""
        from cacheadmin.state.models import table_of

        made = table_of(table)
        with self._transaction() as connection:
            connection.execute(made.delete().where(made.c.cache == self._key))
            if rows:
                _upsert(connection, table, rows)

    def _delete(self, table: StateTable, **where: object) -> int:
        """Drop the rows that have these values; return how many there were."""
        from cacheadmin.state.models import table_of

        made = table_of(table)
        gone = made.delete().where(*(made.c[name] == value for name, value in where.items()))
        with self._transaction() as connection:
            return connection.execute(gone).rowcount

    def _delete_stored(self, table: StateTable, paths: Iterable[str]) -> None:
        """Drop the rows of this cache that have these paths as stored, in one transaction."""
        from sqlalchemy import bindparam

        from cacheadmin.state.models import table_of

        made = table_of(table)
        gone = made.delete().where(made.c.cache == self._key, made.c.path == bindparam("gone"))
        with self._transaction() as connection:
            connection.execute(gone, [{"gone": path} for path in paths])

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._explained(), self._connect().begin() as connection:
            yield connection

    def _connect(self) -> Engine:
        if self._engine is None:
            from sqlalchemy import NullPool, create_engine

            file = sqlite_path(self.url)
            if file is not None and os.path.dirname(file):
                os.makedirs(os.path.dirname(file), mode=0o755, exist_ok=True)
                if self.url == default_url():
                    # It names every user's environments, and no other user is told to read it.
                    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                    os.close(os.open(file, flags, 0o600))
            arguments = {"timeout": 30} if file is not None else {"connect_timeout": 10}
            engine = create_engine(self.url, connect_args=arguments, poolclass=NullPool)
            if file is None:
                wait_at_full_servers(engine)
            _make_tables(engine)
            # Not before: on a full disk the tables may be missing, and be made later.
            self._engine = engine
        return self._engine

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what databases raise into one line that says which state, and what to do."""
        try:
            yield
        except NewerSchemaError as error:
            raise StateIsNewer(
                f"the state {self.shown()} was written by a newer cacheadmin: {error}",
                hint="upgrade cacheadmin on this host; nothing was changed",
            ) from None
        except sqlite3.Error as error:
            self._raise_if_known(str(error))
            raise StateUnusable(
                f"the state {self.shown()} can't be read: {error}", hint=_HINT
            ) from None
        except PermissionError as error:
            raise NotPermitted(
                f"the state {self.shown()} is not yours to use: {error.strerror}", hint=_HINT
            ) from None
        except OSError as error:
            if is_full(error):
                raise self._full(error.strerror or str(error)) from None
            raise StateUnusable(
                f"the state {self.shown()} can't be used: {error.strerror}", hint=_HINT
            ) from None
        except CacheadminError:
            raise
        except ModuleNotFoundError as error:
            raise StateUnusable(
                f"the state {self.shown()} needs the Python package {error.name}",
                hint="install it beside cacheadmin: pip install 'cacheadmin[postgresql]', or "
                "python3-psycopg of the system, for state: postgresql+psycopg://...",
            ) from None
        except Exception as error:
            if not type(error).__module__.startswith("sqlalchemy"):
                raise
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            self._raise_if_known(reason)
            raise StateUnusable(
                f"the state {self.shown()} can't be used: {reason}", hint=_HINT
            ) from None

    def _raise_if_known(self, reason: str) -> None:
        """Raise StateFull where SQLite failed for want of room, NotPermitted for want of rights.

        Without an inode for its journal it only says that a file can't be opened.
        """
        if "disk is full" in reason or (_NOT_OPENED in reason and self._lacks_room()):
            raise self._full(reason)
        if _READ_ONLY in reason:
            raise NotPermitted(f"the state {self.shown()} can't be written: {reason}", hint=_HINT)

    def _full(self, reason: str) -> StateFull:
        return StateFull(
            f"the state {self.shown()} can't be written: {reason}", hint="free some room there"
        )

    def _lacks_room(self) -> bool:
        folder = os.path.dirname(sqlite_path(self.url) or "")
        try:
            fd = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            return not free_space(fd).has(_SMALLEST_BYTES, 1)
        except OSError:
            return False
        finally:
            os.close(fd)

    def shown(self) -> str:
        """Return the URL without a password."""
        scheme, separator, rest = self.url.partition("://")
        credentials, at, host = rest.rpartition("@")
        return f"{scheme}{separator}{credentials.partition(':')[0]}{at}{host}"


def _make_tables(engine: Engine) -> None:
    """Bring the tables up to date; of many that do so at once one does, and the rest wait."""
    from sqlalchemy import text

    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TABLES_KEY})
        else:
            # Else each table would be a transaction of its own.
            connection.execute(text("BEGIN IMMEDIATE"))
        bring_up_to_date(connection)


def _upsert(connection: Connection, table: StateTable, rows: Sequence[Row]) -> None:
    """Write whole rows, in the place of those that have the same key."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]
    from cacheadmin.state.models import table_of

    query = insert(table_of(table))
    values = {name: query.excluded[name] for name in table.names if name not in table.key}
    query = query.on_conflict_do_update(index_elements=table.key, set_=values)
    connection.execute(query, [dict(zip(table.names, row, strict=True)) for row in rows])


def _values(
    environment: Environment, now_ns: int, points: MountPoints, host: str, *, registered: bool
) -> Row:
    device = None if environment.identity is None else environment.identity[0]
    return (
        storable(environment.path),
        environment.kind.value,
        environment.uid,
        environment.uv_version,
        json.dumps(sorted(environment.archives)),
        json.dumps(sorted(environment.entries)),
        environment.fingerprint,
        now_ns,
        registered,
        host,
        storable(points.of(environment.path, device).rstrip("/")),
    )


def _known(row: Row, here: str) -> KnownEnvironment:
    path, kind, uid, uv_version, fingerprint, seen_ns, registered, host, mount_point = row
    return KnownEnvironment(
        _path(path),
        EnvironmentKind(kind),
        uid,
        uv_version,
        fingerprint,
        seen_ns,
        registered,
        _path(mount_point) if host == here and mount_point else "",
    )


def _path(stored: str) -> str:
    return os.fsdecode(percent_decoded(stored)) if "%" in stored else stored


def _remembered(row: Row) -> RememberedEnvironment:
    path, kind, uid, uv_version, archives, entries, fingerprint, seen_ns, *_ = row
    return RememberedEnvironment(
        path=_path(path),
        kind=EnvironmentKind(kind),
        uid=uid,
        uv_version=uv_version,
        archives=frozenset(ArchiveId(name) for name in json.loads(archives)),
        entries=frozenset(json.loads(entries)),
        fingerprint=fingerprint,
        seen_ns=seen_ns,
    )


def _is_seen(environment: Environment) -> bool:
    """Whether an environment is there, readable or not."""
    return environment.status is not EnvironmentStatus.MISSING


def _worth_remembering(environment: Environment) -> bool:
    return (
        environment.kind is not EnvironmentKind.CACHED
        and environment.status not in (EnvironmentStatus.MISSING, EnvironmentStatus.UNREADABLE)
        and environment.sources != ("process",)
    )


def _same(known: KnownEnvironment, environment: Environment) -> bool:
    return (known.fingerprint, known.uv_version) == (
        environment.fingerprint,
        environment.uv_version,
    )
