"""``cacheadmin dedupe``: let equal files of several archives share their blocks."""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.output import Format
from cacheadmin.errors import ExitCode


def dedupe(
    policy: PolicyArgument = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what sharing would free.")
    ] = False,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Let equal files of several archives share their blocks, on xfs and btrfs.

    The kernel compares them; content, names, owners and times stay. It can be interrupted:
    the next run goes on where it ended.
    """
    from cacheadmin.cli.showing import document, progress_bar
    from cacheadmin.dedupe.running import dedupe as share
    from cacheadmin.report.duplicates import shared_json, shared_text
    from cacheadmin.situation import look_at

    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as situation,
    ):
        if not dry_run:
            situation.require_writable()
        shared = share(situation, dry_run=dry_run, progress=progress)
        for path, why in shared.failed:
            output.note(f"not shared: {path}: {why}")
        if output_format is Format.JSON:
            output.data(document("dedupe", situation, shared_json(shared, done=not dry_run)))
        elif shared.files or not output.settings.quiet:
            every_row = output.settings.verbose
            output.data(shared_text(shared, done=not dry_run, every_row=every_row))
    return int(ExitCode.PARTIAL if shared.failed else ExitCode.DONE)
