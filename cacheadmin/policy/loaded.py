"""A policy that was read, and where each of its values stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from cacheadmin.text.escapes import shell_command, shell_word
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.policy.model import Policy


# A command of ours in advice, up to the policy that it needs: `cacheadmin venv remove POLICY`.
_POLICY = re.compile(r"(`cacheadmin [a-z]+(?: [a-z]+)?) POLICY\b")


@frozen
class LoadedPolicy:
    """A policy, and where each of its values came from."""

    policy: Policy
    """The effective policy: what the file says, and defaults."""
    path: str | None
    """The policy's file; None for the built-in policy."""
    origins: Mapping[str, str]
    """``FILE:LINE`` of each value, by dotted key; a key not in it has its default."""
    positions: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """(line, column) of each value, from 1, by dotted key."""

    def command(self, words: str, *arguments: str) -> str:
        """Return a command of ours on this policy, with arguments, quoted for a shell.

        The built-in policy is named by leaving it out.
        """
        policy = [self.path] if self.path else []
        return shell_command(["cacheadmin", *words.split(), *policy, *arguments])

    def named(self, advice: str) -> str:
        """Return advice with this policy in the place of ``POLICY`` in commands of ours.

        Without it a command is about the caller's own cache.
        """
        return with_policy(advice, self.path)


def with_policy(advice: str, policy: str | None) -> str:
    """Return advice with a policy in the place of ``POLICY`` in commands of ours; None: without."""
    named = f" {shell_word(policy)}" if policy else ""
    return _POLICY.sub(lambda found: f"{found[1]}{named}", advice)


def origins_of(path: str, positions: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Return ``FILE:LINE`` of each value, by dotted key."""
    return {key: f"{path}:{line}" for key, (line, _) in positions.items() if key}
