"""Registry links that lead to no environment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.kinds import KIND, NamedFolder
from cacheadmin.evidence.registry import ReaderEyes, registered
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.accounts import account_name
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class RegistryEntryWrong(Rule):
    """A link that keeps nothing alive: its target is there, and is no environment.

    Most often a user registered the project instead of its ``.venv``. A
    target that is gone is ``environment-missing``.
    """

    id = "registry-entry-wrong"
    severity = Severity.WARNING
    title = "Registry link to what is no environment"
    rationale = (
        "The user who made it believes their environment to be safe, and the environment is not "
        "looked at."
    )
    fix = "register the folder with pyvenv.cfg in it, and remove the wrong link"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a registrant; it counts links."""
        folder = subject.policy.venvs.registry
        targets = set(_no_environments(subject))
        if folder is None or not targets:
            return
        wrong: dict[int | None, list[str]] = defaultdict(list)
        for found in registered(folder, eyes=ReaderEyes(subject.snapshot.readers)):
            if isinstance(found, Candidate) and found.path in targets:
                wrong[found.registrant].append(found.path)
        for uid, paths in wrong.items():
            owner = account_name(uid)
            paths.sort()
            inner = _environments_inside(subject, paths)
            yield self.finding(
                owner,
                f"{format_count(len(paths), 'registry link')} of {owner} to what is no "
                f"environment: {', '.join(join_some([inner.get(path, path) for path in paths]))}",
                owner=owner,
                fix=f"as {owner}: {subject.command('venv remove', paths[0])}; register the "
                "folder that has pyvenv.cfg in it",
                count=len(paths),
            )


def _no_environments(subject: AuditTarget) -> Iterator[str]:
    """Yield what is in the registry, was looked at, and is no environment.

    From the scan, which looks at each folder once however many links lead there.
    """
    seen = [
        NamedFolder(found.path, found.uid)
        for found in subject.case.evidence.environments
        if "registry" in found.sources
        and found.complete
        and found.status is not EnvironmentStatus.MISSING
    ]
    kinds = subject.snapshot.readers.ask_all(KIND, seen)
    for named, kind in zip(seen, kinds, strict=True):
        if kind is None:
            yield named.path


def _environments_inside(subject: AuditTarget, paths: Sequence[str]) -> dict[str, str]:
    """Return words for those folders that have an environment in them."""
    words = {}
    asked = [(path, name) for path in paths for name in ("venv", ".venv")]
    folders = [NamedFolder(f"{path}/{name}") for path, name in asked]
    kinds = subject.snapshot.readers.ask_all(KIND, folders)
    for (path, name), kind in zip(asked, kinds, strict=True):
        if isinstance(kind, EnvironmentKind):
            words[path] = f"{path} (its {name} is one)"
    return words
