"""The policy: every key, its type, its default and its meaning.

The names are public (cacheadmin-policy(5)). ``off`` and ``never`` are words,
not booleans; the loader reads YAML 1.2, where they stay words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)

from cacheadmin.policy.meaning import (
    BudgetMeaning,
    HostsMeaning,
    NotifyMeaning,
    ScanLimitsMeaning,
    TrialMeaning,
)
from cacheadmin.policy.values import (
    AbsolutePath,
    AbsolutePathOrOff,
    Date,
    Duration,
    ExpectedHost,
    OptionalDuration,
    PackagePattern,
    Release,
    SecretUrl,
    Section,
    Size,
    SizeOrShare,
    off,
)


class Team(Section):
    """To whom environments, archives and findings are attributed."""

    users: tuple[str, ...] = Field((), description="account names of the team's members")
    groups: tuple[str, ...] = Field((), description="Unix groups whose files are the team's")
    paths: tuple[str, ...] = Field((), description="globs of the team's folders")


class DiscoverRoot(Section):
    """A tree that is searched for environments."""

    root: AbsolutePath = Field(description="folder (or glob of folders) to search below")
    depth: int | None = Field(
        None, ge=0, le=32, description="how many folders deep; left out: all the way down"
    )
    exclude: tuple[str, ...] = Field((), description="globs of names or paths to leave out")


class Environments(Section):
    """Where environments are looked for, and what is thought of those not seen."""

    registry: AbsolutePath | None = Field(
        None, description="folder of links, one an environment, made by the users themselves"
    )
    include: tuple[AbsolutePath, ...] = Field((), description="globs of environments")
    discover: tuple[DiscoverRoot, ...] = Field(
        (),
        description="trees searched for environments and uv tool folders; left out: the homes of "
        "accounts that left traces in the cache",
    )
    from_cache: bool = Field(
        True, description="take every environment named in the cache's interpreter buckets"
    )
    gaps: Literal["trial", "keep", "refuse"] = Field(
        "trial",
        description="removals that rest on absence of evidence while gaps are open: on trial, "
        "kept, or the whole prune refused",
    )
    complete: bool = Field(
        False,
        description="your word that these sources find every environment that uses this cache",
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


class Budget(BudgetMeaning, Section):
    """Sizes to get below, least recently used first."""

    max_size: Size | None = Field(None, description="largest size of the cache")
    max_files: int | None = Field(None, ge=0, description="largest number of files")
    min_free: SizeOrShare | None = Field(None, description="free space to leave on the filesystem")


class Limits(Section):
    """How much one run may do."""

    entries: int | None = Field(None, ge=1, description="most entries removed in one run")
    bytes: Size | None = Field(None, description="most bytes removed in one run")
    seconds: int | None = Field(None, ge=1, description="after so long no more is purged")


class TrialSection(TrialMeaning, Section):
    """How long what is removed on absence of evidence is watched."""

    at_least: Duration = Field(
        timedelta(days=1),
        description="how long before pressure of prune.budget may end a silent trial early",
    )


if TYPE_CHECKING:

    class Trial(TrialSection):
        """As below, for type checkers."""
else:
    _LASTS = Field(
        timedelta(days=30),
        description="how long archives and cached environments that are removed on absence of "
        "evidence stay on trial before they are deleted",
    )
    # A class body can't have a field of this name.
    Trial = create_model("Trial", __base__=TrialSection, **{"for": (Duration, _LASTS)})


class Prune(Section):
    """What a prune removes."""

    buckets: Literal["unneeded", "never"] = Field(
        "unneeded", description="remove version buckets that no user needs"
    )
    archives: bool = Field(True, description="remove archives nothing refers to")
    revisions: bool = Field(
        True,
        description="remove source revisions: superseded ones, and with prune.unused or "
        "prune.budget unused ones and git repositories",
    )
    builds: Builds = Builds.model_construct()
    environments: CachedEnvironmentRule | Literal["never"] = Field(
        CachedEnvironmentRule.model_construct(),
        description="cached tool and script environments, or never",
    )
    unused: Unused = Unused.model_construct()
    budget: Budget = Budget.model_construct()
    trial: Trial | Literal["never"] = Field(
        Trial.model_construct(),
        description="how what is removed on absence of evidence is watched before it is deleted, "
        "or never",
    )
    keep: tuple[PackagePattern, ...] = Field(
        (), description="packages never removed: requirements such as six>=1.16, and globs"
    )
    limits: Limits = Limits.model_construct()

    @field_validator("budget", mode="before")
    @classmethod
    def _budget_off(cls, value: object) -> object:
        return Budget.model_construct() if off(value) is None else value


class Lock(Section):
    """How a prune gets the cache's lock."""

    timeout: Duration = Field(timedelta(minutes=5), description="longest wait for the lock")
    held_at_most: Duration = Field(
        timedelta(seconds=2),
        description="longest time to hold the lock; a look that takes longer is begun again",
    )
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


class Hosts(HostsMeaning, Section):
    """Other hosts that use the cache."""

    expect: tuple[ExpectedHost, ...] = Field(
        (), description="hosts whose observation must be fresh: names, node[001-200], @FILE"
    )
    max_age: Duration = Field(timedelta(days=1), description="how old an observation may be")
    only: Literal["this"] | None = Field(
        None, description="this: your word that no other host or container uses the cache"
    )


