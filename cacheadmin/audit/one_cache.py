"""One audit of one cache: every rule that the policy does not turn off.

Rules find; what the policy says of them (severity, suppressions) and whom a
finding is attributed to is applied afterwards, here, for all rules alike.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.audit.rules import RULES
from cacheadmin.audit.rules.not_audited import NotAudited
from cacheadmin.audit.rules.suppression_unused import SuppressionUnused
from cacheadmin.audit.settings import Setting, settings_of
from cacheadmin.audit.suppressions import Suppressed, suppress
from cacheadmin.audit.target import AuditTarget
from cacheadmin.errors import CacheadminError
from cacheadmin.findings import Finding, worst_first
from cacheadmin.policy.teams import team_of
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.accounting import Size
    from cacheadmin.audit.advisories import Advisories
    from cacheadmin.evidence.facts import Gap
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.policy.model import Policy
    from cacheadmin.snapshot.snapshot import Snapshot


@frozen
class Audit:
    """What an audit found."""

    findings: tuple[Finding, ...]
    """Findings that are shown, worst first."""
    suppressed: tuple[Suppressed, ...] = ()
    """Findings that the policy accepts, worst first."""
    loaded: LoadedPolicy | None = None
    """The policy that was audited; None where it could not be loaded."""
    cache: CacheIdentity | None = None
    """The cache that was audited; None where it could not be opened."""
    subject: str = ""
    """The name of what was audited, for people: the policy's file or name, else the cache."""
    off: tuple[str, ...] = ()
    """Ids of rules that were wanted and that the policy turns off."""
    gaps: tuple[Gap, ...] = ()
    """Places where users of the cache may be, and that were not looked at."""


def run_audit(
    snapshot: Snapshot,
    only: Collection[str] = (),
    *,
    measured: Size | None = None,
    advisories: Advisories | None = None,
) -> Audit:
    """Check every rule, or ``only`` those of these ids, on one snapshot; nothing is changed.

    ``measured`` is what the whole cache takes, where that is known already,
    ``advisories`` what packages are held against.
    Raises PolicyInvalid for settings of rules or thresholds that don't exist.
    """
    settings = settings_of(snapshot.loaded)
    chosen = {name: s for name, s in settings.items() if not only or name in only}
    subject = AuditTarget(snapshot, measured, advisories)
    found: list[Finding] = []
    for rule in RULES:
        setting = chosen.get(rule.id)
        if setting is not None:
            found += [setting.judged(f) for f in _checked(subject, setting, settings)]
    off = tuple(rule.id for rule in RULES if rule.id not in settings)
    audit = _judged(snapshot, found, settings, complete=not only)
    return replace(audit, off=tuple(name for name in off if not only or name in only))


def _judged(
    snapshot: Snapshot,
    found: list[Finding],
    settings: Mapping[str, Setting],
    *,
    complete: bool,
) -> Audit:
    loaded, policy = snapshot.loaded, snapshot.policy
    found = [_attributed(policy, finding) for finding in found]
    result = suppress(found, policy.audit.suppress, snapshot.now_ns)
    shown = list(result.shown)
    setting = settings.get(SuppressionUnused.id)
    if complete and setting is not None:
        where = loaded.path or policy.name
        for suppression in result.unused:
            finding = setting.judged(SuppressionUnused().unused(suppression, where))
            shown.append(_attributed(policy, finding))
    hidden = sorted(result.hidden, key=lambda s: (s.finding.severity.rank, s.finding.rule))
    return Audit(
        worst_first(shown),
        tuple(hidden),
        loaded,
        snapshot.cache.identity,
        loaded.path or snapshot.cache.identity.path,
        gaps=snapshot.case.gaps,
    )


def _checked(
    subject: AuditTarget, setting: Setting, settings: Mapping[str, Setting]
) -> Iterator[Finding]:
    """Yield what a rule finds; that it could not look is a finding too."""
    try:
        yield from setting.rule().check(subject, setting.thresholds)
    except (CacheadminError, OSError) as error:
        failing = settings.get(NotAudited.id)
        if failing is None:
            return
        message = error.message if isinstance(error, CacheadminError) else _words(error)
        hint = error.hint if isinstance(error, CacheadminError) else ""
        reason = f"{setting.rule.id} could not be checked: {message}"
        yield failing.judged(NotAudited().failed(subject.cache_path, reason, hint))


def _words(error: OSError) -> str:
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return where + (error.strerror or type(error).__name__)


def _attributed(policy: Policy, finding: Finding) -> Finding:
    """Return a finding with its team: that of its path or owner, else of the cache."""
    if finding.team is not None:
        return finding
    uid = None if finding.owner is None else _uid(finding.owner)
    team = team_of(policy, finding.subject, uid)
    return replace(finding, team=team or (policy.team if finding.owner is None else None) or None)


def _uid(owner: str) -> int | None:
    number = owner.removeprefix("uid ")
    if number.isdecimal() and number.isascii():
        return int(number)
    try:
        return pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError):
        return None
