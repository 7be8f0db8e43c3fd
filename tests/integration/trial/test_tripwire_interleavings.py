"""At every step of every move with tripwires: lookups, takings, replacements, kills.

Each case runs the real functions on a real disk in a process of its own. Before
the n-th call that changes the disk (Python and ``fs.rename`` audit them) the
process does what somebody else might do at that instant, and then goes on, or
ends there as ``kill -9`` would end it. Afterwards the next run comes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cacheadmin.trial.ledger import Trial
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age
from tests.support.trial_sites import (
    DAY_NS,
    ENTRY,
    RULES,
    TrialSite,
    add_archive,
    lay_out,
    opened_site,
    trial_site,
)

USER = 61001

pytestmark = pytest.mark.root

CHANGES = frozenset(
    {
        "cacheadmin.rename",
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.mkdir",
        "os.symlink",
        "os.utime",
        "os.chown",
        "time.sleep",
    }
)

# What the child says: it came to its end, was killed, or there is no such step.
ENDED, KILLED, NO_SUCH_STEP, BROKEN = 10, 11, 12, 13


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """A folder in memory, where there is one: thousands of cases sync their records."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="cacheadmin-test-", dir=place))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def put_on_trial(site: TrialSite) -> None:
    site.put_on_trial()


def put_back(site: TrialSite) -> None:
    site.trials.put_back([ENTRY])


def watch(site: TrialSite) -> None:
    site.watch()


def end(site: TrialSite) -> None:
    site.trials.end([ENTRY], 0.001)


def use(site: TrialSite) -> None:
    """Use it as the environment does; remember when that went through a tripwire, and to where."""
    through = (site.path / ENTRY).is_symlink()
    site.use()
    if through:
        (site.folder / "through").write_text(os.path.realpath(site.link))


def walk(site: TrialSite) -> None:
    """Resolve every name in the bucket, as backups and uv's own prune do."""
    for name in os.listdir(site.path / "archive-v0"):
        os.path.realpath(site.path / "archive-v0" / name)


def take(site: TrialSite) -> None:
    origin = site.path / ENTRY
    if origin.is_symlink():
        origin.unlink()


def replace(site: TrialSite) -> None:
    """Put a user's link of the same text in the tripwire's place, silent for ever."""
    origin = site.path / ENTRY
    if origin.is_symlink():
        text = os.readlink(origin)
        origin.unlink()
        origin.symlink_to(text)
        os.chown(origin, USER, USER, follow_symlinks=False)
        os.utime(origin, ns=(10**18, 10**18), follow_symlinks=False)
        (site.folder / "replaced").touch()


def delete(site: TrialSite) -> None:
    """Delete what the tripwire leads to, as a prune of 0.6.4 does without roots."""
    place = site.path / "archive-v0/cacheadmin.trial" / ENTRY.partition("/")[2]
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)


def nothing(_site: TrialSite) -> None:
    pass


# (what is done, what stands before it)
MOVES: dict[str, tuple[Callable[[TrialSite], None], tuple[Callable[[TrialSite], None], ...]]] = {
    "put on trial": (put_on_trial, ()),
    "put back": (put_back, (put_on_trial,)),
    "watch what sprang": (watch, (put_on_trial, use)),
    "watch what was walked": (watch, (put_on_trial, walk)),
    "watch what was taken": (watch, (put_on_trial, take)),
    "end": (end, (put_on_trial,)),
}
ACTS = {one.__name__: one for one in (nothing, use, walk, take, replace, delete)}


