"""``run_as``: root looks, and the account changes the cache, with its own rights and no others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import shown_to
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.users import User
from tests.support.uv_releases import NEWEST, REPOSITORY
from tests.support.waiting import until

pytestmark = pytest.mark.root

# The group of accounts without a name on this host.
NO_GROUP = 65534

# As that account, try to disturb a process of which the number is given.
_ATTACKS = """
import ctypes, errno, os, sys
pid, failed = int(sys.argv[1]), []
for name, number in (("stop", 19), ("hang up", 1), ("kill", 9)):
    try:
        os.kill(pid, number)
    except PermissionError:
        failed.append(name)
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(16, pid, 0, 0) == -1 and ctypes.get_errno() == errno.EPERM:
    failed.append("trace")
for name in ("mem", "environ", "maps", "fd/0"):
    try:
        os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
    except PermissionError:
        failed.append(name)
print(" ".join(failed))
"""


def owners_below(folder: Path) -> set[int]:
    """Return the accounts that own a folder and what lies in it."""
    paths = [folder, *folder.rglob("*")]
    return {path.lstat().st_uid for path in paths}


@pytest.fixture
def cache(shared: SharedCache, three_users: list[User]) -> tuple[SharedCache, User]:
    """A cache of eve's: ana's environment links to one archive, and one is unused."""
    ana, _, eve = three_users
    shared.users = (ana,)
    os.chown(shared.path, eve.uid, eve.gid)
    os.chown(shared.path.parent, eve.uid, eve.gid)
    shared.environment("env", NEWEST, "six==1.16.0", user=ana)
    left = shared.environment("left", NEWEST, "idna==3.7", user=ana)
    shared.remove_environment(left)
    subprocess.run(["chown", "-R", str(eve.uid), shared.path], check=True)
    subprocess.run(["rm", "-rf", *shared.path.glob("wheels-v*")], check=True)
    age(shared.path, 60)
    return shared, eve


def policy_of(cacheadmin: Cacheadmin, shared: SharedCache, eve: User, text: str = "") -> Path:
    """A policy for the cache, with eve's state beside it."""
    state = shared.path.parent / "state"
    state.mkdir(exist_ok=True)
    os.chown(state, eve.uid, eve.gid)
    lines = f"run_as: '{eve.uid}'\nstate: sqlite:///{state}/state.db\n"
    homes = f"venvs: {{discover: [{{root: '{shared.homes}'}}]}}\n"
    # On a busy machine the last look takes longer than usual.
    patient = "lock: {held_at_most: 1m}\n"
    return cacheadmin.policy(shared.path, lines + homes + patient + text)


def test_what_a_run_of_root_makes_belongs_to_the_account(
    cacheadmin: Cacheadmin, cache: tuple[SharedCache, User]
) -> None:
    shared, eve = cache
    trail = cacheadmin.folder / "log"
    trail.mkdir(mode=0o700)
    policy = policy_of(cacheadmin, shared, eve, f"log: {{trail: '{trail}/trail.jsonl'}}\n")
    # A plan that only root can read is the caller's, too.
    assert cacheadmin("plan", policy, "--out", trail / "plan.json").code in (0, 4)
    metrics = trail / "prune.prom"
    words = ("--plan", trail / "plan.json", "--metrics", metrics)
    done = cacheadmin("prune", policy, "--format", "json", *words, code=0).json
    archives = [row for row in done["removals"] if row["kind"] == "archive"]
    assert len(archives) == 1
    for folder in (
        shared.path,
        shared.path.parent / "cache.cacheadmin",
        shared.path.parent / "state",
    ):
        assert owners_below(folder) == {eve.uid}, folder
    assert (shared.path.parent / "state" / "state.db").is_file()
    assert not any(dangling_links(environment) for environment in shared.environments)
    # What tells the administrator stays root's: it lies where the account can't write.
    assert owners_below(trail) == {0}
    assert json.loads((trail / "trail.jsonl").read_text())["uid"] == 0
    assert "cacheadmin_" in metrics.read_text()

    cacheadmin("runs", "restore", policy, done["run_id"], code=0)
    assert (shared.path / archives[0]["path"]).is_dir()
    assert owners_below(shared.path) == {eve.uid}


def test_the_account_itself_goes_on_with_what_root_began(
    cacheadmin: Cacheadmin, cache: tuple[SharedCache, User]
) -> None:
    shared, eve = cache
    policy = policy_of(cacheadmin, shared, eve)
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    listed = cacheadmin("runs", "list", policy, "--format", "json", user=eve, code=0).json["runs"]
    assert [row["run_id"] for row in listed] == [run]
    cacheadmin("runs", "restore", policy, run, user=eve, code=0)


