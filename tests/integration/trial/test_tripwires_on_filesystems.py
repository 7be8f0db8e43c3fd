"""Tripwires on each filesystem and mount that a cache may lie on (needs root)."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.trial.tripwires import access_is_seen
from tests.support.filesystems import filesystem
from tests.support.trial_sites import ENTRY, RULES, trial_site
from tests.support.users import open_temporary_folder
from tests.support.waiting import until

pytestmark = pytest.mark.root


@contextmanager
def mounted(*arguments: str) -> Iterator[Path]:
    """Mount something on a folder of its own; skip where that can't be done here."""
    folder = open_temporary_folder("cacheadmin-mounted-")
    done = subprocess.run(["mount", *arguments, folder], check=False, capture_output=True)
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"can't be mounted here: {os.fsdecode(done.stderr).strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


@contextmanager
def place_on(kind: str, options: str) -> Iterator[Path]:
    """Give an empty folder on a filesystem of this kind."""
    work = open_temporary_folder("cacheadmin-filesystem-")
    try:
        if kind == "tmpfs":
            with mounted("-t", "tmpfs", "-o", f"size=64m,{options}", "none") as folder:
                yield folder
        elif kind == "overlay":
            layers = [work / name for name in ("lower", "upper", "work")]
            for layer in layers:
                layer.mkdir()
            spelled = ",".join(
                f"{name}dir={layer}"
                for name, layer in zip(("lower", "upper", "work"), layers, strict=True)
            )
            with mounted("-t", "overlay", "-o", f"{spelled},{options}", "none") as folder:
                yield folder
        else:
            with filesystem(kind, work, 320, options) as folder:
                yield folder
    finally:
        shutil.rmtree(work, ignore_errors=True)


KINDS = ("ext4", "xfs", "btrfs", "tmpfs", "overlay")
SEEING = [(kind, "relatime") for kind in KINDS]
SEEING += [("ext4", "strictatime"), ("ext4", "lazytime"), ("ext4", "nodiratime")]


@pytest.mark.parametrize(("kind", "options"), SEEING)
def test_a_lookup_is_seen_and_brings_it_back(kind: str, options: str) -> None:
    with place_on(kind, options) as folder, trial_site(folder) as site:
        assert site.trials.tripwires.exchanges
        site.put_on_trial()
        assert site.watch().springs == ()
        site.use()
        assert [one.why for one in site.watch().springs] == ["sprung"]
        assert not (site.path / ENTRY).is_symlink()
        site.use()


@pytest.mark.parametrize("kind", KINDS)
def test_without_access_times_no_trial_ends_on_silence(kind: str) -> None:
    with place_on(kind, "noatime") as folder, trial_site(folder) as site:
        if access_is_seen(site.trials.folder):
            # The layers below an overlay keep access times whatever it is told.
            assert kind == "overlay"
            return
        site.put_on_trial()
        before = site.trials.ledger.trials[ENTRY]
        found = site.watch()
        assert "noatime" in found.blind
        after = site.trials.ledger.trials[ENTRY]
        assert after.until_ns - before.until_ns == after.discounted_ns > 0
        site.use()
        # Unseen, but whole.
        assert site.watch().springs == ()


def test_where_no_lookup_is_seen_a_path_that_was_resolved_on_trial_holds() -> None:
    """The link says that no process came, and says so of each."""
    with place_on("ext4", "noatime") as folder, trial_site(folder) as site:
        site.put_on_trial()
        path = os.path.realpath(site.link)
        assert "cacheadmin.trial" in path
        assert site.trials.put_back([ENTRY]) == []
        assert os.path.isfile(path)


