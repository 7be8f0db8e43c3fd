"""``cacheadmin schemas``: who uses which uv releases, and which buckets those need."""

from __future__ import annotations

from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.report.schemas import ReleasesReport
from cacheadmin.snapshot.snapshot import look_at


def schemas(
    policy: PolicyArgument = None,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Show users, the uv releases they use, and which buckets they need."""
    with (
        progress_bar() as progress,
        look_at(policy, insecure_policy=insecure_policy, progress=progress) as snapshot,
    ):
        case = snapshot.case
        names = [bucket.name for bucket in snapshot.inventory.buckets]
        sizes = snapshot.sizing.of_each(names)
        show(ReleasesReport(heading("schemas", snapshot), case, sizes), output_format)
    return 0
