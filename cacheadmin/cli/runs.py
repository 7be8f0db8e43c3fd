"""``cacheadmin runs``: past prunes: what each moved, undo, final deletion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.records import recorded
from cacheadmin.cli.results import progress_bar, show
from cacheadmin.errors import ExitCode, NotACache, WrongUsage
from cacheadmin.evidence.steady_time import host_time
from cacheadmin.inventory.cache_folder import OpenCache, open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.quantities import parse_duration
from cacheadmin.protect.lock_hold import guard_stands_aside
from cacheadmin.protect.protection import withdraw_dangling, withdraw_of_trials
from cacheadmin.prune.journal import SETTLED, RunState
from cacheadmin.prune.quarantine import QuarantineFolder, existing_quarantine, is_run_id
from cacheadmin.prune.run import restore_run
from cacheadmin.prune.run_lock import run_lock
from cacheadmin.prune.runs import Run, find_run, list_runs, purge, runs_due
from cacheadmin.prune.trial_upkeep import begun_by, end_now, known_uses
from cacheadmin.report.runs import RunReport, RunsReport
from cacheadmin.snapshot.moment import steady_now
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.state.store import open_state
from cacheadmin.text.documents import Heading, header
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import now_ns
from cacheadmin.trial.trials import Trials, trials_or_none

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy

runs_app = typer.Typer(
    help="Past prunes: what each moved, undo, final deletion.", no_args_is_help=True
)

RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="Id of the run, from `runs list`; left out: the last one.",
        show_default=False,
    ),
]


class _NoRuns(NotACache):
    """No prune has moved anything on this cache."""


@contextmanager
def _opened(
    policy: str | None, insecure: bool, account: Account | None = None
) -> Iterator[tuple[LoadedPolicy, OpenCache, QuarantineFolder | None]]:
    loaded = load_policy(policy, insecure=insecure, recall=True)
    if account is not None:
        account.loaded = loaded
    with (
        open_cache(loaded.policy.cache) as cache,
        existing_quarantine(loaded.policy, cache) as quarantine,
    ):
        yield loaded, cache, quarantine


@contextmanager
def _locked(
    policy: str | None, insecure: bool, account: Account
) -> Iterator[tuple[LoadedPolicy, OpenCache, QuarantineFolder]]:
    with _opened(policy, insecure, account) as (loaded, cache, quarantine):
        if quarantine is None:
            raise _NoRuns("nothing was pruned on this cache yet, there are no runs")
        timeout = loaded.policy.lock.timeout.total_seconds()
        with run_lock(loaded.policy, cache, quarantine, timeout) as locked:
            yield loaded, cache, locked


@runs_app.command("list")
def list_command(
    policy: PolicyArgument = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """List past prunes, the oldest first."""
    with (
        _opened(policy, insecure_policy) as (loaded, cache, quarantine),
        trials_or_none(cache) as trials,
    ):
        found = [] if quarantine is None else list(list_runs(quarantine, cache.identity, trials))
        first = Heading(header("runs", loaded, cache.identity))
        show(RunsReport(first, found), output_format)


@runs_app.command("show")
def show_command(
    policy: PolicyArgument = None,
    run: RunArgument = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Show what one prune moved, and why."""
    policy, run = _policy_and_run(policy, run)
    with (
        _opened(policy, insecure_policy) as (loaded, cache, quarantine),
        trials_or_none(cache) as trials,
    ):
        found = _find(quarantine, cache, run, trials)
        first = Heading(header("runs", loaded, cache.identity))
        show(RunReport(first, found), output_format)


