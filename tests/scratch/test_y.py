from __future__ import annotations
import os, subprocess, shutil, json
from pathlib import Path
import pytest
from tests.support.long_running import long_running, tool_run, working_uv
from tests.support.shared_cache import SharedCache
from tests.support.uv_releases import NEWEST

CONCURRENT = "lock:\n  busy: concurrent\n"


def test_expected(shared, cacheadmin):
    shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7")
    shutil.rmtree(shared.home() / "proj")
    shutil.rmtree(next(shared.path.glob("wheels-v*")))
    orphans = {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}
    policy = cacheadmin.policy(shared.path, CONCURRENT + "hosts: {expect: [elsewhere]}\n")
    with long_running(shared, NEWEST, *tool_run("cowsay")):
        for _ in range(2):
            a = cacheadmin("prune", policy, "--format", "json", code=0).json
            print(a["lock"], a["deferred"], [r["path"] for r in a["removals"]], orphans)


def test_hidepid(open_folder, index, three_users, cacheadmin):
    ana, ben = three_users[:2]
    shared = SharedCache.create(open_folder, index, [ana, ben])
    shared.environment("proj", NEWEST, "six==1.16.0", "idna==3.7", user=ana)
    shutil.rmtree(shared.home(ana) / "proj")
    shutil.rmtree(next(shared.path.glob("wheels-v*")))
    orphans = {f"archive-v0/{name}" for name in os.listdir(shared.path / "archive-v0")}
    os.chown(shared.path, ana.uid, ana.gid if hasattr(ana, "gid") else -1)
    home = cacheadmin._home_of(ana)
    policy = cacheadmin.policy(
        shared.path,
        CONCURRENT
        + f"state: sqlite:///{home}/state.sqlite\nquarantine: {{path: {shared.path}.q}}\n",
    )
    os.mkdir(f"{shared.path}.q")
    os.chown(f"{shared.path}.q", ana.uid, ana.gid)
    os.chmod(f"{shared.path}.q", 0o700)
    with long_running(shared, NEWEST, *tool_run("cowsay"), user=ben) as server:
        for _ in range(2):
            cmd = cacheadmin.command("prune", policy, "--format", "json", user=ana)
            inside = (
                'mount -o remount,hidepid=2 /proc; exec setpriv --reuid %d --regid %d --groups %s "$@"'
                % (ana.uid, ana.gid, ",".join(map(str, getattr(ana, "groups", ()) or [ana.gid])))
            )
            d = subprocess.run(
                ["unshare", "--mount", "sh", "-ec", inside, "sh", *map(os.fspath, cmd)],
                env=cacheadmin.environment(ana),
                cwd=cacheadmin._home_of(ana),
                capture_output=True,
                text=True,
            )
            print(d.returncode, d.stderr[-1500:])
            if d.returncode == 0:
                a = json.loads(d.stdout)
                print(a["lock"], a["deferred"], [r["path"] for r in a["removals"]], orphans)
