"""A security team hands in advisories: what the cache holds of it, and who has it, is named."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST


def advisory(folder: Path) -> Path:
    file = folder / "PYSEC-2024-1.json"
    affected = {
        "package": {"ecosystem": "PyPI", "name": "six"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.17.0"}]}],
    }
    content = {"id": "PYSEC-2024-1", "summary": "Six is seven", "affected": [affected]}
    file.write_text(json.dumps(content))
    return file


def test_releases_environments_and_the_fix_are_named(
    shared: SharedCache, cacheadmin: Cacheadmin, tmp_path: Path
) -> None:
    linking = shared.environment("linking", NEWEST, "six==1.16.0", "idna==3.7")
    copying = shared.environment("copying", NEWEST, "six==1.15.0", link_mode="copy")
    shared.environment("other", NEWEST, "six==1.17.0")
    found = f"venvs: {{discover: [{{root: {shared.homes}, depth: 3}}]}}\n"
    policy = cacheadmin.policy(shared.path, found)
    file = advisory(tmp_path)
    words = ("audit", policy, "--rule", "known-advisory", "--advisories", file)
    said = cacheadmin(*words, "--format", "json", code=8).json
    rows = {row["subject"]: row for row in said["findings"]}
    assert set(rows) == {"six==1.15.0", "six==1.16.0", str(linking), str(copying)}
    assert {row["severity"] for row in rows.values()} == {"error"}
    assert "PYSEC-2024-1 (Six is seven); fixed in 1.17.0" in rows["six==1.16.0"]["detail"]
    assert str(linking) in rows["six==1.16.0"]["detail"]
    assert rows[str(copying)]["owner"] == copying.owner()
    assert "six!=1.15.0" in rows[str(copying)]["fix"]
    for name in ("six==1.15.0", "six==1.16.0"):
        fix = shlex.split(rows[name]["fix"])
        assert fix[:2] == ["cacheadmin", "evict"]
        cacheadmin(*fix[1:], code=0)
    # What is left is what runs it.
    again = cacheadmin(*words, "--format", "json", code=8).json
    left = {row["subject"] for row in again["findings"]}
    assert {str(linking), str(copying)} < left
    detail = {row["subject"]: row["detail"] for row in again["findings"]}
    assert "not in the cache any more" in detail["six==1.15.0"]
    # Without advisories nothing is asked.
    cacheadmin("audit", policy, "--rule", "known-advisory", code=2)
    plain = cacheadmin("audit", policy, "--format", "json").json
    assert "known-advisory" not in {row["rule"] for row in plain["findings"]}
