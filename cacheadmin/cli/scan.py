"""``cacheadmin scan``: the environments that were found, and how they link."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import InsecurePolicyOption, PolicyArgument, RowFormatOption
from cacheadmin.cli.output import RowFormat

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment
    from cacheadmin.situation import Situation


def scan(
    policy: PolicyArgument = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Look at every file, not at one a distribution.")
    ] = False,
    output_format: RowFormatOption = RowFormat.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """List the environments, their owners, link modes, uv versions and broken links."""
    from cacheadmin.cli.showing import progress_bar
    from cacheadmin.situation import look_at

    with (
        progress_bar() as progress,
        look_at(
            policy,
            insecure_policy=insecure_policy,
            report_clones=True,
            deep=deep or None,
            progress=progress,
        ) as situation,
    ):
        environments = sorted(situation.evidence.environments, key=lambda e: e.path)
        _show(situation, environments, output_format)
    return 0


def _show(situation: Situation, environments: list[Environment], output_format: RowFormat) -> None:
    import json

    from cacheadmin.cli.showing import document
    from cacheadmin.report import environments as rows
    from cacheadmin.report.gaps import gaps_text
    from cacheadmin.report.tables import comma_separated

    owner, team = situation.owner_of, situation.team_of
    as_json = (rows.environment_json(e, owner(e), team(e)) for e in environments)
    if output_format is RowFormat.JSON:
        output.data(document("scan", situation, {"venvs": as_json}))
    elif output_format is RowFormat.JSONL:
        for row in as_json:
            output.data(json.dumps(row))
    elif output_format is RowFormat.CSV:
        cells = [rows.environment_row(e, owner(e), team(e)) for e in environments]
        output.data(comma_separated(rows.COLUMNS, cells))
    else:
        output.data(rows.environments_text(environments, owner, team))
        gaps = gaps_text(situation.case.gaps)
        if gaps:
            output.data("\n" + gaps)
