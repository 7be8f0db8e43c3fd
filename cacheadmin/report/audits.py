"""How the audit of one or many caches looks as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.documents import Document, header
from cacheadmin.report.findings import finding_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.audit.running import Audit


def audit_document(audits: Sequence[Audit]) -> Document:
    """Return one document: of the one cache, or with a list of ``caches``."""
    if len(audits) == 1:
        audit = audits[0]
        return {**header("audit", audit.loaded, audit.cache), **_content(audit)}
    return {
        **header("audit", None, None),
        "findings": [finding_json(finding) for audit in audits for finding in audit.findings],
        "caches": [_one_of_many(audit) for audit in audits],
    }


def _one_of_many(audit: Audit) -> dict[str, Any]:
    whole = header("audit", audit.loaded, audit.cache)
    return {"policy": whole["policy"], "cache": whole["cache"], **_content(audit)}


def _content(audit: Audit) -> dict[str, Any]:
    return {"findings": [finding_json(finding) for finding in audit.findings]}
