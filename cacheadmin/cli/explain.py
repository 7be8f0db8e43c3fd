"""``cacheadmin explain``: why something is kept or removed, and who uses it through what."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import (
    FormatOption,
    InsecurePolicyOption,
    PolicyArgument,
    policy_and,
)
from cacheadmin.report.explanations import ExplanationReport

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.planner.explaining import Explanation
    from cacheadmin.planner.plan import Plan
    from cacheadmin.situation import Situation


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
    import os
    import socket

    from cacheadmin.cli.showing import heading, progress_bar, show
    from cacheadmin.planner import explaining
    from cacheadmin.situation import look_at

    policy, target = policy_and(policy, target, "TARGET")
    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as situation,
    ):
        plan = situation.plan()
        found = explaining.explain(
            situation.case,
            plan,
            target,
            absolute=os.path.abspath(target),
            host=socket.gethostname(),
            replan=lambda evidence: replace(situation, evidence=evidence).plan(),
        )
        if not found.entries and not found.environments:
            raise _nothing(situation, target)
        sizes = _sizes(situation, plan, found)
        first = heading("explain", situation)
        show(ExplanationReport(first, target, found, situation.case, sizes), output_format)


def _nothing(situation: Situation, target: str) -> Exception:
    from cacheadmin.pinning import no_such_target
    from cacheadmin.planner.explaining import known_names
    from cacheadmin.planner.targets import near_names

    others = known_names(situation.case)
    return no_such_target(target, near_names(target, situation.inventory, others))


def _sizes(situation: Situation, plan: Plan, found: Explanation) -> Measured[str]:
    """Measure what is explained, and what would come free, together."""
    freed = tuple(one for story in found.environments for one in story.freed or ())
    told = tuple(replace(story.decision, path=story.entry.path) for story in found.entries)
    return situation.sizing.of_plan(replace(plan, removals=freed, kept=told), kept=True)
