"""``cacheadmin explain``: why something is kept or removed, and who uses it through what."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import (
    FormatOption,
    InsecurePolicyOption,
    PolicyArgument,
    policy_and,
)
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.errors import NotACache
from cacheadmin.pins import no_such_target
from cacheadmin.planner import explanation
from cacheadmin.planner.explanation import Explanation, known_names
from cacheadmin.planner.targets import near_names, on_trial_of, resolve_target
from cacheadmin.report.explanations import ExplanationReport
from cacheadmin.snapshot.snapshot import Snapshot, look_at
from cacheadmin.text.lists import join_some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.accounting import Measured
    from cacheadmin.inventory.entries import OnTrial
    from cacheadmin.planner.plan import Plan


def explain(
    policy: PolicyArgument = None,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="Archive id, path in the cache, package, name==version, or environment.",
            show_default=False,
        ),
    ] = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Say why something is kept or removed, who uses it, and what would change that."""
    policy, target = policy_and(policy, target, "TARGET")
    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as snapshot,
    ):
        plan = snapshot.plan()
        found = explanation.explain(
            snapshot.case,
            plan,
            target,
            absolute=os.path.abspath(target),
            host=socket.gethostname(),
            replan=lambda evidence: replace(snapshot, evidence=evidence).plan(),
        )
        waiting = on_trial_of(
            resolve_target(target, snapshot.inventory, snapshot.policy.aliases), snapshot.inventory
        )
        if not found.entries and not found.environments:
            raise _on_trial(snapshot, target, waiting) if waiting else _nothing(snapshot, target)
        if waiting:
            named = ", ".join(join_some([one.entry for one in waiting]))
            output.warning(f"on trial, where a use or a pin brings it back: {named}")
        sizes = _sizes(snapshot, plan, found)
        first = heading("explain", snapshot)
        show(ExplanationReport(first, target, found, snapshot.case, sizes), output_format)


def _on_trial(snapshot: Snapshot, target: str, waiting: Sequence[OnTrial]) -> Exception:
    return NotACache(
        f"{target} is on trial: it was removed since no use of it was seen, and goes on working",
        details=tuple(join_some([one.entry for one in waiting])),
        hint=f"a use brings it back, and so does `{snapshot.loaded.command('pin add', target)}` "
        "with the next prune",
    )


def _nothing(snapshot: Snapshot, target: str) -> Exception:
    others = known_names(snapshot.case)
    return no_such_target(target, near_names(target, snapshot.inventory, others))


def _sizes(snapshot: Snapshot, plan: Plan, found: Explanation) -> Measured[str]:
    """Measure what is explained, and what would come free, together."""
    freed = tuple(one for story in found.environments for one in story.freed or ())
    told = tuple(replace(story.decision, path=story.entry.path) for story in found.entries)
    return snapshot.sizing.of_plan(replace(plan, removals=freed, kept=told), kept=True)
