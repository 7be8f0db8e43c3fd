"""The tables of the state. Times are nanoseconds since the epoch.

A cache is known by ``inode:path``: another cache that is mounted at the same
path later must not inherit what was remembered of the first.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """All tables of the state."""


class LearnedReleaseRow(Base):
    """The bucket names of a uv release, read from its binary.

    ``buckets`` is a JSON list; ``source`` the path of the binary.
    """

    __tablename__ = "learned_release"

    version: Mapped[str] = mapped_column(Text, primary_key=True)
    buckets: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    learned_ns: Mapped[int] = mapped_column(BigInteger)


class LearnedPruneRow(Base):
    """What a learned release says of a prune's removals: a JSON list."""

    __tablename__ = "learned_prune"

    version: Mapped[str] = mapped_column(Text, primary_key=True)
    words: Mapped[str] = mapped_column(Text)


class EnvironmentRow(Base):
    """What was last seen of one environment.

    ``archives`` and ``entries`` are JSON lists. ``registered`` is True for one
    that somebody added by `cacheadmin venv add`.
    """

    __tablename__ = "environment"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    path: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    uid: Mapped[int | None] = mapped_column(BigInteger)
    uv_version: Mapped[str | None] = mapped_column(Text)
    archives: Mapped[str] = mapped_column(Text)
    entries: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    seen_ns: Mapped[int] = mapped_column(BigInteger)
    registered: Mapped[bool] = mapped_column(Boolean)


class ArchiveUseRow(Base):
    """For how long nobody has used an archive: a record of ``evidence.idleness``."""

    __tablename__ = "archive_use"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    archive: Mapped[str] = mapped_column(Text, primary_key=True)
    record: Mapped[str] = mapped_column(Text)


class PinAgeRow(Base):
    """For how long a pin has surely existed: a record of ``evidence.idleness``."""

    __tablename__ = "pin_age"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    pin: Mapped[str] = mapped_column(Text, primary_key=True)
    record: Mapped[str] = mapped_column(Text)


class ClockRow(Base):
    """What a host's clock said at its last run, and what the kernel had counted since boot."""

    __tablename__ = "clock"

    host: Mapped[str] = mapped_column(Text, primary_key=True)
    boot: Mapped[str] = mapped_column(Text)
    uptime_ns: Mapped[int] = mapped_column(BigInteger)
    wall_ns: Mapped[int] = mapped_column(BigInteger)


class ObservationRow(Base):
    """What one host told of its use of a cache: a document of ``hosts.documents``.

    ``cache`` is the cache's token: hosts mount it at other paths.
    """

    __tablename__ = "observation"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    host: Mapped[str] = mapped_column(Text, primary_key=True)
    uid: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    document: Mapped[str] = mapped_column(Text)


class TurnRow(Base):
    """Which host works, or worked last, on a cache: ``state.advisory_lock``.

    ``cache`` is the cache's token, ``number`` grows with every turn, ``holder`` is JSON.
    """

    __tablename__ = "turn"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[str] = mapped_column(Text)


class ArchiveSizeRow(Base):
    """What an archive measured: a record of ``state.archive_sizes``."""

    __tablename__ = "archive_size"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    archive: Mapped[str] = mapped_column(Text, primary_key=True)
    record: Mapped[str] = mapped_column(Text)


class SizeHistoryRow(Base):
    """What a cache took at one moment: a record of ``state.size_history``."""

    __tablename__ = "size_history"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    taken_ns: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    record: Mapped[str] = mapped_column(Text)


class NotificationRow(Base):
    """When a cause was last told to people: a record of ``state.notifications``."""

    __tablename__ = "notification"

    cache: Mapped[str] = mapped_column(Text, primary_key=True)
    cause: Mapped[str] = mapped_column(Text, primary_key=True)
    record: Mapped[str] = mapped_column(Text)
