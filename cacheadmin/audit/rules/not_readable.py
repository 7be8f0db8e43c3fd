"""Files, and folders of finished entries, that other members of a shared cache can't read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.shared_rights import Sharing, members_words
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import (
    examples_words,
    find_as_owner,
    of_owner,
    owner_of,
    subject_of,
)
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.accounts import group_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class NotReadable(Rule):
    """What one member unpacked or wrote with umask 077, or brought in with such modes.

    [run 0.8.5, 0.13.8, another member installs what is there: where a file or
    folder of its archive is closed the install fails, in every link mode; where
    a pointer is, uv downloads again into a second archive]
    """

    id = "not-readable"
    severity = Severity.ERROR
    title = "Members can't read what others made"
    rationale = (
        "A member's uv downloads again what it can't read of pointers, and fails where it can't "
        "read an archive; an environment that links to a closed file can't import it."
    )
    fix = "as their owner: chmod g+rX on what is closed; the root's default list keeps it open"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner."""
        sharing, tallies = subject.survey.sharing, subject.survey.tallies
        for counts in tallies.of_owners(SurveyProblem.UNREADABLE_ARCHIVE, SurveyProblem.UNREADABLE):
            first = next(iter(counts.values()))
            stops = SurveyProblem.UNREADABLE_ARCHIVE in counts
            number = sum(count.count for count in counts.values())
            words = format_count(number, "entry", "entries")
            effect = "whose installs of it fail" if stops else "who downloads all of it again"
            examples = ", ".join(examples_words(count) for count in counts.values())
            finding = self.finding(
                subject_of(subject, first),
                f"{words}{of_owner(first)} can't be read by {members_words(sharing)}, {effect}: "
                f"{examples}",
                owner=owner_of(first),
                fix=find_as_owner(subject, first, *_repair(sharing)),
                count=number,
            )
            yield finding if stops else replace(finding, severity=Severity.WARNING)


def _repair(sharing: Sharing) -> tuple[str, str]:
    """Return the tests and actions of `find` that open an owner's files and folders.

    Where an access list names the members, its mask is what a closed mode has
    set to nothing: ``setfacl`` sets it again.
    """
    if not sharing.by_owning_group:
        named = [f"g:{gid}:rX" for gid in sharing.groups]
        named += [f"u:{uid}:rX" for uid, _ in sharing.users]
        return r"! -type l", f"-exec setfacl -m {','.join(named)} {{}} +"
    group = shell_word(group_name(sharing.root.gid))
    actions = (
        rf"! -type l ! -group {group} -exec chgrp {group} {{}} +",
        r"-type f ! -perm -040 -exec chmod g+rX {} +",
        r"-type d -exec chmod g+rwxs {} +",
    )
    return rf"\( {' , '.join(actions)} \)", ""
