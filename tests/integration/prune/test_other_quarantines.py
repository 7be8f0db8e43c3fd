"""One cache, two paths, two quarantines: runs do not keep out of each other's way, and say so."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.trial_sites import lay_out


@pytest.mark.root
def test_a_policy_that_names_the_cache_by_another_path_is_told_of(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    lay_out(open_folder)
    cache, elsewhere = open_folder / "cache", open_folder / "elsewhere"
    elsewhere.mkdir()
    (cache / "archive-v0" / ".tmpAbCdEf").mkdir()
    builds = "prune: {builds: {after: 0s}}\n"
    here = cacheadmin.policy(cache, builds, name="here")
    there = cacheadmin.policy(elsewhere, builds, name="there")
    if subprocess.run(["mount", "--bind", cache, elsewhere], check=False).returncode != 0:
        pytest.skip("nothing can be mounted here")
    try:
        assert "another quarantine" not in cacheadmin("prune", here, code=0).stderr
        (cache / "archive-v0" / ".tmpAbCdEf").mkdir(exist_ok=True)
        told = cacheadmin("prune", there, code=0).stderr
        assert f"this cache has another quarantine, {cache}.cacheadmin/quarantine" in told
        told = cacheadmin("prune", here, code=0).stderr
        assert f"this cache has another quarantine, {cache}/.cacheadmin/quarantine" in told
    finally:
        subprocess.run(["umount", elsewhere], check=True)
