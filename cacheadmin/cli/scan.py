"""``cacheadmin scan``: the environments that were found, and how they link."""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.report.environments import EnvironmentsReport
from cacheadmin.snapshot.snapshot import look_at


def scan(
    policy: PolicyArgument = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look at every file, not at one a distribution.")
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """List the environments, their owners, link modes, uv versions and broken links."""
    with (
        progress_bar() as progress,
        look_at(
            policy,
            insecure_policy=insecure_policy,
            report_clones=True,
            deep=deep or None,
            progress=progress,
        ) as snapshot,
    ):
        environments = sorted(snapshot.evidence.environments, key=lambda e: e.path)
        owner, team, gaps = snapshot.owner_of, snapshot.team_of, snapshot.case.gaps
        found = EnvironmentsReport(heading("scan", snapshot), environments, owner, team, gaps)
        show(found, output_format)
    return 0
