"""``cacheadmin pin``: entries never to be removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from cacheadmin.cli.results import show
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.pins import PinStore
from cacheadmin.policy.loader import load_policy
from cacheadmin.report.pins import PinsReport
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.operations.account import Account

pin_app = typer.Typer(help="Entries never to be removed.", no_args_is_help=True)

TargetArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TARGET",
        help="Archive id, path in the cache, package, or name==version.",
        show_default=False,
    ),
]


@pin_app.command("add")
def add_command(
    policy: PolicyArgument = None,
    target: TargetArgument = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for those who come after.")
    ] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="WHEN",
            help="When it ends: 30d, or 2027-01-31.",
            show_default=False,
        ),
    ] = None,
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Keep an archive, a path, or a package whatever comes, until it is taken back."""
    policy, target = policy_and(policy, target, "TARGET")
    with recorded("pin add", policy) as account:
        account.subject = target
        with _pins(policy, insecure_policy, account) as pins:
            added = pins.add(target, reason, expires)
        account.counts = {"entries": added.entries}
    entries = format_count(added.entries, "entry", "entries")
    output.note(f"pinned {added.pin.target}: {entries} ({added.pin.file})")
    if added.on_trial:
        waiting = format_count(added.on_trial, "entry", "entries")
        output.note(f"{waiting} of it on trial: the next prune puts that back")
    if added.warning:
        output.warning(added.warning)


@pin_app.command("remove")
def remove_command(
    policy: PolicyArgument = None,
    target: TargetArgument = None,
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Take your pin on a target back; root takes back every user's."""
    policy, target = policy_and(policy, target, "TARGET")
    with recorded("pin remove", policy) as account:
        account.subject = target
        with _pins(policy, insecure_policy, account) as pins:
            removed = pins.remove(target)
        account.counts = {"pins": len(removed)}
    for pin in removed:
        output.note(f"took back the pin of {account_name(pin.uid)} on {pin.target}")


@pin_app.command("list")
def list_command(
    policy: PolicyArgument = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """List what is pinned, by whom, why, and until when."""
    with _pins(policy, insecure_policy) as pins:
        rows = [(row.pin, row.author, row.status) for row in pins.rows()]
        header, unread = pins.header(), pins.unread()
    show(PinsReport(header, rows, unread=len(unread)), output_format)
    for problem in unread:
        output.warning(f"no pin that can be read: {problem}")


@contextmanager
def _pins(policy: str | None, insecure: bool, account: Account | None = None) -> Iterator[PinStore]:
    loaded = load_policy(policy, insecure=insecure, recall=True)
    if account is not None:
        account.loaded = loaded
    with open_cache(loaded.policy.cache) as cache:
        yield PinStore(loaded, cache)
