"""Read and write the state. SQLAlchemy is imported on the first write, or for PostgreSQL."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from cacheadmin.errors import CacheadminError, NotPermitted
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    RememberedEnvironment,
)
from cacheadmin.evidence.idleness import HostTime
from cacheadmin.fs.free_space import free_space, is_full
from cacheadmin.fs.mounts import mount_of
from cacheadmin.fs.resolving import resolve
from cacheadmin.inventory.entries import ArchiveId, CacheIdentity
from cacheadmin.state.fast_reading import (
    COLUMNS,
    Row,
    read_clock_rows,
    read_environment_rows,
    read_learned_prunes,
    read_learned_rows,
    read_moment_rows,
    read_pin_rows,
    read_use_rows,
)
from cacheadmin.state.fast_writing import write_environment_rows
from cacheadmin.state.location import cache_key, default_url, sqlite_path, storable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from cacheadmin.state.models import Base

_HINT = "set `state` in the policy to a place you may write, such as sqlite:////path/state.db"


# What SQLite says where it can make no file beside the database.
_NOT_OPENED = "unable to open database file"
_SMALLEST_BYTES = 64 * 1024

# The advisory lock of PostgreSQL under which tables are made: "cacheadm" in ASCII.
_TABLES_KEY = 0x636163686561646D


class StateUnusable(CacheadminError):
    """The state is damaged, unreachable, or may not be written."""


class StateFull(StateUnusable):
    """Nothing can be written to the state: its disk, or a quota, is full."""


@frozen
class RememberedRow:
    """One environment of the state; ``registered`` when somebody added it by hand."""

    environment: RememberedEnvironment
    registered: bool


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
    """The state of one cache. Every method raises StateUnusable or NotPermitted."""

    def __init__(self, url: str, cache: CacheIdentity) -> None:
        self.url = url
        self.cache = cache
        self._key = cache_key(cache)
        self._engine: Engine | None = None

    def remembered_environments(self) -> tuple[RememberedEnvironment, ...]:
        """Return what earlier runs saw of each environment."""
        return tuple(row.environment for row in self.rows())

    def rows(self) -> tuple[RememberedRow, ...]:
        """Return every remembered environment, registered by hand or not."""
        with self._explained():
            file = sqlite_path(self.url)
            if file is not None:
                rows = read_environment_rows(file, self._key)
            else:
                rows = self._rows_by_sqlalchemy()
        return tuple(_remembered(row) for row in rows)

    def remember(self, environments: Iterable[Environment], now_ns: int) -> int:
        """Record environments as they are now; return how many had changed.

        Cached ones are the cache's own; missing and unreadable ones keep what
        was last seen of them. A row is written when it differs, or when its
        date is more than an hour old.
        """
        known = {row.environment.path: row for row in self.rows()}
        changed = []
        for environment in environments:
            if not _worth_remembering(environment):
                continue
            row = known.get(environment.path)
            fresh = row is not None and now_ns - row.environment.seen_ns < 3600 * 10**9
            if row is not None and fresh and _same(row.environment, environment):
                continue
            changed.append((environment, row is not None and row.registered))
        if changed and not self._remember_quickly(changed, now_ns):
            with self._session() as session:
                for environment, registered in changed:
                    session.merge(self._row(environment, now_ns, registered=registered))
        return len(changed)

    def _remember_quickly(self, changed: list[tuple[Environment, bool]], now_ns: int) -> bool:
        """Write rows without SQLAlchemy; False where there is no SQLite, or no table yet."""
        file = sqlite_path(self.url)
        if file is None:
            return False
        rows = [
            _values(environment, now_ns, registered=registered)
            for environment, registered in changed
        ]
        with self._explained():
            return write_environment_rows(file, self._key, rows)

    def learned_releases(self) -> dict[str, frozenset[str]]:
        """Return the bucket names of releases that were learned, by version.

        Those of this state, and those that were learned for every policy of this host.
        """
        return self._learned(read_learned_rows, "LearnedReleaseRow", "buckets")

    def learned_prunes(self) -> dict[str, frozenset[str]]:
        """Return what releases that were learned say of a prune's removals, by version."""
        return self._learned(read_learned_prunes, "LearnedPruneRow", "words")

    def _learned(
        self, read: Callable[[str], list[tuple[str, str]]], table: str, column: str
    ) -> dict[str, frozenset[str]]:
        with self._explained():
            file = sqlite_path(self.url)
            rows = self._selected(table, ("version", column)) if file is None else read(file)
        rows = [*self._learned_for_every_policy(read), *rows]
        return {version: frozenset(json.loads(names)) for version, names in rows}

    def _learned_for_every_policy(
        self, read: Callable[[str], list[tuple[str, str]]]
    ) -> list[tuple[str, str]]:
        file = sqlite_path(default_url())
        if file is None or self.url == default_url():
            return []
        try:
            return read(file)
        except (sqlite3.Error, OSError):
            # Whoever uses that state is told; without it more is kept.
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
        from cacheadmin.state.models import LearnedPruneRow, LearnedReleaseRow

        with self._session() as session:
            words = json.dumps(sorted(prune))
            session.merge(LearnedPruneRow(version=version, words=words))
            session.merge(
                LearnedReleaseRow(
                    version=version,
                    buckets=json.dumps(sorted(buckets)),
                    source=storable(source),
                    learned_ns=now_ns,
                )
            )

    def archive_uses(self) -> dict[str, str]:
        """Return the record of each archive that was observed (``evidence.idleness``)."""
        with self._explained():
            file = sqlite_path(self.url)
            if file is not None:
                return dict(read_use_rows(file, self._key))
            return dict(self._selected("ArchiveUseRow", ("archive", "record"), cache=self._key))

    def note_archive_uses(self, records: Mapping[str, str]) -> None:
        """Replace the records of this cache's archives; those of others' are dropped."""
        from sqlalchemy import delete, insert

        from cacheadmin.state.models import ArchiveUseRow

        rows = [
            {"cache": self._key, "archive": archive, "record": record}
            for archive, record in records.items()
        ]
        with self._session() as session:
            session.execute(delete(ArchiveUseRow).where(ArchiveUseRow.cache == self._key))
            if rows:
                session.execute(insert(ArchiveUseRow), rows)

    def pin_ages(self) -> dict[str, str]:
        """Return the record of each pin's age (``evidence.pin_ages``)."""
        with self._explained():
            file = sqlite_path(self.url)
            if file is not None:
                return dict(read_pin_rows(file, self._key))
            return dict(self._selected("PinAgeRow", ("pin", "record"), cache=self._key))

    def note_pin_ages(self, records: Mapping[str, str]) -> None:
        """Replace the records of this cache's pins."""
        from sqlalchemy import delete, insert

        from cacheadmin.state.models import PinAgeRow

        rows = [
            {"cache": self._key, "pin": pin, "record": record} for pin, record in records.items()
        ]
        with self._session() as session:
            session.execute(delete(PinAgeRow).where(PinAgeRow.cache == self._key))
            if rows:
                session.execute(insert(PinAgeRow), rows)

    def clock(self, host: str) -> tuple[HostTime, int] | None:
        """Return host time and wall clock (ns) of a host's last run; None before the first."""
        columns = ("boot", "uptime_ns", "wall_ns")
        with self._explained():
            file = sqlite_path(self.url)
            rows = (
                self._selected("ClockRow", columns, host=host)
                if file is None
                else read_clock_rows(file, host)
            )
        for boot, uptime_ns, wall_ns in rows:
            return HostTime(host, boot, uptime_ns), wall_ns
        return None

    def clocks(self) -> dict[str, int]:
        """Return what each host's wall clock (ns) said at its last run."""
        with self._explained():
            file = sqlite_path(self.url)
            if file is not None:
                return dict(read_moment_rows(file))
            return dict(self._selected("ClockRow", ("host", "wall_ns")))

    def note_clock(self, now: HostTime, wall_ns: int) -> None:
        """Remember what this host's clock says."""
        from cacheadmin.state.models import ClockRow

        with self._session() as session:
            session.merge(
                ClockRow(host=now.host, boot=now.boot, uptime_ns=now.uptime_ns, wall_ns=wall_ns)
            )

    def observations(self, cache: str) -> list[tuple[str, int, str]]:
        """Return (host, uid, document) of everything that hosts told of the cache of this token."""
        with self._explained():
            return [
                (host, uid, document)
                for host, uid, document in self._selected(
                    "ObservationRow", ("host", "uid", "document"), cache=cache
                )
            ]

    def note_observation(self, cache: str, host: str, uid: int, document: str) -> None:
        """Replace what an account of a host told before."""
        from cacheadmin.state.models import ObservationRow

        with self._session() as session:
            session.merge(ObservationRow(cache=cache, host=host, uid=uid, document=document))

    def forget_observations(self, cache: str, host: str) -> bool:
        """Drop what a host told; False when it told nothing."""
        from sqlalchemy import delete

        from cacheadmin.state.models import ObservationRow

        with self._session() as session:
            gone = delete(ObservationRow).where(
                ObservationRow.cache == cache, ObservationRow.host == host
            )
            return bool(session.connection().execute(gone).rowcount)

    def _selected(
        self, model: str, columns: tuple[str, ...], **where: str
    ) -> list[tuple[Any, ...]]:
        from sqlalchemy import select

        from cacheadmin.state import models

        table = getattr(models, model)
        query = select(*(getattr(table, name) for name in columns)).filter_by(**where)
        with self._session() as session:
            return [tuple(row) for row in session.execute(query)]

    def register(self, path: str, kind: EnvironmentKind, uid: int, now_ns: int) -> None:
        """Add an environment by hand."""
        environment = Environment(path, kind, EnvironmentStatus.OK, uid=uid)
        with self._session() as session:
            session.merge(self._row(environment, now_ns, registered=True))

    def forget(self, path: str) -> bool:
        """Drop what is remembered of an environment; False when nothing was."""
        from cacheadmin.state.models import EnvironmentRow

        with self._session() as session:
            row = session.get(EnvironmentRow, (self._key, storable(path)))
            if row is not None:
                session.delete(row)
            return row is not None

    def _row(self, environment: Environment, now_ns: int, *, registered: bool) -> object:
        from cacheadmin.state.models import EnvironmentRow

        values = _values(environment, now_ns, registered=registered)
        return EnvironmentRow(cache=self._key, **dict(zip(COLUMNS, values, strict=True)))

    def _rows_by_sqlalchemy(self) -> list[Row]:
        from sqlalchemy import select

        from cacheadmin.state.models import EnvironmentRow

        columns = [getattr(EnvironmentRow, name) for name in COLUMNS]
        with self._session() as session:
            query = select(*columns).where(EnvironmentRow.cache == self._key)
            return [tuple(row) for row in session.execute(query)]

    @contextmanager
    def _session(self) -> Iterator[Session]:
        from sqlalchemy.orm import Session

        with self._explained(), Session(self._connect()) as session, session.begin():
            yield session

    def _connect(self) -> Engine:
        if self._engine is None:
            from sqlalchemy import NullPool, create_engine

            from cacheadmin.state.models import Base

            file = sqlite_path(self.url)
            if file is not None and os.path.dirname(file):
                os.makedirs(os.path.dirname(file), mode=0o755, exist_ok=True)
                if self.url == default_url():
                    # It names everybody's environments, and nobody else is told to read it.
                    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                    os.close(os.open(file, flags, 0o600))
            arguments = {"timeout": 30} if file is not None else {"connect_timeout": 10}
            engine = create_engine(self.url, connect_args=arguments, poolclass=NullPool)
            if file is None:
                from cacheadmin.state.full_servers import wait_at_full_servers

                wait_at_full_servers(engine)
            _make_tables(engine, Base)
            # Not before: on a full disk the tables may be missing, and be made later.
            self._engine = engine
        return self._engine

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what databases raise into one line that says which state, and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            self._raise_if_full(str(error))
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
        except Exception as error:
            if not type(error).__module__.startswith("sqlalchemy"):
                raise
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            self._raise_if_full(reason)
            raise StateUnusable(
                f"the state {self.shown()} can't be used: {reason}", hint=_HINT
            ) from None

    def _raise_if_full(self, reason: str) -> None:
        """Raise StateFull where SQLite failed for want of room.

        Without an inode for its journal it only says that a file can't be opened.
        """
        if "disk is full" in reason or (_NOT_OPENED in reason and self._lacks_room()):
            raise self._full(reason)

    def _full(self, reason: str) -> StateFull:
        return StateFull(f"the state {self.shown()} can't be written: {reason}", hint=_HINT)

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


