"""Whatever says no, or only looks, leaves the cache as it was, to the inode."""

from __future__ import annotations

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.shared_cache import tree_snapshot


def test_a_refused_or_dry_command_changes_no_name_type_target_or_inode(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    include = f"venvs:\n  include: ['{incident.shared.homes}/*/*']\n"
    cache = incident.shared.path
    refuse = cacheadmin.policy(cache, f"{include}links:\n  symlink: refuse\n", name="refuse")
    limit = cacheadmin.policy(cache, include, name="limit")
    saved = cacheadmin.folder / "saved.json"
    before = tree_snapshot(cache)

    for arguments, code in (
        (["prune", refuse], 5),
        (["preflight", refuse], 5),
        (["plan", refuse], 5),
        (["prune", refuse, "--dry-run"], 5),
        (["plan", limit, "--out", saved], 4),
        (["prune", limit, "-n"], 4),
        (["preflight", limit], 4),
        (["scan", limit, "--deep"], 0),
        (["schemas", limit], 0),
        (["simulate", limit, "--uv", "0.8.5"], 0),
        (["runs", "list", limit], 0),
    ):
        cacheadmin(*arguments, code=code)
        assert tree_snapshot(cache) == before, arguments
    assert {path.name for path in incident.folder.iterdir()} == {"cache", "homes"}


def test_the_refusal_says_what_was_seen_whose_and_what_to_do(
    incident: Incident, cacheadmin: Cacheadmin
) -> None:
    policy = cacheadmin.policy(
        incident.shared.path,
        f"venvs:\n  include: ['{incident.shared.homes}/*/*']\nlinks:\n  symlink: refuse\n",
    )
    refused = cacheadmin("prune", policy, code=5)
    assert refused.stdout == ""
    assert "refused" in refused.stderr
    assert "links.symlink" in refused.stderr
    assert str(incident.environments["ana"]) in refused.stderr
