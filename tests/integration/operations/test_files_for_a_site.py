"""systemd units, the cron line, logrotate, sysusers and tmpfiles snippets do what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin.operations.trail import append_to_trail
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User
from tests.support.uv_releases import REPOSITORY

OPERATIONS = REPOSITORY / "docs" / "operations"
UNITS = sorted((OPERATIONS / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
TAG = "Signature: 8a477f597d28d172789f06886806bc55"

# On systemd's scale from 0 (tight) to 10; what is left open is argued in the units.
# To become the account of run_as takes two rights more.
MOST_EXPOSED = 4.9


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, code: int = 0, **arguments: object) -> str:
    """Run a program; return both its outputs."""
    finished = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
        **arguments,
    )
    assert finished.returncode == code, finished.stdout
    return finished.stdout


def setting(unit: Path, key: str) -> list[str]:
    """Return the values of a key in a unit, in order."""
    pattern = rf"^{key}=(.*)$"
    return re.findall(pattern, unit.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def cache(open_folder: Path) -> Path:
    """An empty cache."""
    cache = open_folder / "cache"
    cache.mkdir()
    (cache / "CACHEDIR.TAG").write_text(TAG, encoding="utf-8")
    (cache / "sdists-v9").mkdir()
    (cache / ".lock").touch()
    return cache


def test_systemd_has_nothing_to_say_about_the_units(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    instances = []
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8").replace("/usr/bin/cacheadmin", "/bin/true")
        for name in (unit.name, unit.name.replace("@", "@ml-team")):
            (tmp_path / name).write_text(text, encoding="utf-8")
        instances.append(tmp_path / unit.name.replace("@", "@ml-team"))
    assert run(analyze, "verify", "--man=no", *instances) == ""


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_services_give_up_the_rights_they_do_not_need(unit: Path) -> None:
    report = run(tool("systemd-analyze"), "security", "--offline=yes", unit)
    exposure = re.search(r"Overall exposure level for .*: ([0-9.]+) ", report)
    assert exposure is not None, report
    print(f"{unit.name}: exposed {exposure[1]}, at most {MOST_EXPOSED} is allowed")
    assert float(exposure[1]) <= MOST_EXPOSED


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_services_hide_nothing_that_has_to_be_seen(unit: Path) -> None:
    hiding = "ProtectHome|ProtectSystem|PrivateTmp|ProtectProc|PrivateUsers|PrivateMounts"
    hiding += "|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|PrivateDevices|ProtectKernel.*"
    hiding += "|ProtectControlGroups|ProcSubset|TemporaryFileSystem|BindPaths"
    assert setting(unit, f"(?:{hiding})") == []


@pytest.mark.root
def test_the_rights_that_the_prune_service_keeps_are_enough(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path, three_users: list[User]
) -> None:
    """Of a user's closed cache an archive goes; one that a closed environment links stays."""
    setpriv = tool("setpriv")
    ana = three_users[0]
    for name in ("OldOldOldOldOldOldOld", "NewNewNewNewNewNewNew"):
        information = cache / "archive-v0" / name / "a-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").touch()
    packages = open_folder / "env" / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    (open_folder / "env" / "pyvenv.cfg").write_text("uv = 0.8.24\n", encoding="utf-8")
    used = cache / "archive-v0" / "NewNewNewNewNewNewNew" / "a-1.0.dist-info"
    (packages / "a-1.0.dist-info").mkdir()
    (packages / "a-1.0.dist-info" / "METADATA").symlink_to(used / "METADATA")
    for top in (cache, open_folder / "env"):
        for path in (top, *top.rglob("*")):
            os.chown(path, ana.uid, ana.gid, follow_symlinks=False)
            if path.is_dir():
                path.chmod(0o2700)
    policy = cacheadmin.policy(cache, f"venvs: {{include: [{open_folder}/env]}}\n")
    unit = OPERATIONS / "systemd" / "cacheadmin@.service"
    (kept,) = setting(unit, "CapabilityBoundingSet")
    rights = ",".join(["-all", *(f"+{name.lower()[4:]}" for name in kept.split())])
    confined = [setpriv, f"--bounding-set={rights}", "--no-new-privs"]
    environment = cacheadmin.environment()
    for arguments in (["prune", policy], ["runs", "list", policy]):
        words = run(*confined, *cacheadmin.command(*arguments), env=environment, cwd="/")
    assert not (cache / "archive-v0" / "OldOldOldOldOldOldOld").exists()
    assert used.exists()
    run_id = words.split("\n")[2].split()[0]
    restore = cacheadmin.command("runs", "restore", policy, run_id)
    run(*confined, *restore, env=environment, cwd="/")
    again = (cache / "archive-v0" / "OldOldOldOldOldOldOld").stat()
    assert (again.st_uid, stat.S_IMODE(again.st_mode)) == (ana.uid, 0o2700)


