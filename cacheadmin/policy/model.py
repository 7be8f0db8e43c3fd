"""The policy: every key, its type, its default and its meaning.

The names are public (cacheadmin-policy(5)). ``off`` and ``never`` are words,
not booleans; the loader reads YAML 1.2, where they stay words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
)

from cacheadmin.policy.quantities import (
    DURATION_PATTERN,
    SHARE_PATTERN,
    SIZE_PATTERN,
    Share,
    duration_words,
    parse_duration,
    parse_share,
    parse_size,
)
from cacheadmin.uv.releases import parse_release


def _duration(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else _reject_number(value, "30d")


def _size(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return parse_size(value) if isinstance(value, str) else _reject_number(value, "200GiB")


def _size_or_share(value: object) -> object:
    if isinstance(value, str) and value.strip().endswith("%"):
        return parse_share(value)
    return _size(value)


def _off(value: object) -> object:
    return None if value in ("off", False) else value


def _reject_number(value: object, example: str) -> object:
    if isinstance(value, timedelta | Share):
        return value
    raise ValueError(f"write a number with its unit, such as {example}")


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise ValueError(f"{value!r} is relative: write an absolute path")
    if "\0" in value or any(part in (".", "..") for part in value.split("/")):
        raise ValueError(f"{value!r} must not hold '.' or '..' parts or NUL")
    return value.rstrip("/") or "/"


def _release(value: str) -> str:
    if parse_release(value) is None:
        raise ValueError(f"{value!r} is no uv release: write three numbers, such as 0.8.19")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(duration_words),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["30d", "1d 12h"]}),
]
OptionalDuration = Annotated[
    timedelta | None,
    BeforeValidator(lambda value: None if _off(value) is None else _duration(value)),
    PlainSerializer(lambda value: "off" if value is None else duration_words(value)),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": DURATION_PATTERN}, {"const": "off"}]}),
]
Size = Annotated[
    int,
    BeforeValidator(_size),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 0}]}
    ),
]
SizeOrShare = Annotated[
    int | Share,
    BeforeValidator(_size_or_share),
    PlainSerializer(lambda value: f"{value.percent:g}%" if isinstance(value, Share) else value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SIZE_PATTERN},
                {"type": "string", "pattern": SHARE_PATTERN},
                {"type": "integer", "minimum": 0},
            ]
        }
    ),
]
AbsolutePath = Annotated[
    str,
    Field(json_schema_extra={"pattern": "^/"}),
    BeforeValidator(lambda value: _absolute(value) if isinstance(value, str) else value),
]
Release = Annotated[
    str,
    Field(json_schema_extra={"pattern": r"^\d+\.\d+\.\d+$"}),
    BeforeValidator(lambda value: _release(value) if isinstance(value, str) else value),
]


class Section(BaseModel):
    """A part of a policy: frozen, and strict about its keys and types.

    Defaults are made by ``model_construct`` and schemas built on first use:
    every command imports this module, and start-up time is felt.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True, defer_build=True
    )


class Team(Section):
    """To whom environments, archives and findings are attributed."""

    users: tuple[str, ...] = Field((), description="account names of the team's members")
    groups: tuple[str, ...] = Field((), description="Unix groups whose files are the team's")
    paths: tuple[str, ...] = Field((), description="globs of the team's folders")


class DiscoverRoot(Section):
    """A tree that is searched for environments."""

    root: AbsolutePath = Field(description="folder (or glob of folders) to search below")
    depth: int = Field(4, ge=0, le=32, description="how many folders deep")
    exclude: tuple[str, ...] = Field((), description="globs of names or paths to leave out")


class Environments(Section):
    """Where environments are looked for, and what is thought of those not seen."""

    registry: AbsolutePath | None = Field(
        None, description="folder of links, one an environment, made by the users themselves"
    )
    include: tuple[AbsolutePath, ...] = Field((), description="globs of environments")
    discover: tuple[DiscoverRoot, ...] = Field(
        (), description="trees searched for pyvenv.cfg and uv tool folders"
    )
    from_cache: bool = Field(
        True, description="take every environment named in the cache's interpreter buckets"
    )
    scan: Literal["fast", "deep"] = Field(
        "fast", description="one probe a distribution, or every file"
    )
    keep_missing: Duration | None = Field(
        None,
        description="how long an environment that can't be found any more keeps what it last "
        "linked; left out: 0d on a local filesystem, 30d on a network one",
    )
    unreadable: Literal["limit", "refuse"] = Field(
        "limit", description="when an environment cannot be read"
    )


class Links(Section):
    """What happens when environments link into the cache."""

    symlink: Literal["limit", "refuse"] = Field(
        "limit", description="prune around linked entries, or refuse to prune at all"
    )


class Uv(Section):
    """Which uv releases count as in use."""

    active_within: Duration = Field(
        timedelta(days=30), description="a user or bucket is active this long after its last trace"
    )
    minimum: Release = Field("0.8.19", description="oldest uv release users should have")
    keep: tuple[Release, ...] = Field(
        (), description="releases whose buckets stay whatever the evidence"
    )


