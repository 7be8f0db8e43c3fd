"""A cached environment is called by its tool and release, or by its script."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST

_SCRIPT = """# /// script
# requires-python = ">=3.8"
# dependencies = ["six==1.16.0"]
# ///
import six
"""


def named(cacheadmin: Cacheadmin, policy: Path) -> set[tuple[str, str | None, str | None]]:
    """Return (kind, name, version) of everything a plan says of environments."""
    said = cacheadmin("plan", policy, "--format", "json").json
    rows = [*said["kept"], *said["removals"]]
    return {(row["kind"], row["package"], row["version"]) for row in rows}


def test_in_plan_and_table(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    script = shared.home() / "report.py"
    script.write_text(_SCRIPT)
    shared.uv(NEWEST, "run", "--no-project", script)
    shared.uv(NEWEST, "tool", "run", "cowsay@6.0", "-t", "hello")
    shared.uv(NEWEST, "tool", "run", "--with", "idna==3.7", "cowsay@6.0", "-t", "hello")
    policy = cacheadmin.policy(shared.path, "venvs: {complete: true}\n")
    found = named(cacheadmin, policy)
    assert ("environment", "cowsay", "6.0") in found
    assert ("archive", "cowsay", "6.0") in found
    assert ("environment", "cowsay + idna", None) in found
    assert ("environment", "report", None) in found
    # What fills the disk can be seen.
    gone = "venvs: {complete: true}\nprune: {environments: {idle: 0s, keep_latest: false}}\n"
    told = cacheadmin("plan", cacheadmin.policy(shared.path, gone)).stdout
    assert "cowsay 6.0" in told
    usage = cacheadmin("usage", policy, "--by", "version").stdout
    assert "cowsay 6.0 (cached environment)" in usage
    assert "report (cached environment)" in usage


def test_one_whose_python_is_gone_is_no_newest_of_its_tool(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    shared.uv(NEWEST, "tool", "run", "cowsay@6.0", "-t", "hello")
    rule = "venvs: {complete: true}\nprune: {environments: {idle: 0s}}\n"
    policy = cacheadmin.policy(shared.path, rule)
    (environment,) = [p.parent for p in shared.path.glob("archive-v0/*/pyvenv.cfg")]
    kept = cacheadmin("plan", policy, "--format", "json").json["kept"]
    assert "environment.latest" in {row["rule"] for row in kept}
    python = environment / "bin" / "python"
    python.unlink()
    python.symlink_to(shared.home() / "python-that-was-removed")
    said = cacheadmin("plan", policy, "--format", "json").json
    assert "environment.latest" not in {row["rule"] for row in said["kept"]}
    removed = {row["path"] for row in said["removals"]}
    assert os.path.relpath(environment, shared.path) in removed
