"""The audit rules, in the order they are reported. Adding one is adding a file and a line."""

from __future__ import annotations

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.rules.unknown_bucket import UnknownBucket

RULES: tuple[type[Rule], ...] = (UnknownBucket,)