@runs_app.command("restore")
def restore_command(
    policy: PolicyArgument = None,
    run: RunArgument = None,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Undo a prune: put everything it moved back where it was."""
    policy, run = _policy_and_run(policy, run)
    with recorded("runs restore", policy) as account:
        account.run_id = run
        with (
            _locked(policy, insecure_policy, account) as (loaded, cache, quarantine),
            guard_stands_aside(loaded.policy, cache),
        ):
            run = account.run_id = run or _find(quarantine, cache, None, None).run_id
            restored = restore_run(loaded.policy, cache, quarantine, run)
            try:
                withdraw_of_trials(loaded.policy, cache)
            except OSError as error:
                # A root too many keeps more; the next prune removes it.
                output.warning(f"roots that nothing needs any more stay: {error.strerror}")
        whole = not (restored.left or restored.absent)
        account.exit_code = int(ExitCode.DONE if whole else ExitCode.PARTIAL)
        account.counts = {
            "restored_entries": len(restored.moved),
            "failed_entries": len(restored.left) + len(restored.absent),
        }
    for path, why in restored.left:
        output.warning(f"{path} stays in quarantine: {why}")
    for path in restored.absent:
        output.warning(f"{path} is gone: it is neither in quarantine nor on trial any more")
    output.note(f"run {run}: {format_count(len(restored.moved), 'entry', 'entries')} put back")
    return account.exit_code


@runs_app.command("purge")
def purge_command(
    policy: PolicyArgument = None,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Id of the run.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run there is.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Runs older than this, such as 3d.",
            show_default=False,
        ),
    ] = None,
    now: Annotated[
        bool,
        typer.Option(
            "--now", help="Also end the trial of what is on trial, but of what is known to be used."
        ),
    ] = False,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Delete for good what prunes moved; they can't be undone afterwards.

    What is on trial stays so, unless --now is given: an environment that no user
    knows may then break.
    """
    policy, run = _policy_and_run(policy, run)
    if (run is not None) + every + (older_than is not None) != 1:
        raise WrongUsage("name one run, or give --all or --older-than, and only one of them")
    try:
        age = parse_duration(older_than) if older_than is not None else None
    except ValueError as error:
        raise WrongUsage(f"--older-than: {error}") from None
    purged = _Purged(() if run is None else (run,))
    with recorded("runs purge", policy) as account, ExitStack() as locked:
        account.run_id = run
        try:
            loaded, cache, quarantine = locked.enter_context(
                _locked(policy, insecure_policy, account)
            )
        except _NoRuns:
            if run is not None:
                raise
        else:
            identity = cache.identity
            if age is not None:
                state = open_state(loaded.policy.state, cache=identity)
                moment_ns = steady_now(state, host_time(), now_ns())
                purged.chosen = runs_due(quarantine, identity, age, moment_ns, on_trial_too=now)
            elif every:
                purged.choose_all(quarantine, identity)
            purged.purge(loaded, cache, quarantine, now=now)
        account.subject = ", ".join(purged.chosen)
        account.exit_code = int(ExitCode.PARTIAL if purged.failures else ExitCode.DONE)
        account.counts = {
            "purged_runs": purged.runs,
            "failed_entries": len(purged.failures),
            "ended_trials": purged.ended,
        }
    for path, why in purged.failures:
        output.warning(f"{path} could not be deleted: {why}")
    for line in purged.words:
        output.warning(line)
    output.note(f"{format_count(purged.runs, 'run')} deleted for good")
    if now:
        ended = format_count(purged.ended, "trial")
        output.note(f"{ended} ended: an environment that links there breaks")
    return account.exit_code


@dataclass(slots=True)
class _Purged:
    """What became of runs that were to be deleted for good."""

    chosen: tuple[str, ...]
    """Their ids."""
    runs: int = 0
    """How many are deleted."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """What of them could not be, and why."""
    ended: int = 0
    """How many trials ended with them."""
    words: list[str] = field(default_factory=list)
    """What people should know of these."""

    def choose_all(self, quarantine: QuarantineFolder, cache: CacheIdentity) -> None:
        """Choose every run of a cache but those that did not come to their end."""
        runs = list(list_runs(quarantine, cache))
        self.chosen = tuple(run.run_id for run in runs if run.state in SETTLED)
        self.failures += [(f"run {run.run_id}", run.unfinished) for run in runs if run.unfinished]

    def purge(
        self, loaded: LoadedPolicy, cache: OpenCache, quarantine: QuarantineFolder, *, now: bool
    ) -> None:
        """Delete them; with ``now`` end their trials, too, but of what is known to be used."""
        for name in self.chosen:
            removed = purge(quarantine, cache.identity, name)
            self.failures += [(f"run {name}: {path}", why) for path, why in removed.failures]
            # Of one that was deleted before nothing is left.
            self.runs += bool(removed.files and not removed.failures)
        if now and begun_by(cache, self.chosen):
            with progress_bar() as progress, look_with(loaded, progress=progress) as snapshot:
                used = known_uses(snapshot)
            self.ended, self.words = end_now(
                loaded.policy, cache, self.chosen, quarantine.fence, used
            )
        if self.ended:
            withdraw_dangling(cache)


def _policy_and_run(policy: str | None, run: str | None) -> tuple[str | None, str | None]:
    """Tell apart what a single argument is: the id of a run, or a policy."""
    if run is None and policy is not None and is_run_id(policy):
        return None, policy
    return policy, run


def _find(
    quarantine: QuarantineFolder | None, cache: OpenCache, run_id: str | None, trials: Trials | None
) -> Run:
    """Return the run of an id; without one the last that moved anything."""
    if quarantine is None:
        raise NotACache("nothing was pruned on this cache yet, there are no runs")
    if run_id is not None:
        return find_run(quarantine, run_id, trials)
    runs = list_runs(quarantine, cache.identity, trials)
    moved = [run for run in runs if run.state is not RunState.ROLLED_BACK]
    if not moved:
        raise NotACache("nothing was pruned on this cache yet, there are no runs")
    return moved[-1]
