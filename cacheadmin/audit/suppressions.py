"""Findings that a policy accepts for a time. Pure.

Each suppression has a reason and a last day, so that nothing is hidden for
ever, and no admin has to guess why it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.findings import Finding
    from cacheadmin.policy.model import Suppression


@frozen
class Suppressed:
    """A finding and the suppression that hides it."""

    finding: Finding
    """The finding that is hidden."""
    suppression: Suppression
    """The first suppression of the policy that fits it."""


@frozen
class Sorted:
    """Findings, sorted by whether a suppression hides them."""

    shown: tuple[Finding, ...]
    """Findings that no valid suppression fits."""
    hidden: tuple[Suppressed, ...]
    """Findings that one hides."""
    unused: tuple[Suppression, ...]
    """Suppressions that have not expired and fit no finding."""


def has_expired(suppression: Suppression, now_ns: int) -> bool:
    """Whether its last day, in UTC, is over."""
    today = datetime.fromtimestamp(now_ns // NANOSECONDS, tz=UTC).date()
    return today > suppression.expires


def suppress(
    findings: Iterable[Finding], suppressions: Iterable[Suppression], now_ns: int
) -> Sorted:
    """Sort findings by whether a suppression that has not expired hides them.

    The first one that fits is named with a hidden finding; every one that fits
    counts as used.
    """
    valid = [s for s in suppressions if not has_expired(s, now_ns)]
    used: set[int] = set()
    shown: list[Finding] = []
    hidden: list[Suppressed] = []
    for finding in findings:
        fitting = [number for number, s in enumerate(valid) if _fits(s, finding)]
        used.update(fitting)
        if fitting:
            hidden.append(Suppressed(finding, valid[fitting[0]]))
        else:
            shown.append(finding)
    unused = tuple(s for number, s in enumerate(valid) if number not in used)
    return Sorted(tuple(shown), tuple(hidden), unused)


def _fits(suppression: Suppression, finding: Finding) -> bool:
    return (
        suppression.rule == finding.rule
        and fnmatchcase(finding.subject, suppression.subject)
        and suppression.owner in (None, finding.owner)
    )
