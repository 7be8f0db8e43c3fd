"""Whatever readers can't read, with whatever fault: what it could hide is kept, and it is named.

A use that only one question can find is made for each; then the readers of that
question fail, each in each way. The plan must keep the archive.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import inspect
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgpack
import pytest

import cacheadmin as cacheadmin_package
from cacheadmin.audit.survey.walk import take_survey
from cacheadmin.dedupe.duplicates import copies_in
from cacheadmin.dedupe.run import dedupe
from cacheadmin.doctor.diagnosis import diagnose
from cacheadmin.errors import CacheadminError
from cacheadmin.evict.plan import plan_eviction
from cacheadmin.evict.wanted import Wanted
from cacheadmin.evidence.clones import extents_of_environments
from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    LinkMode,
    Unseen,
)
from cacheadmin.evidence.idleness import dumps, observed
from cacheadmin.evidence.last_use import idle_times
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.evidence.questions import locator_for
from cacheadmin.evidence.reach import containers_that_reach
from cacheadmin.evidence.registry import taken_names
from cacheadmin.evidence.release_trace import ReleaseTrace
from cacheadmin.evidence.seen_releases import read_seen_releases
from cacheadmin.evidence.tree_searches import moments
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.prune.last_look import LastLook
from cacheadmin.prune.verification import verify
from cacheadmin.readers import Readers, Unreadable
from cacheadmin.readers.frames import FrameKind
from cacheadmin.readers.server import Reader
from cacheadmin.registration import open_registry
from cacheadmin.simulate.breakage import breakage
from cacheadmin.simulate.on_policy import simulate_in
from cacheadmin.snapshot import archive_measurement
from cacheadmin.snapshot.snapshot import Snapshot, look_at
from cacheadmin.trial.folder import trial_folder
from cacheadmin.trial.kin import kin_of
from cacheadmin.usage.measurement import measure_cache as measure_usage
from cacheadmin.verify.check import DEFERRED
from cacheadmin.verify.parallel import Workplace, check_all
from tests.support.auditing import link_environment, make_cache, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.filesystems import filesystem
from tests.support.users import User, other_users
from tests.support.uv_releases import NEWEST, uv_binary
from tests.support.waiting import until

pytestmark = pytest.mark.root

ARCHIVE = "Hw3nR7kq0ZbT5mXc"
PACKAGE = Path(cacheadmin_package.__file__).parent


@dataclass
class Site:
    """A cache with one archive that no pointer leads to, and eve, who uses it somehow."""

    folder: Path
    eve: User

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def archive(self) -> Path:
        return self.cache / "archive-v0" / ARCHIVE

    def environment(self, place: str) -> Path:
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        own(path.parent, self.eve)
        return link_environment(path, self.archive, user=self.eve)


@pytest.fixture
def site(open_folder: Path) -> Site:
    (eve,) = other_users(1)
    make_cache(open_folder / "cache")
    (open_folder / "registry").mkdir()
    (open_folder / "registry").chmod(0o1777)
    return Site(open_folder, eve)


# Uses: each returns what the policy says of where to look.


def registered(site: Site, _: ExitStack) -> str:
    link = site.folder / "registry" / "eve"
    link.symlink_to(site.environment("home/proj"))
    os.lchown(link, site.eve.uid, site.eve.gid)
    return f"registry: {site.folder}/registry"


def included(site: Site, _: ExitStack) -> str:
    return f"include: ['{site.environment('home/proj').parent}/*']"


def discovered(site: Site, _: ExitStack) -> str:
    site.environment("tree/eve/work/proj")
    return f"discover: [{{root: {site.folder}/tree}}]"


def below_cache(site: Site, _: ExitStack) -> str:
    site.environment("cache/venvs/proj")
    return "registry: null"


def running(site: Site, stack: ExitStack) -> str:
    process = subprocess.Popen(
        ["/bin/sleep", "600"],
        env={"VIRTUAL_ENV": f"{site.environment('home/proj')}"},
        cwd="/",
        **site.eve.process_arguments(),
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    return "registry: null"


def pointed(site: Site, _: ExitStack) -> str:
    folder = site.cache / "wheels-v5" / "pypi" / "demo"
    folder.mkdir(parents=True)
    (folder / "1.0-py3-none-any").symlink_to(f"../../../archive-v0/{ARCHIVE}")
    own(folder, site.eve)
    return "registry: null"


def recorded(site: Site, _: ExitStack) -> str:
    path = site.environment("elsewhere/proj")
    folder = site.cache / "interpreter-v4" / "x86"
    folder.mkdir(parents=True)
    scheme = [f"{path}/lib", f"{path}/lib", f"{path}/bin", f"{path}", f"{path}/include"]
    (folder / "one.msgpack").write_bytes(msgpack.packb([[0, 0], [scheme]]))
    own(folder, site.eve)
    return "registry: null"


def pinned(site: Site, _: ExitStack) -> str:
    (site.folder / "cache.pins").mkdir()
    pin = {"format": 1, "cache": f"{site.cache}", "inode": site.cache.stat().st_ino}
    pin |= {"path": f"archive-v0/{ARCHIVE}", "reason": "for the audit"}
    (site.folder / "cache.pins" / "one.pin").write_text(json.dumps(pin))
    return "registry: null"


@dataclass(frozen=True)
class Case:
    """A use, and the question whose readers fail."""

    use: Callable[[Site, ExitStack], str]
    question: str
    item: str = ""
    """The item at which they fail; all, without."""


CASES = [
    Case(registered, "evidence/registry.py list_registry"),
    Case(registered, "evidence/kinds.py folder_identity"),
    Case(registered, "evidence/kinds.py folder_kind"),
    Case(registered, "evidence/questions.py _folder"),
    Case(registered, "evidence/questions.py _scan"),
    Case(included, "evidence/patterns.py match_folder"),
    Case(included, "evidence/included.py read_included"),
    Case(included, "evidence/questions.py _folder"),
    Case(included, "evidence/questions.py _scan"),
    Case(discovered, "evidence/search.py search"),
    Case(discovered, "evidence/patterns.py match_folder"),
    Case(below_cache, "evidence/kinds.py own_place"),
    Case(below_cache, "evidence/search.py search"),
    Case(running, "evidence/processes.py read"),
    Case(running, "evidence/questions.py _scan"),
    Case(pointed, "inventory/reader.py read_entry", "wheels-v5"),
    Case(recorded, "inventory/reader.py read_entry", "interpreter-v4"),
    Case(recorded, "inventory/interpreter_records.py read_interpreters"),
    Case(recorded, "evidence/kinds.py folder_kind"),
    Case(pinned, "evidence/pins.py _pins_in"),
]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _grow() -> None:
    raise MemoryError


FAULTS = {"dies": _die, "stops": _stop, "grows": _grow}


REASONS = {
    "dies": "ended by SIGKILL",
    "stops": "gave no answer within",
    "grows": "more memory than an answer may",
}


def _in_the_middle(
    reader: Reader, asked: Any, item: Any, uid: int | None, fault: Callable[[], None]
) -> None:
    """Fail after the first half of an answer that has parts, else before it."""
    if asked.in_parts:
        reader._say(FrameKind.PART, uid, next(iter(asked.read(item))))
        reader._send()
    fault()


def reads(function: Any) -> str:
    """Return where what a question reads with is written: ``evidence/kinds.py folder_kind``."""
    own = function.func if isinstance(function, partial) else function
    path = Path(inspect.getfile(own)).relative_to(PACKAGE)
    return f"{path} {own.__name__}"


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Have readers fail at one question: in every reader that is forked from now on."""
    answer = Reader._say_parts

    def fail(question: str, fault: str, name: str = "") -> None:
        def instead(self: Reader, asked: Any, item: Any, uid: int | None) -> None:
            names = item if isinstance(item, tuple) else (getattr(item, "name", ""),)
            at_it = not name or name in names
            if at_it and reads(asked.read) == question:
                _in_the_middle(self, asked, item, uid, FAULTS[fault])
            answer(self, asked, item, uid)

        monkeypatch.setattr(Reader, "_say_parts", instead)

    yield fail


