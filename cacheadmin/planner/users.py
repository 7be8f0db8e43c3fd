"""Who or what keeps an entry of the cache: one value for each sort of user. Pure.

A mark names its user by such a value, and two users are the same when their values are:
never by what people are told of them (`planner.words`), which an account can choose by
the name of a folder or of a program.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from cacheadmin.values import frozen


@frozen
class EnvironmentUser:
    """An environment that an account owns, outside of the cache."""

    path: str
    """Its absolute path."""
    account: str = field(compare=False)
    """The name of its owner."""

    def __hash__(self) -> int:
        return hash(self.path)


@frozen
class RegisteredUser:
    """The registry, the policy or the memory of earlier runs, which name a cached environment."""

    path: str
    """The absolute path of the environment."""
    sources: tuple[str, ...]
    """Which of them name it, by the names of sources of evidence, sorted."""


@frozen
class ProcessUser:
    """A running process."""

    pid: int
    """Its number."""
    account: str
    """The name of the account it runs as."""
    command: str = ""
    """Its command line, shortened; empty where only its number is reported."""


@frozen
class PinUser:
    """A pin of an account."""

    account: str
    """The name of its author."""


@frozen
class AccountUser:
    """An account that has a uv release, or owns what the entry is."""

    account: str
    """Its name, or words for every account of the host."""


@frozen
class FileUser:
    """A file outside of the cache that names the entry."""

    path: str
    """Its absolute path."""
    account: str
    """The name of its owner."""


@frozen
class HostUser:
    """A user on another host, by that host's own word."""

    name: str
    """The user there: an environment's path, or a process."""
    host: str
    """The host's name."""


@frozen
class EntryUser:
    """Another entry of the cache, or the bucket that it lies in."""

    path: str
    """Its path relative to the cache."""


@frozen
class HiddenUser:
    """What could not be looked at, or not be understood: a user may hide there."""

    place: str
    """A path, a bucket's name, a package, or what else names the place."""


class OtherUser(StrEnum):
    """Users of whom no more is known than what they are; each value is what people read."""

    POLICY = "policy"
    """A key of the policy."""
    NEWEST_OF_KIND = "cache"
    """The cache itself, which keeps the newest bucket of each kind."""
    EVERY_RELEASE = "every uv release"
    """All uv releases."""
    UNKNOWN_RELEASE = "unknown uv release"
    """A uv release that is not in the table."""
    RUNNING_UV = "running uv"
    """A uv process that uv's lock does not keep out."""
    UV_WITH_THE_WHEEL = "any uv with the same wheel"
    """Any uv that computes the id of an archive from its content."""
    OTHER_HOSTS = "other hosts"
    """Hosts whose processes can't be seen."""
    UNSEEN_PROCESSES = "unseen processes"
    """Processes of this host that could not be looked at."""
    UNSEEN_USERS = "users no user saw"
    """Users whom no source of evidence knows."""
    TRIPWIRE = "a user whom no source knows"
    """The user who touched a tripwire."""
    ENVIRONMENTS = "environments"
    """Some environment of those that were found."""
    CACHED_ENVIRONMENTS = "cached environments"
    """Some cached environment in the bucket."""
    ON_TRIAL = "environments on trial"
    """Some cached environment that is on trial in the bucket."""


User = (
    EnvironmentUser
    | RegisteredUser
    | ProcessUser
    | PinUser
    | AccountUser
    | FileUser
    | HostUser
    | EntryUser
    | HiddenUser
    | OtherUser
)


def path_of(user: User) -> str | None:
    """Return the path of an environment (absolute) or of an entry (relative); None for others."""
    match user:
        case EnvironmentUser() | RegisteredUser() | EntryUser():
            return user.path
    return None
