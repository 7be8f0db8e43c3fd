"""Names that cacheadmin uses, and another user has."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.registry import taken_names
from cacheadmin.findings import Finding, Severity
from cacheadmin.protect.planted_roots import foreign_folders
from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class NameTaken(Rule):
    """What stands where a registry link or a folder of ours belongs, and is another's."""

    id = "name-taken"
    severity = Severity.ERROR
    title = "Another user has a name that cacheadmin uses"
    rationale = (
        "Names of registry links and of the folders that `protect` makes can be worked out "
        "beforehand. A user who takes one keeps environments from being registered, or archives in "
        "use from being protected. Nothing is changed there: it may be that user's own."
    )
    fix = "look at it, and remove it or give it another name"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each name."""
        yield from self._in_registry(subject)
        for path, problem in foreign_folders(subject.snapshot.cache.fd):
            place = f"{subject.cache_path}/{path}"
            try:
                owner = account_name(os.lstat(place).st_uid)
            except OSError:
                continue
            fix = f"look at {shell_word(place)}, have {owner} move it away, then "
            fix += subject.command("protect")
            yield self.finding(place, f"{path} of {owner}: {problem}", owner=owner, fix=fix)

    def _in_registry(self, subject: AuditTarget) -> Iterator[Finding]:
        folder = subject.policy.venvs.registry
        if folder is None:
            return
        environments = subject.case.evidence.environments
        owners = {found.path: found.uid for found in environments if found.uid is not None}
        for name, uid, meant in taken_names(folder, owners, subject.snapshot.readers):
            owner, place = account_name(uid), f"{folder}/{name}"
            yield self.finding(
                place,
                f"{owner} has a registry link that is called as one of {account_name(meant)}",
                owner=owner,
                fix=f"rm {shell_word(place)}; then, as {account_name(meant)}: "
                + subject.command("venv add", "PATH"),
            )
