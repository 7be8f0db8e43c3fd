"""``cacheadmin plan``: what a prune would remove and keep, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import heading, progress_bar, show, verdict_code
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.planner.reasons import REASONS
from cacheadmin.prune.room import room_for
from cacheadmin.report.plan_rules import PlanRulesReport
from cacheadmin.report.plans import PlanReport
from cacheadmin.snapshot.snapshot import look_at

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.planner.plan import Plan
    from cacheadmin.snapshot.snapshot import Snapshot


def plan(
    policy: PolicyArgument = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Save the plan for `prune --plan FILE`.",
            show_default=False,
        ),
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
        if out is not None:
            raise WrongUsage("--list-rules and --out don't go together")
        return _list_rules(output_format)

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


def show_plan(
    command: str,
    snapshot: Snapshot,
    plan: Plan,
    sizes: Measured[str],
    output_format: str,
) -> int:
    """Print a plan that was not carried out; return the exit code of its verdict."""
    code = verdict_code(plan.verdict)
    room = room_for(snapshot.cache.fd, plan.removals)
    report = PlanReport(heading(command, snapshot), plan, sizes, room, command == "prune")
    show(report, output_format, is_well=code == ExitCode.DONE)
    return code


def _list_rules(output_format: str) -> int:
    show(PlanRulesReport(REASONS.values()), output_format)
    return 0
