"""Two hundred hosts tell of themselves in the same moment, and none is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.prune.test_interrupted_and_restored_runs import small_cache
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.fleets import name_of, told_by
from tests.support.postgresql import postgresql_server


@pytest.mark.parametrize("hosts", [120, pytest.param(200, marks=pytest.mark.long)])
def test_of_many_hosts_that_tell_at_once_none_is_lost(
    open_folder: Path, cacheadmin: Cacheadmin, hosts: int
) -> None:
    """More than a server of PostgreSQL takes at once; the first of them make the tables."""
    cache = small_cache(open_folder / "cache")
    archive = cache / "archive-v0" / "abcdefghijklmnopqrstu"
    archive.mkdir()
    (archive / "module.py").write_text("x = 1\n")
    with postgresql_server(open_folder) as server:
        if server is None:
            pytest.skip("needs PostgreSQL")
        assert told_by(server.url, cache, hosts) == []
        expect = f"hosts: {{expect: ['node[001-{hosts:03d}]']}}\n"
        policy = cacheadmin.policy(cache, f"state: {server.url}\n{expect}")
        listed = cacheadmin("observe", policy, "--list", "--format", "json", code=0).json
        assert {row["host"] for row in listed["observations"]} == {
            name_of(number + 1) for number in range(hosts)
        }
        plan = cacheadmin("plan", policy, "--format", "json").json
        assert [gap for gap in plan["gaps"] if gap["id"].startswith("hosts.")] == []
        kept = {row["path"]: row["rule"] for row in plan["kept"]}
        # What lies half-made in the archives' bucket is used all the same.
        for name in ("abcdefghijklmnopqrstu", ".tmpone", ".tmptwo"):
            assert kept[f"archive-v0/{name}"] == "host.observed"
