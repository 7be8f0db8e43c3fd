"""Environments that are linked in ways the policy does not want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from cacheadmin.audit.owners import by_owner
from cacheadmin.audit.rule import Rule
from cacheadmin.audit.thresholds import Words
from cacheadmin.evidence.facts import LinkMode
from cacheadmin.findings import Finding, Severity
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.facts import Environment


class LinkModeUnwanted(Rule):
    """Distributions installed by a link mode that ``allow`` does not name.

    ``allow`` left empty: everything, but for symlinks where ``links.symlink``
    is ``refuse``.
    """

    id = "link-mode"
    severity = Severity.WARNING
    title = "Unwanted link mode"
    rationale = (
        "An environment of symlinks breaks when the cache loses what it links, and keeps it from "
        "being pruned; one of copies takes its room twice."
    )
    fix = "set `link-mode` in uv.toml or UV_LINK_MODE, then reinstall"
    thresholds: ClassVar[Mapping[str, Any]] = {
        "allow": Words((), tuple(mode.value for mode in LinkMode))
    }

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding an owner; it counts environments."""
        allowed = _allowed(subject, thresholds["allow"])
        wrong = [
            environment
            for environment in subject.case.outside_environments
            if any(number and mode not in allowed for mode, number in _modes(environment))
        ]
        wish = next(iter(mode for mode in _PREFERRED if mode in allowed), None)
        for owned in by_owner(subject, wrong):
            number = len(owned.environments)
            yield self.finding(
                owned.subject,
                f"{format_count(number, 'environment')} not linked by "
                f"{' or '.join(mode.value for mode in LinkMode if mode in allowed)}: "
                + owned.named(lambda e: _words(e, allowed)),
                owner=owned.owner,
                fix=f"set UV_LINK_MODE={wish.value}, or link-mode in uv.toml, then "
                "`uv sync --reinstall` or `uv pip install --reinstall`"
                if wish
                else "",
                count=number,
                team=owned.team,
            )


# Which to advise, where several are allowed: what shares room and breaks nothing.
_PREFERRED = (LinkMode.HARDLINK, LinkMode.CLONE, LinkMode.COPY, LinkMode.SYMLINK)


def _allowed(subject: AuditTarget, wanted: tuple[str, ...]) -> frozenset[LinkMode]:
    if not wanted:
        refused = subject.policy.links.symlink == "refuse"
        return frozenset(LinkMode) - ({LinkMode.SYMLINK} if refused else set())
    return frozenset(LinkMode(word) for word in wanted)


def _modes(environment: Environment) -> Iterator[tuple[LinkMode, int]]:
    yield from environment.link_modes.items()


def _words(environment: Environment, allowed: frozenset[LinkMode]) -> str:
    return ", ".join(
        f"{number} by {mode.value}" for mode, number in _modes(environment) if mode not in allowed
    )
