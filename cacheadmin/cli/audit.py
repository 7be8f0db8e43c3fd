"""``cacheadmin audit``: are shared caches kept as they should be?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cacheadmin.audit.advisories import read_advisories
from cacheadmin.audit.audits import audit_caches
from cacheadmin.audit.rules import RULES
from cacheadmin.audit.rules.known_advisory import KnownAdvisory
from cacheadmin.audit.settings import chosen_rules
from cacheadmin.audit.thresholds import default_words, kind_of
from cacheadmin.cli import lazy_typer as typer
from cacheadmin.cli import output
from cacheadmin.cli.options import FailOn, FailOnOption, FindingsFormatOption, InsecurePolicyOption
from cacheadmin.cli.records import MetricsOption, recorded
from cacheadmin.cli.results import fails, progress_bar, show
from cacheadmin.errors import ExitCode, WrongUsage
from cacheadmin.operations.account import Account, Audited, CacheFigures, name_of
from cacheadmin.operations.figures import of_findings
from cacheadmin.report.audit_report import AuditReport
from cacheadmin.report.audit_rules import AuditRulesReport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.audit.one_cache import Audit


def audit(
    policies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POLICY",
            help="Policy files, bare names, or folders of policies; left out: your own cache.",
            show_default=False,
        ),
    ] = None,
    fail_on: FailOnOption = FailOn.ERROR,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rule", metavar="ID", help="Check only this rule; may be repeated."),
    ] = None,
    list_rules: Annotated[
        bool, typer.Option("--list-rules", help="Print what is checked and why, and leave.")
    ] = False,
    advisories: Annotated[
        list[str] | None,
        typer.Option(
            "--advisories",
            metavar="FILE",
            help="OSV or pip-audit JSON (or a folder or zip of OSV files) that packages are held "
            "against; may be repeated.",
            show_default=False,
        ),
    ] = None,
    metrics: MetricsOption = None,
    output_format: FindingsFormatOption = "table",
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Check one or many caches against the audit rules; leaves with 8 when they fail."""
    if list_rules:
        _list_rules(output_format)
        return int(ExitCode.DONE)
    only = chosen_rules(rules) if rules else ()
    if KnownAdvisory.id in only and not advisories:
        raise WrongUsage(
            f"--rule {KnownAdvisory.id} has nothing to hold packages against",
            hint="name the advisories: --advisories FILE",
        )
    known = read_advisories(advisories) if advisories else None
    with recorded("audit", policies[0] if policies else None, metrics=metrics, changes=False) as it:
        with progress_bar() as progress:
            audits, several = audit_caches(
                policies or (),
                only=only,
                insecure_policy=insecure_policy,
                progress=progress,
                advisories=known,
            )
        for audited in audits if only else ():
            for name in audited.off:
                output.note(f"{name} is off in {audited.subject}: it was not checked")
        failing = fails([finding for audit in audits for finding in audit.findings], fail_on)
        it.exit_code = int(ExitCode.FINDINGS if failing else ExitCode.DONE)
        # Before anything is printed: a reader who leaves early takes nothing from the metrics.
        _note(it, audits, whole=not only)
        report = AuditReport(audits, several)
        show(report, output_format, is_well=not failing)
    return it.exit_code


def _note(account: Account, audits: Sequence[Audit], *, whole: bool) -> None:
    """Note what metrics and messages tell of each cache; it did its job whatever it found.

    ``whole``: every rule was checked. Who tries a single one needs no message.
    """
    account.outcome = "done"
    for audit in audits:
        policy = audit.loaded.policy if audit.loaded is not None else None
        name, cache = (policy.name, policy.cache) if policy else (name_of(audit.subject), "")
        samples = list(of_findings(audit.findings))
        account.looks.append(CacheFigures(name, cache, samples, reached=audit.cache is not None))
        if audit.loaded is not None and whole:
            account.audited.append(Audited(audit.loaded, audit.findings))


def _list_rules(output_format: str) -> None:
    thresholds = {
        rule.id: [
            (name, default_words(default), kind_of(default).value)
            for name, default in rule.thresholds.items()
        ]
        for rule in RULES
    }
    show(AuditRulesReport(RULES, thresholds), output_format)