def test_a_container_with_a_read_only_mount_of_the_cache_is_noticed(open_folder: Path) -> None:
    with trial_site(open_folder) as site:
        site.put_on_trial()
        assert site.watch().blind == ""
        root = open_folder / "container"
        (root / "cache").mkdir(parents=True)
        script = (
            f"mount --bind {site.path} {root}/cache && mount -o remount,ro,bind {root}/cache "
            f"&& mount --bind {root} {root} && mount --bind {site.path} {root}/cache "
            f"&& mount -o remount,ro,bind {root}/cache "
            f"&& echo ready && exec python3 -c "
            f'\'import os, sys; os.chroot("{root}"); os.chdir("/"); sys.stdin.read()\''
        )
        with subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as container:
            try:
                assert container.stdout is not None
                assert container.stdout.readline() == b"ready\n"
                wait_until_chrooted(container.pid, root)
                assert f"process {container.pid}" in site.watch().blind
            finally:
                container.kill()
        assert site.watch().blind == ""


def wait_until_chrooted(pid: int, root: Path) -> None:
    until(lambda: os.path.samefile(f"/proc/{pid}/root", root))


def test_links_lead_through_a_mount_of_the_cache_alone_at_another_path(open_folder: Path) -> None:
    with trial_site(open_folder) as site:
        site.put_on_trial()
        elsewhere = open_folder / "mnt"
        elsewhere.mkdir()
        script = (
            f"mount --bind {site.path} {elsewhere} && umount -l {site.path} 2>/dev/null; "
            f"cat {elsewhere}/{ENTRY}/pkg/__init__.py"
        )
        read = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script], check=True, capture_output=True
        )
        assert read.stdout == b"x = 1\n"
        assert [one.why for one in site.watch().springs] == ["sprung"]


def test_a_walk_is_no_use_and_takes_its_time_from_the_trial(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial()
        site.watch()
        before = site.trials.ledger.trials[ENTRY]
        for name in os.listdir(site.path / "archive-v0"):
            os.readlink(site.path / "archive-v0" / name) if (
                site.path / "archive-v0" / name
            ).is_symlink() else None
        found = site.watch()
        assert found.springs == ()
        assert found.doubtful == {ENTRY}
        after = site.trials.ledger.trials[ENTRY]
        assert after.until_ns > before.until_ns
        # Set back: the next use is seen.
        site.use()
        assert [one.why for one in site.watch().springs] == ["sprung"]


def test_a_lost_ledger_begins_trials_anew_and_knows_decoys(tmp_path: Path) -> None:
    with trial_site(tmp_path) as site:
        site.put_on_trial(since_ns=time.time_ns() - RULES.lasts_ns)
        (site.path / "archive-v0/cacheadmin.trial/.ledger.json").unlink()
    from tests.support.trial_sites import opened_site

    with opened_site(tmp_path) as site:
        site.watch()
        trial = site.trials.ledger.trials[ENTRY]
        assert trial.until_ns > time.time_ns() + RULES.lasts_ns // 2
        assert len(site.trials.ledger.decoys) == 3
        assert site.trials.entries() == [ENTRY]


def test_whom_a_used_package_requires_comes_back_with_it(tmp_path: Path) -> None:
    from tests.support.trial_sites import add_archive

    with trial_site(tmp_path) as site:
        names = ("archive-v0/AAAAAAAAAAAAAAA1", "archive-v0/AAAAAAAAAAAAAAA2")
        needed = add_archive(site.path, names[0], "needed", ("deeper>=1",))
        deeper = add_archive(site.path, names[1], "deeper")
        other = add_archive(site.path, "archive-v0/AAAAAAAAAAAAAAA3", "other")
        metadata = site.path / ENTRY / "pkg-1.0.dist-info" / "METADATA"
        metadata.write_text("Name: pkg\nVersion: 1.0\nRequires-Dist: Needed ; extra == 'x'\n\n")
        for number, archive in enumerate((needed, deeper, other)):
            # Unpacked on other days: only what is required counts.
            then = time.time_ns() - (number + 2) * 86_400 * 10**9
            os.utime(archive, ns=(then, then))
        entries = (ENTRY, *names, "archive-v0/AAAAAAAAAAAAAAA3")
        site.put_on_trial(*entries)
        site.use()
        found = site.watch()
        assert {one.entry: one.why for one in found.springs} == {
            ENTRY: "sprung",
            names[0]: "kin",
            names[1]: "kin",
        }
        assert site.trials.entries() == [entries[3]]
