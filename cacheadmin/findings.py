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

    ``error``: somebody is, or will be, stopped from working, or could do harm.
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
    """One thing that was found.

    ``rule`` is a stable id (``environment-broken``). ``subject`` is what it is
    about, for machines: an absolute path where there is one, else a name
    (user, host, bucket). ``owner`` is whose it is, an account name or a uid as
    text, None for nobody in particular. ``detail`` is a sentence with what was
    seen; ``fix`` what to do, a command where one does it. ``count`` is how many
    things it stands for. ``team`` is whom it is attributed to.
    """

    rule: str
    severity: Severity
    subject: str
    owner: str | None
    detail: str
    fix: str
    count: int = 1
    team: str | None = None


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity, then rule, then subject."""
    return tuple(sorted(findings, key=lambda f: (f.severity.rank, f.rule, f.subject)))


def any_at_least(findings: Iterable[Finding], threshold: Severity) -> bool:
    """Whether one of them is as bad as ``threshold`` or worse (``--fail-on``)."""
    return any(finding.severity.rank <= threshold.rank for finding in findings)
