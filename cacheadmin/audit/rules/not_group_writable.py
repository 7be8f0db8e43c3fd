"""Folders and lock files that other members of a shared cache can't write to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.shared_rights import members_words
from cacheadmin.audit.survey.tallies import Count, SurveyProblem
from cacheadmin.audit.survey.words import (
    examples_words,
    find_as_owner,
    of_owner,
    owner_of,
    subject_of,
)
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget

_WORDS = {
    SurveyProblem.CLOSED_FOLDER: ("folder",),
    SurveyProblem.STICKY_FOLDER: ("sticky folder",),
    SurveyProblem.CLOSED_LOCK: ("lock file",),
    SurveyProblem.CLOSED_INNER_FOLDER: (
        "folder inside finished entries",
        "folders inside finished entries",
    ),
}


class NotGroupWritable(Rule):
    """What uv makes entries in, or opens for writing, and only its maker can.

    ``audit.survey.zones`` says which folders those are, and how that was found out.
    """

    id = "not-group-writable"
    severity = Severity.ERROR
    title = "Members can't write what others made"
    rationale = (
        "uv makes files and folders with its user's umask. With the usual 022, the user who comes "
        'second gets "Permission denied" from every install that needs the same folder.'
    )
    fix = (
        "give the root folder a default access list, or the members umask 002; then repair "
        "what was made before"
    )

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each owner, and one for what could not be looked at."""
        survey = subject.survey
        if survey.sharing.is_shared:
            for counts in survey.tallies.of_owners(
                SurveyProblem.CLOSED_FOLDER,
                SurveyProblem.STICKY_FOLDER,
                SurveyProblem.CLOSED_LOCK,
                SurveyProblem.CLOSED_INNER_FOLDER,
            ):
                yield self._closed(subject, counts)
        if survey.tallies.unread_count:
            yield self._unread(subject)

    def _closed(self, subject: AuditTarget, counts: Mapping[SurveyProblem, Count]) -> Finding:
        first = next(iter(counts.values()))
        number = " and ".join(
            format_count(count.count, *_WORDS[problem]) for problem, count in counts.items()
        )
        examples = ", ".join(examples_words(count) for count in counts.values())
        harmless = counts.keys() == {SurveyProblem.CLOSED_INNER_FOLDER}
        effect = (
            "installs work, but only root and their owner can remove them"
            if harmless
            else "whose uv fails there"
        )
        finding = self.finding(
            subject_of(subject, first),
            f"{number}{of_owner(first)} can't be changed by {members_words(subject.survey.sharing)}"
            f", {effect}: {examples}",
            owner=owner_of(first),
            fix=find_as_owner(subject, first, *_repair(counts)),
            count=sum(count.count for count in counts.values()),
        )
        return replace(finding, severity=Severity.INFO) if harmless else finding

    def _unread(self, subject: AuditTarget) -> Finding:
        tallies = subject.survey.tallies
        named = ", ".join(f"{failure.path} ({failure.reason})" for failure in tallies.unread)
        more = tallies.unread_count - len(tallies.unread)
        number = tallies.unread_count
        places = format_count(number, "place")
        finding = self.finding(
            subject.cache_path,
            f"{places} could not be looked at, so nothing is known of what lies there: {named}"
            + (f" and {more} more" if more else ""),
            fix="run the audit as root; remove what no uv put there",
            count=number,
        )
        return replace(finding, severity=Severity.WARNING)


def _repair(counts: Mapping[SurveyProblem, Count]) -> tuple[str, str]:
    folders = ("-type d", "-exec chmod g+rwxs,-t {} +")
    locks = ("-type f -name '*.lock'", "-exec chmod a+rw {} +")
    if SurveyProblem.CLOSED_LOCK not in counts:
        return folders
    if len(counts) == 1:
        return locks
    return rf"\( {' '.join(folders)} -o {' '.join(locks)} \)", ""
