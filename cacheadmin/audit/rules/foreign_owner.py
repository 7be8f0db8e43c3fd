"""Entries of users who are not among those who share the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.shared_rights import Sharing, groups_of, has_account, members_words
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import examples_words, number_words, owner_of, subject_of
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.accounts import account_name

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class ForeignOwner(Rule):
    """Entries of accounts that are gone, or that are not members.

    Root, the owner of the root folder and ``allow_users`` (names, or uids as
    text) may own what they like.
    """

    id = "foreign-owner"
    severity = Severity.WARNING
    title = "Entries of an account that is no member"
    rationale = (
        "Their owner can change what every user installs, whatever the group's rights. A number "
        "without an account may be given to a new user, together with these files."
    )
    fix = (
        "name them in the rule's allow_users; or give their entries to a member, once the trees "
        "where their environments lie are named in venvs.discover: these entries are what their "
        "homes are found by"
    )
    thresholds: ClassVar[Mapping[str, Any]] = {"allow_users": ()}

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each such owner."""
        sharing = subject.survey.sharing
        allowed = set(thresholds["allow_users"])
        for count in subject.survey.tallies.each_owner(SurveyProblem.OWNED):
            if count.uid is not None and {str(count.uid), account_name(count.uid)} & allowed:
                continue
            reason = _why_foreign(sharing, count.uid)
            if reason:
                words = number_words(count, "entry", "entries")
                yield self.finding(
                    subject_of(subject, count),
                    f"{words}, {reason}: {examples_words(count)}",
                    owner=owner_of(count),
                    count=count.count,
                )


def _why_foreign(sharing: Sharing, uid: int | None) -> str:
    if uid is None:
        return "of more owners than can be told apart"
    if uid in (0, sharing.root.uid):
        return ""
    if not has_account(uid):
        return "an account that does not exist"
    if not sharing.is_shared or uid in (user for user, _ in sharing.users):
        return ""
    if set(groups_of(uid)) & set(sharing.groups):
        return ""
    return f"who is not in {members_words(sharing)}"
