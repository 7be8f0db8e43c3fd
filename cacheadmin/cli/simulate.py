"""``cacheadmin simulate``: what `uv cache prune` of any release would delete here."""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption, PolicyArgument
from cacheadmin.cli.results import heading, progress_bar, show
from cacheadmin.errors import WrongUsage
from cacheadmin.report.simulations import SimulationReport
from cacheadmin.simulate.on_policy import simulate_for
from cacheadmin.simulate.release_choice import package_names


def simulate(
    policy: PolicyArgument = None,
    more_packages: Annotated[
        list[str] | None,
        typer.Argument(metavar="PACKAGE", help="More packages for --clean.", show_default=False),
    ] = None,
    uv: Annotated[
        str,
        typer.Option(
            "--uv", metavar="RELEASE", help="Release, such as 0.8.5, or path of a uv binary."
        ),
    ] = "",
    ci: Annotated[bool, typer.Option("--ci", help="As `uv cache prune --ci`.")] = False,
    clean: Annotated[
        list[str] | None,
        typer.Option(
            "--clean",
            metavar="PACKAGE",
            help="As `uv cache clean PACKAGE...`, not as a prune; may be repeated.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="As with uv's own --force: it waits for no process.")
    ] = False,
    output_format: FormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> None:
    """Show exactly what `uv cache prune` of a release would delete, and whom it breaks.

    With --clean, what `uv cache clean` of these packages would. Nothing is locked, changed or run.
    """
    if not uv:
        raise WrongUsage("name the release: --uv 0.8.5, or --uv /path/to/uv")
    if more_packages and not clean:
        raise WrongUsage(f"{more_packages[0]!r} is one argument too many: packages need --clean")
    packages = package_names([*(clean or ()), *(more_packages or ())])
    with (
        progress_bar() as progress,
        simulate_for(
            policy,
            uv,
            ci=ci,
            clean=packages,
            force=force,
            insecure_policy=insecure_policy,
            progress=progress,
        ) as answer,
    ):
        user = answer.snapshot.case.user
        for warning in answer.notes:
            output.warning(warning)
        first = heading("simulate", answer.snapshot)
        simulation, broken, unprotected = answer.simulation, answer.broken, answer.unprotected
        show(SimulationReport(first, simulation, broken, user, unprotected), output_format)
