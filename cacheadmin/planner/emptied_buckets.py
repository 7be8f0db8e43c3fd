"""Buckets that no release needs, but that go only after the environments in them. Pure.

A bucket is moved as a whole and can leave no tripwire. Where its removal
rests on absence, each environment in it that is a folder goes on trial by
itself, and the bucket in a later run, when none is left in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import bucket_of
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.users import OtherUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import Bucket
    from cacheadmin.planner.plan_input import PlanInput

_ON_TRIAL = Use(reasons.BUCKET_ON_TRIAL, OtherUser.ON_TRIAL)
_HOLDS_ENVIRONMENTS = Use(reasons.BUCKET_ENVIRONMENTS, OtherUser.CACHED_ENVIRONMENTS)

_UNTIL_EMPTY = (reasons.BUCKET_ON_TRIAL, reasons.BUCKET_ENVIRONMENTS)


def held_until_empty(case: PlanInput, bucket: Bucket) -> Iterator[Use]:
    """Yield what keeps a bucket that no release needs."""
    inventory = case.inventory
    if bucket.kind != "environments":
        return
    if any(bucket_of(entry) == bucket.name for entry in inventory.on_trial):
        yield _ON_TRIAL
    folders = (one.bucket for one in inventory.environments if one.archive is None)
    if case.absence_goes_on_trial and bucket.name in folders:
        yield _HOLDS_ENVIRONMENTS


def is_being_emptied(uses: list[Use]) -> bool:
    """Whether a bucket with these marks is kept only until its environments have gone."""
    return bool(uses) and all(use.reason in _UNTIL_EMPTY for use in uses)
