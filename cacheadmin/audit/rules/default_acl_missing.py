"""The root without a default access list, and folders that lack the one it has."""

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
    list_words,
    number_words,
    owner_of,
    subject_of,
)
from cacheadmin.findings import Finding, Severity
from cacheadmin.fs.access_lists import ALL, AccessList, keeps_access_lists
from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class DefaultAclMissing(Rule):
    """A default list is handed on to what is made, never to what is copied or moved in.

    A root without one is a remark where every member's folders show that they
    have umask 002; on a filesystem that keeps no lists there is no other way.
    """

    id = "default-acl-missing"
    severity = Severity.WARNING
    title = "Folder lacks a default ACL that lets members write"
    rationale = (
        "The root's default access list is what lets members write in spite of umask 022. Where "
        "it is missing, or below a folder that was moved in or copied without it, the umask "
        "of the process that makes an entry decides."
    )
    fix = "give the root, and these folders, a default access list"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield what the root lacks, or a finding for each owner of folders that lack it."""
        sharing, tallies = subject.survey.sharing, subject.survey.tallies
        if sharing.default is None:
            if sharing.is_shared:
                yield self._root(subject)
            return
        if not sharing.has_default_for_members(sharing.default):
            # A list that gives too little is for `cache-root-mode` to say.
            return
        for count in tallies.each_owner(SurveyProblem.NO_DEFAULT_LIST):
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

    def _root(self, subject: AuditTarget) -> Finding:
        survey = subject.survey
        sharing, path = survey.sharing, shell_word(subject.cache_path)
        members = members_words(sharing)
        makers = {count.uid for count in survey.tallies.each(SurveyProblem.OWNED)} - {0}
        closed = {count.uid for count in survey.tallies.each(SurveyProblem.CLOSED_FOLDER)}
        if not keeps_access_lists(subject.snapshot.cache.fd):
            finding = self.finding(
                subject.cache_path,
                "this filesystem keeps no access lists: every member needs umask 002, or what "
                f"they make can't be written by {members}",
                owner=account_name(sharing.root.uid),
                fix="set umask 002 for every member, where they log in and in their units",
            )
            return replace(finding, severity=Severity.INFO)
        finding = self.finding(
            subject.cache_path,
            "the root folder has no default access list: what a member with umask 022 makes "
            f"can't be written by {members}",
            owner=account_name(sharing.root.uid),
            fix=f"setfacl -d -m {list_words(_default_for(sharing))} {path}",
        )
        shown_to_work = bool(makers) and not closed
        return replace(finding, severity=Severity.INFO) if shown_to_work else finding


def _default_for(sharing: Sharing) -> AccessList:
    """Return the root's own rights as a default list; the owner has all, and so has the mask."""
    rules = sharing.root.rules
    return replace(rules, owner=ALL, mask=None if rules.mask is None else ALL)
