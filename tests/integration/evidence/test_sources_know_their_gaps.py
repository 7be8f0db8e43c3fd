"""Each source that can't look says so, and what rested on it stays; the last look asks them all."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cacheadmin.evidence import collection
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Gap, GapKind
from cacheadmin.evidence.look import Facts, Look
from cacheadmin.evidence.sources import SOURCES
from cacheadmin.policy.loader import load_policy
from cacheadmin.prune.last_look import LastLook
from cacheadmin.snapshot.snapshot import Snapshot, look_with
from tests.support.automounter import automounter
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.encryption import Encrypted
from tests.support.filesystems import filesystem, mounted_tmpfs, moved_away
from tests.support.long_running import working_uv
from tests.support.running_uv import binary_for
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST

OLD = "0.8.5"


@contextmanager
def looking(policy: Path) -> Iterator[Snapshot]:
    with look_with(load_policy(os.fspath(policy))) as snapshot:
        yield snapshot


def gaps_and_removed(cacheadmin: Cacheadmin, policy: Path) -> tuple[set[str], set[str]]:
    """Return the gaps of a prune, and the archives that it took for unused by proof."""
    document = cacheadmin("prune", policy, "--format", "json", code=0).json
    print(document["gaps"])
    rows = [row for row in document["removals"] if row["kind"] == "archive"]
    removed = {row["path"] for row in rows if row["rests_on"] == "proof"}
    return {gap["id"] for gap in document["gaps"]}, removed


def test_with_nothing_open_the_archives_of_an_unknown_environment_go(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    """So that the other tests here can fail: this is what a gap keeps from happening."""
    gaps, removed = gaps_and_removed(cacheadmin, cacheadmin.policy(shared.path))
    assert gaps == set()
    assert removed
    assert dangling_links(hidden)


def test_without_named_places_it_is_said_that_only_homes_were_searched(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, complete=False)
    gaps, removed = gaps_and_removed(cacheadmin, policy)
    assert gaps == {"sources.none"}
    assert removed == set()
    assert dangling_links(hidden) == {}
    preflight = cacheadmin("preflight", policy, code=4).stdout
    assert "venvs.complete: true" in preflight


@pytest.mark.root
def test_homes_and_accounts_that_were_not_searched_are_named(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, open_folder: Path
) -> None:
    archive = next((shared.path / "archive-v0").iterdir())
    subprocess.run(["chown", "-R", "61234", archive], check=True)
    places = f"venvs: {{discover: [{{root: '{open_folder}/nothing here'}}], complete: false}}\n"
    (open_folder / "nothing here").mkdir()
    policy = cacheadmin.policy(shared.path, places)
    document = cacheadmin("plan", policy, "--format", "json", code=4).json
    gaps = {gap["id"]: gap for gap in document["gaps"]}
    assert gaps["homes.unknown"]["subject"] == "uid 61234"
    assert gaps["homes.unsearched"]["owner"] == "root"
    archives = [row for row in document["removals"] if row["kind"] == "archive"]
    assert {row["rests_on"] for row in archives} == {"absence"}


@pytest.mark.root
def test_a_pid_namespace_of_its_own_hides_processes(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path
) -> None:
    policy = cacheadmin.policy(shared.path, "prune: {builds: {after: 0s}}\n")
    build = shared.path / "builds-v0" / ".tmpabc"
    build.mkdir(parents=True)
    apart = ["unshare", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run(
        [*apart, *cacheadmin.command("prune", policy)],
        env=cacheadmin.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "pid namespace" in done.stdout
    assert dangling_links(hidden) == {}
    assert build.exists()
    # To be root, which it is, is not what is missing.
    done = subprocess.run(
        [*apart, *cacheadmin.command("preflight", policy)],
        env=cacheadmin.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "run cacheadmin on the host itself" in done.stdout
    assert "run it as root" not in done.stdout


@pytest.mark.root
@pytest.mark.parametrize("named", ["included", "remembered", "linked"])
def test_a_home_that_is_not_mounted_tonight_is_away_and_keeps_what_it_linked(
    shared: SharedCache, cacheadmin: Cacheadmin, named: str
) -> None:
    home = shared.home() / "zoe"
    home.mkdir()
    if named != "included":
        # What lies below a mount is seen when nothing is mounted: the folder is not even empty.
        (home / "README.txt").write_text("log in first\n")
    with mounted_tmpfs(home):
        environment = shared.environment("zoe/.venv", OLD, "six==1.16.0")
        project = shared.home() / "project"
        project.mkdir()
        (project / ".venv").symlink_to(environment)
        included = {
            "included": f"venvs: {{include: ['{environment}']}}\n",
            "linked": f"venvs: {{include: ['{project}/.venv']}}\n",
        }.get(named, "")
        policy = cacheadmin.policy(shared.path, included)
        if named != "included":
            # As long as it was there, uv's record named it; a prune of another release took that.
            assert gaps_and_removed(cacheadmin, policy) == (set(), set())
            for bucket in shared.path.glob("interpreter-v*"):
                shutil.rmtree(bucket)
        if named == "linked":
            cacheadmin("venv", "remove", policy, environment, code=0)
        age(shared.path, days=40)
        shared.environment("new", NEWEST, "cowsay==6.0", link_mode="copy")
        gaps, _ = gaps_and_removed(cacheadmin, policy)
        assert gaps == set()
        assert dangling_links(environment) == {}
        with moved_away(home):
            gaps, removed = gaps_and_removed(cacheadmin, policy)
            assert gaps == {"environments.away"}
            assert removed == set()
        assert dangling_links(environment) == {}


@pytest.mark.root
def test_a_folder_that_an_automounter_can_not_mount_tonight_is_away(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, open_folder: Path
) -> None:
    """Its server is down, others are mounted: the kernel says that there is no such name."""
    projects = open_folder / "projects"
    projects.mkdir()
    environment = projects / "zoe" / ".venv"
    policy = cacheadmin.policy(shared.path, f"venvs: {{include: ['{environment}']}}\n")
    with automounter(projects):
        assert os.listdir(projects) == ["other"]
        assert not environment.exists()
        gaps, removed = gaps_and_removed(cacheadmin, policy)
        assert gaps == {"environments.away"}
        assert removed == set()
    assert dangling_links(hidden) == {}


@pytest.mark.root
def test_a_home_whose_user_has_logged_out_is_encrypted_and_away(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    """Nothing in it can be found by its name, and there is something."""
    with filesystem("ext4", open_folder, 64, make=["-O", "encrypt"]) as mounted:
        home = mounted / "zoe"
        home.mkdir()
        encrypted = Encrypted(home)
        (home / "work").mkdir()
        (home / "work" / "notes").write_text("mine\n")
        made = shared.environment("made", OLD, "six==1.16.0")
        environment = home / "work" / "proj"
        shutil.copytree(made, environment, symlinks=True)
        shutil.rmtree(made)
        policy = cacheadmin.policy(shared.path, f"venvs: {{include: ['{environment}']}}\n")
        age(shared.path, days=40)
        tree = f"venvs: {{discover: [{{root: '{mounted}'}}]}}\n"
        searched = cacheadmin.policy(shared.path, tree, name="searched", complete=False)
        with encrypted.locked():
            assert os.listdir(home)
            assert not environment.exists()
            gaps, removed = gaps_and_removed(cacheadmin, policy)
            assert gaps == {"environments.away"}
            assert removed == set()
            # What no record names can't be found in there, either.
            cacheadmin("venv", "remove", policy, environment)
            gaps, removed = gaps_and_removed(cacheadmin, searched)
            assert "search.away" in gaps
            assert removed == set()
        assert dangling_links(environment) == {}
        # With its key there, what is not there is gone.
        shutil.rmtree(environment)
        assert gaps_and_removed(cacheadmin, policy)[0] == set()


@pytest.mark.root
def test_an_export_of_this_host_is_named(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, open_folder: Path
) -> None:
    exports = open_folder / "exports"
    exports.write_text(f'"{shared.path.parent}" *(rw,no_root_squash)\n')
    policy = cacheadmin.policy(shared.path)
    words = " ".join(f"'{word}'" for word in cacheadmin.command("prune", policy))
    script = f"touch /etc/exports && mount --bind '{exports}' /etc/exports && exec {words}"
    there = os.path.exists("/etc/exports")
    try:
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-c", script],
            env=cacheadmin.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if not there:
            os.unlink("/etc/exports")
    assert done.returncode == 0, done.stderr
    assert "hosts.exported" in done.stdout
    assert dangling_links(hidden) == {}
    word = cacheadmin.policy(shared.path, "hosts: {only: this}\n")
    assert gaps_and_removed(cacheadmin, word)[0] == set()


def test_an_older_uv_at_work_is_seen_under_any_name(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, open_folder: Path
) -> None:
    """As wrappers of distributions call it: its bytes tell, it takes no lock, so nothing goes."""
    wrapped = open_folder / ".build-tool"
    shutil.copy(binary_for(OLD), wrapped)
    with working_uv(shared, OLD, wrapped):
        policy = cacheadmin.policy(shared.path)
        document = cacheadmin("prune", policy, "--format", "json", code=0).json
    assert "processes.lock_free_uv" in {limit["id"] for limit in document["limits"]}
    assert dangling_links(hidden) == {}


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("registry: {closed}", "unseen.registry"),
        ("discover: [{{root: {closed}}}]", "unseen.discover"),
        ("include: ['{closed}/*/env']", "unseen.include"),
    ],
)
@pytest.mark.root
def test_a_place_that_cannot_be_read_keeps_what_rested_on_it(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, text: str, gap: str
) -> None:
    closed = shared.home() / "closed"
    closed.mkdir()
    places = text.format(closed=closed)
    complete = cacheadmin.policy(shared.path, f"venvs:\n  {places}\n")
    with unreadable(closed):
        gaps, removed = gaps_and_removed(cacheadmin, complete)
    assert gap in gaps
    assert removed == set()
    assert dangling_links(hidden) == {}


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Have a link that leads to itself in a folder's place: root can't list it either."""
    folder.rmdir()
    folder.symlink_to(folder.name)
    try:
        yield
    finally:
        folder.unlink()
        folder.mkdir()


