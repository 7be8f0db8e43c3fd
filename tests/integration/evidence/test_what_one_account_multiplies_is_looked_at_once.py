"""Links, locks and files cost nothing to multiply: one account's thousand costs as much as one."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest

from cacheadmin.evidence import collection, registry
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.look import Facts, Moment
from cacheadmin.evidence.registry import registered
from cacheadmin.fs import linked_tree
from cacheadmin.inventory.reader import interpreter_prefixes, open_cache, read_inventory
from cacheadmin.prune import changed_environments
from cacheadmin.prune.last_look import LastLook
from cacheadmin.readers import ReaderLimits, Readers
from cacheadmin.snapshot.snapshot import look_at
from tests.support.auditing import ARCHIVE, link_environment, make_cache, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User, other_users, python_for_everyone
from tests.support.waiting import let_clocks_tick, until

pytestmark = pytest.mark.root


@pytest.fixture
def users() -> tuple[User, User]:
    ana, eve = other_users(2)
    return ana, eve


@pytest.fixture
def cache(open_folder: Path) -> Path:
    make_cache(open_folder / "cache")
    (open_folder / "cache" / ".lock").touch()
    (open_folder / "cache" / ".lock").chmod(0o666)
    return open_folder / "cache"


@pytest.fixture
def places(open_folder: Path) -> Path:
    """A sticky registry, and a home of eve's with one folder that has no end of names."""
    (open_folder / "registry").mkdir()
    (open_folder / "registry").chmod(0o1777)
    (open_folder / "home").mkdir()
    return open_folder


def register(registry: Path, name: str, target: Path | str, user: User) -> None:
    (registry / name).symlink_to(target)
    os.lchown(registry / name, user.uid, user.gid)


def memory_of(command: list[str], environment: dict[str, str], limit_mib: int) -> int:
    """Run a command with bounded memory; return its exit code."""

    def bound() -> None:
        size = limit_mib * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    done = subprocess.run(
        command, env=environment, preexec_fn=bound, check=False, capture_output=True, timeout=120
    )
    assert b"MemoryError" not in done.stderr, done.stderr
    return done.returncode


# Registry links


def test_links_of_one_account_to_one_folder_are_one_and_hide_nobody_elses(
    places: Path, cache: Path, users: tuple[User, User]
) -> None:
    ana, eve = users
    archive = cache / "archive-v0" / "Hw3nR7kq0ZbT5mXc"
    environment = link_environment(places / "home" / "proj", archive, user=ana)
    (places / "ways").mkdir()
    for number in range(50):
        (places / "ways" / str(number)).symlink_to(environment)
        register(places / "registry", f"e{number}", places / "ways" / str(number), eve)
    register(places / "registry", "z", environment, ana)
    found = [one for one in registered(str(places / "registry")) if isinstance(one, Candidate)]
    assert sorted(one.registrant or 0 for one in found) == [ana.uid, eve.uid]
    assert str(environment) in {one.path for one in found}


