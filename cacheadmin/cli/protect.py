"""``cacheadmin protect``: keep archives in use out of reach of every user's `uv cache prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.records import recorded
from cacheadmin.cli.results import progress_bar, show
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.protect.protection import Protection, check_protection, planted_before, unprotect
from cacheadmin.protect.protection import protect as plant
from cacheadmin.report.protections import ProtectionReport
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.text.documents import Heading, header

if TYPE_CHECKING:
    from cacheadmin.operations.account import Account
    from cacheadmin.policy.loaded import LoadedPolicy


def protect(
    policy: PolicyArgument = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take everything away that was planted.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether all is planted (0), or not (4).")
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Plant roots for the archives in use, so that any `uv cache prune` keeps them.

    They are links in uv's own buckets, one an archive for each uv release's
    bucket; whatever is not in use any more loses its own.
    """
    if remove and check:
        raise WrongUsage("--remove and --check don't go together")
    command = "protect --remove" if remove else "protect"
    with recorded(command, policy, changes=not check) as account:
        loaded = account.loaded = load_policy(policy, insecure=insecure_policy)
        if remove:
            account.exit_code = _remove(account, loaded, output_format)
        else:
            account.exit_code = _protect(account, loaded, output_format, check=check)
    return account.exit_code


def _protect(account: Account, loaded: LoadedPolicy, output_format: str, *, check: bool) -> int:
    before = planted_before(loaded.policy)
    with (
        progress_bar() as progress,
        look_with(loaded, afresh=not check, progress=progress) as snapshot,
    ):
        if check:
            protection = check_protection(snapshot)
        else:
            snapshot.require_writable()
            protection = plant(snapshot, before)
        cache = snapshot.cache.identity

    code = _code(protection, check=check)
    account.counts = _counts(protection)
    first = Heading(header("protect", loaded, cache))
    report = ProtectionReport(first, protection)
    show(report, output_format, is_well=code is ExitCode.DONE)
    return int(code)


def _remove(account: Account, loaded: LoadedPolicy, output_format: str) -> int:
    with open_cache(loaded.policy.cache) as cache:
        protection = unprotect(loaded.policy, cache)
    account.counts = _counts(protection)
    for bucket, problem in protection.problems:
        output.warning(f"{bucket}: {problem}")
    first = Heading(header("protect", loaded, cache.identity))
    report = ProtectionReport(first, protection, ended=True)
    show(report, output_format, is_well=True)
    return int(ExitCode.PARTIAL if protection.problems else ExitCode.DONE)


def _counts(protection: Protection) -> dict[str, int]:
    return {
        "planted": protection.planted,
        "removed": protection.removed,
        "missing": protection.missing,
    }


def _code(protection: Protection, *, check: bool) -> ExitCode:
    if not (protection.missing or protection.problems):
        return ExitCode.DONE
    return ExitCode.LIMITED if check else ExitCode.PARTIAL