def removed(policy: Path) -> set[str]:
    with look_at(str(policy)) as snapshot:
        return {decision.path for decision in snapshot.plan().removals}


# In every way the answers that matter most; the pool treats all questions alike.
EVERY_WAY = {
    "evidence/questions.py _scan",
    "evidence/processes.py read",
    "evidence/search.py search",
    "inventory/reader.py read_entry",
}
FAILURES = [
    pytest.param(case, fault, id=f"{case.use.__name__}-{case.question.split()[1]}-{fault}")
    for case in CASES
    for fault in FAULTS
    if fault == "dies" or case.question in EVERY_WAY
]


@pytest.mark.parametrize(("case", "fault"), FAILURES)
def test_what_it_could_hide_is_kept(
    case: Case,
    fault: str,
    site: Site,
    cacheadmin: Cacheadmin,
    failing: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = f"archive-v0/{ARCHIVE}"
    failed = noted_failures(case.question, monkeypatch)
    with ExitStack() as stack:
        nowhere = cacheadmin.policy(site.cache, name="nowhere")
        assert entry in removed(nowhere)
        words = case.use(site, stack)
        policy = cacheadmin.policy(
            site.cache,
            f"venvs: {{{words}, gaps: keep}}\n"
            # Without memory: what is known to be as it was is not asked for.
            "scan: {full_every: 0d, limits: {deadline: 1s}}\n",
        )
        assert entry not in removed(policy)
        failing(case.question, fault, case.item)
        failed.clear()
        begun = time.monotonic()
        assert entry not in removed(policy)
        assert any(REASONS[fault] in one.reason for one in failed), failed
        # A busy machine is slow, but nobody waits for each of many things that fail alike.
        assert time.monotonic() - begun < 30


def test_it_is_named(site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]) -> None:
    with ExitStack() as stack:
        policy = cacheadmin.policy(site.cache, f"venvs: {{{registered(site, stack)}}}\n")
        failing("evidence/questions.py _scan", "dies")
        with look_at(str(policy)) as snapshot:
            unseen = next(one for one in snapshot.evidence.unseen if one.uid == site.eve.uid)
    assert unseen.what == "environment"
    assert unseen.hides_archives
    assert "its reader was ended by SIGKILL" in json.dumps(unseen.reason)


