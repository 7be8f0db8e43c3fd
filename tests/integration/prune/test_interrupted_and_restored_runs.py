"""What killed, undone and half-purged runs leave behind comes to its right end."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.soak.adversity import compiled_clock
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import filesystem
from tests.support.shared_cache import SharedCache, age, dangling_links, tree_snapshot
from tests.support.uv_releases import NEWEST
from tests.support.wheel_archives import empty_cache, write_archive, write_tool

RUBBISH = ("archive-v0/.tmpone", "archive-v0/.tmptwo")


def small_cache(path: Path) -> Path:
    """Make a cache with two abandoned folders and an unneeded bucket."""
    for name in (*RUBBISH, "wheels-v3/pypi/six"):
        (path / name).mkdir(parents=True)
        (path / name / "file").write_text(f"{path.name} {name}")
    (path / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (path / ".gitignore").write_text("*")
    (path / ".lock").touch()
    (path / ".lock").chmod(0o666)
    age(path, 60)
    return path


@pytest.fixture
def cache(open_folder: Path) -> Path:
    return small_cache(open_folder / "cache")


def pruned(cacheadmin: Cacheadmin, policy: Path, code: int = 0) -> str:
    run = cacheadmin("prune", policy, "--format", "json", code=code).json
    assert run["removals"]
    return str(run["run_id"])


def journal_of(quarantine: Path, run: str) -> Path:
    return quarantine / run / "journal.jsonl"


def as_if_killed(quarantine: Path, run: str) -> None:
    """Take the journal back to the moment after the last move: `moving` is its last line."""
    journal = journal_of(quarantine, run)
    lines = journal.read_text().splitlines(keepends=True)
    ends = [n for n, line in enumerate(lines) if json.loads(line).get("state") == "moving"]
    journal.write_text("".join(lines[: ends[0] + 1]))


def runs(cacheadmin: Cacheadmin, policy: Path) -> dict[str, dict]:
    rows = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
    return {row["run_id"]: row for row in rows}


def there(cache: Path) -> bool:
    return all((cache / name / "file").exists() for name in RUBBISH)


def test_a_killed_run_of_another_cache_in_the_same_quarantine_is_left_to_that_cache(
    cacheadmin, cache: Path, open_folder: Path
) -> None:
    other = small_cache(open_folder / "other")
    quarantine = open_folder / "both" / "quarantine"
    quarantine.parent.mkdir()
    text = f"quarantine:\n  path: {quarantine}\n"
    ours = cacheadmin.policy(cache, text)
    theirs = cacheadmin.policy(other, text, name="other")
    killed = pruned(cacheadmin, theirs)
    as_if_killed(quarantine, killed)
    pruned(cacheadmin, ours)
    assert not there(cache)
    assert not there(other)
    cacheadmin("runs", "purge", ours, "--older-than", "0s", code=0)
    result = cacheadmin("prune", theirs, "--format", "json", code=0).json
    assert result["recovered"] == [killed]
    cacheadmin("runs", "restore", theirs, result["run_id"], code=0)
    assert (other / RUBBISH[0] / "file").read_text() == f"other {RUBBISH[0]}"


def test_runs_of_another_cache_in_the_same_quarantine_keep_their_own_time_and_are_not_listed(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    other = small_cache(open_folder / "other")
    before = tree_snapshot(other)
    quarantine = open_folder / "both" / "quarantine"
    quarantine.parent.mkdir()
    ours = cacheadmin.policy(cache, f"quarantine: {{path: {quarantine}, keep: 0d}}\n")
    theirs = cacheadmin.policy(
        other, f"quarantine: {{path: {quarantine}, keep: 30d}}\n", name="other"
    )
    kept = pruned(cacheadmin, theirs)
    run = pruned(cacheadmin, ours)
    assert list(runs(cacheadmin, ours)) == [run]
    assert list(runs(cacheadmin, theirs)) == [kept]
    # The next run deletes what is over, by the policy of its cache.
    cacheadmin("prune", ours, code=0)
    cacheadmin("runs", "purge", ours, "--all", code=0)
    cacheadmin("runs", "purge", ours, "--older-than", "0s", "--now", code=0)
    refused = cacheadmin("runs", "purge", ours, kept, code=5).stderr
    assert f"run {kept} was made on another cache: {other}" in refused
    # Without a run the last of this cache is meant, whichever the last of all is.
    cacheadmin("runs", "restore", ours, code=5)
    assert kept in cacheadmin("runs", "restore", theirs, code=0).stderr
    assert tree_snapshot(other) == before


@pytest.mark.root
def test_a_killed_run_is_put_back_where_the_cache_is_mounted_elsewhere_meanwhile(
    cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    """So do hosts that mount a share at paths of their own, each with device numbers of its own."""
    copy, second = open_folder / "copy.img", open_folder / "second"
    second.mkdir()
    with filesystem("ext4", open_folder, 64) as made:
        killed = pruned(cacheadmin, cacheadmin.policy(small_cache(made / "cache")))
        as_if_killed(made / "cache.cacheadmin" / "quarantine", killed)
        os.sync()
        shutil.copy(open_folder / "ext4.img", copy)
        with mounted(second, "-o", "loop", str(copy)):
            assert second.stat().st_dev != made.stat().st_dev
            policy = cacheadmin.policy(second / "cache")
            said = cacheadmin("prune", policy, "--format", "json", code=0).json
            assert said["recovered"] == [killed]
            cacheadmin("runs", "restore", policy, code=0)
            assert there(second / "cache")


def test_deleting_all_runs_leaves_one_that_did_not_come_to_its_end_and_says_so(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    killed = pruned(cacheadmin, policy)
    small_cache(cache.with_name("more"))
    for name in RUBBISH:
        cache.with_name("more").joinpath(name).rename(cache / f"{name}again")
    done = pruned(cacheadmin, policy)
    # The first of the two: the other one is deleted all the same.
    as_if_killed(cache.with_name("cache.cacheadmin") / "quarantine", killed)
    said = cacheadmin("runs", "purge", policy, "--all", code=7).stderr
    assert f"run {killed} could not be deleted: it did not come to its end" in said
    assert "1 run deleted for good" in said
    assert runs(cacheadmin, policy)[done]["state"] == "purged"
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["recovered"] == [killed]
    # Deleted once, it is not deleted again.
    assert "0 runs deleted for good" in cacheadmin("runs", "purge", policy, done, code=0).stderr


def test_a_killed_run_of_a_cache_that_is_gone_says_what_becomes_of_it(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    quick = "audit: {quarantine-overdue: {unfinished_after: 0s}}\n"
    policy = cacheadmin.policy(cache, quick)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    settled = pruned(cacheadmin, policy)
    for name in RUBBISH:
        (cache / name).mkdir()
    age(cache, 60)
    killed = pruned(cacheadmin, policy)
    as_if_killed(quarantine, killed)
    # As `uv cache clean` and the next install do; the old one is aside, not gone.
    cache.rename(cache.with_name("aside"))
    small_cache(cache)

    assert cacheadmin("prune", policy, "--format", "json", code=0).json["recovered"] == []
    refused = cacheadmin("runs", "restore", policy, settled, code=5).stderr
    assert f"on the cache that was at {cache} before" in refused
    refused = cacheadmin("runs", "restore", policy, killed, code=5).stderr
    assert f"on the cache that was at {cache} before" in refused
    refused = cacheadmin("runs", "purge", policy, killed, code=5).stderr
    assert "remove the run's folder from quarantine" in refused
    said = cacheadmin("runs", "purge", policy, "--all", code=7).stderr
    assert "remove the run's folder from quarantine" in said
    findings = cacheadmin("audit", policy, "--format", "json").json["findings"]
    (fix,) = (one["fix"] for one in findings if one["rule"] == "quarantine-overdue")
    assert fix == f"if that cache is gone for good: rm -r -- {quarantine / killed}"

    # Where the old one is back, the run ends as ever.
    cache.rename(cache.with_name("new"))
    cache.with_name("aside").rename(cache)
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["recovered"] == [killed]


def test_a_clock_that_was_set_forward_makes_no_run_older(
    cacheadmin: Cacheadmin, cache: Path, tmp_path: Path
) -> None:
    before = tree_snapshot(cache)
    policy = cacheadmin.policy(cache)
    run = pruned(cacheadmin, policy)
    years = str(12 * 365 * 86_400)
    wrong = {"LD_PRELOAD": str(compiled_clock(tmp_path)), "ANOTHER_CLOCK": years}
    words = ("runs", "purge", policy, "--older-than", "7d", "--now")
    assert "0 runs deleted for good" in cacheadmin(*words, code=0, environment=wrong).stderr
    cacheadmin("runs", "restore", policy, run, code=0)
    assert tree_snapshot(cache) == before


def test_a_clock_that_was_behind_for_one_prune_makes_it_no_older_once_it_is_right(
    cacheadmin: Cacheadmin, cache: Path, tmp_path: Path
) -> None:
    policy = cacheadmin.policy(cache)
    pruned(cacheadmin, policy)
    for name in RUBBISH:
        (cache / name).mkdir()
        (cache / name / "file").write_text("more")
    age(cache, 200)
    weeks = str(-60 * 86_400)
    wrong = {"LD_PRELOAD": str(compiled_clock(tmp_path)), "ANOTHER_CLOCK": weeks}
    run = cacheadmin("prune", policy, "--format", "json", code=0, environment=wrong).json["run_id"]
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["purged"] == []
    words = ("runs", "purge", policy, "--older-than", "7d")
    assert "0 runs deleted for good" in cacheadmin(*words, code=0).stderr
    # It is the last one, too.
    assert f"run {run}: " in cacheadmin("runs", "restore", policy, code=0).stderr
    assert (cache / RUBBISH[0] / "file").read_text() == "more"


def test_a_journal_torn_in_the_middle_of_a_line_is_continued_on_a_new_one(
    cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    killed = pruned(cacheadmin, policy)
    as_if_killed(quarantine, killed)
    with journal_of(quarantine, killed).open("a") as journal:
        journal.write('{"record": "state", "sta')
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["recovered"] == [killed]
    assert runs(cacheadmin, policy)[killed]["state"] == "rolled_back"
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["recovered"] == []


def test_a_folder_that_is_gone_meanwhile_is_made_again_to_put_back_what_was_in_it(
    cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    run = pruned(cacheadmin, policy)
    (cache / "archive-v0").rmdir()
    (cache / "simple-v16").mkdir()
    cacheadmin("runs", "restore", policy, run, code=0)
    assert there(cache)
    made, above = (cache / "archive-v0").stat(), cache.stat()
    assert (made.st_mode, made.st_uid, made.st_gid) == (above.st_mode, above.st_uid, above.st_gid)


def test_what_could_not_be_put_back_is_tried_again_and_never_purged(
    cacheadmin, cache: Path
) -> None:
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    killed = pruned(cacheadmin, cacheadmin.policy(cache))
    as_if_killed(quarantine, killed)
    policy = cacheadmin.policy(cache, "quarantine:\n  keep: 0s\n")
    # A file where the folder was: nothing can be put there now.
    (cache / "archive-v0").rmdir()
    (cache / "archive-v0").touch()
    result = cacheadmin("prune", policy, "--format", "json")
    assert any("not all could be put back" in text for text in result.json["warnings"])
    assert (quarantine / killed / "entries" / RUBBISH[0] / "file").exists()
    cacheadmin("runs", "purge", policy, killed, code=5)
    (cache / "archive-v0").unlink()
    assert killed in cacheadmin("prune", policy, "--format", "json", code=0).json["recovered"]
    assert runs(cacheadmin, policy)[killed]["state"] == "rolled_back"


def test_a_run_can_be_restored_again_once_what_was_in_the_way_is_gone(
    cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    before = tree_snapshot(cache)
    run = pruned(cacheadmin, policy)
    (cache / RUBBISH[0]).write_text("new")
    result = cacheadmin("runs", "restore", policy, run, code=7)
    assert "uv has made it again" in result.stderr
    assert (cache / RUBBISH[0]).read_text() == "new"
    assert runs(cacheadmin, policy)[run]["restorable"]
    (cache / RUBBISH[0]).unlink()
    result = cacheadmin("runs", "restore", policy, run, code=0)
    assert "not in quarantine" not in result.stderr
    assert {n: f[:5] for n, f in tree_snapshot(cache).items()} == {
        n: f[:5] for n, f in before.items()
    }
    assert not runs(cacheadmin, policy)[run]["restorable"]
    cacheadmin("runs", "restore", policy, run, code=5)


def test_restoring_waits_for_a_prune_of_somebody_else_alone_and_names_them(
    cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache, "lock:\n  timeout: 1s\n")
    before = tree_snapshot(cache)
    run = pruned(cacheadmin, policy)
    with (cache / ".lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        busy = cacheadmin("runs", "restore", policy, run, code=3)
        assert f"held exclusive: process {os.getpid()} of" in busy.stderr
        assert not there(cache)
        # A uv command at work: what comes back replaces nothing of it.
        fcntl.flock(lock, fcntl.LOCK_SH)
        cacheadmin("runs", "restore", policy, run, code=0)
    assert tree_snapshot(cache) == before


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[None]:
    """Mount something on a folder; skip the test where that is not allowed."""
    if subprocess.run(["mount", *arguments, folder], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.root
def test_what_can_not_be_moved_stays_with_all_it_leads_to_and_the_rest_is_undone_in_full(
    cacheadmin, shared: SharedCache
) -> None:
    old = shared.environment("old", "0.5.10", "six==1.16.0", "idna==3.7")
    shared.remove_environment(old)
    age(shared.path, 60)
    shared.environment("new", NEWEST, "cowsay==6.0")
    (shared.path / RUBBISH[0]).mkdir()
    policy = cacheadmin.policy(shared.path, "prune:\n  builds:\n    after: 0s\n")
    before = tree_snapshot(shared.path)
    planned = cacheadmin("plan", policy, "--format", "json").json["removals"]
    archives = {row["path"] for row in planned if row["kind"] == "archive" and row["package"]}
    assert "wheels-v3" in {row["path"] for row in planned}
    assert len(archives) == 2
    bucket = shared.path / "wheels-v3"
    with mounted(bucket, "--bind", str(bucket)):
        run = cacheadmin("prune", policy, "--format", "json", code=7).json
    assert run["outcome"] == "partial"
    assert [row["path"] for row in run["failed"]] == ["wheels-v3"]
    assert {row["path"] for row in run["dropped"]} >= archives
    assert all((shared.path / archive).exists() for archive in archives)
    shown = cacheadmin("runs", "show", policy, run["run_id"], "--format", "json", code=0).json
    assert {row["path"] for row in shown["entries"]} == {row["path"] for row in run["removals"]}
    restored = cacheadmin("runs", "restore", policy, run["run_id"], code=0)
    assert "not in quarantine" not in restored.stderr
    assert tree_snapshot(shared.path) == before


@contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """Let no process move a folder (chattr(1)), where its filesystem can."""
    if subprocess.run(["chattr", "+i", folder], check=False, capture_output=True).returncode:
        pytest.skip("this filesystem knows no immutable files")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


@pytest.mark.root
def test_what_was_moved_before_that_which_leads_to_it_could_not_be_comes_back(
    cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    """A tool's whole environment is an archive like those that it links, and may come later."""
    cache = empty_cache(open_folder / "cache")
    linked = write_archive(cache, "six", {"six.py": b""})
    tool = write_tool(cache, linked)
    age(cache, 60)
    idle = "prune: {environments: {idle: 1d, keep_latest: false}}\nhosts: {only: this}\n"
    policy = cacheadmin.policy(cache, idle)
    planned = cacheadmin("plan", policy, "--format", "json", code=0).json["removals"]
    paths = [row["path"] for row in planned]
    assert f"archive-v0/{linked.name}" in paths
    assert f"archive-v0/{tool.name}" in paths
    with immutable(tool):
        run = cacheadmin("prune", policy, "--format", "json", code=7).json
    assert [row["path"] for row in run["failed"]] == [f"archive-v0/{tool.name}"]
    assert dangling_links(tool) == {}
    assert f"archive-v0/{linked.name}" in {row["path"] for row in run["dropped"]}


