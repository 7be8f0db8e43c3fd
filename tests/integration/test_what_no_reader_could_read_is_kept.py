"""Whatever readers can't read, with whatever fault: what it could hide is kept, and it is named.

A use that only one question can find is made for each; then the readers of that
question fail, each in each way. The plan must keep the archive.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack
import pytest

from cacheadmin.prune.last_look import LastLook
from cacheadmin.readers.frames import Kind
from cacheadmin.readers.serving import Reader
from cacheadmin.situation import look_at
from tests.support.auditing import link_environment, make_cache, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User, other_users

pytestmark = pytest.mark.root

ARCHIVE = "Hw3nR7kq0ZbT5mXc"


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
    Case(registered, "folder_identity"),
    Case(registered, "folder_kind"),
    Case(registered, "_folder"),
    Case(registered, "_scan"),
    Case(included, "match_folder"),
    Case(included, "read_included"),
    Case(included, "_folder"),
    Case(included, "_scan"),
    Case(discovered, "search"),
    Case(discovered, "match_folder"),
    Case(below_cache, "own_place"),
    Case(below_cache, "search"),
    Case(running, "read"),
    Case(running, "_scan"),
    Case(pointed, "read_entry", "wheels-v5"),
    Case(recorded, "read_entry", "interpreter-v4"),
    Case(recorded, "read_interpreters"),
    Case(recorded, "folder_kind"),
    Case(pinned, "_pins_in"),
]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _stop() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _grow() -> None:
    raise MemoryError


FAULTS = {"dies": _die, "stops": _stop, "grows": _grow}


def _in_the_middle(
    reader: Reader, asked: Any, item: Any, uid: int | None, fault: Callable[[], None]
) -> None:
    """Fail after the first half of an answer that has parts, else before it."""
    if asked.in_parts:
        reader._say(Kind.PART, uid, next(iter(asked.read(item))))
        reader._send()
    fault()


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Have readers fail at one question: in every reader that is forked from now on."""
    answer = Reader._say_parts

    def fail(question: str, fault: str, name: str = "") -> None:
        def instead(self: Reader, asked: Any, item: Any, uid: int | None) -> None:
            at_it = not name or getattr(item, "name", "") == name
            if at_it and getattr(asked.read, "__name__", "") == question:
                _in_the_middle(self, asked, item, uid, FAULTS[fault])
            answer(self, asked, item, uid)

        monkeypatch.setattr(Reader, "_say_parts", instead)

    yield fail


def removed(policy: Path) -> set[str]:
    with look_at(str(policy)) as situation:
        return {decision.path for decision in situation.plan().removals}


# In every way the answers that matter most; the pool treats all questions alike.
EVERY_WAY = {"_scan", "read", "search", "read_entry"}
FAILURES = [
    pytest.param(case, fault, id=f"{case.use.__name__}-{case.question}-{fault}")
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
) -> None:
    entry = f"archive-v0/{ARCHIVE}"
    with ExitStack() as stack:
        nowhere = cacheadmin.policy(site.cache, name="nowhere")
        assert entry in removed(nowhere)
        words = case.use(site, stack)
        policy = cacheadmin.policy(
            site.cache,
            f"venvs: {{{words}, gaps: keep}}\nscan: {{limits: {{deadline: 1s}}}}\n",
        )
        assert entry not in removed(policy)
        failing(case.question, fault, case.item)
        begun = time.monotonic()
        assert entry not in removed(policy)
        # A busy machine is slow, but nobody waits for each of many things that fail alike.
        assert time.monotonic() - begun < 30


def test_it_is_named(site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]) -> None:
    with ExitStack() as stack:
        policy = cacheadmin.policy(site.cache, f"venvs: {{{registered(site, stack)}}}\n")
        failing("_scan", "dies")
        with look_at(str(policy)) as situation:
            unseen = next(one for one in situation.evidence.unseen if one.uid == site.eve.uid)
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
        failing("read_entry", "dies", "wheels-v5")
        with look_at(str(policy)) as situation:
            plan = situation.plan()
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
        with look_at(str(policy)) as situation:
            (unread,) = situation.inventory.unreadable
    assert (unread.uid, unread.reason) == (site.eve.uid, "deeper than any uv release writes")


def test_pointers_that_no_reader_could_read_again_stop_what_they_may_keep(
    site: Site, cacheadmin: Cacheadmin, failing: Callable[..., None]
) -> None:
    entry = f"archive-v0/{ARCHIVE}"
    (site.cache / "wheels-v7" / "pypi").mkdir(parents=True)
    policy = cacheadmin.policy(site.cache, "venvs: {registry: null}\n")
    with look_at(str(policy)) as situation:
        plan = situation.plan()
        assert entry in {decision.path for decision in plan.removals}
        (site.cache / "wheels-v7" / "pypi" / "demo").mkdir()
        failing("_pointers", "dies")
        # Those that the plan asked know nothing of the fault.
        situation.collected.look.readers.close()
        dropped = dict(LastLook(situation, plan.removals).look().dropped)
    assert "its reader was ended by SIGKILL" in dropped[entry]
