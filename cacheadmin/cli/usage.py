"""``cacheadmin usage``: how much room the cache takes, and for what or whom."""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.dedupe.run import dedupe
from cacheadmin.report.duplicates import DuplicatesReport
from cacheadmin.report.usage import UsageReport, unread_words
from cacheadmin.snapshot.snapshot import look_at
from cacheadmin.usage.groupings import By
from cacheadmin.usage.history import remember_size, size_record
from cacheadmin.usage.measurement import measure_cache


def usage(
    policy: PolicyArgument = None,
    by: Annotated[
        By, typer.Option("--by", help="bucket, package, version, owner, team or duplicates.")
    ] = By.BUCKET,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show how much room the cache takes, and how much of it is exclusively its own."""
    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as snapshot,
    ):
        if by is By.DUPLICATES:
            shared = dedupe(snapshot, dry_run=True, progress=progress)
            first = heading("usage", snapshot)
            show(DuplicatesReport(first, shared, done=False, by=by.value), output_format)
            return 0
        whole = measure_cache(snapshot)
        measured = whole.by(by)
        # One reason why nothing can be remembered is said once.
        record = size_record(snapshot.now_ns, whole)
        unsaved = dict.fromkeys((whole.warning, remember_size(snapshot, record)))
        for warning in (unread_words(measured), *unsaved):
            if warning:
                output.warning(warning)
        show(UsageReport(heading("usage", snapshot), measured), output_format)
    return 0
