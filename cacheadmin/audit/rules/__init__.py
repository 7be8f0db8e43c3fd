"""The audit rules, in the order they are reported. Adding one is adding a file and a line."""

from __future__ import annotations

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.rules.not_audited import NotAudited
from cacheadmin.audit.rules.suppression_expired import SuppressionExpired
from cacheadmin.audit.rules.suppression_unused import SuppressionUnused
from cacheadmin.audit.rules.unknown_bucket import UnknownBucket

RULES: tuple[type[Rule], ...] = (
    UnknownBucket,
    SuppressionExpired,
    SuppressionUnused,
    NotAudited,
)
