"""``cacheadmin evict``: take a yanked or malicious release out of the cache now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption
from cacheadmin.cli.output import Format
from cacheadmin.cli.recording import recorded
from cacheadmin.errors import ExitCode, WrongUsage

if TYPE_CHECKING:
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
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Remove a package from the cache now, and say who still has it.

    Pointers in the buckets of every release go whole, so that new installs fetch it anew or
    fail; so do archives that nobody uses. `runs restore` undoes it.
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
    import os

    from cacheadmin.policy.locating import known_policies

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
    output_format: Format,
    *,
    even_in_use: bool,
    dry_run: bool,
    insecure_policy: bool,
) -> int:
    from cacheadmin.cli.prune import CODES, failure
    from cacheadmin.cli.showing import document, progress_bar
    from cacheadmin.evict.planning import plan_eviction
    from cacheadmin.evict.wanted import parse_wanted
    from cacheadmin.policy.loading import load_policy
    from cacheadmin.protect.holding import guard_stands_aside
    from cacheadmin.protect.trial_roots import shield_of
    from cacheadmin.prune.running import Before, recover_interrupted, run_prune
    from cacheadmin.report.evictions import eviction_json, eviction_text
    from cacheadmin.report.prunes import prune_json
    from cacheadmin.situation import look_with

    wanted = parse_wanted(packages)
    loaded = account.loaded = load_policy(account.argument, insecure=insecure_policy)
    recovered = () if dry_run else recover_interrupted(loaded.policy)
    with progress_bar() as progress, look_with(loaded, progress=progress) as situation:
        user = situation.case.user
        eviction = plan_eviction(situation, wanted, even_in_use=even_in_use)
        plan = eviction.plan
        sizes = situation.measure(plan, kept=True)
        for warning in eviction.warnings:
            output.warning(warning)
        if dry_run:
            result, done = None, plan.removals
        else:
            situation.require_writable()
            if even_in_use and eviction.breaks and output_format is Format.TABLE:
                # Before anything breaks, not after.
                output.note(eviction_text(eviction, plan.removals, user, done=False))
            with guard_stands_aside(loaded.policy, situation.cache):
                learned = {name for names in situation.evidence.learned.values() for name in names}
                result = run_prune(
                    situation,
                    plan,
                    sizes,
                    before=Before(recovered),
                    shield=shield_of(loaded.policy, situation.cache, learned),
                    concurrent=False,
                )
            done = tuple(result.done)
            account.outcome, account.run_id = result.outcome, result.run_id
            for warning in result.warnings:
                output.warning(warning)
            for path, why in (*result.dropped, *result.failed):
                output.note(f"not removed: {path}: {why}")
        if output_format is Format.JSON:
            content = eviction_json(eviction, done, sizes, user)
            if result is not None:
                content = {**prune_json(plan, sizes, result), **content}
            else:
                content["outcome"] = "dry_run"
            output.data(document("evict", situation, content))
        elif result is not None and result.outcome in ("refused", "rolled_back"):
            raise failure(plan, result)
        else:
            output.data(eviction_text(eviction, done, user, done=result is not None))
            if result is not None and result.run_id is not None:
                undo = loaded.command("runs restore", result.run_id)
                output.data(f"\nundo: {undo}")
    return int(ExitCode.DONE if result is None else CODES[result.outcome])
