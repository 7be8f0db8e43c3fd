"""Entries of another group than the cache's, and folders that hand on another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import (
    examples_words,
    find_as_owner,
    owner_of,
    subject_of,
)
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.accounts import group_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class GroupDiffers(Rule):
    """A cache that is shared through its group, and entries that are not in that group.

    Nothing is found where an access list names the group: who owns an entry's
    group does not matter there.
    """

    id = "group-differs"
    severity = Severity.WARNING
    title = "Not of the cache's group"
    rationale = (
        "Group rights are given to the group an entry has. Made while the setgid bit was missing, "
        "or moved in from elsewhere, it has its maker's own, and other members are strangers."
    )
    fix = "set the setgid bit on every folder, and the group on what was made before"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner."""
        sharing, tallies = subject.survey.sharing, subject.survey.tallies
        if not sharing.by_owning_group:
            return
        group = group_name(sharing.root.gid)
        quoted = shell_word(group)
        for counts in tallies.of_owners(SurveyProblem.OTHER_GROUP, SurveyProblem.NO_SETGID):
            first = next(iter(counts.values()))
            said, actions = [], []
            if (count := counts.get(SurveyProblem.OTHER_GROUP)) is not None:
                number = format_count(count.count, "entry", "entries")
                said.append(f"{number} not of the cache's group {group}: {examples_words(count)}")
                actions.append(f"! -group {quoted} -exec chgrp -h {quoted} {{}} +")
            if (count := counts.get(SurveyProblem.NO_SETGID)) is not None:
                number = format_count(count.count, "folder")
                said.append(
                    f"{number} without the setgid bit, so what is made there gets its maker's own "
                    f"group: {examples_words(count)}"
                )
            # Also where only the group is wrong: chgrp(1) takes the bit away.
            actions.append("-type d -exec chmod g+s {} +")
            yield self.finding(
                subject_of(subject, first),
                f"owned by {owner_of(first) or 'many'}: " + "; ".join(said),
                owner=owner_of(first),
                fix=find_as_owner(subject, first, *_both(actions)),
                count=sum(count.count for count in counts.values()),
            )


def _both(actions: list[str]) -> tuple[str, str]:
    """Return actions of `find` such that each entry gets all that are meant for it."""
    # A comma of find(1) asks the second whatever the first said.
    return rf"\( {' , '.join(actions)} \)", ""