@pytest.mark.root
def test_a_half_purged_run_can_not_be_restored_and_is_purged_to_its_end(
    cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    run = pruned(cacheadmin, policy)
    entries = cache.with_name("cache.cacheadmin") / "quarantine" / run / "entries"
    with mounted(entries / RUBBISH[0], "-t", "tmpfs", "none"):
        cacheadmin("runs", "purge", policy, run, code=7)
    assert not (entries / RUBBISH[1]).exists()
    assert (entries / RUBBISH[0]).exists()
    row = runs(cacheadmin, policy)[run]
    assert (row["state"], row["restorable"]) == ("purging", False)
    cacheadmin("runs", "restore", policy, run, code=5)
    cacheadmin("runs", "purge", policy, "--older-than", "0s", code=0)
    assert not entries.exists()
    assert runs(cacheadmin, policy)[run]["state"] == "purged"


def test_where_nothing_was_pruned_yet_a_purge_of_all_has_nothing_to_do(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    policy = cacheadmin.policy(cache)
    for which in (["--all"], ["--older-than", "3d"], ["--all", "--now"]):
        assert cacheadmin("-q", "runs", "purge", policy, *which, code=0).stderr == ""
    assert "there are no runs" in cacheadmin("runs", "purge", policy, "20260101-1", code=66).stderr


@pytest.mark.root
def test_a_full_filesystem_is_freed_and_says_so_in_one_clear_line(
    cacheadmin, open_folder: Path
) -> None:
    place = open_folder / "full"
    place.mkdir()
    with mounted(place, "-t", "tmpfs", "-o", "size=256k", "none"):
        cache = small_cache(place / "cache")
        policy = cacheadmin.policy(cache)
        run = pruned(cacheadmin, policy)
        cacheadmin("runs", "restore", policy, run, code=0)
        filler = (place / "filler").open("wb", buffering=0)
        with filler, pytest.raises(OSError, match="No space"):
            while True:
                filler.write(b"x" * 4096)
        result = cacheadmin("prune", policy, code=0)
        assert "deleted at once" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not there(cache)


@pytest.mark.root
def test_a_broken_link_is_noticed_where_the_cache_is_reached_by_a_bind_mount(
    cacheadmin, shared: SharedCache
) -> None:
    from tests.integration.prune.test_transaction_puts_back_what_it_broke import run_blind

    alias = shared.homes / "mounted-cache"
    alias.mkdir()
    with mounted(alias, "--bind", str(shared.path)):
        environment = shared.environment("proj", NEWEST, "six==1.16.0", cache=alias)
        text = f"venvs:\n  include: ['{environment}']\nprune: {{trial: never}}\n"
        policy = cacheadmin.policy(shared.path, text)
        archives = os.listdir(shared.path / "archive-v0")
        finished = run_blind(cacheadmin, "prune", policy, "--format", "json")
        assert finished.returncode == 0, finished.stderr
        reasons = [row["reason"] for row in json.loads(finished.stdout)["dropped"]]
        assert any("leads to it" in reason for reason in reasons)
        assert os.listdir(shared.path / "archive-v0") == archives
        assert dangling_links(environment) == {}


def test_a_journal_that_cant_be_read_for_now_keeps_its_run(
    cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    cache = small_cache(open_folder / "cache")
    policy = cacheadmin.policy(cache)
    run_id = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    run = open_folder / "cache.cacheadmin" / "quarantine" / run_id
    for entry in sorted((run / "entries").rglob("*"), reverse=True):
        entry.rmdir() if entry.is_dir() else entry.unlink()
    journal = run / "journal.jsonl"
    whole = journal.read_bytes()
    # As a disk that fails does, or a newer release's own words.
    journal.write_bytes(whole + b'{"record": "state", "state": "of another release"}\n')
    result = cacheadmin("prune", policy, code=0)
    assert "its journal" in result.stderr
    assert "can't be read" in result.stderr
    assert journal.exists()
    assert "it can't be read" in cacheadmin("runs", "purge", policy, run_id, code=7).stderr
    journal.write_bytes(whole)
    assert cacheadmin("runs", "show", policy, run_id, code=0)


def test_a_run_without_a_journal_is_left_with_what_it_moved(
    cacheadmin: Cacheadmin, cache: Path
) -> None:
    policy = cacheadmin.policy(cache)
    quarantine = cache.with_name("cache.cacheadmin") / "quarantine"
    run = pruned(cacheadmin, policy)
    journal_of(quarantine, run).unlink()
    said = cacheadmin("prune", policy, code=0).stderr
    assert "it has no journal; what it moved lies in its folder `entries`" in said
    assert there(quarantine / run / "entries")
