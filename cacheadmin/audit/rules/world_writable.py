"""What every user on the machine can change in a cache."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import (
    examples_words,
    find_as_owner,
    number_words,
    owner_of,
    subject_of,
)
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class WorldWritable(Rule):
    """Files and folders that others may write; uv's empty lock files are meant to be."""

    id = "world-writable"
    severity = Severity.ERROR
    title = "Every user can write there"
    rationale = (
        "What lies in the cache is run by all users who install it. A user who can change a file, "
        "or put one into a folder, runs programs as all of them."
    )
    fix = "take the right to write from others: chmod o-w"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner; a remark where no other user gets that far."""
        reachable = os.fstat(subject.snapshot.cache.fd).st_mode & stat.S_IXOTH
        for count in subject.survey.tallies.each_owner(SurveyProblem.WORLD_WRITABLE):
            words = number_words(count, "entry", "entries")
            reason = "" if reachable else " (only the root folder keeps strangers out)"
            finding = self.finding(
                subject_of(subject, count),
                f"{words} can be written by every user{reason}: {examples_words(count)}",
                owner=owner_of(count),
                fix=find_as_owner(
                    subject,
                    count,
                    r"-perm -o+w ! -type l ! \( -type f -empty -regex '.*\(\.lock\|/\.git\)' \)",
                    "-exec chmod o-w {} +",
                ),
                count=count.count,
            )
            yield finding if reachable else replace(finding, severity=Severity.INFO)
