"""Setuid and setgid files, device nodes, sockets and FIFOs in a cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import examples_words, owner_of, subject_of
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget

_WORDS = {
    SurveyProblem.SETUID: ("setuid or setgid file",),
    SurveyProblem.SPECIAL: ("device, socket or FIFO", "devices, sockets or FIFOs"),
}


class SetuidFile(Rule):
    """Files that no uv release makes, and that a user may have hidden here."""

    id = "setuid-file"
    severity = Severity.ERROR
    title = "Setuid file, device, socket or FIFO in the cache"
    rationale = (
        "No package needs a setuid file, a device, a socket or a FIFO in the cache, and uv makes "
        "none: a user put it there, perhaps to come back with the owner's rights, or to make "
        "programs that read the cache hang."
    )
    fix = "find out who put it there, then remove it"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner and bucket."""
        for counts in subject.survey.tallies.of(*_WORDS):
            first = next(iter(counts.values()))
            said = [
                f"{format_count(count.count, *_WORDS[problem])}: {examples_words(count)}"
                for problem, count in counts.items()
            ]
            yield self.finding(
                subject_of(subject, first),
                f"owned by {owner_of(first) or 'many'}: " + "; ".join(said),
                owner=owner_of(first),
                count=sum(count.count for count in counts.values()),
            )
