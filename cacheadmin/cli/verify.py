"""``cacheadmin verify``: are archives still what their wheels said they are?"""

from __future__ import annotations

from typing import Annotated

from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli.options import (
    FailOn,
    FailOnOption,
    FindingsFormatOption,
    InsecurePolicyOption,
    PolicyArgument,
)
from cacheadmin.cli.results import fails, heading, progress_bar, show
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.findings import Severity
from cacheadmin.policy.quantities import parse_share
from cacheadmin.report.verifications import VerificationReport
from cacheadmin.snapshot.snapshot import look_at
from cacheadmin.verify.run import run_verify


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
    output_format: FindingsFormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Compare archives with their own RECORD, and say who may have changed what is not so."""
    share = _share(sample)
    with (
        progress_bar() as progress,
        look_at(
            policy, insecure_policy=insecure_policy, report_clones=True, progress=progress
        ) as snapshot,
    ):
        found = run_verify(
            snapshot, targets or (), share=share, seed=seed, jobs=jobs, progress=progress
        )
        failing = fails(found.findings, fail_on)
        first, loaded, cache = heading("verify", snapshot), snapshot.loaded, snapshot.cache
        fail_from = Severity.ERROR if fail_on is FailOn.NEVER else Severity(fail_on.value)
        report = VerificationReport(first, loaded, cache.identity, found, fail_from)
        show(report, output_format, is_well=not failing)
    return int(ExitCode.FINDINGS if failing else ExitCode.DONE)


def _share(text: str) -> float:
    """Return ``10%`` as 0.1. Raises WrongUsage."""
    try:
        share = parse_share(text).percent / 100
    except ValueError as error:
        raise WrongUsage(f"--sample: {error}") from None
    if not share > 0:
        raise WrongUsage("--sample: a sample of nothing finds nothing", hint="write 10%")
    return share
