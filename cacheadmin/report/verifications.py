"""How a verification looks: JSON, and text with what was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.findings import Finding, Severity, any_at_least
from cacheadmin.report.findings import FINDING_COLUMNS, count_by_severity, finding_json
from cacheadmin.report.formats import FindingsReport, Rows, View, rows_of
from cacheadmin.report.sarif import findings_log
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.text.documents import Document, Heading
    from cacheadmin.verify.run import Verification


@frozen
class VerificationReport(FindingsReport):
    """Whether archives are what their RECORD says."""

    heading: Heading
    """How the document begins."""
    loaded: LoadedPolicy
    """The policy of the cache."""
    cache: CacheIdentity
    """The cache that was looked at."""
    verification: Verification
    """What was found, and how much was checked."""
    fail_from: Severity
    """From which severity on findings are shown with ``--quiet``."""

    def document(self) -> Document:
        """Return the document of ``verify``."""
        return self.heading.over(verification_json(self.verification))

    def rows(self) -> Rows:
        """Return a finding a row."""
        return rows_of(map(finding_json, self.verification.findings), FINDING_COLUMNS)

    def text(self, view: View) -> str:
        """Return findings with what to do, and how much was checked."""
        everything = Severity.INFO if view.verbose else Severity.WARNING
        worst = self.fail_from if view.quiet else everything
        shown = [one for one in self.verification.findings if any_at_least([one], worst)]
        return verification_text(self.verification, shown, summary=not view.quiet)

    def sarif(self) -> Document:
        """Return the findings as a log."""
        return findings_log(self.verification.findings, self.loaded, self.cache)


def verification_json(verification: Verification) -> dict[str, Any]:
    """Return findings, and how much was checked."""
    return {
        "findings": [finding_json(finding) for finding in verification.findings],
        "checked": {
            "archives": verification.archives,
            "candidates": verification.candidates,
            "files": verification.files,
            "bytes": verification.bytes,
            "seconds": round(verification.seconds, 3),
            "sampled_share": verification.share,
            "seed": verification.seed,
        },
    }


def verification_text(
    verification: Verification, shown: Sequence[Finding], *, summary: bool
) -> str:
    """Return ``shown`` findings, and with ``summary`` what was checked.

    A finding has too much to say for a row: it is a heading, what was seen and what to do.
    """
    parts = [
        "\n".join(
            (
                f"{finding.severity.value}  {finding.rule}  {printable(finding.subject)}",
                f"  {printable(finding.detail)}",
                f"  fix: {printable(finding.fix)}",
            )
        )
        for finding in shown
    ]
    if summary:
        parts.append(summary_words(verification))
    return "\n\n".join(parts)


def summary_words(verification: Verification) -> str:
    """Return ``no findings in 12 archives (3456 files, 1.2 GiB)``, with the sample."""
    sample = ""
    if verification.share < 1:
        percent = f"{verification.share * 100:g}"
        sample = f", a sample of {percent}% of {verification.candidates}"
    archives = format_count(verification.archives, "archive")
    files = format_count(verification.files, "file")
    size = format_size(verification.bytes)
    found = count_by_severity(verification.findings)
    return f"{found} in {archives} ({files}, {size}{sample})"
