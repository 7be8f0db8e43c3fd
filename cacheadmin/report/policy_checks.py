"""How checked policies look: the rows of ``policy check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.text.escapes import printable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cacheadmin.audit.policy_checks import PolicyCheck
    from cacheadmin.text.documents import Document

_COLUMNS = ("path", "name", "valid", "problem")


@frozen
class PolicyChecksReport(Report):
    """Policies, and which of them are refused and why."""

    header: Document
    """How the document begins."""
    checks: Sequence[PolicyCheck]
    """What the check of each came to."""

    def document(self) -> Document:
        """Return the document of ``policy check``."""
        return {**self.header, "policies": self._records()}

    def rows(self) -> Rows:
        """Return a policy a row."""
        cells = [
            (
                _called(one),
                one.name,
                "no" if one.error else "yes",
                one.error.message if one.error else "; ".join(one.warnings) or None,
            )
            for one in self.checks
        ]
        return Rows(_COLUMNS, cells, self._records())

    def text(self, view: View) -> str:
        """Return a line for each that is accepted; why others are not goes to stderr."""
        if view.quiet:
            return ""
        return "\n".join(f"{printable(_called(one))}: ok" for one in self.checks if not one.error)

    def _records(self) -> list[dict[str, Any]]:
        return [
            {
                "path": one.path,
                "name": one.name,
                "valid": one.error is None,
                "problem": one.error and one.error.message,
                "details": list(one.error.details) if one.error else [],
                "fix": (one.error and one.error.hint) or None,
                "warnings": list(one.warnings),
            }
            for one in self.checks
        ]


def _called(check: PolicyCheck) -> str:
    return check.path or "the built-in policy"
