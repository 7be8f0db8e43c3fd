"""``cacheadmin plan``: what a prune would remove and keep, and why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument


def plan(
    policy: PolicyArgument = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Save the plan for `prune --plan FILE`.", show_default=False),
    ] = None,
    list_rules: Annotated[
        bool,
        typer.Option("--list-rules", help="Print what is kept and removed by rule, and leave."),
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show what prune would remove and keep, each with its reason; changes nothing.

    Leaves with 0 when the cache is safe to prune, 4 when things must be kept
    because of links, processes or missing evidence, 5 when refused.
    """
    if list_rules:
        return _list_rules(output_format)
    from cacheadmin.cli.results import progress_bar, show_plan
    from cacheadmin.snapshot.snapshot import look_at

    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as snapshot,
    ):
        snapshot.require_writable()
        made = snapshot.plan()
        sizes = snapshot.sizing.of_plan(made, kept=output_format != "table")
        if out is not None:
            # It imports pydantic, which nothing else here does.
            from cacheadmin.prune.saved_plans import save_plan

            save_plan(out, snapshot, made)
        return show_plan("plan", snapshot, made, sizes, output_format)


def _list_rules(output_format: str) -> int:
    from cacheadmin.cli.results import show
    from cacheadmin.planner.reasons import REASONS
    from cacheadmin.report.plan_rules import PlanRulesReport

    show(PlanRulesReport(REASONS.values()), output_format)
    return 0
