"""The tables of the state, each declared once: readers, writers and what makes them go by this.

Pure, and without SQLAlchemy, whose import takes longer than a preflight. Times are
nanoseconds since the epoch. A cache is known by ``inode:path``: another cache that is
mounted at the same path later must not inherit what was remembered of the first.

**What is promised.** Every number of the schema that a release has written is read by all
later ones, and brought up to date at their first write, in one transaction
(`migrations`): a release is replaced by a newer one without a word. A state of a higher
number is refused by older releases (code 5), which would not know what they lose. A table
or column is added with a new `SCHEMA`, never renamed, and never given another meaning; one
that is not needed any more stays, unread.
"""

from __future__ import annotations

from enum import StrEnum

from cacheadmin.values import frozen

#: The number of today's tables; see ``migrations``.
SCHEMA = 4


class ColumnKind(StrEnum):
    """What a column holds."""

    TEXT = "TEXT"
    INTEGER = "BIGINT"
    BOOLEAN = "BOOLEAN"


@frozen
class Column:
    """One column of a table."""

    name: str
    """Its name."""
    kind: ColumnKind = ColumnKind.TEXT
    """What it holds."""
    key: bool = False
    """Whether it is part of what tells rows apart."""
    optional: bool = False
    """Whether it may hold nothing."""
    since: int = 1
    """The number of the schema that has it first; one that came later must be optional."""


@frozen
class StateTable:
    """One table of the state."""

    name: str
    """Its name."""
    meaning: str
    """What a row says."""
    columns: tuple[Column, ...]
    """Its columns; those of the key come first."""
    since: int = 1
    """The number of the schema that has it first."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(column.name for column in self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        """The names of the columns that tell rows apart."""
        return tuple(column.name for column in self.columns if column.key)


def _key(*names: str) -> tuple[Column, ...]:
    return tuple(Column(name, key=True) for name in names)


def _record(name: str, of: str, meaning: str, since: int = 1) -> StateTable:
    """Return a table with one text of JSON for each thing of a cache."""
    return StateTable(name, meaning, (*_key("cache", of), Column("record")), since)


SCHEMA_NUMBER = StateTable(
    "schema_number",
    "The number of these tables: one row, made by `migrations`. Without it they are of 0.1.",
    (Column("id", ColumnKind.INTEGER, key=True), Column("number", ColumnKind.INTEGER)),
    since=2,
)

LEARNED_RELEASE = StateTable(
    "learned_release",
    "The bucket names of a uv release (JSON list), read from its binary at `source`.",
    (
        *_key("version"),
        Column("buckets"),
        Column("source"),
        Column("learned_ns", ColumnKind.INTEGER),
    ),
)

LEARNED_PRUNE = StateTable(
    "learned_prune",
    "What a learned release says of a prune's removals (JSON list).",
    (*_key("version"), Column("words")),
    since=2,
)

ENVIRONMENT = StateTable(
    "environment",
    "What was last seen of one environment. `archives` and `entries` are JSON lists; `registered` "
    "says that a user added it by `cacheadmin venv add`; `mount_point` is where the filesystem "
    "that it lay on was mounted on `host` (empty: the root).",
    (
        *_key("cache", "path"),
        Column("kind"),
        Column("uid", ColumnKind.INTEGER, optional=True),
        Column("uv_version", optional=True),
        Column("archives"),
        Column("entries"),
        Column("fingerprint"),
        Column("seen_ns", ColumnKind.INTEGER),
        Column("registered", ColumnKind.BOOLEAN),
        Column("host", optional=True, since=4),
        Column("mount_point", optional=True, since=4),
    ),
)

ARCHIVE_USE = _record(
    "archive_use", "archive", "For how long no user has used an archive: `evidence.idleness`."
)

PIN_AGE = _record(
    "pin_age", "pin", "For how long a pin has surely existed: a record of `evidence.idleness`."
)

CLOCK = StateTable(
    "clock",
    "What a host's clock said at its last run, what the kernel had counted since boot, and by "
    "which moment ages were judged (`evidence.steady_time`).",
    (
        *_key("host"),
        Column("boot"),
        Column("uptime_ns", ColumnKind.INTEGER),
        Column("wall_ns", ColumnKind.INTEGER),
        Column("steady_ns", ColumnKind.INTEGER, optional=True, since=3),
    ),
)

OBSERVATION = StateTable(
    "observation",
    "What one host told of its use of a cache: a document of `hosts.documents`. `cache` is the "
    "cache's token, since hosts mount it at other paths.",
    (
        *_key("cache", "host"),
        Column("uid", ColumnKind.INTEGER, key=True),
        Column("document"),
    ),
    since=2,
)

TURN = StateTable(
    "turn",
    "Which host works, or worked last, on a cache (`state.advisory_lock`): `cache` is its token, "
    "`number` grows with every turn, `holder` is JSON.",
    (*_key("cache"), Column("number", ColumnKind.INTEGER), Column("holder")),
    since=2,
)

ARCHIVE_SIZE = _record(
    "archive_size", "archive", "What an archive measured: a record of `state.archive_sizes`."
)

SIZE_HISTORY = StateTable(
    "size_history",
    "What a cache took at one moment: a record of `state.size_history`.",
    (*_key("cache"), Column("taken_ns", ColumnKind.INTEGER, key=True), Column("record")),
)

NOTIFICATION = _record(
    "notification",
    "cause",
    "When a cause was last told to people: a record of `state.notifications`.",
    since=2,
)

TABLES = (
    SCHEMA_NUMBER,
    LEARNED_RELEASE,
    LEARNED_PRUNE,
    ENVIRONMENT,
    ARCHIVE_USE,
    PIN_AGE,
    CLOCK,
    OBSERVATION,
    TURN,
    ARCHIVE_SIZE,
    SIZE_HISTORY,
    NOTIFICATION,
)