def test_a_bucket_that_could_not_be_read_is_named_and_kept(
    site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]
) -> None:
    with ExitStack() as stack:
        words = pointed(site, stack)
        policy = cacheadmin.policy(site.cache, f"venvs: {{{words}}}\n")
        for path in (site.cache / "wheels-v5").rglob("*"):
            os.utime(path, (0, 0), follow_symlinks=False)
        # No release in use has that bucket: it goes as a whole.
        assert "wheels-v5" in removed(policy)
        failing("inventory/reader.py read_entry", "dies", "wheels-v5")
        with look_at(str(policy)) as snapshot:
            plan = snapshot.plan()
    assert "wheels-v5" not in {decision.path for decision in plan.removals}
    (limit,) = [one for one in plan.limits if one.id == "cache.unreadable"]
    assert (
        "wheels-v5 in the cache could not be read: its reader was ended by SIGKILL" in limit.detail
    )


def test_what_one_account_wrote_is_told_of_that_account(site: Site, cacheadmin: Cacheadmin) -> None:
    with ExitStack() as stack:
        words = pointed(site, stack)
        # Of eve, in a bucket of root's: deeper than any release writes.
        deep = site.cache / "wheels-v5" / "pypi" / "a" / "b" / "c" / "d" / "e" / "f" / "g" / "h"
        deep.mkdir(parents=True)
        own(site.cache / "wheels-v5" / "pypi" / "a", site.eve)
        policy = cacheadmin.policy(site.cache, f"venvs: {{{words}}}\n")
        with look_at(str(policy)) as snapshot:
            (unread,) = snapshot.inventory.unreadable
    assert (unread.uid, unread.reason) == (site.eve.uid, "deeper than any uv release writes")


