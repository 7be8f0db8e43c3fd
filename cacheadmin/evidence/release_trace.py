"""What tells of a uv release in use: a trace it left, or its binary. Pure."""

from __future__ import annotations

from cacheadmin.values import frozen


@frozen
class ReleaseTrace:
    """Evidence that a user uses a uv release, or one of a range of releases."""

    uid: int | None
    """The account that uses it; None for a uv that every account of the host can run."""
    version: str | None
    """The release, where the trace names it exactly; else None."""
    bucket: str | None
    """The bucket that the release uses, where no more than that is known; else None."""
    evidence: str
    """What the trace is, in words for people."""
    path: str
    """What people can look at: an absolute path; ``host NAME: PATH`` on another host."""
    seen_ns: int
    """The date of the trace: the time of the file, or the time of the look."""
    at_least: str | None = None
    """The oldest release that can have left the trace, where only that is known; else None."""
    is_program: bool = False
    """Whether the trace is an installed uv, which its user can run at any time."""
    host: str | None = None
    """The host that told of it; None for this one."""


@frozen
class SeenRelease:
    """What one binary of an unknown release says."""

    version: str
    """Its release."""
    buckets: frozenset[str]
    """The names of its buckets."""
    path: str
    """Where it is, as it can be given to `uv learn`."""
    uid: int | None
    """The account that has it; None where every account of the host can run it."""
    trusted: bool
    """Whether only root could have written it."""
    prune: frozenset[str] = frozenset()
    """What it says of a prune's removals (``uv.prune_words``)."""
