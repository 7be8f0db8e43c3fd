"""Folders that lack the default access list which the cache's root has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.sharing import members_words
from cacheadmin.audit.survey_tallies import Problem
from cacheadmin.audit.survey_words import (
    examples_words,
    find_as_owner,
    list_words,
    number_words,
    owner_of,
    subject_of,
)
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.subject import Subject


class DefaultAclMissing(Rule):
    """A default list is handed on to what is made, never to what is copied or moved in."""

    id = "default-acl-missing"
    severity = Severity.WARNING
    title = "No default access list as the root has"
    rationale = (
        "The root's default access list is what lets members write in spite of umask 022. Below a "
        "folder that lacks it, moved in or copied without lists, the umask decides again."
    )
    fix = "give these folders the root's default access list"

    def check(self, subject: Subject, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner; nothing where the root has no such list."""
        sharing, tallies = subject.survey.sharing, subject.survey.tallies
        if sharing.default is None or not sharing.has_default_for_members(sharing.default):
            # What the root itself lacks is for `cache-root-mode` to say.
            return
        for count in tallies.each_owner(Problem.NO_DEFAULT_LIST):
            words = number_words(count, "folder", "folders")
            yield self.finding(
                subject_of(subject, count),
                f"{words} without a default access list that lets {members_words(sharing)} write "
                f"what is made there: {examples_words(count)}",
                owner=owner_of(count),
                fix=find_as_owner(
                    subject,
                    count,
                    "-type d",
                    f"-exec setfacl -d -m {list_words(sharing.default)} {{}} +",
                ),
                count=count.count,
            )
