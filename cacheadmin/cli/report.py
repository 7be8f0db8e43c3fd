"""``cacheadmin report``: a cache at a glance, on the terminal or as a page for others."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption
from cacheadmin.cli.output import Format

if TYPE_CHECKING:
    from cacheadmin.overview.facts import Overview
    from cacheadmin.report.terminal import Style, Terminal

_MODE = 0o644


def report(
    policies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POLICY",
            help="Policy files, or bare names; left out: your own default cache.",
            show_default=False,
        ),
    ] = None,
    html: Annotated[
        str | None,
        typer.Option(
            "--html",
            metavar="FILE",
            help="Write one self-contained page instead; - for stdout.",
            show_default=False,
        ),
    ] = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show a cache at a glance: verdict, sizes, who holds what, findings, past prunes."""
    from cacheadmin.errors import WrongUsage

    if html is not None and output_format is not Format.TABLE:
        raise WrongUsage("--html and --format exclude each other")
    overviews = [_look(policy, insecure_policy) for policy in policies or (None,)]
    if html is not None:
        _write_page(overviews, html)
    elif output_format is Format.JSON:
        from cacheadmin.report.overview_json import overview_document
        from cacheadmin.text.documents import dumps

        output.data(dumps(overview_document(overviews)))
    elif not (output.settings.quiet and all(one.is_well for one in overviews)):
        _print(overviews)
    return 0


def _look(policy: str | None, insecure_policy: bool) -> Overview:
    from cacheadmin.cli.showing import progress_bar
    from cacheadmin.overview.gathering import gather
    from cacheadmin.situation import look_at

    with (
        progress_bar() as progress,
        look_at(
            policy, insecure_policy=insecure_policy, report_clones=True, progress=progress
        ) as situation,
    ):
        overview, warnings = gather(situation)
    for warning in warnings:
        output.warning(warning)
    return overview


def _write_page(overviews: list[Overview], target: str) -> None:
    import socket

    from cacheadmin.acting import as_caller
    from cacheadmin.fs.atomic_writing import write_atomically
    from cacheadmin.report.html_page import page

    content = page(overviews, socket.gethostname())
    if target == "-":
        sys.stdout.buffer.write(content)
        return
    with as_caller():
        write_atomically(target, content, _MODE)


def _print(overviews: list[Overview]) -> None:
    import socket

    from cacheadmin.report.overview_text import overview_text

    terminal, host = _terminal(), socket.gethostname()
    output.data("\n\n\n".join(overview_text(one, host, terminal) for one in overviews))


def _terminal() -> Terminal:
    import shutil

    from cacheadmin.report.terminal import Terminal, unpainted

    width = min(max(shutil.get_terminal_size((100, 40)).columns, 40), 120)
    paint = _painted if output.colour_stdout() else unpainted
    return Terminal(width, utf8=_shows_utf8(), paint=paint)


def _shows_utf8() -> bool:
    """Whether the caller's locale is UTF-8; Python's own stand-in for "C" is not.

    Python sets LC_CTYPE itself where no locale is set at all (PEP 538), as
    under cron: it is not known then whether the reader's terminal can show UTF-8.
    """
    chosen = [os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if not chosen[0] and chosen[1] == "C.UTF-8" and chosen[2] in ("", "C", "POSIX"):
        return False
    locale = next((word for word in chosen if word), "")
    said = locale.lower().replace("-", "").partition(".")[2]
    return said.startswith("utf8") and (sys.stdout.encoding or "").lower() == "utf-8"


def _painted(text: str, style: Style) -> str:
    from cacheadmin.report.terminal import Style

    colour = {
        Style.GOOD: typer.colors.GREEN,
        Style.WARN: typer.colors.YELLOW,
        Style.BAD: typer.colors.RED,
        Style.BAR: typer.colors.CYAN,
    }.get(style)
    if colour is None and style is Style.PLAIN:
        return text
    return typer.style(text, fg=colour, bold=style is Style.STRONG, dim=style is Style.FAINT)
