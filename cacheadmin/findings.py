"""Findings: what ``audit``, ``doctor`` and ``verify`` have to say. Pure.

One finding is one thing for one person to do. Something that is wrong with a
thousand files of one owner in one place is one finding that counts them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from cacheadmin.values import frozen


class Severity(StrEnum):
    """How bad it is (public, in JSON and exit codes).

    ``error``: a user is, or will be, stopped from working, or could do harm.
    ``warning``: it costs room, time or a safety net. ``info``: good to know.
    """

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Return 0 for the worst."""
        return _ORDER.index(self)


_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


@frozen
class Finding:
    """One thing that was found."""

    rule: str
    """Stable id of the rule (``environment-broken``)."""
    severity: Severity
    """How bad it is."""
    subject: str
    """What it is about, for machines.

    An absolute path where there is one, else a name (user, host, bucket).
    """
    owner: str | None
    """Account name of the owner of the subject, or ``uid 1234``; None where it has none."""
    detail: str
    """A sentence: what was seen."""
    fix: str
    """What to do; a command where one does it."""
    count: int = 1
    """How many things of the same sort it stands for."""
    team: str | None = None
    """The team that it is attributed to; None for none."""


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity, then rule, then subject."""
    return tuple(sorted(findings, key=lambda f: (f.severity.rank, f.rule, f.subject)))


def any_at_least(findings: Iterable[Finding], threshold: Severity) -> bool:
    """Whether one of them is as bad as ``threshold`` or worse (``--fail-on``)."""
    return any(finding.severity.rank <= threshold.rank for finding in findings)