def test_pointers_that_no_reader_could_read_again_stop_what_they_may_keep(
    site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]
) -> None:
    entry = f"archive-v0/{ARCHIVE}"
    (site.cache / "wheels-v7" / "pypi").mkdir(parents=True)
    policy = cacheadmin.policy(site.cache, "venvs: {registry: null}\n")
    with look_at(str(policy)) as snapshot:
        plan = snapshot.plan()
        assert entry in {decision.path for decision in plan.removals}
        (site.cache / "wheels-v7" / "pypi" / "demo").mkdir()
        failing("evidence/questions.py _pointers", "dies")
        # Those that the plan asked know nothing of the fault.
        snapshot.collected.look.readers.close()
        dropped = dict(LastLook(snapshot, plan.removals).look().dropped)
    assert "its reader was ended by SIGKILL" in dropped[entry]


def test_environments_whose_times_no_reader_could_read_are_looked_into_again(
    site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]
) -> None:
    environment = site.environment("home/proj")
    links = {path: os.readlink(path) for path in environment.rglob("*") if path.is_symlink()}
    for path in links:
        path.unlink()
    policy = cacheadmin.policy(site.cache, f"venvs: {{include: ['{environment}']}}\n")
    with look_at(str(policy)) as snapshot:
        plan = snapshot.plan()
        assert f"archive-v0/{ARCHIVE}" in {decision.path for decision in plan.removals}
        for path, target in links.items():
            path.symlink_to(target)
        packages = f"{environment}/lib/python3.11/site-packages"
        failing("evidence/tree_searches.py times_of", "dies", packages)
        snapshot.collected.look.readers.close()
        dropped = dict(LastLook(snapshot, plan.removals).look().dropped)
    assert dropped[f"archive-v0/{ARCHIVE}"] == f"{environment} uses it now"


def test_mounts_that_no_reader_could_look_at_keep_what_they_may_show(
    site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]
) -> None:
    policy = cacheadmin.policy(site.cache, "venvs: {registry: null}\n")
    failing("evidence/mounted_entries.py read_mounted_entries", "dies")
    with look_at(str(policy)) as snapshot:
        plan = snapshot.plan()
    assert f"archive-v0/{ARCHIVE}" not in {decision.path for decision in plan.removals}
    said = " ".join(limit.detail for limit in plan.limits)
    assert "/proc/self/mountinfo" in said
    assert "its reader was ended by SIGKILL" in said


# Every other kind of question: who asks it takes the worst for granted, and says so.


@dataclass
class Asked:
    """A question that readers fail at, and a look in which it is asked."""

    site: Site
    cacheadmin: Cacheadmin
    look: Snapshot
    stack: ExitStack
    fail: Callable[[], None]
    kind: str
    reason: str

    def names(self, text: object) -> bool:
        """Whether it is said why."""
        return self.reason in str(text)


def size(asked: Asked) -> None:
    path = "archive-v0"
    whole = asked.look.sizing.of_each([path])[path]
    asked.fail()
    # What was counted before counts: never more than there is.
    assert asked.look.sizing.of_each([path])[path].reclaimable_bytes <= whole.reclaimable_bytes


def size_of_links(asked: Asked) -> None:
    folder = asked.site.cache / "wheels-v7" / "pypi" / "demo"
    folder.mkdir(parents=True)
    (folder / "1.0-py3-none-any").symlink_to(f"../../../archive-v0/{ARCHIVE}")
    own(asked.site.cache / "wheels-v7", asked.site.eve)
    look = look_again(asked)
    paths = [one.path for one in look.inventory.wheel_pointers]
    whole = look.sizing.of_each(paths)
    asked.fail()
    look.readers.close()
    # Then they are measured one by one, as everything else.
    assert look.sizing.of_each(paths) == whole
    assert whole[paths[0]].files == 1


def blocks(asked: Asked) -> None:
    path = asked.site.environment("home/proj")
    one = Environment(str(path), EnvironmentKind.VENV, EnvironmentStatus.OK, uid=asked.site.eve.uid)
    copied = replace(one, link_modes={LinkMode.COPY: 1})
    asked.fail()
    assert list(extents_of_environments([copied], path.stat().st_dev, asked.look.readers)) == []


def usage_of_batches(asked: Asked) -> None:
    whole = measure_usage(asked.look).total
    asked.fail()
    # Then archives are measured one by one.
    found = measure_usage(asked.look)
    assert (found.unread, found.total) == ((), whole)