def _make_tables(engine: Engine, base: type[Base]) -> None:
    """Make the tables that are missing; of many hosts that do so at once one, and the rest wait."""
    from sqlalchemy import text

    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TABLES_KEY})
        base.metadata.create_all(connection)


def _values(environment: Environment, now_ns: int, *, registered: bool) -> Row:
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
    )


def _remembered(row: Row) -> RememberedRow:
    path, kind, uid, uv_version, archives, entries, fingerprint, seen_ns, registered = row
    environment = RememberedEnvironment(
        path=os.fsdecode(unquote_to_bytes(path)),
        kind=EnvironmentKind(kind),
        uid=uid,
        uv_version=uv_version,
        archives=frozenset(ArchiveId(name) for name in json.loads(archives)),
        entries=frozenset(json.loads(entries)),
        fingerprint=fingerprint,
        seen_ns=seen_ns,
    )
    return RememberedRow(environment, registered)


def _worth_remembering(environment: Environment) -> bool:
    return (
        environment.kind is not EnvironmentKind.CACHED
        and environment.status not in (EnvironmentStatus.MISSING, EnvironmentStatus.UNREADABLE)
        and environment.sources != ("process",)
    )


def _same(memory: RememberedEnvironment, environment: Environment) -> bool:
    return (memory.archives, memory.entries, memory.fingerprint, memory.uv_version) == (
        environment.archives,
        environment.entries,
        environment.fingerprint,
        environment.uv_version,
    )
