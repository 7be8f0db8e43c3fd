"""``cacheadmin guard``: a service that keeps a cache protected."""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import InsecurePolicyOption, PolicyArgument
from cacheadmin.protect.guard import guard as stand_guard


def guard(
    policy: PolicyArgument = None,
    hold: Annotated[
        bool,
        typer.Option("--hold", help="Hold uv's lock too: prunes of uv 0.8.19 and later wait."),
    ] = False,
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Keep a cache protected: plant again at once what a user's prune has removed.

    Runs until it is told to stop (SIGTERM). SIGHUP makes it look at the
    cache, and read the policy, again.
    """
    stand_guard(policy, hold=hold, insecure_policy=insecure_policy, say=output.note)
