"""Users whose uv takes no cache lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import leads_into_cache
from cacheadmin.audit.releases_in_use import is_before, upgrade_words, users_with
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget

# Source: uv #15888; run 0.8.18 and 0.8.19 (facts section 4).
_FIRST_WITH_LOCK = "0.8.19"


class UvWithoutLock(Rule):
    """An active user of a release before 0.8.19, which locks nothing.

    An error where environments link into the cache and no roots are planted:
    that user's prune breaks them, and nothing of ours makes it wait. Else a
    warning: it still deletes the lock of others, and other releases' buckets.
    """

    id = "uv-without-lock"
    severity = Severity.ERROR
    title = "uv that takes no cache lock"
    rationale = (
        "uv before 0.8.19 neither waits for the cache's lock nor takes it; its prune deletes "
        "the lock file while others hold it, and what they are using."
    )
    fix = "upgrade uv: `uv self update`"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a user, with the releases and how many environments they endanger."""
        linking = sum(map(leads_into_cache, subject.case.outside_environments))
        protected = subject.policy.protect.enabled
        danger = linking and not protected
        if danger:
            verb = "s" if linking == 1 else ""
            risk = f"would break {format_count(linking, 'environment')} that link{verb} into it"
        else:
            risk = "would delete the lock and the buckets of others"
        for user in users_with(subject, lambda trace: is_before(trace, _FIRST_WITH_LOCK)):
            owner = None if user.uid is None else subject.case.user(user.uid)
            found = self.finding(
                owner or user.traces[0].path,
                f"{owner or 'all users of this host'} has {user.words}, which takes no cache lock: "
                f"its `uv cache prune` waits for no process and {risk}",
                owner=owner,
                fix=upgrade_words(user, owner, _FIRST_WITH_LOCK),
            )
            yield found if danger else replace(found, severity=Severity.WARNING)