def test_rights_of_root_do_not_help_where_the_account_has_none(
    cacheadmin: Cacheadmin, cache: tuple[SharedCache, User], three_users: list[User]
) -> None:
    shared, _ = cache
    ben = three_users[1]
    before = sorted(os.listdir(shared.path / "archive-v0"))
    shared.path.chmod(0o755)
    refused = cacheadmin("prune", policy_of(cacheadmin, shared, ben), code=77)
    assert f"uid {ben.uid}" in refused.stderr or "can't be written" in refused.stderr
    assert sorted(os.listdir(shared.path / "archive-v0")) == before


def test_another_caller_is_told_as_whom_to_run_it(
    cacheadmin: Cacheadmin, cache: tuple[SharedCache, User], three_users: list[User]
) -> None:
    shared, eve = cache
    policy = policy_of(cacheadmin, shared, eve)
    refused = cacheadmin("prune", policy, user=three_users[0], code=77)
    assert f"run_as is uid {eve.uid}" in refused.stderr
    assert "run it as root" in refused.stderr


def test_an_account_that_does_not_exist_is_a_fault_of_the_policy(
    cacheadmin: Cacheadmin, shared: SharedCache
) -> None:
    shared.environment("env", NEWEST, "six==1.16.0")
    policy = cacheadmin.policy(shared.path, "run_as: uvcashe\n")
    refused = cacheadmin("prune", policy, code=78)
    assert "run_as: no account of this host is called uvcashe" in refused.stderr
    # The account may be one of another host, so to check the file is no error.
    assert "uvcashe" in cacheadmin("policy", "check", policy, code=0).stderr


def test_what_the_account_may_write_is_no_policy_for_root(
    cacheadmin: Cacheadmin, cache: tuple[SharedCache, User]
) -> None:
    shared, eve = cache
    policy = policy_of(cacheadmin, shared, eve)
    own = cacheadmin.policy(shared.path, f"run_as: '{eve.uid}'\n", name="own")
    os.chown(own, eve.uid, eve.gid)
    said = cacheadmin("audit", policy, own).stdout
    assert "who is neither root nor you" in said


