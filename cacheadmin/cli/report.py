"""``cacheadmin report``: a cache at a glance, on the terminal or as a page for others."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import InsecurePolicyOption, PageFormatOption
from cacheadmin.cli.results import progress_bar, show, view
from cacheadmin.errors import WrongUsage
from cacheadmin.fs.atomic_file import write_atomically
from cacheadmin.overview.collection import gather
from cacheadmin.report.overview.report import OverviewReport
from cacheadmin.report.terminal import Terminal
from cacheadmin.rights.acting import as_caller
from cacheadmin.snapshot.snapshot import look_at

if TYPE_CHECKING:
    from cacheadmin.overview.facts import CacheReport

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
    output_format: PageFormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show a cache at a glance: verdict, sizes, who holds what, findings, past prunes."""
    if html is not None and output_format != "table":
        raise WrongUsage("--html and --format exclude each other")
    overviews = [_look(policy, insecure_policy) for policy in policies or (None,)]
    found = OverviewReport(overviews, socket.gethostname(), _terminal())
    if html in (None, "-"):
        form = "html" if html else output_format
        show(found, form, is_well=all(one.is_well for one in overviews))
    else:
        content = found.page().encode("utf-8")
        with as_caller():
            write_atomically(html, content, _MODE)
    return 0


def _look(policy: str | None, insecure_policy: bool) -> CacheReport:
    with (
        progress_bar() as progress,
        look_at(
            policy, insecure_policy=insecure_policy, report_clones=True, progress=progress
        ) as snapshot,
    ):
        overview, warnings = gather(snapshot)
    for warning in warnings:
        output.warning(warning)
    return overview


def _terminal() -> Terminal:
    import shutil

    width = min(max(shutil.get_terminal_size((100, 40)).columns, 40), 120)
    return Terminal(width, utf8=_shows_utf8(), paint=view().paint)


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
