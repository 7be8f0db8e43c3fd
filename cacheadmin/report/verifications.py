"""How a verification looks: JSON, and text with what was checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.findings import count_by_severity, finding_json
from cacheadmin.text.counting import format_count
from cacheadmin.text.escaping import printable
from cacheadmin.text.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.findings import Finding
    from cacheadmin.verify.running import Verification


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