def test_the_account_can_neither_signal_nor_trace_what_acts_as_it(
    cacheadmin: Cacheadmin, cache: tuple[SharedCache, User]
) -> None:
    shared, eve = cache
    policy = policy_of(cacheadmin, shared, eve)
    guard = cacheadmin.start("guard", policy)
    try:
        log = cacheadmin.folder / "started.log"
        until(lambda: "guarding" in log.read_text())
        status = Path(f"/proc/{guard.pid}/status").read_text()
        (uids,) = [line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")]
        assert uids == ["0", str(eve.uid), "0", str(eve.uid)], log.read_text()
        attack = [sys.executable, "-c", _ATTACKS, str(guard.pid)]
        said = subprocess.run(
            ["/usr/bin/python3", *attack[1:]],
            capture_output=True,
            text=True,
            check=True,
            **eve.process_arguments(),
        ).stdout
        assert said.split() == [
            "stop",
            "hang",
            "up",
            "kill",
            "trace",
            "mem",
            "environ",
            "maps",
            "fd/0",
        ]
        assert guard.poll() is None
    finally:
        guard.send_signal(signal.SIGTERM)
        guard.wait(30)


def confined(rights: set[str]) -> list[str]:
    """Return the words that run a command with no other capabilities than these."""
    bounding = ",".join(["-all", *(f"+{name.lower().removeprefix('cap_')}" for name in rights)])
    return ["setpriv", f"--bounding-set={bounding}", "--no-new-privs"]


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is missing")
@pytest.mark.parametrize(
    ("unit", "command", "codes"),
    [
        ("cacheadmin@.service", "prune", {0}),
        ("cacheadmin-audit@.service", "audit", {0, 8}),
        ("cacheadmin-observe@.service", "observe", {0}),
    ],
)
def test_units_have_the_rights_for_it(
    cacheadmin: Cacheadmin,
    cache: tuple[SharedCache, User],
    unit: str,
    command: str,
    codes: set[int],
) -> None:
    shared, eve = cache
    policy = policy_of(cacheadmin, shared, eve)
    lines = (REPOSITORY / "docs/operations/systemd" / unit).read_text().splitlines()
    (kept,) = [line for line in lines if line.startswith("CapabilityBoundingSet=")]
    rights = set(kept.partition("=")[2].split())

    def run(rights: set[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*confined(rights), *cacheadmin.command(command, policy)],
            env=cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    without = run(rights - {"CAP_SETUID"})
    assert without.returncode in (77, 8), without
    said = without.stdout + without.stderr
    assert f"root can't act as uid {eve.uid} here: Operation not permitted" in said
    done = run(rights)
    assert done.returncode in codes, done
    assert "can't act as" not in done.stdout + done.stderr
    assert owners_below(shared.path) == {eve.uid}


# A process that acts as an account, and asks a reader of it, and one of another owner.
_READERS = """
import json, os, sys
from cacheadmin.rights.acting import account_of, act_as
from cacheadmin.readers import Question, Readers

def who(_):
    status = open("/proc/self/status").read().splitlines()
    found = {line.split(":")[0]: line.split()[1:] for line in status}
    regained = []
    for call in (lambda: os.seteuid(0), lambda: os.setuid(0), lambda: os.setgroups([0])):
        try:
            call()
            regained.append(True)
        except PermissionError:
            regained.append(False)
    try:
        os.close(os.open("/etc/shadow", os.O_RDONLY))
        reads = True
    except PermissionError:
        reads = False
    uids, rights = found["Uid"], found["CapPrm"][0]
    return json.dumps([uids, found["Gid"], rights, regained, reads, found["NoNewPrivs"]])

act_as(sys.argv[1])
question = Question(who, str)
with Readers() as readers:
    print(readers.ask(question, None))
    with readers.of_owner(account_of(int(sys.argv[2]))) as own:
        print(own.ask(question, None))
"""


def test_readers_become_an_account_for_good(three_users: list[User]) -> None:
    ana, _, eve = three_users
    command = [sys.executable, "-c", _READERS, str(eve.uid), str(ana.uid)]
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    acting, owner = map(json.loads, told.stdout.splitlines())
    # To read and to look at processes is what it keeps, and nothing of it as another.
    assert acting[0] == [str(eve.uid)] * 4
    assert int(acting[2], 16) == 1 << 2 | 1 << 19
    assert owner[0] == [str(ana.uid)] * 4
    assert int(owner[2], 16) == 0
    assert acting[1] == owner[1] == [str(NO_GROUP)] * 4
    assert acting[3] == owner[3] == [False] * 3
    assert (acting[4], owner[4]) == (True, False)
    assert acting[5] == owner[5] == ["1"]


@pytest.mark.parametrize("named", ["tree", "pattern", "path"])
def test_an_environment_that_root_may_not_read_is_read_as_its_owner(
    cacheadmin: Cacheadmin, shared: SharedCache, three_users: list[User], named: str
) -> None:
    ana = three_users[0]
    environment = shared.environment("env", NEWEST, "six==1.16.0")
    left = shared.environment("left", NEWEST, "idna==3.7")
    shared.remove_environment(left)
    home = shared.home()
    subprocess.run(["chown", "-R", str(ana.uid), home], check=True)
    subprocess.run(
        ["rm", "-rf", *shared.path.glob("wheels-v*"), *shared.path.glob("interpreter-*")],
        check=True,
    )
    age(shared.path, 60)
    mounted = shared.homes / "mounted"
    venvs = {
        "tree": f"{{discover: [{{root: '{shared.homes}', exclude: [{home.name}]}}]}}",
        "pattern": f"{{include: ['{mounted}/*']}}",
        "path": f"{{include: ['{mounted}/env']}}",
    }[named]
    # On a busy machine a reader takes its time to start, under the lock too.
    patient = "lock: {held_at_most: 1m}\n"
    policy = cacheadmin.policy(shared.path, f"venvs: {venvs}\n{patient}")
    used = {
        os.readlink(path).split("/archive-v0/")[1].split("/")[0]
        for path in environment.rglob("*")
        if path.is_symlink() and "/archive-v0/" in os.readlink(path)
    }
    with shown_to(ana.uid, NO_GROUP, home, mounted):
        with pytest.raises(PermissionError):
            os.listdir(mounted)
        seen = cacheadmin("scan", policy, "--format", "json", code=0).json
        rows = {row["path"]: row for row in seen["venvs"]}
        assert f"{mounted}/env" in rows, (list(rows), seen["gaps"])
        assert rows[f"{mounted}/env"]["status"] == "ok", seen
        assert rows[f"{mounted}/env"]["archives"] == sorted(used)
        done = cacheadmin("prune", policy, "--format", "json", code=0).json
        gone = {row["path"].removeprefix("archive-v0/") for row in done["removals"]}
        assert gone, (done["kept"], done["gaps"])
        assert not used & gone
        assert done["verified"]["links"] > 0