def usage_of_archives(asked: Asked) -> None:
    patched = asked.stack.enter_context(pytest.MonkeyPatch.context())
    # None is small enough for a batch.
    patched.setattr(archive_measurement, "_MOST_NAMES", 0)
    asked.fail()
    (unread,) = measure_usage(asked.look).unread
    assert unread.path == f"archive-v0/{ARCHIVE}"
    assert asked.names(unread.reason)


def usage_of_the_rest(asked: Asked) -> None:
    asked.fail()
    assert any(asked.names(one.reason) for one in measure_usage(asked.look).unread)


def survey(asked: Asked) -> None:
    asked.fail()
    tallies = take_survey(asked.look).tallies
    assert tallies.unread_count
    assert asked.names(tallies.unread)


def copies(asked: Asked) -> None:
    shutil.copytree(asked.site.archive, asked.site.archive.with_name("Twin0123456789ab"))
    own(asked.site.cache / "archive-v0", asked.site.eve)
    inventory = read_inventory(asked.look.cache)
    whole = set(copies_in(asked.look.readers, asked.look.cache.fd, inventory))
    asked.fail()
    assert set(copies_in(asked.look.readers, asked.look.cache.fd, inventory)) <= whole


def sharing(asked: Asked) -> None:
    """On a disk where files can share their blocks."""
    disk = asked.stack.enter_context(filesystem("xfs", asked.site.folder))
    disk.chmod(0o755)
    archive = make_cache(disk / "cache")
    shutil.copytree(archive, archive.with_name("Twin0123456789ab"))
    own(archive.parent, asked.site.eve)
    policy = asked.cacheadmin.policy(
        disk / "cache", "scan: {limits: {deadline: 2s}}\n", name="disk"
    )
    look = asked.stack.enter_context(look_at(str(policy)))
    asked.fail()
    look.readers.close()
    failed = dedupe(look, dry_run=asked.kind.endswith("_compare")).failed
    assert failed
    # Of one account no more than three.
    assert asked.names(failed[0])


def environments_of_doctor(asked: Asked) -> None:
    site = asked.site
    path = site.environment("home/proj")
    (path / "bin").mkdir()
    known = Environment(str(path), EnvironmentKind.VENV, EnvironmentStatus.OK, uid=site.eve.uid)
    evidence = replace(asked.look.evidence, environments=(known,))
    asked.fail()
    (finding,) = diagnose(replace(asked.look, evidence=evidence)).unread
    assert asked.names(finding)


def files_of_revisions(asked: Asked) -> None:
    folder = asked.site.cache / "sdists-v9" / "pypi" / "six" / "1.16.0"
    (folder / "Rev0123456789abcd" / "src").mkdir(parents=True)
    (folder / "revision.http").write_bytes(b"x")
    own(asked.site.cache / "sdists-v9", asked.site.eve)
    look = replace(asked.look, inventory=read_inventory(asked.look.cache))
    asked.fail()
    plan = plan_eviction(look, [Wanted("six", None)]).plan
    # Whichever of them is there: nothing is installed by it any more.
    named = {one.path.rpartition("/")[2] for one in plan.removals}
    assert {"revision.http", "revision.rev"} <= named


def absent(asked: Asked) -> None:
    (asked.site.folder / "registry" / "gone").symlink_to("/nonexistent/proj")
    os.lchown(asked.site.folder / "registry" / "gone", asked.site.eve.uid, asked.site.eve.gid)
    asked.fail()
    evidence = look_again(asked).evidence
    assert any(one.id == "environments.away" and asked.names(one.detail) for one in evidence.gaps)


def presence(asked: Asked) -> None:
    (asked.site.folder / "registry" / "gone").symlink_to("/nonexistent/proj")
    os.lchown(asked.site.folder / "registry" / "gone", asked.site.eve.uid, asked.site.eve.gid)
    registry = open_registry(asked.look.loaded)
    assert [row.exists for row in registry.rows()] == [False]
    asked.fail()
    assert [row.exists for row in registry.rows()] == [True]


