"""``cacheadmin audit``: are shared caches kept as they should be?"""

from __future__ import annotations

from typing import Annotated

import typer

from cacheadmin.cli import output
from cacheadmin.cli.options import FormatOption, InsecurePolicyOption
from cacheadmin.cli.output import Format


def audit(
    policies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="POLICY",
            help="Policy files, bare names, or folders of policies; left out: your own cache.",
            show_default=False,
        ),
    ] = None,
    output_format: FormatOption = Format.TABLE,
    insecure_policy: InsecurePolicyOption = False,
) -> int:
    """Check one or many caches against the audit rules; leaves with 8 on an error."""
    from cacheadmin.audit.running import run_audit
    from cacheadmin.errors import ExitCode
    from cacheadmin.findings import Severity, any_at_least
    from cacheadmin.report.audits import audit_document
    from cacheadmin.report.documents import dumps
    from cacheadmin.report.findings import findings_table
    from cacheadmin.situation import look_at

    audits = []
    for policy in policies or (None,):
        with look_at(policy, insecure_policy=insecure_policy, report_clones=True) as situation:
            audits.append(run_audit(situation))
    findings = [finding for audit in audits for finding in audit.findings]
    if output_format is Format.JSON:
        output.data(dumps(audit_document(audits)))
    elif findings or not output.settings.quiet:
        output.data(findings_table(findings))
    failing = any_at_least(findings, Severity.ERROR)
    return int(ExitCode.FINDINGS if failing else ExitCode.DONE)
