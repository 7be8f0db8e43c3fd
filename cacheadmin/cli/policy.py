"""``cacheadmin policy``: write, check and explain policies."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Annotated

from cacheadmin.audit.policy_checks import check_policies
from cacheadmin.audit.schema import policy_schema
from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import show
from cacheadmin.errors import CacheadminError, ExitCode, WrongUsage
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.inventory.matches import count_matches
from cacheadmin.operations.delivery import is_installed
from cacheadmin.operations.notifications import NOT_INSTALLED, destinations, send_all
from cacheadmin.policy.effective import effective_values
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.location import default_cache, known_policies
from cacheadmin.policy.parser import parse_policy
from cacheadmin.policy.starter import starter_policy, write_starter
from cacheadmin.policy.trust import read_trusted
from cacheadmin.report.policies import PolicyReport
from cacheadmin.report.policy_checks import PolicyChecksReport
from cacheadmin.text.documents import dumps, header
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.policy.loaded import LoadedPolicy

policy_app = typer.Typer(help="Write, check and explain policies.", no_args_is_help=True)


@policy_app.command("init")
def init_command(
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="File to write; left out: stdout.", show_default=False),
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            "--cache", metavar="PATH", help="The cache's absolute path.", show_default=False
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The policy's name.")
    ] = "shared",
) -> None:
    """Write a commented starter policy; an existing file is never overwritten."""
    text = starter_policy(name, cache or default_cache(os.environ))
    # A name or path that makes no valid policy is said now, not by cron tonight.
    parse_policy(text.encode("utf-8", "surrogateescape"), file or "policy")
    if file is None:
        output.data(text.rstrip("\n"))
        return
    write_starter(file, text)
    shown = shell_word(file)
    output.note(f"wrote {file}; check it with `cacheadmin policy check {shown}`")
    try:
        read_trusted(os.path.abspath(file), insecure=False)
    except CacheadminError as error:
        output.warning(f"it will be refused: {error.message} ({error.hint})")


@policy_app.command("check")
def check_command(
    policies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POLICY",
            help="Policy files, bare names, or folders; left out: every policy that has a name.",
            show_default=False,
        ),
    ] = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Check policies: syntax, keys, values, and who could have written them."""
    named = policies or known_policies(os.environ).values() or (None,)
    checks = tuple(check_policies(named, os.environ, insecure=insecure_policy))
    for one in checks:
        if one.error is not None:
            output.failure(one.error)
        for warning in one.warnings:
            output.warning(warning)
    code = max((int(one.error.exit_code) for one in checks if one.error), default=0)
    report = PolicyChecksReport(header("policy-check", None, None), checks)
    show(report, output_format, is_well=not code)
    return code


@policy_app.command("notify")
def notify_command(
    policy: PolicyArgument = None,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Send a message to every URL of `notify`, to see that it arrives."""
    loaded = load_policy(policy, insecure=insecure_policy)
    name = loaded.policy.name
    if not loaded.policy.notify.is_set:
        raise WrongUsage(f"{name} has neither notify.urls nor notify.file: no receiver is named")
    if not is_installed():
        raise CacheadminError(NOT_INSTALLED)
    to = destinations(loaded)
    text = f"A trial: messages about {name} on {socket.gethostname()} come this way."
    _, problems = send_all(to, f"cacheadmin: a message about {name}", text)
    for problem in problems:
        output.warning(problem)
    failed = len(problems)
    output.note(f"{max(0, len(to) - failed)} of {format_count(len(to), 'URL')} took the message")
    return int(ExitCode.PARTIAL if failed else ExitCode.DONE)


@policy_app.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of policies."""
    output.data(dumps(policy_schema()))


@policy_app.command("show")
def show_command(
    policy: PolicyArgument = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Show the effective policy, and where each value came from."""
    loaded = load_policy(policy, insecure=insecure_policy)
    values = list(effective_values(loaded))
    report = PolicyReport(header("policy", loaded, None), values, _kept_now(loaded))
    show(report, output_format)


def _kept_now(loaded: LoadedPolicy) -> dict[str, int] | None:
    """Return how many archives each pattern of prune.keep names; None: the cache can't be read."""
    if not loaded.policy.prune.keep:
        return {}
    try:
        with open_cache(loaded.policy.cache) as cache:
            return count_matches(cache, loaded.policy.prune.keep)
    except CacheadminError as error:
        output.warning(f"what prune.keep names now can't be told: {error}")
        return None
