"""``cacheadmin preflight``: is it safe to prune this cache now?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.records import MetricsOption, recorded
from cacheadmin.cli.results import heading, show, verdict_code
from cacheadmin.errors import WrongUsage
from cacheadmin.policy.loader import load_policy
from cacheadmin.preflight.preflight import Preflight, run_preflight
from cacheadmin.report.preflight import PreflightReport
from cacheadmin.snapshot.snapshot import Snapshot, look_with

if TYPE_CHECKING:
    from cacheadmin.operations.account import Account


def preflight(
    policy: PolicyArgument = None,
    for_uv: Annotated[
        str | None,
        typer.Option(
            "--for-uv",
            metavar="RELEASE",
            help="Ask about `uv cache prune` of a release, or of a uv binary, instead.",
            show_default=False,
        ),
    ] = None,
    metrics: MetricsOption = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Say whether it is safe to prune this cache now, and every check behind it.

    Leaves with 0 when safe, 4 when limited, 5 when refused; changes nothing.
    """
    if for_uv is not None and metrics is not None:
        raise WrongUsage("--metrics tells of our own prune, not of --for-uv")
    with recorded("preflight", policy, metrics=metrics, changes=False) as account:
        account.loaded = load_policy(policy, insecure=insecure_policy, recall=True)
        with look_with(account.loaded) as snapshot:
            snapshot.require_writable()
            if for_uv is None:
                answer = run_preflight(snapshot)
            else:
                from cacheadmin.preflight.for_release import run_preflight_for_release

                answer = run_preflight_for_release(snapshot, for_uv)
            if account.wants_figures:
                _note(account, snapshot, answer)
            account.exit_code = verdict_code(answer.verdict)
            report = PreflightReport(heading("preflight", snapshot), answer)
            show(report, output_format, is_well=not account.exit_code)
            # It came to a verdict, which is all it has to do.
            account.outcome = "done"
    return account.exit_code


def _note(account: Account, snapshot: Snapshot, answer: Preflight) -> None:
    from cacheadmin.operations.figures import of_quarantine, of_snapshot, of_verdict

    samples = account.look().samples
    samples += of_snapshot(snapshot)
    samples += of_verdict(answer.verdict, answer.kept)
    samples += of_quarantine(snapshot.policy, snapshot.cache)