def taken_registry_names(asked: Asked) -> None:
    asked.fail()
    assert list(taken_names(f"{asked.site.folder}/registry", {}, asked.look.readers)) == []


def records_of_use(asked: Asked) -> None:
    look = asked.look
    uses = {ARCHIVE: dumps(observed(None, look.host_time, used=False))}
    asked.fail()
    times = idle_times(
        look.cache, look.inventory, uses, look.host_time, look.readers, attributes=True
    )
    # Never observed: it is no candidate for what nobody has used for long.
    assert ARCHIVE not in times


def holders_of_locks(asked: Asked) -> None:
    lock = asked.site.cache / ".lock"
    lock.touch(mode=0o666)
    lock.chmod(0o666)
    process = subprocess.Popen(
        ["flock", "--shared", lock, "sleep", "600"], **asked.site.eve.process_arguments()
    )
    asked.stack.callback(process.wait)
    asked.stack.callback(process.kill)
    until(lambda: lock_holders(str(asked.site.cache)))
    asked.fail()
    found = lock_holders(str(asked.site.cache), asked.look.readers)
    assert [one.uid for one in found][:1] == [asked.site.eve.uid]


def containers(asked: Asked) -> None:
    process = subprocess.Popen(["unshare", "--mount", "sleep", "600"])
    asked.stack.callback(process.wait)
    asked.stack.callback(process.kill)
    own = os.readlink("/proc/self/ns/mnt")
    until(lambda: os.readlink(f"/proc/{process.pid}/ns/mnt") != own)
    asked.fail()
    found = containers_that_reach(str(asked.site.cache), asked.look.readers)
    # What can't be looked at may see the cache.
    assert any(asked.names(one.command) for one in found)


def containers_of_accounts(asked: Asked) -> None:
    asked.fail()
    gaps = [one for one in look_again(asked).evidence.gaps if "Podman" in one.detail]
    assert any(asked.names(one.detail) for one in gaps)


def homes_with_uv(asked: Asked) -> None:
    asked.fail()
    traces = look_again(asked).evidence.releases
    # Any release may be installed there: no bucket goes.
    assert {one.bucket for one in traces if asked.names(one)} == {
        bucket.name for bucket in asked.look.inventory.buckets
    }


def binaries_of_uv(asked: Asked) -> None:
    path = asked.site.folder / "uv"
    shutil.copy(uv_binary(NEWEST), path)
    trace = ReleaseTrace(asked.site.eve.uid, "9.9.9", None, "x", str(path), 0, is_program=True)
    asked.fail()
    # Unknown as before: its buckets are kept.
    assert read_seen_releases([trace], (), ("wheels-v99",), asked.look.readers) == ()


def folders_of_tools(asked: Asked) -> None:
    asked.fail()
    gaps = [one for one in look_again(asked).evidence.gaps if one.id == "tools.unreadable"]
    assert gaps
    assert asked.names(gaps[0].detail)


def times_of_folders(asked: Asked) -> None:
    folder = asked.site.folder / "home"
    folder.mkdir()
    unseen: list[Unseen] = []
    asked.fail()
    assert list(moments({str(folder): 0}, asked.look.readers, unseen)) == []
    assert unseen[0].hides_archives
    assert asked.names(unseen[0].reason)


def files_that_name(asked: Asked) -> None:
    asked.fail()
    unseen = [one for one in look_again(asked).evidence.unseen if one.what == "named-in-file"]
    assert unseen
    assert unseen[0].hides_archives


def kin(asked: Asked) -> None:
    with trial_folder(asked.look.cache) as folder:
        entries = ("archive-v0/A123456789abcdef", "archive-v0/B123456789abcdef")
        asked.fail()
        found = kin_of(folder, entries[:1], entries)
    # All of it comes back.
    assert list(found) == [entries[1]]
    assert asked.names(found)


def links_after_the_moves(asked: Asked) -> None:
    path = asked.site.environment("home/proj")
    eve = asked.site.eve.uid
    known = Environment(str(path), EnvironmentKind.VENV, EnvironmentStatus.OK, uid=eve)
    asked.fail()
    cache = asked.look.cache.identity
    verified = verify([known, known], cache, (), lambda _: False, asked.look.readers)
    assert verified.environments == 0
    # One for an account.
    (unread,) = verified.unread
    assert asked.names(unread)
    assert f"1 environment more of uid {eve}" in unread