class Log(Section):
    """Where it is told what commands changed."""

    trail: AbsolutePathOrOff | None = Field(
        None,
        description="file that gets a JSON object a line, or off; left out: "
        "/var/log/cacheadmin/trail.jsonl for policies in /etc/cacheadmin that root runs",
    )
    system: Literal["syslog", "journald", "off"] = Field("off", description="also tell the system")
    socket: AbsolutePath | None = Field(
        None, description="socket of the system log, if it is not where it usually is"
    )


class Notify(NotifyMeaning, Section):
    """Who gets a message when a person has to look."""

    urls: tuple[SecretUrl, ...] = Field(
        (),
        description="URLs of apprise (mail, webhook, chat); others may not read the policy then",
    )
    file: AbsolutePath | None = Field(
        None,
        description="file with such URLs, one a line, that others can't read; for policies that "
        "every user reads",
    )
    about: tuple[Literal["refused", "rolled_back", "sprung", "overdue", "audit_errors"], ...] = (
        Field(
            ("refused", "rolled_back", "sprung", "overdue", "audit_errors"),
            description="what is told, each at most once a day",
        )
    )


class ScanLimits(ScanLimitsMeaning, Section):
    """What one answer of a reader may cost; beyond that, what it reads is unreadable."""

    memory: Size = Field(512 * 1024 * 1024, description="most memory, at least 64MiB")
    cpu: Duration = Field(timedelta(minutes=1), description="most CPU time, at least 1s")
    deadline: Duration = Field(timedelta(minutes=1), description="longest wait, at least 1s")

    @field_validator("memory")
    @classmethod
    def _enough_memory(cls, value: int) -> int:
        if value < 64 * 1024 * 1024:
            raise ValueError("a reader needs at least 64MiB")
        return value

    @field_validator("cpu", "deadline")
    @classmethod
    def _enough_time(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("a reader needs at least 1s")
        return value


class Scan(Section):
    """How environments are scanned."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"executor": {"const": "dask"}}, "required": ["executor"]},
            "then": {"properties": {"address": {"type": "string"}}, "required": ["address"]},
            "else": {"properties": {"address": {"type": "null"}}},
        }
    )

    executor: Literal["auto", "processes", "threads", "dask"] = Field(
        "auto",
        description="auto: few readers, and many where they are found to wait for storage; "
        "processes: as many as workers says; threads: as auto; dask: environments are read "
        "by the workers of a cluster",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="how many readers, with auto at most; left out: 16 with auto, "
        "one a core with processes",
    )
    address: str | None = Field(None, description="address of a dask scheduler, for executor: dask")
    full_every: Duration = Field(
        timedelta(days=7),
        description="how often an environment that looks unchanged is looked at file by file all "
        "the same; 0d: nothing is remembered, every look reads everything",
    )
    limits: ScanLimits = ScanLimits.model_construct()

    @model_validator(mode="after")
    def _address_of_a_cluster(self) -> Scan:
        if (self.executor == "dask") != (self.address is not None):
            raise ValueError("executor: dask and address belong together")
        return self


_SEVERITIES = ("error", "warning", "info", "off")


class RuleSetting(Section):
    """What the policy says of one audit rule: a severity, and thresholds by their names.

    Written as a word, it is the severity. Which rules and thresholds there
    are is known to ``cacheadmin.audit.settings``, which checks the names.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Any] = Field(init=False)

    severity: Literal["error", "warning", "info", "off"] | None = Field(
        None, description="severity of what the rule finds, or off; left out: the rule's own"
    )

    @model_validator(mode="before")
    @classmethod
    def _from_a_word(cls, value: object) -> object:
        # YAML 1.1 editors turn `off` into false.
        word = "off" if value is False else value
        return {"severity": word} if isinstance(word, str) else word


class Suppression(Section):
    """Findings that are known and accepted, for a time."""

    rule: str = Field(description="id of the rule")
    subject: str = Field("*", description="glob of the findings' subjects")
    owner: str | None = Field(None, description="only findings of this account")
    reason: str = Field(min_length=1, description="why they are accepted")
    expires: Date = Field(description="last day (UTC) on which they are hidden: YYYY-MM-DD")


class AuditSettings(Section):
    """What the policy says of audits: rules by their ids, and suppressions."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[
        str,
        Annotated[
            RuleSetting,
            WithJsonSchema(
                {
                    "anyOf": [
                        {"enum": list(_SEVERITIES)},
                        {
                            "type": "object",
                            "properties": {"severity": {"enum": list(_SEVERITIES)}},
                            "additionalProperties": {
                                "type": ["string", "integer", "number", "boolean", "array"]
                            },
                        },
                    ],
                    "description": "severity of a rule or off, or its severity and thresholds",
                }
            ),
        ],
    ] = Field(init=False)

    suppress: tuple[Suppression, ...] = Field(
        (), description="findings that are known and accepted, for a time"
    )

    @property
    def rules(self) -> dict[str, RuleSetting]:
        """What is said of rules, by id."""
        return dict(self.__pydantic_extra__ or {})


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
        None, description="account that changes the cache when root calls; left out: the caller"
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
    log: Log = Log.model_construct()
    notify: Notify = Notify.model_construct()
    audit: AuditSettings = AuditSettings.model_construct()
