"""Links that lead out of the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import examples_words, owner_of, subject_of
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget

_WHERE = {
    SurveyProblem.LINK_FOLLOWED: "where uv follows",
    SurveyProblem.LINK_OUT: "where no uv follows",
}


class LinksOut(Rule):
    """An error where uv follows them (``audit.survey_links``), a remark elsewhere."""

    id = "links-out"
    severity = Severity.ERROR
    title = "Links lead out of the cache"
    rationale = (
        "`uv cache prune` and `clean` before 0.11.20 delete what such a link leads to, with all "
        "the rights of their user, and installs use what lies there as if it were a package."
    )
    fix = "find out who made the link, then remove it; let no user prune before"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner and bucket."""
        for counts in subject.survey.tallies.of(
            SurveyProblem.LINK_FOLLOWED, SurveyProblem.LINK_OUT
        ):
            first = next(iter(counts.values()))
            said = [
                f"{format_count(count.count, 'link')} out of the cache "
                f"{_WHERE[problem]}: {examples_words(count)}"
                for problem, count in counts.items()
            ]
            finding = self.finding(
                subject_of(subject, first),
                f"owned by {owner_of(first) or 'many'}: " + "; ".join(said),
                owner=owner_of(first),
                count=sum(count.count for count in counts.values()),
            )
            if SurveyProblem.LINK_FOLLOWED in counts:
                yield finding
            else:
                fix = "nothing has to be done; look at it if you don't know the package"
                yield replace(finding, severity=Severity.INFO, fix=fix)
