"""`policy show` says how many archives each pattern of prune.keep names now."""

from __future__ import annotations

from pathlib import Path

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.wheel_archives import empty_cache, write_archive


def test_how_many_archives_a_pattern_names(tmp_path: Path, cacheadmin: Cacheadmin) -> None:
    cache = empty_cache(tmp_path / "cache")
    for name in ("six", "torch", "torchvision"):
        write_archive(cache, name, {f"{name}.py": b""})
    kept = "prune: {keep: ['six>=0.9', 'torch*', 'six==2.0', absent]}\n"
    policy = cacheadmin.policy(cache, kept)
    shown = cacheadmin("policy", "show", policy, "--format", "json", code=0).json
    assert shown["keep_matches"] == {"six>=0.9": 1, "torch*": 2, "six==2.0": 0, "absent": 0}
    told = cacheadmin("policy", "show", policy, code=0).stdout
    assert "archives it names now" in told


def test_a_cache_that_is_not_there_is_no_error(tmp_path: Path, cacheadmin: Cacheadmin) -> None:
    policy = cacheadmin.policy(tmp_path / "no-cache", "prune: {keep: [six]}\n")
    shown = cacheadmin("policy", "show", policy, "--format", "json", code=0)
    assert shown.json["keep_matches"] is None
    assert "can't be told" in shown.stderr
