"""A plan on disk: looked at by a person today, carried out tonight.

A saved plan is outside text. It can only ever *narrow* a prune: what is
carried out is what a fresh plan still removes and the saved one removed too.
What the saved plan removes and the fresh one keeps is drift in the unsafe
direction: it is dropped, and said. So a forged or stale file removes nothing
that a plain prune would not.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from cacheadmin.accounting import Measured
from cacheadmin.errors import NotACache, Refused, WrongUsage
from cacheadmin.fs.atomic_file import write_atomically
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.planner.consistency import without_dangling
from cacheadmin.prune.plan_rows import plan_json
from cacheadmin.rights.acting import as_caller
from cacheadmin.text.documents import dumps, header

if TYPE_CHECKING:
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.snapshot.snapshot import Snapshot

# A plan names entries, about 300 bytes each: a million of them is no plan.
_MAX_BYTES = 512 * 1024 * 1024

_SCHEMA = "cacheadmin/plan/1"


class _SavedCache(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    path: str
    device: int
    inode: int


class _SavedRemoval(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    kind: str
    path: str


class _SavedPlan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")
    schema_id: str
    cache: _SavedCache
    removals: list[_SavedRemoval]


def save_plan(path: str | os.PathLike[str], snapshot: Snapshot, plan: Plan) -> None:
    """Write a plan to a new or existing file, for ``prune --plan``.

    Whole or not at all, and through no link: often root saves it, and others may write to the
    folder. Raises what ``write_atomically`` raises.
    """
    content = {
        **header("plan", snapshot.loaded, snapshot.cache.identity),
        **plan_json(plan, Measured({})),
    }
    with as_caller():
        write_atomically(os.fspath(path), f"{dumps(content)}\n".encode("ascii"), 0o666 & ~_umask())


def _umask() -> int:
    """Return the caller's umask: a plan names users and packages, and may be meant for few."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def narrow(
    plan: Plan, saved_at: str, snapshot: Snapshot
) -> tuple[Plan, tuple[tuple[str, str], ...]]:
    """Return the part of a fresh plan that a saved one removed too, and what was dropped.

    What was dropped are (path, why). Raises NotACache when there is no such
    file, WrongUsage when it is no plan, Refused when it was made for another
    cache.
    """
    saved = _read(saved_at)
    identity = snapshot.cache.identity
    if (saved.cache.device, saved.cache.inode) != (identity.device, identity.inode):
        raise Refused(
            f"the plan in {saved_at} was made for another cache",
            details=(f"it names {saved.cache.path}, the policy names {identity.path}",),
            hint="make a new one with `cacheadmin plan POLICY --out FILE`",
        )
    wanted = {(removal.kind, removal.path) for removal in saved.removals}

    def planned(decision: Decision) -> bool:
        return (decision.kind.value, decision.path) in wanted

    removals = without_dangling(
        [decision for decision in plan.removals if planned(decision)],
        snapshot.inventory,
        snapshot.evidence,
    )
    kept_now = {decision.path: decision for decision in plan.kept}
    dropped = tuple(
        (path, kept_now[path].reason if path in kept_now else "it is no longer there")
        for _, path in sorted(wanted - {(d.kind.value, d.path) for d in removals})
    )
    return replace(plan, removals=removals), dropped


def _read(path: str) -> _SavedPlan:
    content = read_file(os.path.abspath(path), _MAX_BYTES)
    if isinstance(content, ReadFailure):
        raise NotACache(f"cannot read the saved plan {path}: {content.reason}")

    try:
        document = json.loads(content)
        document["schema_id"] = document.get("schema")
        saved = _SavedPlan.model_validate(document)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        what = "its keys are not a plan's" if isinstance(error, ValidationError) else "not JSON"
        raise WrongUsage(
            f"{path} is not a saved plan: {what}",
            hint="save one with `cacheadmin plan POLICY --out FILE`",
        ) from None
    if saved.schema_id != _SCHEMA:
        raise WrongUsage(
            f"{path} is not a saved plan: its schema is {saved.schema_id!r}, not {_SCHEMA}"
        )
    return saved