def links_that_a_release_breaks(asked: Asked) -> None:
    path = asked.site.environment("home/proj")
    eve = asked.site.eve.uid
    known = Environment(str(path), EnvironmentKind.VENV, EnvironmentStatus.OK, uid=eve, links=3)
    evidence = replace(
        asked.look.evidence, environments=(replace(known, archives=frozenset({ARCHIVE})),)
    )
    look = asked.look
    asked.fail()
    (broken,) = breakage(
        [f"archive-v0/{ARCHIVE}"],
        look.inventory,
        evidence,
        lambda: locator_for(look.policy, look.inventory),
        look.readers,
    ).environments
    assert (broken.path, broken.links) == (str(path), 3)


def simulated(asked: Asked) -> None:
    asked.fail()
    with pytest.raises(CacheadminError, match="could not be read to its end"):
        simulate_in(asked.look, NEWEST)


def archives_of_verify(asked: Asked) -> None:
    asked.fail()
    (checked,) = check_archives(asked)
    assert asked.names(checked.found)


def large_files_of_verify(asked: Asked) -> None:
    (asked.site.archive / "six.py").write_bytes(b"#" * (DEFERRED + 1))
    digest = hashlib.sha256((asked.site.archive / "six.py").read_bytes()).digest()
    text = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    record = asked.site.archive / "six-1.16.0.dist-info" / "RECORD"
    record.write_text(f"six.py,sha256={text},{DEFERRED + 1}\nsix-1.16.0.dist-info/RECORD,,\n")
    own(asked.site.archive, asked.site.eve)
    asked.fail()
    (checked,) = check_archives(asked)
    assert asked.names(checked.found)


def check_archives(asked: Asked) -> list[Any]:
    look = asked.look
    locator = locator_for(look.policy, look.inventory)
    place = Workplace(
        look.cache.fd, look.cache.identity.path, locator, look.policy.scan.limits.of_readers
    )
    return check_all(place, list(look.inventory.archives.values()), 1, lambda _: None)


def look_again(asked: Asked) -> Snapshot:
    return asked.stack.enter_context(look_at(asked.look.loaded.path))


KINDS: dict[str, Callable[[Asked], None]] = {
    "inventory/measurement.py _measure": size,
    "evidence/clones.py read_extents": blocks,
    "inventory/measurement.py _measure_links": size_of_links,
    "snapshot/archive_measurement.py look": usage_of_archives,
    "snapshot/archive_measurement.py look_at_batch": usage_of_batches,
    "usage/measurement.py count": usage_of_the_rest,
    "audit/survey/walk.py look": survey,
    "dedupe/duplicates.py _files_in_parts": copies,
    "dedupe/run.py _compare": sharing,
    "dedupe/run.py _share": sharing,
    "doctor/reader_questions.py _look": environments_of_doctor,
    "evict/plan.py _files_in": files_of_revisions,
    "evidence/away.py read_absent": absent,
    "evidence/kinds.py is_present": presence,
    "evidence/registry.py list_names": taken_registry_names,
    "evidence/last_use.py _read_attributes": records_of_use,
    "evidence/lock_holders.py read_holders": holders_of_locks,
    "evidence/reach.py read_container": containers,
    "evidence/containers.py read_own_containers": containers_of_accounts,
    "evidence/releases.py read_home": homes_with_uv,
    "evidence/seen_releases.py read_binaries": binaries_of_uv,
    "evidence/search.py search_tools": folders_of_tools,
    "evidence/tree_searches.py times_of": times_of_folders,
    "evidence/questions.py _files": files_that_name,
    "trial/kin.py _kin_among": kin,
    "prune/verification.py check": links_after_the_moves,
    "simulate/breakage.py look": links_that_a_release_breaks,
    "simulate/on_policy.py _simulate": simulated,
    "verify/parallel.py _check": archives_of_verify,
    "verify/parallel.py _check_later": large_files_of_verify,
}


