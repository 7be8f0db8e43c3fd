"""``cacheadmin verify`` as a command: targets, samples, exit codes, names that disagree."""

from __future__ import annotations

import importlib.util
import marshal
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.waiting import until
from tests.support.wheel_archives import empty_cache, record_line, write_archive

ARCHIVES = 40


def write_pointer(cache: Path, package: str, key: str, archive: Path, source: str = "pypi") -> None:
    folder = cache / "wheels-v7" / source / package
    folder.mkdir(parents=True, exist_ok=True)
    head = msgpack.packb([archive.name, [], f"{package}-{key}.whl", 0, None])
    (folder / f"{key}.http").write_bytes(head + bytes(16) + len(head).to_bytes(8, "little"))
    os.symlink(f"../../../archive-v0/{archive.name}", folder / key)


@pytest.fixture
def cache(open_folder: Path) -> Path:
    return empty_cache(open_folder / "cache")


def verified(cacheadmin: Cacheadmin, *arguments: Any, code: int | None = None) -> Any:
    return cacheadmin("verify", *arguments, "--format", "json", code=code).json


def test_a_round_of_samples_finds_everything_once(cache: Path, cacheadmin: Cacheadmin) -> None:
    for number in range(ARCHIVES):
        archive = write_archive(cache, f"demo{number}", {"demo.py": b"x = 1\n"})
        (archive / "demo.py").write_bytes(b"x = 2\n")
    policy = cacheadmin.policy(cache)
    everything = verified(cacheadmin, policy, code=8)
    assert everything["schema"] == "cacheadmin/verify/1"
    assert everything["checked"]["archives"] == ARCHIVES
    assert everything["checked"]["files"] == 3 * ARCHIVES
    assert everything["checked"]["sampled_share"] == 1
    subjects = {finding["subject"] for finding in everything["findings"]}
    assert len(subjects) == ARCHIVES
    seen: list[str] = []
    for seed in range(4):
        part = verified(cacheadmin, policy, "--sample", "25%", "--seed", str(seed))
        assert part["checked"]["archives"] == len(part["findings"])
        assert part["checked"]["candidates"] == ARCHIVES
        assert (part["checked"]["sampled_share"], part["checked"]["seed"]) == (0.25, seed)
        seen += [finding["subject"] for finding in part["findings"]]
    assert len(seen) == ARCHIVES
    assert set(seen) == subjects
    alone = verified(cacheadmin, policy, "--jobs", "1", code=8)
    assert alone["findings"] == everything["findings"]


def test_targets_name_what_is_checked(cache: Path, cacheadmin: Cacheadmin) -> None:
    good = write_archive(cache, "good", {"good.py": b""})
    bad = write_archive(cache, "bad", {"bad.py": b"x"})
    (bad / "bad.py").write_bytes(b"y")
    write_pointer(cache, "good", "1.0-py3-none-any", good)
    policy = cacheadmin.policy(cache)
    for target in ("good", "good==1.0", good.name, good, "wheels-v7/pypi/good", "Good"):
        assert verified(cacheadmin, policy, target, code=0)["checked"]["archives"] == 1
    assert verified(cacheadmin, policy, "good", "bad", code=8)["checked"]["archives"] == 2
    missing = cacheadmin("verify", policy, "goood", code=66)
    assert "nothing in this cache is called goood" in missing.stderr
    assert "near: good" in missing.stderr
    # A bucket is an entry, but it holds no archive of its own.
    cacheadmin("verify", policy, "simple-v27", code=66)


def test_quiet_says_nothing_unless_it_fails(cache: Path, cacheadmin: Cacheadmin) -> None:
    archive = write_archive(cache, "demo", {"demo.py": b"x = 1\n"})
    policy = cacheadmin.policy(cache)
    fine = cacheadmin("-q", "verify", policy, code=0)
    assert (fine.stdout, fine.stderr) == ("", "")
    assert "no findings in 1 archive (3 files" in cacheadmin("verify", policy, code=0).stdout
    (archive / "notes\x1b[2J").write_bytes(b"x")
    fine = cacheadmin("-q", "verify", policy, code=0)
    assert (fine.stdout, fine.stderr) == ("", "")
    loud = cacheadmin("-q", "verify", policy, "--fail-on", "warning", code=8)
    assert loud.stdout.startswith("warning  file-extra  ")
    assert "\x1b" not in loud.stdout
    assert "notes\\x1b" in loud.stdout


