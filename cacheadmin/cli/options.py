"""Arguments and options that several commands share, spelled once."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.errors import WrongUsage
from cacheadmin.report.formats import FindingsReport, PageReport, Report, formats_of


class FailOn(StrEnum):
    """From which severity on findings are a failure."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    NEVER = "never"


class FormatName:
    """Takes the name of a format that prints one kind of reports."""

    __name__ = "format"

    def __init__(self, report: type[Report]) -> None:
        self.choices = formats_of(report)

    def __call__(self, name: str) -> str:
        """Return the name. Raises typer.BadParameter for one that is none of them."""
        if name not in self.choices:
            known = ", ".join(map(repr, self.choices))
            raise typer.BadParameter(f"{name!r} is not one of {known}.")
        return name


def _format_option(report: type[Report]) -> Any:
    names = FormatName(report)
    *others, last = names.choices
    return typer.Option(
        "--format",
        parser=names,
        metavar=f"<{'|'.join(names.choices)}>",
        help=f"{', '.join(others)} or {last}.",
    )


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
FormatOption = Annotated[str, _format_option(Report)]
FindingsFormatOption = Annotated[str, _format_option(FindingsReport)]
PageFormatOption = Annotated[str, _format_option(PageReport)]
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