@pytest.mark.parametrize("complete", ["false", "true"])
def test_a_search_over_its_bounds_says_where_it_ended(
    shared: SharedCache,
    cacheadmin: Cacheadmin,
    hidden: Path,
    monkeypatch: pytest.MonkeyPatch,
    complete: str,
) -> None:
    """The site's word changes nothing: anybody can fill a tree with folders."""
    from cacheadmin.evidence import search

    monkeypatch.setattr(search.Bounds.__init__, "__defaults__", (0, *_ends()))
    places = f"venvs: {{discover: [{{root: '{shared.homes}'}}], complete: {complete}}}\n"
    with looking(cacheadmin.policy(shared.path, places)) as snapshot:
        plan = snapshot.plan()
        assert "search.limit" in {gap.id for gap in plan.gaps}
        archives = [d for d in plan.removals if d.path.startswith("archive-")]
        assert {decision.rests_on for decision in archives} == {"absence"}


def _ends() -> tuple[object, ...]:
    from cacheadmin.evidence import search

    return search.Bounds.__init__.__defaults__[1:]


class Diary:
    """A source that a test adds: one environment, which comes after the plan."""

    id = "diary"

    def __init__(self, environment: Path) -> None:
        self.environment = environment
        self.asked: list[str] = []

    def collect(self, look: Look) -> Facts:
        self.asked.append(look.moment.name)
        return Facts()

    def changed(self, look: Look, before: Facts) -> Facts:
        self.asked.append(look.moment.name)
        path = os.fspath(self.environment)
        return Facts(candidates=(Candidate(path, EnvironmentKind.VENV, (self.id,)),))


