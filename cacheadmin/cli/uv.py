"""``cacheadmin uv``: what is known of uv releases."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption
from cacheadmin.cli.results import show
from cacheadmin.errors import CacheadminError, WrongUsage
from cacheadmin.inventory.unknown_folders import unknown_folders
from cacheadmin.policy.loader import load_policy, read_policy
from cacheadmin.policy.location import known_policies
from cacheadmin.report.learned_releases import LearnedReleaseReport
from cacheadmin.state.store import open_releases
from cacheadmin.text.accounts import account_name
from cacheadmin.text.timestamps import now_ns
from cacheadmin.uv.binaries import read_binary
from cacheadmin.uv.prune_words import prune_changed
from cacheadmin.uv.releases import buckets_of

if TYPE_CHECKING:
    from cacheadmin.policy.loaded import LoadedPolicy

uv_app = typer.Typer(help="What is known of uv releases.", no_args_is_help=True)


@uv_app.callback()
def _group() -> None:
    """Keep `learn` a command of its own, also while it is the only one."""


@uv_app.command("learn")
def learn_command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A uv binary; it is not run.")],
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="Store it in the state of this policy alone.",
            show_default=False,
        ),
    ] = None,
    store: Annotated[
        bool, typer.Option("--store/--no-store", help="Remember it, or only print it.")
    ] = True,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Read a uv binary's version and bucket names from its bytes, and remember them.

    Without --policy, for every policy of this host.
    """
    loaded = None if policy is None else load_policy(policy, insecure=insecure_policy)
    learned = read_binary(path, folders=unknown_folders(_caches(loaded)))
    if learned.problem:
        raise WrongUsage(f"{path} could not be understood as a uv binary: {learned.problem}")
    version = str(learned.version)
    known = buckets_of(version)
    agrees = known is None or known == learned.buckets
    if store and known is None:
        url = None if loaded is None else loaded.policy.state
        open_releases(url).learn(version, learned.buckets, path, now_ns(), learned.prune)
        if writers := _other_writers(path):
            output.warning(
                f"{path} can be changed by {writers}, and what it says holds for every user of uv "
                f"{version}: teach it from a binary that you have installed yourself, if you "
                "don't trust them"
            )
    changed = prune_changed(learned.prune) if known is None else ""
    stored = store and known is None
    in_table = known is not None
    report = LearnedReleaseReport(version, learned.buckets, in_table, agrees, stored, changed)
    show(report, output_format)
    if changed:
        output.warning(
            f"the prune of uv {version} is not one that is known: {changed}; simulate and protect "
            "claim nothing of it"
        )
    if not agrees:
        output.warning(
            f"the release table says otherwise of uv {version}: is this a build of its own?"
        )


def _other_writers(path: str) -> str:
    """Return who beside the caller and root can have written a file; empty for none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    if status.st_mode & stat.S_IWOTH:
        return "every user"
    if status.st_uid not in (0, os.geteuid()):
        return account_name(status.st_uid)
    return f"group {status.st_gid}" if status.st_mode & stat.S_IWGRP else ""


def _caches(loaded: LoadedPolicy | None) -> Iterator[str]:
    """Yield the cache of a policy, or of every policy that can be named on this host."""
    if loaded is not None:
        yield loaded.policy.cache
        return
    for path in known_policies(os.environ).values():
        try:
            yield read_policy(path).policy.cache
        except CacheadminError:
            # It is said where it is used; here it only has no folders.
            continue