class Builds(Section):
    """Build and temporary folders that were left behind."""

    after: Duration = Field(timedelta(days=1), description="remove those unchanged for this long")


class CachedEnvironmentRule(Section):
    """Cached tool and script environments."""

    idle: Duration = Field(timedelta(days=7), description="remove those unchanged for this long")
    keep_latest: bool = Field(True, description="keep the newest environment of each tool")


class Unused(Section):
    """Wheels that no environment has linked for long."""

    after: OptionalDuration = Field(None, description="remove wheels unused for this long")


class Budget(Section):
    """Sizes to get below, least recently used first."""

    max_size: Size | None = Field(None, description="largest size of the cache")
    max_files: int | None = Field(None, ge=0, description="largest number of files")
    min_free: SizeOrShare | None = Field(None, description="free space to leave on the filesystem")

    @property
    def is_set(self) -> bool:
        """Whether any of these sizes is to be met."""
        return any(value is not None for _, value in self)


class Limits(Section):
    """How much one run may do."""

    entries: int | None = Field(None, ge=1, description="most entries removed in one run")
    bytes: Size | None = Field(None, description="most bytes removed in one run")
    seconds: int | None = Field(None, ge=1, description="after so long no more is purged")


class Prune(Section):
    """What a prune removes."""

    buckets: Literal["unneeded", "never"] = Field(
        "unneeded", description="remove version buckets that nobody needs"
    )
    archives: bool = Field(True, description="remove archives nothing refers to")
    revisions: bool = Field(True, description="remove superseded source revisions")
    builds: Builds = Builds.model_construct()
    environments: CachedEnvironmentRule | Literal["never"] = Field(
        CachedEnvironmentRule.model_construct(),
        description="cached tool and script environments, or never",
    )
    unused: Unused = Unused.model_construct()
    budget: Budget = Budget.model_construct()
    keep: tuple[str, ...] = Field((), description="package patterns never removed")
    limits: Limits = Limits.model_construct()

    @field_validator("budget", mode="before")
    @classmethod
    def _budget_off(cls, value: object) -> object:
        return Budget.model_construct() if _off(value) is None else value


class Lock(Section):
    """How a prune gets the cache's lock."""

    timeout: Duration = Field(timedelta(minutes=5), description="longest wait for the lock")
    busy: Literal["wait", "skip", "concurrent"] = Field(
        "wait", description="wait for the lock, leave at once when it is held, or work beside it"
    )


class Quarantine(Section):
    """Where removals wait before they are deleted for good."""

    path: AbsolutePath | None = Field(
        None,
        description="folder on the cache's filesystem; left out: <cache>.cacheadmin/quarantine",
    )
    keep: Duration = Field(timedelta(days=7), description="how long a prune can be undone")


class Protect(Section):
    """Roots planted in uv's own buckets."""

    enabled: bool = Field(False, description="plant after each run")
    ahead: int = Field(2, ge=0, le=20, description="also for so many future bucket versions")


class Hosts(Section):
    """Other hosts that use the cache."""

    expect: tuple[str, ...] = Field((), description="hosts whose observation must be fresh")
    max_age: Duration = Field(timedelta(days=1), description="how old an observation may be")


class Scan(Section):
    """How environments are scanned."""

    executor: Literal["threads", "processes", "dask"] = Field(
        "threads", description="what runs the scan"
    )
    workers: int | None = Field(None, ge=1, le=1024, description="how many; left out: one a core")
    address: str | None = Field(None, description="address of a dask scheduler")


AuditSetting = Literal["error", "warning", "info", "off"] | dict[str, Any]


class Policy(Section):
    """One shared cache's policy."""

    version: Literal[1] = Field(description="version of this format: 1")
    name: str = Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="name"
    )
    description: str = Field("", description="what the cache is for")
    contact: str = Field("", description="whom to ask")
    team: str = Field("", description="team that owns the cache")
    teams: dict[str, Team] = Field(
        {}, description="teams to which environments, archives and findings are attributed"
    )
    run_as: str | None = Field(
        None, description="account that does everything which needs no root; left out: the caller"
    )
    cache: AbsolutePath = Field(description="absolute path of the uv cache")
    aliases: tuple[AbsolutePath, ...] = Field(
        (), description="other absolute paths under which the same cache is reached"
    )
    venvs: Environments = Environments.model_construct()
    links: Links = Links.model_construct()
    uv: Uv = Uv.model_construct()
    prune: Prune = Prune.model_construct()
    lock: Lock = Lock.model_construct()
    quarantine: Quarantine = Quarantine.model_construct()
    protect: Protect = Protect.model_construct()
    hosts: Hosts = Hosts.model_construct()
    state: str | None = Field(
        None, description="SQLAlchemy URL; left out: SQLite in the state folder"
    )
    scan: Scan = Scan.model_construct()
    audit: dict[str, AuditSetting] = Field(
        {}, description="audit rules: severity or off, and their thresholds"
    )
