"""Arguments and options that several commands share, spelled once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.output import Format, RowFormat
from cacheadmin.errors import WrongUsage


class FailOn(StrEnum):
    """From which severity on findings are a failure."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


PolicyArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="POLICY",
        help="Policy file, or the bare name of one; left out: your own default cache.",
        show_default=False,
    ),
]
InsecurePolicyOption = Annotated[
    bool,
    typer.Option("--insecure-policy", help="Accept a policy that others could have written."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="table or json.")]
RowFormatOption = Annotated[RowFormat, typer.Option("--format", help="table, json, jsonl or csv.")]
FailOnOption = Annotated[
    FailOn,
    typer.Option("--fail-on", help="Leave with 8 on findings from: error, warning, info, never."),
]


def policy_and(policy: str | None, target: str | None, name: str) -> tuple[str | None, str]:
    """Return the policy and the argument that follows it, where POLICY may be left out.

    A single argument is never the policy. Raises WrongUsage when there is none.
    """
    if target is not None:
        return policy, target
    if policy is None:
        raise WrongUsage(f"{name} is missing")
    return None, policy
