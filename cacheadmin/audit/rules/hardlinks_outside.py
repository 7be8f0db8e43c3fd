"""Files of the cache that have unknown names outside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import examples_words, number_words, owner_of, subject_of
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.sizes import format_size

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class HardlinksOutside(Rule):
    """Hard links that no known environment explains.

    Hardlinked installs are uv's default on many filesystems, so archives that
    a known environment holds links to are left out. A remark at most: the user who has the
    other name has no more rights to the file than by its name in the cache.
    """

    id = "hardlinks-outside"
    severity = Severity.INFO
    title = "Hard links from unknown places"
    rationale = (
        "Some environment that is not registered, or a copy made by hand, shares these files. A "
        "prune frees nothing of them, and an edit there changes what every user installs."
    )
    fix = "register the environments that use them: cacheadmin venv discover, cacheadmin venv add"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner and bucket."""
        for count in subject.survey.tallies.each(SurveyProblem.HARDLINKED):
            words = number_words(count, "file", "files")
            have = "has a name" if count.count == 1 else "have names"
            yield self.finding(
                subject_of(subject, count),
                f"{words} ({format_size(count.size_bytes)}) {have} outside the cache that no known "
                f"environment explains: {examples_words(count)}",
                owner=owner_of(count),
                count=count.count,
            )