def test_a_share_that_is_none_is_refused(cache: Path, cacheadmin: Cacheadmin) -> None:
    policy = cacheadmin.policy(cache)
    for share in ("0%", "120%", "some"):
        refused = cacheadmin("verify", policy, "--sample", share, code=2)
        assert refused.stderr.startswith("cacheadmin: ")
        assert "--sample" in refused.stderr


def test_an_archive_under_another_name_is_an_error(cache: Path, cacheadmin: Cacheadmin) -> None:
    good = write_archive(cache, "good", {"good.py": b""})
    evil = write_archive(cache, "evil", {"evil.py": b""})
    write_pointer(cache, "good", "1.0.0-py3-none-any", good)
    policy = cacheadmin.policy(cache)
    verified(cacheadmin, policy, code=0)
    write_pointer(cache, "good", "1.1-py3-none-any", good)
    write_pointer(cache, "six", "1.0-py3-none-any", evil)
    findings = verified(cacheadmin, policy, code=8)["findings"]
    assert [(one["rule"], one["subject"]) for one in findings] == [
        ("wrong-package", str(evil)),
        ("wrong-package", str(good)),
    ]
    assert (
        "METADATA says evil 1.0, wheels-v7/pypi/six/1.0-py3-none-any says six 1.0"
        in (findings[0]["detail"])
    )


