"""``cacheadmin venv``: the registry of environments."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import (
    FormatOption,
    InsecurePolicyOption,
    PolicyArgument,
    policy_and,
)
from cacheadmin.cli.records import recorded
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.errors import ExitCode, NotPermitted
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.policy.loader import load_policy
from cacheadmin.registration import Registrations, open_registry
from cacheadmin.report.discoveries import DiscoveriesReport
from cacheadmin.report.registrations import RegistrationsReport
from cacheadmin.snapshot.snapshot import look_at
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.operations.account import Account

venv_app = typer.Typer(help="The registry of environments.", no_args_is_help=True)

PathArgument = Annotated[
    str | None,
    typer.Argument(metavar="PATH", help="Folder of the environment.", show_default=False),
]


@venv_app.command("add")
def add_command(
    policy: PolicyArgument = None,
    path: PathArgument = None,
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Register an environment, so that every scan finds it."""
    policy, path = policy_and(policy, path, "PATH")
    with recorded("venv add", policy) as account:
        account.subject = os.path.abspath(path)
        _registry(policy, insecure_policy, account).add(account.subject)
    output.note(f"registered {os.path.abspath(path)}")


@venv_app.command("remove")
def remove_command(
    policy: PolicyArgument = None,
    path: PathArgument = None,
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Take an environment out of the registry, and forget what it last linked."""
    policy, path = policy_and(policy, path, "PATH")
    with recorded("venv remove", policy) as account:
        account.subject = os.path.abspath(path)
        _registry(policy, insecure_policy, account).remove(account.subject)
    output.note(f"removed {os.path.abspath(path)} from the registry")


@venv_app.command("list")
def list_command(
    policy: PolicyArgument = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """List registered and remembered environments, without scanning them."""
    registry = _registry(policy, insecure_policy)
    show(RegistrationsReport(registry.header(), registry.rows()), output_format)


@venv_app.command("discover")
def discover_command(
    policy: PolicyArgument = None,
    register: Annotated[
        bool, typer.Option("--register", help="Register everything that was found.")
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Search the policy's trees, patterns and the cache for environments."""
    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as snapshot,
    ):
        found = [
            environment
            for environment in sorted(snapshot.evidence.environments, key=lambda one: one.path)
            if environment.kind is not EnvironmentKind.CACHED
            and environment.status is not EnvironmentStatus.MISSING
        ]
        first = heading("discover", snapshot)
        show(DiscoveriesReport(first, found, snapshot.owner_of, snapshot.team_of), output_format)
    if register:
        with recorded("venv discover", policy) as account:
            registry = _registry(policy, insecure_policy, account)
            new = [e.path for e in found if "registry" not in e.sources]
            refused = 0
            for path in new:
                try:
                    registry.add(path)
                except NotPermitted as error:
                    # A user who takes one name must not keep the others out.
                    output.warning(error.message)
                    refused += 1
            account.counts = {"registered": len(new) - refused, "failed_entries": refused}
            account.exit_code = int(ExitCode.NOT_PERMITTED if refused else ExitCode.DONE)
        output.note(f"{format_count(len(found) - refused, 'environment')} registered")
        return account.exit_code
    return int(ExitCode.DONE)


def _registry(policy: str | None, insecure: bool, account: Account | None = None) -> Registrations:
    loaded = load_policy(policy, insecure=insecure, recall=True)
    if account is not None:
        account.loaded = loaded
    return open_registry(loaded)
