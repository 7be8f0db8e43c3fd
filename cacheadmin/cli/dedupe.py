"""``cacheadmin dedupe``: let equal files of several archives share their blocks."""

from __future__ import annotations

import os
from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.dedupe.run import dedupe as share
from cacheadmin.errors import ExitCode
from cacheadmin.report.duplicates import DuplicatesReport
from cacheadmin.snapshot.snapshot import look_at

# As a background job: users' installs come first.
_NICE = 10


def dedupe(
    policy: PolicyArgument = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="Only say what sharing would free.")
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Let equal files of several archives share their blocks, on xfs and btrfs.

    The kernel compares them; content, names, owners and times stay. It can be interrupted:
    the next run goes on where it ended.
    """
    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as snapshot,
    ):
        if not dry_run:
            snapshot.require_writable()
            os.nice(_NICE)
        shared = share(snapshot, dry_run=dry_run, progress=progress)
        for path, why in shared.failed:
            output.note(f"not shared: {path}: {why}")
        report = DuplicatesReport(heading("dedupe", snapshot), shared, done=not dry_run)
        show(report, output_format, is_well=not shared.files)
    return int(ExitCode.PARTIAL if shared.failed else ExitCode.DONE)
