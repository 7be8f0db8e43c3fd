"""Registry links that lead to no environment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.evidence.kinds import kind_of
from cacheadmin.evidence.registry import registered
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.accounts import account_name
from cacheadmin.text.counting import format_count
from cacheadmin.text.joining import join_some

if TYPE_CHECKING:
    from cacheadmin.audit.subject import Subject


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

    def check(self, subject: Subject, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a registrant; it counts links."""
        folder = subject.policy.venvs.registry
        targets = set(_no_environments(subject))
        if folder is None or not targets:
            return
        wrong: dict[int | None, list[str]] = defaultdict(list)
        for found in registered(folder):
            if isinstance(found, Candidate) and found.path in targets:
                wrong[found.registrant].append(found.path)
        for uid, paths in wrong.items():
            owner = account_name(uid)
            paths.sort()
            yield self.finding(
                owner,
                f"{format_count(len(paths), 'registry link')} of {owner} to what is no "
                f"environment: {', '.join(join_some(paths, _hint))}",
                owner=owner,
                fix=f"as {owner}: {subject.command('venv remove', paths[0])}; register the "
                "folder that has pyvenv.cfg in it",
                count=len(paths),
            )


def _no_environments(subject: Subject) -> Iterator[str]:
    """Yield what is in the registry, was looked at, and is no environment.

    From the scan, which looks at each folder once however many links lead there.
    """
    for found in subject.case.evidence.environments:
        seen = found.complete and found.status is not EnvironmentStatus.MISSING
        if "registry" in found.sources and seen and kind_of(found.path) is None:
            yield found.path


def _hint(path: str) -> str:
    for name in (".venv", "venv"):
        if kind_of(f"{path}/{name}") is not None:
            return f"{path} (its {name} is one)"
    return path
