from __future__ import annotations
import os, shutil, subprocess, json
import pytest
from tests.integration.trial.test_uses_before_a_trial_ends import policy
from tests.support.trial_sites import ENTRY
from tests.support.shared_cache import dangling_links

@pytest.mark.parametrize("how", ["pin", "registry", "used"])
def test_it(open_folder, cacheadmin, policy, how):
    env = open_folder / "env"
    if how == "pin":
        print(cacheadmin("pin", "add", policy, ENTRY, code=0).stderr)
    else:
        (open_folder / "hidden").rename(env)
        (open_folder / "registry" / "mine").symlink_to(env)
        if how == "used":
            for p in env.rglob("*"):
                if p.is_file(): p.read_bytes()
    r = cacheadmin("runs", "purge", policy, "--all", "--now")
    print(how, r.code, r.stdout, r.stderr)
    print("THERE", os.path.lexists(open_folder / "cache" / ENTRY), dangling_links(env) if env.exists() else None)
