"""Commands that findings print, as a shell takes them."""

from __future__ import annotations

import shlex

import pytest

from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.policy.model import Policy

ODD = "/etc/cacheadmin/it's $(ours).yaml"


@pytest.mark.parametrize(
    ("path", "words", "arguments", "expected"),
    [
        ("/p.yaml", "prune", (), ["prune", "/p.yaml"]),
        (ODD, "pin remove", ("a b",), ["pin", "remove", ODD, "a b"]),
        # The built-in policy has no file: what can do without leaves it out.
        (None, "prune", (), ["prune"]),
        (None, "runs restore", ("RUN",), ["runs", "restore", "RUN"]),
        (None, "venv discover", (), ["venv", "discover"]),
    ],
)
def test_the_policy_stands_where_the_command_takes_it(
    path: str | None, words: str, arguments: tuple[str, ...], expected: list[str]
) -> None:
    loaded = LoadedPolicy(Policy(version=1, name="test", cache="/cache"), path, {})
    assert shlex.split(loaded.command(words, *arguments)) == ["cacheadmin", *expected]
