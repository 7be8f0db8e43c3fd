from __future__ import annotations
import fcntl, os, shutil, subprocess, json
from pathlib import Path
import pytest
from tests.support.shared_cache import age
from tests.support.trial_sites import ENTRY, lay_out
from tests.support.waiting import until
from tests.support.wheel_archives import write_archive

SHORT = "prune: {trial: {for: 0d, at_least: 0d}}\nhosts: {only: this}\n"

@pytest.mark.parametrize("how", ["pin", "registry"])
def test_it(open_folder, cacheadmin, how):
    lay_out(open_folder)
    cache = open_folder / "cache"
    env = open_folder / "env"
    if how == "pin": shutil.rmtree(env)
    else: env.rename(open_folder / "hidden")
    age(cache, days=60)
    elsewhere = open_folder / "elsewhere"; elsewhere.mkdir()
    registry = cacheadmin.folder / "registry"; registry.mkdir(); registry.chmod(0o1777)
    sources = f"venvs: {{registry: {registry}, discover: [{{root: {elsewhere}}}]}}\n"
    policy = cacheadmin.policy(cache, sources + SHORT, complete=False)
    first = cacheadmin("prune", policy, "--format", "json", code=0).json
    print(first["trial"]["planted"])
    write_archive(cache, "more", {"more.py": b""}); age(cache / "archive-v0/morexxxxxxxxxxxx", 60)
    journals = cache.with_name("cache.cacheadmin") / "quarantine"
    before = set(journals.glob("*"))
    (cache / ".lock").touch()
    with (cache / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        pruning = subprocess.Popen(cacheadmin.command("prune", policy, "--format", "json"), env=cacheadmin.environment(), stdout=subprocess.PIPE)
        until(lambda: any(b"moving" in one.read_bytes() for one in journals.glob("*/journal*") if one.parent not in before))
        if how == "pin":
            print(cacheadmin("pin", "add", policy, ENTRY, code=0).stdout)
        else:
            (open_folder / "hidden").rename(env)
            (registry / "mine").symlink_to(env)
        fcntl.flock(lock, fcntl.LOCK_UN)
        out, _ = pruning.communicate()
        print(pruning.returncode, json.loads(out)["trial"])
        print("THERE", os.path.lexists(cache / ENTRY), [str(p) for p in env.rglob("*") if p.is_symlink() and not p.exists()] if env.exists() else None)
