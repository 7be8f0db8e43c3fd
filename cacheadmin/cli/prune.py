"""``cacheadmin prune``: remove what the plan allows, as one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.output import Format
from cacheadmin.cli.recording import MetricsOption, recorded
from cacheadmin.errors import CacheadminError, ExitCode, Refused, RolledBack, WrongUsage

if TYPE_CHECKING:
    from cacheadmin.fs.accounting import Measured
    from cacheadmin.operations.account import Account
    from cacheadmin.planner.plan import Plan
    from cacheadmin.protect.protecting import Protection
    from cacheadmin.prune.running import PruneResult
    from cacheadmin.situation import Situation

CODES = {
    "committed": ExitCode.DONE,
    "nothing_to_do": ExitCode.DONE,
    "refused": ExitCode.REFUSED,
    "rolled_back": ExitCode.ROLLED_BACK,
    "partial": ExitCode.PARTIAL,
}


def prune(
    policy: PolicyArgument = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only show what would be removed (as `plan`).")
    ] = False,
    plan_file: Annotated[
        str | None,
        typer.Option("--plan", help="Carry out a plan saved by `plan --out`.", show_default=False),
    ] = None,
    metrics: MetricsOption = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Remove what the plan allows: all of it, undoable, or nothing.

    Everything is moved to quarantine under the cache's lock, checked, and
    deleted for good only after quarantine.keep; `runs restore` undoes it.
    """
    if dry_run and metrics is not None:
        raise WrongUsage("--metrics tells of prunes that were carried out, not of --dry-run")
    with recorded("prune", policy, metrics=metrics, changes=not dry_run) as account:
        account.exit_code = _prune(
            account, dry_run, plan_file, output_format, insecure_policy=insecure_policy
        )
    return account.exit_code


def _prune(
    account: Account,
    dry_run: bool,
    plan_file: str | None,
    output_format: Format,
    *,
    insecure_policy: bool,
) -> int:
    from cacheadmin.cli.showing import progress_bar, show_plan
    from cacheadmin.policy.loading import load_policy
    from cacheadmin.protect.holding import guard_stands_aside
    from cacheadmin.protect.protecting import protect_after_prune, was_protected
    from cacheadmin.protect.trial_roots import shield_of
    from cacheadmin.prune.running import recover_interrupted, run_prune, watch_trials
    from cacheadmin.prune.saved_plans import narrow
    from cacheadmin.situation import look_with

    loaded = account.loaded = load_policy(account.argument, insecure=insecure_policy)
    recovered = () if dry_run else recover_interrupted(loaded.policy)
    watched = None if dry_run else watch_trials(loaded.policy, shield_of)
    with progress_bar() as progress, look_with(loaded, progress=progress) as situation:
        situation.require_writable()
        made = situation.plan()
        if account.wants_figures:
            _note_situation(account, situation, made)
        dropped: tuple[tuple[str, str], ...] = ()
        if plan_file is not None:
            made, dropped = narrow(made, plan_file, situation)
        sizes = situation.measure(made, kept=output_format is Format.JSON)
        if dry_run:
            return show_plan("prune", situation, made, sizes, output_format)
        before = was_protected(situation)
        with guard_stands_aside(loaded.policy, situation.cache):
            learned = {name for names in situation.evidence.learned.values() for name in names}
            result = run_prune(
                situation,
                made,
                sizes,
                recovered=recovered,
                dropped=dropped,
                watched=watched,
                shield=shield_of(loaded.policy, situation.cache, learned),
            )
        _note_result(account, situation, sizes, result)
        protection = protect_after_prune(situation, result.outcome, before)
        return _show(situation, made, sizes, result, output_format, protection)


def _note_situation(account: Account, situation: Situation, plan: Plan) -> None:
    from cacheadmin.operations.figures import of_situation, of_verdict

    samples = account.look().samples
    samples += of_situation(situation)
    samples += of_verdict(plan.verdict, len(plan.kept))


def _note_result(
    account: Account, situation: Situation, sizes: Measured[str], result: PruneResult
) -> None:
    removed = sizes.together(decision.path for decision in result.done).reclaimable_bytes
    undone = result.outcome in ("refused", "rolled_back")
    account.outcome = result.outcome
    account.run_id = result.run_id
    account.counts = {
        "removed_entries": 0 if undone else len(result.done),
        "removed_bytes": 0 if undone else removed,
        "failed_entries": len(result.failed),
        "purged_runs": len(result.purged),
        "recovered_runs": len(result.recovered),
    }
    if account.wants_figures:
        from cacheadmin.operations.figures import of_prune, of_quarantine

        for look in account.looks:
            look.samples += of_prune(result, removed)
            look.samples += of_quarantine(situation.policy, situation.cache)


def _show(
    situation: Situation,
    plan: Plan,
    sizes: Measured[str],
    result: PruneResult,
    output_format: Format,
    protection: Protection | None,
) -> int:
    from cacheadmin.cli.showing import document
    from cacheadmin.protect.roots import releases_of
    from cacheadmin.report.protections import protection_json, protection_words
    from cacheadmin.report.prunes import prune_json, prune_text, trial_warnings

    code = CODES[result.outcome]
    for warning in (*result.warnings, *trial_warnings(result.trial.watched)):
        output.warning(warning)
    for path, why in (*result.dropped, *result.failed):
        output.note(f"not removed: {path}: {why}")
    for bucket, problem in protection.problems if protection is not None else ():
        output.warning(f"{bucket} could not be protected: {problem}")
    if output_format is Format.JSON:
        content = prune_json(plan, sizes, result)
        content["protection"] = protection and protection_json(protection, releases_of)
        output.data(document("prune", situation, content))
    elif result.outcome in ("refused", "rolled_back"):
        raise failure(plan, result)
    elif not (output.settings.quiet and code == ExitCode.DONE):
        loaded, every_row = situation.loaded, output.settings.verbose
        output.data(prune_text(plan, sizes, result, loaded, every_row=every_row))
        if protection is not None:
            output.data(protection_words(protection))
    return int(code)


def failure(plan: Plan, result: PruneResult) -> CacheadminError:
    """Return what is said of a run that was refused or rolled back."""
    from cacheadmin.counting import count_words
    from cacheadmin.planner.case import name_some
    from cacheadmin.planner.plan import Verdict

    if result.outcome == "refused":
        refusals = [limit for limit in plan.limits if limit.verdict is Verdict.REFUSED]
        first, *others = refusals
        return Refused(
            first.detail, details=tuple(limit.detail for limit in others), hint=first.fix
        )
    broken = result.verified.broken if result.verified is not None else ()
    return RolledBack(
        f"{count_words(len(broken), 'link')} led nowhere after the removal, "
        "so everything was put back",
        details=name_some([one.link for one in broken]),
        hint="please report it, with the output of `cacheadmin plan --format json`",
    )
