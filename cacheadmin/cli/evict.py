"""``cacheadmin evict``: take a yanked or malicious release out of the cache now."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption
from cacheadmin.cli.prune import CODES, failure
from cacheadmin.cli.records import recorded
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.evict.plan import Eviction, plan_eviction
from cacheadmin.evict.silent_trials import (
    SilentTrials,
    end_silent_trials,
    silent_trials,
    springs_of,
)
from cacheadmin.evict.wanted import Wanted, parse_wanted
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.location import known_policies
from cacheadmin.protect.lock_hold import guard_stands_aside
from cacheadmin.protect.protection import planted_before, protect_after_prune, was_protected
from cacheadmin.protect.trial_roots import shield_of
from cacheadmin.prune.result import Before, PruneResult
from cacheadmin.prune.run import known_runs, recover_interrupted, run_prune, watch_trials
from cacheadmin.report.evictions import EvictionReport, eviction_text
from cacheadmin.report.formats import FORMATS
from cacheadmin.snapshot.snapshot import Snapshot, look_with

if TYPE_CHECKING:
    from cacheadmin.accounting import Measured
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.operations.account import Account


def evict(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="[POLICY] NAME[==VERSION]...",
            help="Packages, or one version of each; before them the policy, as a file or name.",
        ),
    ],
    even_in_use: Annotated[
        bool,
        typer.Option("--even-in-use", help="Also remove what is used: environments break."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="Only say what would be removed, and who has it."),
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Remove a package from the cache now, and say who still has it.

    Pointers in the buckets of every release are removed, so that new installs fetch it again or
    fail; so are archives that are not in use. `runs restore` undoes it.
    """
    policy, packages = _split(names)
    with recorded("evict", policy, changes=not dry_run) as account:
        account.exit_code = _evict(
            account,
            packages,
            output_format,
            even_in_use=even_in_use,
            dry_run=dry_run,
            insecure_policy=insecure_policy,
        )
    return account.exit_code


def _split(names: list[str]) -> tuple[str | None, list[str]]:
    """Tell the policy from the packages: a path, or the name of one that there is."""
    first, *others = names
    is_path = "/" in first or first.endswith((".yaml", ".yml"))
    if is_path and not others:
        raise WrongUsage("NAME[==VERSION] is missing after the policy")
    if is_path or (others and first in known_policies(os.environ)):
        return first, others
    return None, names


def _evict(
    account: Account,
    packages: list[str],
    output_format: str,
    *,
    even_in_use: bool,
    dry_run: bool,
    insecure_policy: bool,
) -> int:
    wanted = parse_wanted(packages)
    loaded = account.loaded = load_policy(account.argument, insecure=insecure_policy)
    recovered = () if dry_run else recover_interrupted(loaded.policy)
    runs = None if dry_run else known_runs(loaded.policy)
    watched = None if dry_run else watch_trials(loaded.policy, shield_of)
    planted = planted_before(loaded.policy)
    with progress_bar() as progress, look_with(loaded, progress=progress) as snapshot:
        for sentence in springs_of(watched, snapshot, wanted):
            output.warning(sentence)
        silent = silent_trials(snapshot, wanted, even_in_use=even_in_use, dry_run=dry_run)
        before = Before(recovered, watched=watched, runs=runs)
        eviction = _Evicting(wanted, silent, even_in_use, output_format, before, planted)
        if dry_run or not silent.entries:
            return eviction.evict(account, snapshot, dry_run=dry_run)
        snapshot.require_writable()
        eviction.silent = end_silent_trials(snapshot, silent, shield_of)
    # What came back from trial is looked at like everything else.
    with progress_bar() as progress, look_with(loaded, progress=progress) as snapshot:
        return eviction.evict(account, snapshot, dry_run=False)


@dataclass(slots=True)
class _Evicting:
    """An eviction, up to the look that it is decided by."""

    wanted: tuple[Wanted, ...]
    silent: SilentTrials
    even_in_use: bool
    output_format: str
    before: Before
    planted: frozenset[ArchiveId]

    def evict(self, account: Account, snapshot: Snapshot, *, dry_run: bool) -> int:
        """Decide, carry out, and show."""
        eviction = plan_eviction(
            snapshot, self.wanted, even_in_use=self.even_in_use, silent=self.silent
        )
        sizes = snapshot.sizing.of_plan(eviction.plan, kept=True)
        for warning in eviction.warnings:
            output.warning(warning)
        result = None
        if not dry_run:
            result = self._carry_out(snapshot, eviction, sizes)
            account.outcome, account.run_id = result.outcome, result.run_id
        self._show(snapshot, eviction, sizes, result)
        return int(ExitCode.DONE if result is None else CODES[result.outcome])

    def _carry_out(
        self, snapshot: Snapshot, eviction: Eviction, sizes: Measured[str]
    ) -> PruneResult:
        snapshot.require_writable()
        plan = eviction.plan
        if self.even_in_use and eviction.breaks and self.output_format == "table":
            # Before anything breaks, not after.
            words = eviction_text(eviction, plan.removals, snapshot.case.user, done=False)
            output.note(words)
        protected = was_protected(snapshot, self.planted)
        with guard_stands_aside(snapshot.policy, snapshot.cache):
            learned = {name for names in snapshot.evidence.learned.values() for name in names}
            result = run_prune(
                snapshot,
                plan,
                sizes,
                before=self.before,
                shield=shield_of(snapshot.policy, snapshot.cache, learned),
                concurrent=False,
            )
        # Roots of what is gone would end prunes of uv before 0.2.28.
        protection = protect_after_prune(snapshot, result.outcome, protected)
        for bucket, problem in protection.problems if protection is not None else ():
            output.warning(f"{bucket} could not be protected: {problem}")
        for warning in result.warnings:
            output.warning(warning)
        for path, why in (*result.dropped, *result.failed):
            output.note(f"not removed: {path}: {why}")
        return result

    def _show(
        self,
        snapshot: Snapshot,
        eviction: Eviction,
        sizes: Measured[str],
        result: PruneResult | None,
    ) -> None:
        undone = result is not None and result.outcome in ("refused", "rolled_back")
        if result is not None and undone and not FORMATS[self.output_format].is_document:
            raise failure(eviction.plan, result)
        undo = None
        if result is not None and result.run_id is not None:
            undo = snapshot.loaded.command("runs restore", result.run_id)
        user, first = snapshot.case.user, heading("evict", snapshot)
        show(EvictionReport(first, eviction, sizes, user, result, undo), self.output_format)