def test_an_account_with_too_many_links_is_named_and_the_others_are_still_read(
    places: Path, cache: Path, users: tuple[User, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, eve = users
    monkeypatch.setattr(registry, "_MAX_OF_ONE", 20)
    for number in range(40):
        register(places / "registry", f"e{number}", f"/nonexistent/{number}", eve)
    for number in range(15):
        register(places / "registry", f"a{number}", f"/gone/{number}", ana)
    found = list(registered(str(places / "registry")))
    beyond = [one for one in found if isinstance(one, Unseen)]
    assert [(one.uid, one.hides_archives) for one in beyond] == [(eve.uid, True)]
    assert f"uid {eve.uid}" in beyond[0].reason
    assert sum(isinstance(one, Candidate) and one.registrant == ana.uid for one in found) == 15


def test_a_crowded_registry_names_who_made_most_of_it(
    places: Path, users: tuple[User, User]
) -> None:
    _, eve = users
    for number in range(30):
        register(places / "registry", f"e{number}", f"/nonexistent/{number}", eve)
    found = list(registered(str(places / "registry"), most=20))
    (beyond,) = [one for one in found if isinstance(one, Unseen)]
    assert (beyond.uid, beyond.hides_archives) == (eve.uid, True)
    assert f"20 of the first ones links of uid {eve.uid}" in beyond.reason


@contextmanager
def registry_under_the_lock(
    places: Path, cache: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Callable[[], Facts], list[object]]]:
    """Plan; return what looks at the registry under the lock, and what readers are asked then."""
    policy = cacheadmin.policy(cache, f"venvs: {{registry: {places}/registry}}\n")
    asked: list[object] = []
    replies = Readers.replies

    def noted(self: Readers, question: Any, items: Any, **settings: Any) -> Any:
        listed = list(items)
        asked.extend(listed)
        return replies(self, question, listed, **settings)

    # A time as young as the look may hide a second change.
    let_clocks_tick()
    with look_at(str(policy)) as snapshot:
        (source,) = [one for one in snapshot.collected.answers if one.id == "registry"]
        before = snapshot.collected.answers[source]
        monkeypatch.setattr(Readers, "replies", noted)
        look = snapshot.collected.look.later(Moment.UNDER_LOCK)
        yield lambda: source.changed(look, before), asked


def test_a_registry_that_is_as_it_was_is_not_listed_under_the_lock(
    places: Path,
    cache: Path,
    users: tuple[User, User],
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ana, eve = users
    for number in range(50):
        register(places / "registry", f"e{number}", f"/nonexistent/{number}", eve)
    with registry_under_the_lock(places, cache, cacheadmin, monkeypatch) as (look, asked):
        assert look() == Facts()
        assert asked == []
        register(places / "registry", "new", "/nonexistent/new", ana)
        assert [one.path for one in look().candidates] == ["/nonexistent/new"]
        # A link that leads elsewhere now is a new one.
        (places / "registry" / "other").symlink_to("/nonexistent/other")
        (places / "registry" / "other").rename(places / "registry" / "e0")
        assert "/nonexistent/other" in {one.path for one in look().candidates}


def test_of_links_that_an_account_makes_until_the_lock_so_many_are_looked_at(
    places: Path,
    cache: Path,
    users: tuple[User, User],
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ana, eve = users
    with registry_under_the_lock(places, cache, cacheadmin, monkeypatch) as (look, asked):
        for number in range(300):
            register(places / "registry", f"e{number}", f"/nonexistent/{number}", eve)
        register(places / "registry", "a", "/nonexistent/a", ana)
        facts = look()
    (beyond,) = facts.unseen
    assert (beyond.uid, beyond.hides_archives) == (eve.uid, True)
    assert f"uid {eve.uid} has just made more than 100 links" in beyond.reason
    assert "/nonexistent/a" in {one.path for one in facts.candidates}
    # The listing, and twice each that is looked at.
    assert len(asked) == 1 + 2 * 101


def test_environments_of_one_account_hold_up_neither_the_lock_nor_the_others(
    places: Path,
    cache: Path,
    users: tuple[User, User],
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is beyond the bound under the lock could use what no proof lets go: it stays."""
    ana, eve = users
    unused = cache / "archive-v0" / ARCHIVE
    used = unused.with_name("Zz0123456789abcd")
    shutil.copytree(unused, used)
    sites = [
        link_environment(places / "home" / f"e{number}", used, user=eve)
        / "lib"
        / "python3.11"
        / "site-packages"
        for number in range(20)
    ]
    mine = link_environment(places / "home" / "mine", used, user=ana)
    own(mine, ana)
    policy = cacheadmin.policy(cache, f"venvs: {{include: ['{places}/home/*']}}\n")
    entry = f"archive-v0/{ARCHIVE}"

    def dropped() -> dict[str, str]:
        last = LastLook(snapshot, plan.removals)
        return dict(last.look().dropped)

    let_clocks_tick()
    with look_at(str(policy)) as snapshot:
        plan = snapshot.plan()
        assert entry in {one.path for one in plan.removals}
        assert entry not in dropped()
        monkeypatch.setattr(changed_environments, "MOST_OF_ONE", 30)
        said = dropped()[entry]
        assert f"uid {eve.uid} has 20 environments that can't all be looked at" in said
        monkeypatch.setattr(changed_environments, "MOST_OF_ONE", 10_000)
        assert entry not in dropped()
        last = LastLook(snapshot, plan.removals)
        for site in sites:
            (site / "new").touch()
        said = dict(last.look().dropped)[entry]
        assert f"uid {eve.uid} has changed 20 environments since the plan" in said
        # Ana's, and sixteen of eve's, are looked into all the same.
        assert "more than the 16" in said


def test_the_lock_is_not_held_for_a_look_at_registry_links_that_are_known(
    places: Path, cache: Path, users: tuple[User, User], cacheadmin: Cacheadmin
) -> None:
    _, eve = users
    many = places / "home" / "many"
    many.mkdir()
    for number in range(20_000):
        (many / str(number)).touch()
    for number in range(300):
        register(places / "registry", f"m{number}", many, eve)
    stray = cache / "archive-v0" / ".tmpold"
    stray.mkdir()
    os.utime(stray, (time.time() - 90 * 86_400,) * 2)
    policy = cacheadmin.policy(cache, f"venvs:\n  registry: {places}/registry\n")
    run = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert run["removals"]
    # 300 listings of 20,000 names took several seconds.
    assert run["lock"]["held_seconds"] < 1.5


# Locks


@contextmanager
def flocking(folder: Path, user: User, count: int) -> Iterator[None]:
    """Have a process of a user's hold so many locks on files of their own."""
    code = (
        "import fcntl, os, sys, time\n"
        "made = range(int(sys.argv[2]))\n"
        "fds = [os.open(f'{sys.argv[1]}/{n}', os.O_RDWR | os.O_CREAT) for n in made]\n"
        "for fd in fds: fcntl.flock(fd, fcntl.LOCK_SH)\n"
        "open(sys.argv[1] + '/ready', 'w').close()\n"
        "time.sleep(60)\n"
    )
    folder.mkdir()
    own(folder, user)
    arguments = user.process_arguments()
    python = python_for_everyone() or sys.executable
    process = subprocess.Popen([python, "-c", code, folder, str(count)], **arguments)
    try:
        until((folder / "ready").exists)
        yield
    finally:
        process.kill()
        process.wait()


def test_a_process_with_900_locks_is_looked_at_once_and_hides_no_holder(
    open_folder: Path, cache: Path, users: tuple[User, User]
) -> None:
    _, eve = users
    with flocking(open_folder / "locks", eve, 900):
        fd = os.open(cache / ".lock", os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_SH)
        begun = time.process_time()
        held = lock_holders(str(cache))
        # Each lock had all 900 descriptors read: 810,000 calls, many seconds.
        assert time.process_time() - begun < 1
        assert [(holder.pid, holder.unlinked) for holder in held] == [(os.getpid(), False)]
        # What an older uv's prune deleted while we hold it is still found.
        (cache / ".lock").unlink()
        (cache / ".lock").touch()
        held = lock_holders(str(cache))
        assert [(holder.pid, holder.unlinked) for holder in held] == [(os.getpid(), True)]
        os.close(fd)


# Files under many names


def test_a_lock_file_of_millions_of_tables_takes_no_memory(
    open_folder: Path, cache: Path, users: tuple[User, User], cacheadmin: Cacheadmin
) -> None:
    _, eve = users
    project = open_folder / "home" / "proj"
    environment = link_environment(
        project / ".venv", cache / "archive-v0" / "Hw3nR7kq0ZbT5mXc", user=eve
    )
    (environment / "lib/python3.11/site-packages/six.py").unlink()
    (environment / "lib/python3.11/site-packages/six.py").symlink_to(
        cache / "archive-v0" / "gonegonegonegone" / "six.py"
    )
    (project / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\n')
    with (project / "uv.lock").open("w") as file:
        file.writelines(f"[{number:x}]\n" for number in range(1_700_000))
    assert (project / "uv.lock").stat().st_size < 16 * 1024 * 1024
    policy = cacheadmin.policy(cache, f"venvs:\n  include: [{environment}]\n")
    # 3 GB before.
    code = memory_of(cacheadmin.command("doctor", policy), cacheadmin.environment(), 1024)
    assert code == 8


def test_one_record_under_a_hundred_names_is_read_once_and_the_rest_is_told(
    open_folder: Path, cache: Path, users: tuple[User, User], cacheadmin: Cacheadmin
) -> None:
    _, eve = users
    environment = link_environment(
        open_folder / "home" / "proj", cache / "archive-v0" / "Hw3nR7kq0ZbT5mXc", user=eve
    )
    site = environment / "lib/python3.11/site-packages"
    record = open_folder / "RECORD"
    record.write_text("".join(f"{number:x},,\n" for number in range(200_000)))
    for number in range(100):
        folder = site / f"x{number}-1.dist-info"
        folder.mkdir()
        (folder / "INSTALLER").write_text("uv")
        (folder / "METADATA").write_text(f"Name: x{number}\nVersion: 1\n")
        os.link(record, folder / "RECORD")
    policy = cacheadmin.policy(cache, f"venvs:\n  include: [{environment}]\n")
    code = memory_of(cacheadmin.command("doctor", policy), cacheadmin.environment(), 1024)
    assert code == 8
    said = cacheadmin("doctor", policy, "--format", "json", code=8).json["findings"]
    assert any("of another distribution, too" in row["detail"] for row in said)
    assert any(row["rule"] == "environment-half-installed" for row in said)


def test_doctor_looks_at_no_whole_disk_for_a_registry_link_to_the_root(
    places: Path, cache: Path, users: tuple[User, User], cacheadmin: Cacheadmin
) -> None:
    _, eve = users
    register(places / "registry", "root", "/", eve)
    register(places / "registry", "proc", "/proc", eve)
    policy = cacheadmin.policy(cache, f"venvs:\n  registry: {places}/registry\n")
    begun = time.monotonic()
    assert cacheadmin("doctor", policy).code in (0, 8)
    assert time.monotonic() - begun < 60


def test_pointers_and_records_under_many_names_are_parsed_once(
    cache: Path, cacheadmin: Cacheadmin
) -> None:
    folder = cache / "wheels-v6" / "pypi" / "zz"
    folder.mkdir(parents=True)
    inner = b"\xdc\x04\x00" + b"\x90" * 1024
    pointer = folder / "zz-0-py3-none-any.http"
    pointer.write_bytes(b"\x92\xa1x\xdc\x03\xe8" + inner * 1000)
    for number in range(1, 400):
        os.link(pointer, folder / f"zz-{number}-py3-none-any.http")
    rows = "".join(f"../{number:06d}\U0001f600,,\n" for number in range(200_000))
    for number in range(20):
        info = cache / "archive-v0" / f"{number:016d}" / "x-1.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Name: x\nVersion: 1\n")
        if number:
            os.link(
                cache / "archive-v0" / f"{0:016d}" / "x-1.dist-info" / "RECORD", info / "RECORD"
            )
        else:
            (info / "RECORD").write_text(rows)
    policy = cacheadmin.policy(cache)
    begun = time.monotonic()
    assert cacheadmin("plan", policy).code in (0, 4)
    assert time.monotonic() - begun < 10
    begun = time.monotonic()
    found = cacheadmin("verify", policy, "--jobs", "1", "--format", "json", code=8).json["findings"]
    assert time.monotonic() - begun < 60
    assert sum("the same large file" in row["detail"] for row in found) == 19


def looked_at(policy: Path) -> tuple[list[Unseen], set[str]]:
    """Return what was not seen, and what would be removed."""
    with look_at(str(policy)) as snapshot:
        removals = snapshot.plan().removals
        return list(snapshot.evidence.unseen), {decision.path for decision in removals}


def environments_of(user: User, places: Path, cache: Path, count: int) -> str:
    """Make environments of one account, which it has registered; return a policy's words."""
    archive = cache / "archive-v0" / ARCHIVE
    for number in range(count):
        path = link_environment(places / "home" / f"{user.uid}-{number}", archive, user=user)
        register(places / "registry", f"{user.uid}-{number}", path, user)
    return f"venvs: {{registry: {places}/registry}}\n"


def test_environments_beyond_a_bound_are_one_gap_of_their_account(
    users: tuple[User, User],
    cache: Path,
    places: Path,
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ana, eve = users
    environments_of(ana, places, cache, 1)
    policy = cacheadmin.policy(cache, environments_of(eve, places, cache, 5))
    monkeypatch.setattr(collection, "MAX_OF_ONE", 2)
    unseen, removals = looked_at(policy)
    (one,) = [one for one in unseen if one.uid in (ana.uid, eve.uid)]
    assert (one.uid, one.hides_archives) == (eve.uid, True)
    assert one.reason == "3 environments beyond the 2 that are looked at for one account"
    assert removals == set()


def test_trees_of_one_account_cost_so_much_together_and_are_one_gap(
    users: tuple[User, User],
    cache: Path,
    places: Path,
    cacheadmin: Cacheadmin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ana, eve = users
    large = places / "large"
    large.mkdir()
    for number in range(300):
        (large / f"{number}").touch()
    environments_of(ana, places, cache, 1)
    words = environments_of(eve, places, cache, 4)
    for number in range(4):
        (places / "home" / f"{eve.uid}-{number}" / "lib" / "more").symlink_to(large)
    policy = cacheadmin.policy(cache, words.replace("venvs: {", "venvs: {scan: deep, "))
    whole, _ = looked_at(policy)
    assert [one for one in whole if one.uid in (ana.uid, eve.uid)] == []
    # Each has the large one behind a link: two are looked at, with what is their own.
    monkeypatch.setattr(linked_tree, "MAX_ENTRIES_OF_ONE", 700)
    unseen, removals = looked_at(policy)
    (one,) = [one for one in unseen if one.uid in (ana.uid, eve.uid)]
    assert (one.uid, one.hides_archives) == (eve.uid, True)
    assert one.reason.endswith(", in 2 environments")
    assert removals == set()


def test_records_that_take_long_cost_their_account_its_time_and_nobody_elses_records(
    cache: Path, users: tuple[User, User]
) -> None:
    ana, eve = users
    bucket = cache / "interpreter-v5"
    # A few hundred thousand lists in each, and no environment.
    rows = (b"\xdc\x04\x00" + b"\x90" * 1024) * 240
    for number in range(20):
        record = bucket / f"{number:02d}" / "one.msgpack"
        record.parent.mkdir(parents=True)
        record.write_bytes(b"\x92\x92\x00\x00\xdc\x00\xf0" + rows)
        own(record.parent, eve)
    hers = bucket / "zz" / "one.msgpack"
    hers.parent.mkdir()
    scheme = [f"/home/ana/proj{end}" for end in ("/lib", "/lib", "/bin", "", "/include")]
    hers.write_bytes(msgpack.packb([[0, 0], [scheme]]))
    own(hers.parent, ana)
    with (
        open_cache(str(cache)) as opened,
        Readers(ReaderLimits(cpu_seconds=0.3), keep=(opened.fd,)) as readers,
    ):
        found = interpreter_prefixes(opened, readers)
    assert [one.prefix for one in found.records] == ["/home/ana/proj"]
    (unseen,) = found.unseen
    assert unseen.uid == eve.uid
    assert "takes too much time" in unseen.reason
    assert len(found.damaged) < 20


def test_pointers_that_take_long_cost_their_account_its_time_and_nobody_elses_pointers(
    cache: Path, users: tuple[User, User]
) -> None:
    ana, eve = users
    folder = cache / "wheels-v7" / "pypi" / "demo"
    folder.mkdir(parents=True)
    rows = b"\xc1" * 4 + b"x" * 60
    # A quick machine reads a hundred in a millisecond.
    for number in range(2_000):
        pointer = folder / f"demo-{number}-py3-none-any.http"
        pointer.write_bytes(rows)
        os.chown(pointer, eve.uid, eve.gid)
    hers = folder / "demo-9999-py3-none-any.http"
    hers.write_bytes(msgpack.packb([ARCHIVE, [], "demo", 0, None]))
    os.chown(hers, ana.uid, ana.gid)
    with (
        open_cache(str(cache)) as opened,
        # So little that eve's are spent after a few: hers alone are within it.
        Readers(ReaderLimits(cpu_seconds=0.002), keep=(opened.fd,)) as readers,
    ):
        found = read_inventory(opened, readers)
    read = [one for one in found.wheel_pointers if one.understood]
    assert [one.archives for one in read] == [frozenset({ARCHIVE})]
    assert [(one.uid, "too much time" in one.reason) for one in found.unreadable] == [
        (eve.uid, True)
    ]
