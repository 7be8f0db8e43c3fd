"""``cacheadmin verify``: are archives still what their wheels said they are?"""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import (
    FailOn,
    FailOnOption,
    FormatOption,
    InsecurePolicyOption,
    PolicyArgument,
)
from cacheadmin.cli.output import Format


def verify(
    policy: PolicyArgument = None,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="Archive ids, paths, packages, name==version, or environments; left out: all.",
            show_default=False,
        ),
    ] = None,
    sample: Annotated[
        str,
        typer.Option("--sample", metavar="SHARE", help="Check so much (10%), each day another."),
    ] = "100%",
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="NUMBER", min=0, help="Which sample; the day's by default."),
    ] = None,
    fail_on: FailOnOption = FailOn.ERROR,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", metavar="NUMBER", min=1, max=256, help="Workers; one a core by default."
        ),
    ] = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Compare archives with their own RECORD, and say who may have changed what is not so."""
    from cacheadmin.cli.showing import document, fails, progress_bar
    from cacheadmin.errors import ExitCode
    from cacheadmin.findings import Severity, any_at_least
    from cacheadmin.report.verifications import verification_json, verification_text
    from cacheadmin.situation import look_at
    from cacheadmin.verify.running import run_verify

    share = _share(sample)
    with (
        progress_bar() as progress,
        look_at(
            policy, insecure_policy=insecure_policy, report_clones=True, progress=progress
        ) as situation,
    ):
        found = run_verify(
            situation, targets or (), share=share, seed=seed, jobs=jobs, progress=progress
        )
        failing = fails(found.findings, fail_on)
        if output_format is Format.JSON:
            output.data(document("verify", situation, verification_json(found)))
        elif failing or not output.settings.quiet:
            quiet, verbose = output.settings.quiet, output.settings.verbose
            worst = (
                Severity(fail_on.value) if quiet else Severity.INFO if verbose else Severity.WARNING
            )
            shown = [one for one in found.findings if any_at_least([one], worst)]
            output.data(verification_text(found, shown, summary=not quiet))
    return int(ExitCode.FINDINGS if failing else ExitCode.DONE)


def _share(text: str) -> float:
    """Return ``10%`` as 0.1. Raises WrongUsage."""
    from cacheadmin.errors import WrongUsage
    from cacheadmin.policy.quantities import parse_share

    try:
        share = parse_share(text).percent / 100
    except ValueError as error:
        raise WrongUsage(f"--sample: {error}") from None
    if not share > 0:
        raise WrongUsage("--sample: a sample of nothing finds nothing", hint="write 10%")
    return share