def test_a_source_that_is_added_is_asked_for_the_plan_and_in_the_last_look(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    diary = Diary(hidden)
    monkeypatch.setattr(collection.collect_evidence, "__kwdefaults__", _with_source(diary, SOURCES))
    with looking(cacheadmin.policy(shared.path)) as snapshot:
        plan = snapshot.plan()
        planned = {d.path for d in plan.removals if d.path.startswith("archive-")}
        assert planned
        checked = LastLook(snapshot, plan.removals).look()
    assert diary.asked == ["PLAN", "BEFORE_LOCK", "UNDER_LOCK"]
    assert planned <= {path for path, _ in checked.dropped}


class Blindfold:
    """A source that can't look any more between plan and moves."""

    id = "blindfold"

    def collect(self, look: Look) -> Facts:
        return Facts()

    def changed(self, look: Look, before: Facts) -> Facts:
        return Facts(gaps=(Gap("test.gap", GapKind.RIGHTS, "x", "x went dark", "light"),))


def test_a_gap_that_opens_after_the_plan_keeps_what_rests_on_absence(
    shared: SharedCache, cacheadmin: Cacheadmin, hidden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        collection.collect_evidence, "__kwdefaults__", _with_source(Blindfold(), SOURCES)
    )
    with looking(cacheadmin.policy(shared.path)) as snapshot:
        plan = snapshot.plan()
        checked = LastLook(snapshot, plan.removals).look()
        left = {decision.path for decision in checked.removals}
    assert not [path for path in left if path.startswith("archive-")]


def _with_source(source: object, sources: tuple[object, ...]) -> dict[str, object]:
    defaults = collection.collect_evidence.__kwdefaults__
    return {**defaults, "sources": (*sources, source)}


def test_an_environment_made_in_a_searched_tree_after_the_plan_is_seen_before_the_lock(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    gone = shared.environment("gone", NEWEST, "six==1.16.0")
    shared.remove_environment(gone)
    text = (
        f"venvs: {{discover: [{{root: '{shared.homes}'}}]}}\n"
        "prune: {budget: {max_size: 1KiB}}\n"
    )
    with looking(cacheadmin.policy(shared.path, text)) as snapshot:
        plan = snapshot.plan()
        planned = {d.path for d in plan.removals if d.path.startswith("archive-")}
        assert planned
        late = shared.environment("late", NEWEST)
        arguments = ("pip", "install", "--offline", "--python", late, "six==1.16.0")
        shared.uv(NEWEST, *arguments)
        checked = LastLook(snapshot, plan.removals).look()
    assert planned <= {path for path, _ in checked.dropped}