def run_case(folder: Path, move: str, act: str, step: int, *, killed: bool, exchanges: bool) -> int:
    """Run one case in a child; return what it says."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = BROKEN
    try:
        code = _child(folder, move, act, step, killed=killed, exchanges=exchanges)
    finally:
        os._exit(code)


def _child(folder: Path, move: str, act: str, step: int, *, killed: bool, exchanges: bool) -> int:
    todo, before = MOVES[move]
    with opened_site(folder) as site:
        if not exchanges:
            site.trials.tripwires._exchanges = False
        for one in before:
            one(site)
        count = 0
        reached = False

        def hook(event: str, _arguments: tuple[object, ...]) -> None:
            nonlocal count, reached
            if reached or event not in CHANGES:
                return
            count += 1
            if count == step:
                reached = True
                try:
                    ACTS[act](site)
                except FileNotFoundError:
                    # Somebody finds nothing at this instant: allowed where a test says so.
                    (folder / "missed").touch()
                if killed:
                    os._exit(KILLED)

        sys.addaudithook(hook)
        todo(site)
        return ENDED if reached else NO_SUCH_STEP


def whole(archive: Path) -> bool:
    return (archive / "pkg" / "__init__.py").is_file()


@pytest.mark.parametrize("exchanges", [True, False], ids=["exchange", "two renames"])
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("move", MOVES)
def test_nothing_at_any_instant_loses_the_entry(
    quick_folder: Path, move: str, act: str, exchanges: bool
) -> None:
    steps = 0
    for killed in (True, False):
        for step in range(1, 200):
            folder = quick_folder / f"{killed}-{step}"
            folder.mkdir()
            lay_out(folder)
            said = run_case(folder, move, act, step, killed=killed, exchanges=exchanges)
            assert said != BROKEN
            if said == NO_SUCH_STEP:
                break
            steps += 1
            missed = (folder / "missed").exists()
            check(folder, move, act, missed=missed, exchanges=exchanges)
            shutil.rmtree(folder)
    assert steps > 4


def check(folder: Path, move: str, act: str, *, missed: bool, exchanges: bool) -> None:
    """Assert what must hold after the next run."""
    origin = folder / "cache" / ENTRY
    place = folder / "cache/archive-v0/cacheadmin.trial" / ENTRY.partition("/")[2]
    with opened_site(folder) as site:
        found = site.watch()
        if missed:
            # There is no instant without the entry, but in the last step of its trial,
            # where somebody took it, and between the two renames of a filesystem that
            # can't exchange.
            assert move in ("end", "watch what was taken") or not exchanges
        at_home = origin.is_dir() and not origin.is_symlink()
        on_trial = place.is_dir() and not place.is_symlink()
        assert not (at_home and on_trial)
        if at_home or on_trial:
            assert whole(origin if at_home else place)
        if on_trial:
            # Its link is there, or something foreign is, and that is told.
            assert origin.is_symlink()
            assert ENTRY in found.foreign or origin.resolve() == place
        if not (at_home or on_trial):
            assert act == "delete" or move == "end"
            # No link that leads nowhere is left: it would end every prune of uv's.
            assert not origin.is_symlink()
        if act == "use" and (folder / "through").exists() and move != "watch what was walked":
            # Whoever came through is the reason to bring it back.
            assert at_home
            # Its path as it was then holds: a program that has resolved it goes on.
            assert Path((folder / "through").read_text()).is_file()
        if (folder / "replaced").exists() and move != "end":
            assert at_home or ENTRY in found.foreign
        names = {name for name in os.listdir(place.parent) if name.startswith(".")}
        if place.is_symlink():
            assert whole(place)
            names = {name for name in names if not name.startswith(".walk-")}
        assert names <= {".cacheadmin", ".ledger.json", ".ledger.json.new"}


def test_what_stayed_silent_is_gone_and_nothing_else_is_left(quick_folder: Path) -> None:
    lay_out(quick_folder)
    with opened_site(quick_folder) as site:
        site.put_on_trial(since_ns=time.time_ns() - 31 * DAY_NS)
        ended = site.trials.end([ENTRY], 0.001)
        assert [one.entry for one in ended.deleted] == [ENTRY]
        assert not (site.path / ENTRY).is_symlink()
        left = set(os.listdir(site.path / "archive-v0"))
        # Decoys went with the last trial.
        assert left == {"cacheadmin.trial"}
        assert site.trials.entries() == []


def test_in_a_sticky_bucket_every_user_may_go_through_a_tripwire(open_folder: Path) -> None:
    """With fs.protected_symlinks a link there must be the user's, or the folder's owner's."""
    lay_out(open_folder)
    bucket = open_folder / "cache" / "archive-v0"
    os.chown(bucket, USER, USER)
    bucket.chmod(0o1777)
    with opened_site(open_folder) as site:
        site.put_on_trial()
        assert (site.path / ENTRY).is_symlink()
        # The kernel of this machine may not ask for it.
        assert (site.path / ENTRY).lstat().st_uid == USER
        file = next((open_folder / "env").rglob("*.py"))
        for user in (USER, USER + 1):
            rights = {"user": user, "group": user, "extra_groups": ()}
            assert subprocess.run(["cat", file], check=False, **rights).returncode == 0
        site.watch()
        assert not (site.path / ENTRY).is_symlink()