def cron_lines() -> tuple[dict[str, str], list[str]]:
    """Return the variables of the cron.d file, and the commands of its lines."""
    variables, commands = {}, []
    for line in (OPERATIONS / "cron.d" / "cacheadmin").read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Z]+=", line):
            name, _, value = line.partition("=")
            variables[name] = value
        elif line and not line.startswith("#"):
            *when, user, command = line.split(maxsplit=6)
            assert len(when) == 5
            assert user == "root"
            commands.append(command)
    return variables, commands


def as_cron(cacheadmin: Cacheadmin, folder: Path, command: str) -> tuple[int, str]:
    """Run a line as cron does: its variables, its shell, and little else."""
    variables, _ = cron_lines()
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "cacheadmin"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m cacheadmin "$@"\n')
    program.chmod(0o755)
    ours = cacheadmin.environment()
    environment = {
        "HOME": ours["HOME"],
        "LOGNAME": "root",
        "PYTHONPATH": ours["PYTHONPATH"],
        "XDG_STATE_HOME": ours["XDG_STATE_HOME"],
        "CACHEADMIN_POLICY_DIR": ours["CACHEADMIN_POLICY_DIR"],
        **variables,
        "PATH": f"{programs}:{variables['PATH']}",
    }
    finished = subprocess.run(
        [variables["SHELL"], "-c", command],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    return finished.returncode, finished.stdout


def test_cron_with_nothing_to_do_prints_nothing_and_leaves_with_0(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    cacheadmin.policy(cache, name="ml-team")
    prune = next(command for command in cron_lines()[1] if " prune " in command)
    for _ in range(2):
        assert as_cron(cacheadmin, open_folder, prune) == (0, "")


def test_a_cron_line_may_close_its_output_instead(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    cacheadmin.policy(cache, name="ml-team")
    for closed in (">&-", "2>&-", ">&- 2>&- <&-"):
        call = f"cacheadmin prune ml-team {closed}"
        code, words = as_cron(cacheadmin, open_folder, call)
        assert code == 0, words
        assert (words == "") is closed.startswith(">&-")
    assert as_cron(cacheadmin, open_folder, "cacheadmin prune nothing 2>&-") == (66, "")


def test_cron_prints_one_line_when_a_person_is_needed(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    policy = cacheadmin.policy(cache, name="ml-team")
    policy.chmod(0o666)
    for command in cron_lines()[1]:
        code, words = as_cron(cacheadmin, open_folder, command)
        assert code == 78
        assert words.splitlines()[0].startswith(f"cacheadmin: the policy {policy} can be written")
        assert len(words.splitlines()) <= 2


@pytest.mark.root
def test_logrotate_rotates_the_trail_and_the_next_line_goes_to_a_new_file(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    logrotate = tool("logrotate")
    original = OPERATIONS / "logrotate.d" / "cacheadmin"
    logs = open_folder / "logs"
    logs.mkdir(mode=0o750)
    trail = logs / "trail.jsonl"
    config = open_folder / "logrotate.conf"
    text = original.read_text(encoding="utf-8").replace("/var/log/cacheadmin", str(logs))
    config.write_text(text, encoding="utf-8")
    config.chmod(0o644)
    dry = run(logrotate, "--debug", "--state", open_folder / "state", config)
    assert "error" not in dry
    policy = cacheadmin.policy(cache, f"log: {{trail: {trail}}}\n")
    cacheadmin("prune", policy, code=0)
    run(logrotate, "--force", "--state", open_folder / "state", config)
    assert (logs / "trail.jsonl.1").read_text(encoding="utf-8").count("\n") == 1
    assert stat.S_IMODE(trail.stat().st_mode) == 0o640
    assert trail.stat().st_size == 0
    assert cacheadmin("prune", policy, code=0).stderr == ""
    assert trail.read_text(encoding="utf-8").count("\n") == 1


@pytest.mark.root
def test_sysusers_and_tmpfiles_make_the_group_and_the_folders(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for kind in ("sysusers.d", "tmpfiles.d"):
        folder = root / "usr" / "lib" / kind
        folder.mkdir(parents=True)
        shutil.copy(OPERATIONS / kind / "cacheadmin.conf", folder)
    (root / "etc").mkdir()
    (root / "etc" / "group").write_text("root:x:0:\nadm:x:4:\n", encoding="utf-8")
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n", encoding="utf-8")
    for _ in range(2):
        run(tool("systemd-sysusers"), f"--root={root}", "cacheadmin.conf")
        run(tool("systemd-tmpfiles"), f"--root={root}", "--create", "cacheadmin.conf")
    assert (root / "etc" / "group").read_text(encoding="utf-8").count("uvcache:") == 1
    found = {
        path: (stat.S_IMODE((root / path).stat().st_mode), (root / path).stat().st_gid)
        for path in ("etc/cacheadmin/policies.d", "var/lib/cacheadmin", "var/log/cacheadmin")
    }
    assert found == {
        "etc/cacheadmin/policies.d": (0o755, 0),
        "var/lib/cacheadmin": (0o750, 0),
        "var/log/cacheadmin": (0o2750, 4),
    }
    trail = root / "var" / "log" / "cacheadmin" / "trail.jsonl"
    append_to_trail(str(trail), {"command": "prune"})
    status = trail.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_gid) == (0o640, 4), "adm reads it"
