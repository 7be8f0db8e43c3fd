"""``cacheadmin status``: one screen for one policy, or for all of this host."""

from __future__ import annotations

import os
from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption
from cacheadmin.cli.results import progress_bar, show
from cacheadmin.errors import CacheadminError, ExitCode, NotACache, WrongUsage
from cacheadmin.overview.status import CacheStatus, failed_status, status_of, worst
from cacheadmin.policy.location import is_folder, known_policies, policies_of
from cacheadmin.report.status import StatusReport
from cacheadmin.snapshot.snapshot import look_at


def status(
    policies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POLICY",
            help="Policies, or folders of them; left out: all that have a name, else your cache.",
            show_default=False,
        ),
    ] = None,
    all_policies: Annotated[
        bool, typer.Option("--all", help="Every policy that has a name.")
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show how caches are: verdict, size, free space, runs, gaps and findings.

    Leaves with the code of the worst of them: 0 safe, 4 limited, 8 findings
    of severity error, 5 refused, 66, 77 or 78 for one that can't be looked at.
    """
    if policies and all_policies:
        raise WrongUsage("name policies, or give --all")
    named = list(policies or known_policies(os.environ).values())
    if all_policies and not named:
        raise NotACache("there is no policy", hint="write one with `cacheadmin policy init`")
    statuses, several = _statuses(named, insecure_policy)
    code = worst(statuses)
    found = StatusReport(statuses, several=several or all_policies)
    show(found, output_format, is_well=code is ExitCode.DONE)
    return int(code)


def _statuses(named: list[str], insecure: bool) -> tuple[tuple[CacheStatus, ...], bool]:
    """Return the status of each policy, and whether several were asked for."""
    several = len(named) > 1 or any(map(is_folder, named))
    if not several:
        return (_one(named[0] if named else None, insecure),), False
    found: dict[str, CacheStatus] = {}
    for argument in named:
        try:
            paths = policies_of(argument, os.environ)
        except CacheadminError as error:
            found[argument] = failed_status(argument, error)
            continue
        for path in paths:
            if path not in found:
                try:
                    found[path] = _one(path, insecure)
                except CacheadminError as error:
                    name = os.path.basename(path).removesuffix(".yaml")
                    found[path] = failed_status(name, error)
    return tuple(found.values()), True


def _one(policy: str | None, insecure: bool) -> CacheStatus:
    with (
        progress_bar() as progress,
        look_at(
            policy, insecure_policy=insecure, report_clones=True, progress=progress
        ) as snapshot,
    ):
        return status_of(snapshot)
