"""``cacheadmin prune``: remove what the plan allows, as one transaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.plan import show_plan
from cacheadmin.cli.records import MetricsOption, recorded
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.errors import (
    CacheadminError,
    ExitCode,
    NoRoom,
    Refused,
    RolledBack,
    WrongUsage,
)
from cacheadmin.planner.plan import Plan, Verdict
from cacheadmin.policy.loader import load_policy
from cacheadmin.protect.lock_hold import guard_stands_aside
from cacheadmin.protect.protection import (
    Protection,
    planted_before,
    protect_after_prune,
    was_protected,
)
from cacheadmin.protect.trial_roots import shield_of
from cacheadmin.prune.in_place import make_room_where_short
from cacheadmin.prune.result import Before, PruneResult
from cacheadmin.prune.run import known_runs, recover_interrupted, run_prune, watch_trials
from cacheadmin.report.formats import FORMATS
from cacheadmin.report.prunes import PruneReport
from cacheadmin.snapshot.snapshot import Snapshot, look_with
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count
from cacheadmin.trial.summary import trial_warnings
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.accounting import Measured
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy

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
        typer.Option(
            "--plan",
            metavar="FILE",
            help="Carry out a plan saved by `plan --out`.",
            show_default=False,
        ),
    ] = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="Delete at once, once checked, what would go to quarantine."),
    ] = False,
    metrics: MetricsOption = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Remove what the plan allows: all of it, undoable, or nothing.

    Everything is moved to quarantine under the cache's lock, checked, and
    deleted for good only after quarantine.keep; `runs restore` undoes it. On a
    full disk, and with --now, what rests on proof is deleted at once; what
    rests on absence goes on trial all the same.
    """
    if dry_run and metrics is not None:
        raise WrongUsage("--metrics tells of prunes that were carried out, not of --dry-run")
    if dry_run and now:
        raise WrongUsage("--now is about prunes that are carried out, not about --dry-run")
    call = _Call(dry_run, plan_file, now, output_format)
    with recorded("prune", policy, metrics=metrics, changes=not dry_run) as account:
        account.exit_code = _prune(account, call, insecure_policy=insecure_policy)
    return account.exit_code


@frozen
class _Call:
    """How `prune` was called."""

    dry_run: bool
    """Whether only the plan is wanted."""
    plan_file: str | None
    """A saved plan to be carried out."""
    now: bool
    """Whether nothing waits in quarantine."""
    output_format: str
    """How to print."""


def _prune(account: Account, call: _Call, *, insecure_policy: bool) -> int:
    loaded = account.loaded = load_policy(account.argument, insecure=insecure_policy, recall=True)
    if call.dry_run:
        return _look_and_prune(account, loaded, call, Before())
    recovered = recover_interrupted(loaded.policy)
    before = Before(recovered, runs=known_runs(loaded.policy))
    try:
        try:
            before = replace(before, watched=watch_trials(loaded.policy, shield_of))
        except NoRoom as error:
            output.warning(f"trials were not looked at: {error.message}")
        return _look_and_prune(account, loaded, call, before)
    except NoRoom as error:
        if not error.by_quota:
            raise
        return _look_and_prune(account, loaded, call, before, full=True)


def _look_and_prune(
    account: Account,
    loaded: LoadedPolicy,
    call: _Call,
    before: Before,
    *,
    full: bool = False,
) -> int:
    """Look, plan and carry out. Where there is no room for it, make some, and look again."""
    # Before the look: what a guard plants while we look is newer knowledge than ours.
    planted = planted_before(loaded.policy)
    with progress_bar() as progress, look_with(loaded, progress=progress) as snapshot:
        snapshot.require_writable()
        made = snapshot.plan()
        if account.wants_figures and before.room is None:
            _note_snapshot(account, snapshot, made)
        if call.plan_file is not None:
            # It imports pydantic, which nothing else here does.
            from cacheadmin.prune.saved_plans import narrow

            made, dropped = narrow(made, call.plan_file, snapshot)
            gone = {one.path for one in before.room.removed} if before.room else set()
            dropped = tuple((path, why) for path, why in dropped if path not in gone)
            before = replace(before, dropped=dropped)
        sizes = snapshot.sizing.of_plan(made, kept=call.output_format != "table")
        if call.dry_run:
            _note_not_removed(before.dropped)
            return show_plan("prune", snapshot, made, sizes, call.output_format)
        known = before.room
        if known is None:
            room = make_room_where_short(snapshot, made, sizes, full=full)
            before = replace(before, room=room)
        if known is not None or before.room is None or not before.room.removed:
            protected = was_protected(snapshot, planted)
            return _carry_out(account, snapshot, made, sizes, call, before, protected)
    return _look_and_prune(account, loaded, call, before)


def _carry_out(
    account: Account,
    snapshot: Snapshot,
    made: Plan,
    sizes: Measured[str],
    call: _Call,
    before: Before,
    protected: frozenset[ArchiveId] | None,
) -> int:
    policy = snapshot.policy
    with guard_stands_aside(policy, snapshot.cache):
        learned = {name for names in snapshot.evidence.learned.values() for name in names}
        result = run_prune(
            snapshot,
            made,
            sizes,
            before=before,
            shield=shield_of(policy, snapshot.cache, learned),
            at_once=call.now,
        )
    _note_result(account, snapshot, sizes, result)
    protection = protect_after_prune(snapshot, result.outcome, protected)
    return _show(snapshot, made, sizes, result, call.output_format, protection)


def _note_snapshot(account: Account, snapshot: Snapshot, plan: Plan) -> None:
    from cacheadmin.operations.figures import of_snapshot, of_verdict

    samples = account.look().samples
    samples += of_snapshot(snapshot)
    samples += of_verdict(plan.verdict, len(plan.kept))


def _note_result(
    account: Account, snapshot: Snapshot, sizes: Measured[str], result: PruneResult
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
            look.samples += of_quarantine(snapshot.policy, snapshot.cache)


def _show(
    snapshot: Snapshot,
    plan: Plan,
    sizes: Measured[str],
    result: PruneResult,
    output_format: str,
    protection: Protection | None,
) -> int:
    code = CODES[result.outcome]
    for warning in (*result.warnings, *trial_warnings(result.trial.watched)):
        output.warning(warning)
    _note_not_removed((*result.dropped, *result.failed))
    for bucket, problem in protection.problems if protection is not None else ():
        output.warning(f"{bucket} could not be protected: {problem}")
    undone = result.outcome in ("refused", "rolled_back")
    if undone and not FORMATS[output_format].is_document:
        raise failure(plan, result)
    first, loaded = heading("prune", snapshot), snapshot.loaded
    report = PruneReport(first, plan, sizes, result, loaded, protection)
    show(report, output_format, is_well=code is ExitCode.DONE)
    return int(code)


def _note_not_removed(entries: Iterable[tuple[str, str]]) -> None:
    for path, why in entries:
        output.note(f"not removed: {path}: {why}")


def failure(plan: Plan, result: PruneResult) -> CacheadminError:
    """Return what is said of a run that was refused or rolled back."""
    if result.outcome == "refused":
        refusals = [limit for limit in plan.limits if limit.verdict is Verdict.REFUSED]
        first, *others = refusals
        return Refused(
            first.detail, details=tuple(limit.detail for limit in others), hint=first.fix
        )
    broken = result.verified.broken if result.verified is not None else ()
    return RolledBack(
        f"{format_count(len(broken), 'link')} led nowhere after the removal, "
        "so everything was put back",
        details=join_some([one.link for one in broken]),
        hint="please report it, with the output of `cacheadmin plan POLICY --format json`",
    )