def test_no_name_goes_while_a_prune_of_uv_lists_them(quick_folder: Path) -> None:
    """It resolves each name it has listed, and fails at one that is gone."""
    lay_out(quick_folder)
    with opened_site(quick_folder) as site:
        site.put_on_trial(since_ns=time.time_ns() - 31 * DAY_NS)
        listed = set(os.listdir(site.path / "archive-v0"))
        with (site.path / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            ended = site.trials.end([ENTRY], 0.001)
            assert [entry for entry, _ in ended.stuck] == [ENTRY]
            assert site.trials.bring_back({ENTRY: "linked"}, time.time_ns(), lambda _: {})[1] == []
            site.watch()
            assert set(os.listdir(site.path / "archive-v0")) == listed
        site.watch()
        left = {name for name in os.listdir(site.path / "archive-v0") if name not in ENTRY}
        assert left == {"cacheadmin.trial"}, "decoys go with the next look"


def test_an_end_that_is_interrupted_between_its_steps_gives_the_entry_back(
    quick_folder: Path,
) -> None:
    """Ctrl-C, or a signal of a service manager, while it waits."""
    lay_out(quick_folder)
    with opened_site(quick_folder) as site:
        site.put_on_trial(since_ns=time.time_ns() - 31 * DAY_NS)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            site.trials.end([ENTRY], 60)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        assert (site.path / ENTRY / "pkg").is_dir()
        site.watch()
        assert site.trials.entries() == []
        site.use()


def test_without_the_second_look_somebody_would_lose_it(
    quick_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cacheadmin.trial.tripwires import Tripwires

    monkeypatch.setattr(Tripwires, "stayed_silent", lambda *_: True)
    lost = 0
    for step in range(1, 40):
        folder = quick_folder / str(step)
        folder.mkdir()
        lay_out(folder)
        said = run_case(folder, "end", "use", step, killed=False, exchanges=True)
        if said == NO_SUCH_STEP:
            break
        lost += not (folder / "missed").exists() and not (folder / "cache" / ENTRY).exists()
    assert lost


def test_an_entry_whose_link_cant_be_put_in_its_place_stays_there(open_folder: Path) -> None:
    """On NFS there are two renames, and the second one may fail."""
    with trial_site(open_folder) as site:
        site.trials.tripwires._exchanges = False
        moment_ns = time.time_ns()
        trial = Trial(ENTRY, "run", moment_ns, moment_ns + RULES.lasts_ns)
        assert site.trials.prepare([trial], moment_ns) == {}
        place = site.path / "archive-v0" / "cacheadmin.trial"
        (link,) = [one for one in place.iterdir() if one.is_symlink()]
        link.unlink()
        with pytest.raises(FileNotFoundError):
            site.trials.plant(ENTRY)
        assert not (site.path / ENTRY).is_symlink()
        site.use()


def delete_what_it_leads_to(site: TrialSite) -> None:
    """As a prune of uv 0.6.4 to 0.11.19 does where roots are missing, or in `environments-v2`."""
    shutil.rmtree(site.path / "archive-v0" / "cacheadmin.trial" / Path(ENTRY).name)
    assert (site.path / ENTRY).is_symlink()


def test_what_a_user_deletes_while_the_run_is_not_over_leaves_no_link_behind(
    open_folder: Path,
) -> None:
    with trial_site(open_folder) as site:
        site.put_on_trial()
        delete_what_it_leads_to(site)
        # The end of a run: what was prepared and is not there was not planted, it seems.
        site.trials.unprepare([ENTRY])
        assert not os.path.lexists(site.path / ENTRY)


def test_a_link_that_leads_nowhere_and_has_no_record_goes_with_the_next_look(
    open_folder: Path,
) -> None:
    with trial_site(open_folder) as site:
        site.put_on_trial()
        delete_what_it_leads_to(site)
        (site.path / "archive-v0" / "cacheadmin.trial" / ".ledger.json").unlink()
        # One of uv's own, as it links to an archive that it has not unpacked yet.
        theirs = site.path / "environments-v2" / "tool"
        theirs.parent.mkdir()
        theirs.symlink_to("../archive-v0/another")
    with opened_site(open_folder) as site:
        site.watch()
        assert not os.path.lexists(site.path / ENTRY)
        assert theirs.is_symlink()


def test_a_folder_of_trials_that_somebody_deletes_hides_nothing_afterwards(
    open_folder: Path, cacheadmin: Cacheadmin
) -> None:
    """A link that leads nowhere could name any archive: nothing would ever go again."""
    lay_out(open_folder)
    age(open_folder / "cache", days=60)
    text = f"venvs: {{discover: [{{root: {open_folder / 'env'}}}]}}\nhosts: {{only: this}}\n"
    shutil.rmtree(open_folder / "env")
    (open_folder / "env").mkdir()
    policy = cacheadmin.policy(open_folder / "cache", text, complete=False)
    assert cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["planted"]
    shutil.rmtree(open_folder / "cache" / "archive-v0" / "cacheadmin.trial")
    unused = add_archive(open_folder / "cache", "archive-v0/Unused1_abcdefgh", "unused")
    age(unused, days=60)
    done = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert done["trial"]["planted"] == ["archive-v0/Unused1_abcdefgh"]
    assert not os.path.lexists(open_folder / "cache" / ENTRY)
