"""``cacheadmin simulate``: what `uv cache prune` of any release would delete here."""

from __future__ import annotations

from typing import Annotated

import typer

from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.output import Format


def simulate(
    policy: PolicyArgument = None,
    uv: Annotated[
        str, typer.Option("--uv", help="Release, such as 0.8.5, or path of a uv binary.")
    ] = "",
    ci: Annotated[bool, typer.Option("--ci", help="As `uv cache prune --ci`.")] = False,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Show exactly what `uv cache prune` of a release would delete, and whom it breaks.

    Nothing is locked, changed or run.
    """
    from cacheadmin.cli.showing import document, progress_bar
    from cacheadmin.errors import WrongUsage
    from cacheadmin.report.simulations import simulation_json, simulation_text
    from cacheadmin.simulate.running import simulate_for

    if not uv:
        raise WrongUsage("name the release: --uv 0.8.5, or --uv /path/to/uv")
    with (
        progress_bar() as progress,
        simulate_for(
            policy, uv, ci=ci, insecure_policy=insecure_policy, progress=progress
        ) as answer,
    ):
        user = answer.situation.case.user
        for warning in answer.notes:
            output.warning(warning)
        if output_format is Format.JSON:
            content = simulation_json(answer.simulation, answer.broken, user, answer.unprotected)
            output.data(document("simulate", answer.situation, content))
        else:
            output.data(
                simulation_text(
                    answer.simulation,
                    answer.broken,
                    user,
                    answer.unprotected,
                    every_row=output.settings.verbose,
                )
            )
