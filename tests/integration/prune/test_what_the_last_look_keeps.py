"""What a last look keeps of each thing that a source tells it, and nothing else for that."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgpack
import pytest

from cacheadmin.evidence import collection
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import (
    EnvironmentKind,
    LockHolder,
    NamedEntry,
    Pin,
    Process,
    Unseen,
    UseOfEntry,
    UvProcess,
)
from cacheadmin.evidence.look import Facts, Look
from cacheadmin.evidence.sources import SOURCES
from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner.plan import Decision
from cacheadmin.planner.reasons import ARCHIVE_UNREFERENCED
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.last_look import LastLook
from cacheadmin.snapshot.snapshot import look_with
from tests.support.auditing import link_environment
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.shared_cache import age
from tests.support.wheel_archives import empty_cache, write_archive, write_tool

SIX, OTHER, BUILT = (f"archive-v0/{name:x<16}" for name in ("six", "other", "built"))
TOOL, PUBLISHED = "archive-v0/zzzz_zzzzzzzzzzz", "environments-v2/0123456789abcdef/fedcba9876543210"
SCRIPT = "environments-v2/script-0123456789abcdef"
WHEELS, FLAT, STRANGE = "wheels-v5", "flat-index-v2", "wheels-v1"
BUILD = "builds-v0/.tmpabcdef"
VERSION = "sdists-v9/pypi/demo/1.0"
NAMING, REVISION = f"{VERSION}/revision.http", f"{VERSION}/Rev0123456789abcd"
PART, POINTER = f"{REVISION}/src", "wheels-v7/pypi/other/1.0-py3-none-any"
CHECKOUT = "git-v0/checkouts/0123456789abcdef/0123456"

GOING = {
    PUBLISHED: EntryKind.ENVIRONMENT,
    SCRIPT: EntryKind.ENVIRONMENT,
    WHEELS: EntryKind.BUCKET,
    FLAT: EntryKind.BUCKET,
    STRANGE: EntryKind.BUCKET,
    NAMING: EntryKind.WHEEL,
    REVISION: EntryKind.REVISION,
    PART: EntryKind.SOURCE,
    POINTER: EntryKind.WHEEL,
    f"{POINTER}.http": EntryKind.WHEEL,
    CHECKOUT: EntryKind.SOURCE,
    BUILD: EntryKind.BUILD,
    TOOL: EntryKind.ARCHIVE,
    SIX: EntryKind.ARCHIVE,
    OTHER: EntryKind.ARCHIVE,
    BUILT: EntryKind.ARCHIVE,
}
ARCHIVES = {path for path, kind in GOING.items() if kind is EntryKind.ARCHIVE}
ENVIRONMENTS = {PUBLISHED, SCRIPT}
SOURCES_BUILT = {NAMING, REVISION, BUILT}
# All but an abandoned build, and a pointer: where uv finds none, it downloads again.
EVERYTHING = set(GOING) - {BUILD, POINTER, f"{POINTER}.http"}


@dataclass(eq=False)
class Told:
    """A source that a test adds: it has this to tell since the plan."""

    before: Facts
    facts: Facts
    id: str = "told"

    def collect(self, look: Look) -> Facts:
        return self.before

    def changed(self, look: Look, before: Facts) -> Facts:
        return self.facts


@dataclass
class Site:
    """A cache in which everything goes, and what was told since."""

    cache: Path
    policy: Path
    patched: pytest.MonkeyPatch
    meanwhile: Callable[[], object] = field(default=lambda: None)
    before: Facts = field(default_factory=Facts)

    def keeps(self, *, beside: bool = False, **facts: tuple[object, ...]) -> set[str]:
        """Return what of all that goes is kept, for what a source tells."""
        told = {
            **collection.collect_evidence.__kwdefaults__,
            "sources": (*SOURCES, Told(self.before, Facts(**facts))),
        }
        self.patched.setattr(collection.collect_evidence, "__kwdefaults__", told)
        removals = [
            Decision(kind, path, None, None, ARCHIVE_UNREFERENCED, rests_on="absence")
            for path, kind in GOING.items()
        ]
        with ExitStack() as stack:
            snapshot = stack.enter_context(look_with(load_policy(os.fspath(self.policy))))
            self.meanwhile()
            return {path for path, _ in LastLook(snapshot, removals, beside=beside).look().dropped}


@pytest.fixture
def site(open_folder: Path, cacheadmin: Cacheadmin, monkeypatch: pytest.MonkeyPatch) -> Site:
    cache = empty_cache(open_folder / "cache")
    six, _, built = (
        write_archive(cache, name, {f"{name}.py": b""}) for name in ("six", "other", "built")
    )
    write_tool(cache, six)
    for folder in (SCRIPT, WHEELS, FLAT, STRANGE, BUILD, REVISION, f"{CHECKOUT}/src"):
        (cache / folder).mkdir(parents=True)
    (cache / SCRIPT / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (cache / NAMING).write_bytes(msgpack.packb([os.path.basename(REVISION), []]))
    (cache / REVISION / "built-1.0-py3-none-any").symlink_to(built)
    (cache / POINTER).parent.mkdir(parents=True)
    (cache / POINTER).symlink_to(cache / OTHER)
    age(cache, 40)
    return Site(cache, cacheadmin.policy(cache, "hosts: {only: this}\n"), monkeypatch)


def process(*uses: str, **facts: object) -> dict[str, tuple[Process, ...]]:
    found = tuple(UseOfEntry(entry, "open file") for entry in uses)
    return {"processes": (Process(4194304, 1, 0, "x", found, **facts),)}


def unseen(what: str, **facts: bool) -> dict[str, tuple[Unseen, ...]]:
    return {"unseen": (Unseen(what, "/somewhere", "it went dark", True, **facts),)}


def test_nothing_is_kept_for_nothing(site: Site) -> None:
    assert site.keeps() == set()


def test_what_a_file_names_is_kept_alone(site: Site) -> None:
    assert site.keeps(named=(NamedEntry(OTHER, "/etc/unit"),)) == {OTHER}


def test_a_process_in_a_tool_keeps_it_with_its_name_and_what_it_links(site: Site) -> None:
    assert site.keeps(**process(TOOL)) == {TOOL, PUBLISHED, SIX}


def test_a_process_in_what_was_made_meanwhile_keeps_what_that_links(site: Site) -> None:
    """Nothing leads to it yet: a uv is about to publish it."""
    made = "archive-v0/late_late_late_0"
    site.meanwhile = lambda: link_environment(site.cache / made, site.cache / OTHER)
    assert site.keeps(**process(made)) == {OTHER}


def test_a_process_deep_in_a_source_keeps_all_that_uv_finds_it_by(site: Site) -> None:
    assert site.keeps(**process(f"{PART}/demo")) == SOURCES_BUILT | {PART}
    assert site.keeps(**process(f"{CHECKOUT}/src")) == {CHECKOUT}


@pytest.mark.parametrize("beside", [False, True])
def test_a_holder_of_a_deleted_lock_keeps_everything_where_the_lock_is_what_protects(
    site: Site, beside: bool
) -> None:
    holder = LockHolder(4194304, 1, exclusive=False, waiting=False, unlinked=True)
    kept = site.keeps(beside=beside, lock_holders=(holder,))
    assert kept == (set() if beside else EVERYTHING)


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        (unseen("environment"), ARCHIVES | ENVIRONMENTS),
        (unseen("process", trial_suffices=True), set()),
        (unseen("pin"), set(GOING)),
    ],
    ids=["unseen", "trial suffices", "pin"],
)
def test_what_can_not_be_seen_any_more_keeps_what_it_may_use(
    site: Site, told: dict[str, tuple[Unseen, ...]], kept: set[str]
) -> None:
    assert site.keeps(**told) == kept


def test_a_uv_that_takes_no_lock_keeps_all_that_it_may_find(site: Site) -> None:
    assert site.keeps(**process(uv=UvProcess("0.8.5", takes_cache_lock=False))) == EVERYTHING
    parked = UvProcess("0.8.5", takes_cache_lock=False, parked=True)
    assert site.keeps(**process(uv=parked)) == set()


def test_a_uv_that_takes_the_lock_keeps_the_buckets_of_its_release(site: Site) -> None:
    uv = UvProcess("0.8.20", takes_cache_lock=True)
    assert site.keeps(**process(uv=uv)) == {WHEELS, FLAT}


def test_a_uv_of_a_release_that_no_table_has_keeps_all_buckets(site: Site) -> None:
    uv = UvProcess("99.1.0", takes_cache_lock=True)
    assert site.keeps(**process(uv=uv)) == {WHEELS, FLAT, STRANGE}


def test_beside_a_uv_that_starts_what_it_finds_by_name_stays(site: Site) -> None:
    """Of archives it knows none: no pointer leads to what goes beside it."""
    uv = UvProcess("0.8.20", takes_cache_lock=True)
    assert site.keeps(beside=True, **process(uv=uv)) == {WHEELS, FLAT, CHECKOUT, SCRIPT, PART}


def test_what_is_written_to_keeps_what_no_release_lacks_that_has_it(site: Site) -> None:
    assert site.keeps(written=((WHEELS, "it was written to"),)) == {WHEELS, FLAT}


def test_a_new_environment_keeps_buckets_of_its_release_though_it_is_empty(site: Site) -> None:
    environment = link_environment(site.cache.with_name("fresh"), site.cache / FLAT, uv="0.8.20")
    named = Candidate(os.fspath(environment), EnvironmentKind.VENV, ("registry",))
    assert site.keeps(candidates=(named,)) == {WHEELS, FLAT}
    # What a process runs from may have to do with another cache.
    running = Candidate(os.fspath(environment), EnvironmentKind.VENV, ("process",))
    assert site.keeps(candidates=(running,)) == set()


def test_a_new_environment_that_can_not_be_read_may_use_any_archive(site: Site) -> None:
    environment = site.cache.with_name("closed")
    environment.mkdir()
    (environment / "pyvenv.cfg").symlink_to("pyvenv.cfg")
    (environment / "lib").symlink_to("lib")
    candidate = Candidate(os.fspath(environment), EnvironmentKind.VENV, ("include",))
    assert site.keeps(candidates=(candidate,)) == ARCHIVES | ENVIRONMENTS


def known_environment(site: Site, name: str) -> Path:
    """Let a source know an environment from the plan on, and tell nothing of it since."""
    environment = site.cache.with_name(name)
    named = Candidate(os.fspath(environment), EnvironmentKind.VENV, ("told",))
    site.before = Facts(candidates=(named,))
    return environment


@pytest.mark.parametrize("as_young_as_the_look", [False, True])
def test_what_is_installed_meanwhile_into_a_known_environment_is_kept(
    site: Site, as_young_as_the_look: bool
) -> None:
    environment = known_environment(site, "known")
    packages = environment / "lib/python3.11/site-packages"
    packages.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n")

    # The clock of a filesystem ticks: another change in one tick shows no other time.
    seen_ns = time.time_ns() + 60 * 10**9 if as_young_as_the_look else 10**18

    def install() -> None:
        (packages / "other.py").symlink_to(site.cache / OTHER / "other.py")
        if as_young_as_the_look:
            os.utime(packages, ns=(seen_ns, seen_ns))

    os.utime(packages, ns=(seen_ns, seen_ns))
    site.meanwhile = install
    assert site.keeps() == {OTHER}


def test_a_known_environment_that_is_there_again_keeps_what_it_links(site: Site) -> None:
    environment = known_environment(site, "away")
    assert site.keeps() == set()
    site.meanwhile = lambda: link_environment(environment, site.cache / OTHER)
    assert OTHER in site.keeps()


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        (REVISION, SOURCES_BUILT | {PART}),
        (VERSION, SOURCES_BUILT | {PART}),
        (PUBLISHED, {PUBLISHED, TOOL, SIX}),
        (POINTER, {POINTER, f"{POINTER}.http", OTHER}),
    ],
)
def test_what_is_pinned_since_keeps_all_that_makes_it_whole(
    site: Site, path: str, kept: set[str]
) -> None:
    assert site.keeps(pins=(Pin("/pins/mine", 1000, path=path),)) == kept


def test_a_build_that_changes_after_the_plan_stays_whatever_time_it_is_given(site: Site) -> None:
    def touch() -> None:
        (site.cache / BUILD / "new").touch()
        old = time.time() - 90 * 86_400
        os.utime(site.cache / BUILD, (old, old))

    site.meanwhile = touch
    assert site.keeps() == {BUILD}