# Kinds of which no owner is known before they are read.
NOBODYS = {
    "evidence/registry.py list_names",
    "evidence/last_use.py _read_attributes",
    "evidence/tree_searches.py times_of",
    "simulate/on_policy.py _simulate",
    "trial/kin.py _kin_among",
    # Root's process, and accounts of the system.
    "evidence/reach.py read_container",
    "evidence/containers.py read_own_containers",
    "evidence/releases.py read_home",
    "evidence/search.py search_tools",
    "evidence/questions.py _files",
}


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        pytest.param(kind, fault, marks=[pytest.mark.long] if fault != "dies" else [])
        for kind in KINDS
        for fault in FAULTS
    ],
)
def test_whoever_asks_takes_the_worst_for_granted_and_says_so(
    kind: str,
    fault: str,
    site: Site,
    cacheadmin: Cacheadmin,
    failing: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own(site.cache, site.eve)
    failed = noted_failures(kind, monkeypatch)
    policy = cacheadmin.policy(
        site.cache,
        f"venvs: {{registry: {site.folder}/registry}}\nscan: {{limits: {{deadline: 2s}}}}\n",
    )
    with ExitStack() as stack, look_at(str(policy)) as look:

        def fail() -> None:
            failing(kind, fault)
            # Those that are there know nothing of the fault.
            look.readers.close()

        KINDS[kind](Asked(site, cacheadmin, look, stack, fail, kind, REASONS[fault]))
    assert failed
    assert REASONS[fault] in failed[0].reason
    if kind not in NOBODYS:
        assert failed[0].uid == site.eve.uid


def noted_failures(kind: str, monkeypatch: pytest.MonkeyPatch) -> list[Unreadable]:
    """Return where failed answers to one kind of question are noted from now on."""
    failed: list[Unreadable] = []
    replies = Readers.replies

    def noted(self: Readers, question: Any, items: Any, **settings: Any) -> list[Any]:
        found = replies(self, question, items, **settings)
        if reads(question.read) == kind:
            failed.extend(one.failed for one in found if one.failed is not None)
        return found

    monkeypatch.setattr(Readers, "replies", noted)
    return failed


def _functions(expression: ast.expr) -> Iterator[str]:
    if isinstance(expression, ast.Call):
        yield from _functions(expression.args[0])
    elif isinstance(expression, ast.IfExp):
        yield from _functions(expression.body)
        yield from _functions(expression.orelse)
    else:
        yield ast.unparse(expression).rpartition(".")[2]


def _kinds_in(path: Path) -> Iterator[str]:
    """Yield the kinds of questions that a module makes, by the functions that read."""
    tree = ast.parse(path.read_text())
    imported = {
        name.name: f"{node.module}".removeprefix("cacheadmin.").replace(".", "/") + ".py"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Question":
            for name in _functions(node.args[0]):
                yield f"{imported.get(name, path.relative_to(PACKAGE))} {name}"


def test_every_kind_of_question_is_among_these() -> None:
    kinds = {kind for path in PACKAGE.rglob("*.py") for kind in _kinds_in(path)}
    assert kinds == {*KINDS, *(case.question for case in CASES), *OTHERS}


OTHERS = {
    # By `test_what_can_not_be_checked_here_is_read_here`, and where workers of a cluster can't
    # read something, by `test_what_rests_on_more_than_an_environment_itself_is_not_answered`.
    "evidence/cluster/coordinator.py _place",
    "evidence/cluster/coordinator.py read",
    "evidence/cluster/worker.py _scan",
    # By `test_mounts_that_no_reader_could_look_at_keep_what_they_may_show`.
    "evidence/mounted_entries.py read_mounted_entries",
    # One that gives no answer is searched, which says why it can't be.
    "evidence/away.py why_nothing_shows",
    # By `test_pointers_that_no_reader_could_read_again_stop_what_they_may_keep`.
    "evidence/questions.py _pointers",
    # No answer is no lookup, and none that is seen keeps all trials from ending.
    "trial/blindness.py _is_looked_up",
    # Asked again in an owner's name; without that, what was closed to root stays closed.
    "readers/owners.py owner_of_closed",
}
