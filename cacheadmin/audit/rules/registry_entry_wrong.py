"""Registry links that lead to no environment."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import command
from cacheadmin.audit.rule import Rule
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.kinds import is_closed, kind_of
from cacheadmin.evidence.registry import registered
from cacheadmin.findings import Finding, Severity
from cacheadmin.planner.case import name_some
from cacheadmin.report.locks import account_name
from cacheadmin.report.tables import count_words

if TYPE_CHECKING:
    from cacheadmin.audit.subject import Subject


class RegistryEntryWrong(Rule):
    """A link that keeps nothing alive: its target is there, and is no environment.

    Most often somebody registered the project instead of its ``.venv``. A
    target that is gone is ``environment-missing``.
    """

    id = "registry-entry-wrong"
    severity = Severity.WARNING
    title = "Registry link to what is no environment"
    rationale = (
        "Whoever made it believes their environment to be safe, and the environment is not "
        "looked at."
    )
    fix = "register the folder with pyvenv.cfg in it, and remove the wrong link"

    def check(self, subject: Subject, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a registrant; it counts links. Looks at the registry again."""
        folder = subject.policy.venvs.registry
        wrong: dict[int | None, list[str]] = defaultdict(list)
        for found in registered(folder) if folder is not None else ():
            if isinstance(found, Candidate) and _is_no_environment(found.path):
                wrong[found.registrant].append(found.path)
        for uid, paths in wrong.items():
            owner = account_name(uid)
            paths.sort()
            yield self.finding(
                paths[0],
                f"{count_words(len(paths), 'registry link')} of {owner} to what is no "
                f"environment: {', '.join(name_some([_hint(path) for path in paths]))}",
                owner=owner,
                fix=f"as {owner}: {command(subject, 'venv remove', paths[0])}; register the "
                "folder that has pyvenv.cfg in it",
                count=len(paths),
            )


def _is_no_environment(path: str) -> bool:
    """Whether something is there that can be seen to be no environment."""
    return os.path.exists(path) and not is_closed(path) and kind_of(path) is None


def _hint(path: str) -> str:
    for name in (".venv", "venv"):
        if kind_of(f"{path}/{name}") is not None:
            return f"{path} (its {name} is one)"
    return path