def test_a_link_in_an_archives_place_is_an_error(
    cache: Path, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    archive = write_archive(cache, "demo", {"demo.py": b""})
    write_pointer(cache, "demo", "1.0-py3-none-any", archive)
    policy = cacheadmin.policy(cache)
    archive.rename(open_folder / "elsewhere")
    archive.symlink_to(open_folder / "elsewhere")
    for target in ([], ["demo"], [archive]):
        (finding,) = verified(cacheadmin, policy, *target, code=8)["findings"]
        assert (finding["rule"], finding["subject"]) == ("link-in-archive", str(archive))
        assert f"it leads to {open_folder}/elsewhere" in finding["detail"]
        assert finding["fix"].endswith("then remove the link")
    bucket = cache / "archive-v0"
    bucket.rename(open_folder / "bucket")
    bucket.symlink_to(open_folder / "bucket")
    (finding,) = verified(cacheadmin, policy, code=8)["findings"]
    assert (finding["rule"], finding["subject"]) == ("link-in-archive", str(bucket))


def test_a_fix_installs_no_other_package(cache: Path, cacheadmin: Cacheadmin) -> None:
    def fix() -> str:
        findings = verified(cacheadmin, policy, code=8)["findings"]
        return str(next(one["fix"] for one in findings if one["rule"] == "file-changed"))

    archive = write_archive(cache, "demo", {"demo.py": b"x"})
    (archive / "demo.py").write_bytes(b"y")
    policy = cacheadmin.policy(cache)
    assert fix() == "nothing known has it any more: `cacheadmin prune` removes it"
    # Built here, or brought by hand: the index may have a stranger's of that name.
    write_pointer(cache, "demo", "1.0-py3-none-any", archive, "url/0123456789abcdef")
    assert "--reinstall-package demo 'demo @ URL'`" in fix()
    assert "demo==1.0" not in fix()
    # Somebody gives it the name of what they have in the index.
    write_pointer(cache, "other", "1.0-py3-none-any", archive)
    assert "uv pip install" not in fix()
    assert "reinstall what was installed from it" in fix()


def test_a_fix_holds_no_option_of_an_attacker(cache: Path, cacheadmin: Cacheadmin) -> None:
    archive = write_archive(cache, "_r_evil", {"demo.py": b"x"})
    write_pointer(cache, "_r_evil", "1.0-py3-none-any", archive)
    (archive / "demo.py").write_bytes(b"y")
    (finding,) = verified(cacheadmin, cacheadmin.policy(cache), code=8)["findings"]
    assert "uv pip install" not in finding["fix"]


def test_a_fix_deletes_no_module_that_is_compiled_and_nothing_else(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    compiled = importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(compile("", "", "exec"))
    only = record_line("demo/only.pyc", compiled)
    listing = write_archive(cache, "demo", {"demo/__init__.py": b""}, more_rows=[only])
    # Its RECORD was lost, with which of them is the wheel's own.
    unlisted = write_archive(cache, "other", {"demo/__init__.py": b""})
    (unlisted / "other-1.0.dist-info/RECORD").write_bytes(b'demo/__init__.py,,0\n"')
    for archive in (listing, unlisted):
        (archive / "demo/only.pyc").write_bytes(compiled)
        (archive / "demo/smuggled.pyc").write_bytes(compiled)
    write_pointer(cache, "demo", "1.0-py3-none-any", listing)
    findings = verified(cacheadmin, cacheadmin.policy(cache), code=8)["findings"]
    fixes = {one["subject"]: one["fix"] for one in findings if one["rule"] == "bytecode-stale"}
    assert fixes.keys() == {str(listing), str(unlisted)}
    assert "--reinstall-package demo" in fixes[str(listing)]
    for archive in (listing, unlisted):
        assert "-delete" not in fixes[str(archive)]


@pytest.mark.root
def test_who_may_not_read_learns_that_it_proves_nothing(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    from tests.support.users import other_users

    (eve,) = other_users(1)
    archive = write_archive(cache, "demo", {"demo/a.py": b"x", "demo/b.py": b"y"})
    (archive / "demo" / "a.py").chmod(0o600)
    policy = cacheadmin.policy(cache, f"state: sqlite:///{cacheadmin.folder}/eve/state.sqlite\n")
    (cacheadmin.folder / "eve").mkdir()
    os.chown(cacheadmin.folder / "eve", eve.uid, eve.gid)
    document = cacheadmin(
        "verify", policy, "--format", "json", "--insecure-policy", user=eve, code=0
    ).json
    (finding,) = document["findings"]
    assert (finding["rule"], finding["severity"]) == ("unreadable", "warning")
    assert "demo/a.py (Permission denied)" in finding["detail"]
    assert finding["fix"].startswith("run it as root")


@pytest.mark.root
def test_who_may_not_look_learns_that_nothing_was(cache: Path, cacheadmin: Cacheadmin) -> None:
    from tests.support.users import other_users

    (eve,) = other_users(1)
    write_archive(cache, "demo", {"demo.py": b""})
    (cache / "archive-v0").chmod(0o700)
    (cacheadmin.folder / "eve").mkdir()
    os.chown(cacheadmin.folder / "eve", eve.uid, eve.gid)
    policy = cacheadmin.policy(cache, f"state: sqlite:///{cacheadmin.folder}/eve/state.sqlite\n")
    document = cacheadmin(
        "verify", policy, "--format", "json", "--insecure-policy", user=eve, code=0
    ).json
    (finding,) = document["findings"]
    assert (finding["rule"], finding["subject"]) == ("unreadable", f"{cache}/archive-v0")
    assert finding["severity"] == "warning"


def keep_workers_busy(cache: Path, *, gibibytes: int = 12) -> None:
    """Make archives for several workers; one takes seconds to read, and no room."""
    for number in range(20):
        write_archive(cache, f"demo{number}", {"demo.py": b""})
    size = gibibytes << 30
    rows = [["large.bin", record_line("large.bin", b"")[1], str(size)]]
    archive = write_archive(cache, "large", {}, rows=rows)
    with (archive / "large.bin").open("wb") as file:
        file.truncate(size)


def three_workers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    until(lambda: len(parent.children()) >= 3)
    return parent.children()


def test_stopping_it_waits_for_no_worker(cache: Path, cacheadmin: Cacheadmin) -> None:
    keep_workers_busy(cache)
    process = cacheadmin.start("verify", cacheadmin.policy(cache), "--jobs", "3")
    try:
        workers = three_workers_of(process)
        for worker in workers:
            worker.suspend()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill()
        process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert (len(gone), alive) == (3, [])
    assert "unexpected error" not in (cacheadmin.folder / "started.log").read_text()


def test_a_worker_that_is_killed_costs_one_archive_its_check(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    keep_workers_busy(cache, gibibytes=2)
    process = cacheadmin.start("verify", cacheadmin.policy(cache), "--jobs", "3")
    try:
        workers = three_workers_of(process)

        def at_work() -> psutil.Process:
            return max(workers, key=lambda worker: worker.cpu_times().user)

        # One that has nothing to do is missed by nobody.
        until(lambda: at_work().cpu_times().user > 0.2)
        at_work().kill()
        assert process.wait(120) == 8
    finally:
        process.kill()
        process.wait()
    said = (cacheadmin.folder / "started.log").read_text()
    assert "its reader was ended by SIGKILL" in said
    assert "21 archives" in said


def test_killing_it_leaves_no_worker_behind(cache: Path, cacheadmin: Cacheadmin) -> None:
    keep_workers_busy(cache)
    process = cacheadmin.start("verify", cacheadmin.policy(cache), "--jobs", "3")
    try:
        workers = three_workers_of(process)
    finally:
        process.kill()
        process.wait()
    gone, alive = psutil.wait_procs(workers, timeout=60)
    assert (len(gone), alive) == (3, [])
