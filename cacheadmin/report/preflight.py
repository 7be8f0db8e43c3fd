"""How a preflight looks: the verdict, and every check behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.terminal import Paint, Style
from cacheadmin.report.width import wrapped, wrapped_fix
from cacheadmin.text.escapes import printable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.preflight.preflight import Preflight
    from cacheadmin.text.documents import Document, Heading

_STYLES = {
    "pass": Style.GOOD,
    "warn": Style.WARN,
    "fail": Style.BAD,
    "safe": Style.GOOD,
    "limited": Style.WARN,
    "refused": Style.BAD,
}


@frozen
class PreflightReport(Report):
    """Whether a cache may be pruned now."""

    heading: Heading
    """How the document begins."""
    answer: Preflight
    """The verdict and its checks."""

    def document(self) -> Document:
        """Return the document of ``preflight``."""
        answer = self.answer
        summary = {"text": answer.summary, "removals": answer.removals, "kept": answer.kept}
        content = {"verdict": answer.verdict.value, "checks": self._checks(), "summary": summary}
        return self.heading.over(content)

    def rows(self) -> Rows:
        """Return a check a row."""
        return rows_of(self._checks(), ("id", "status", "title", "detail", "fix"))

    def text(self, view: View) -> str:
        """Return a check a paragraph, and the verdict."""
        lines = []
        for check in self.answer.checks:
            words = wrapped(f"{check.title}: {printable(check.detail)}", "      ", "      ")
            lines.append(f"{marked(check.status.value, view.paint)}  {words[6:]}")
            if check.fix and check.status.value != "pass":
                lines.append(wrapped_fix(printable(check.fix), "      "))
        verdict, _, rest = self.answer.summary.partition(":")
        summary = wrapped(rest.strip(), " " * (len(verdict) + 2), "  ").strip()
        lines += ["", f"{marked(verdict, view.paint)}: {summary}"]
        return "\n".join(lines)

    def _checks(self) -> list[dict[str, Any]]:
        return [
            {
                "id": check.id,
                "status": check.status.value,
                "title": check.title,
                "detail": check.detail,
                "fix": check.fix,
            }
            for check in self.answer.checks
        ]


def marked(word: str, paint: Paint) -> str:
    """Return a status or verdict in its colour."""
    return paint(word, _STYLES.get(word, Style.PLAIN))
