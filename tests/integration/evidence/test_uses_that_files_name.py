"""Files that say where an environment is, or which one they will start: all that names it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.named_in_files import (
    PlaceOfFiles,
    crontab_places,
    kernel_places,
    named_in_files,
    unit_places,
)
from cacheadmin.evidence.questions import locator_for
from cacheadmin.evidence.redirects import redirected
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.fs.small_files import ReadFailure
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.looking import looking_at
from tests.support.projects import uv_in
from tests.support.shared_cache import SharedCache, age, dangling_links
from tests.support.uv_releases import NEWEST, newest_bucket

PROJECT = """
[project]
name = "project"
version = "1"
requires-python = ">=3.9"
dependencies = ["six==1.16.0"]
"""


@pytest.mark.parametrize("text", ["{0}", "{0}\n", "{0}\r\n", "../real\n", "./../real"])
def test_a_file_in_the_place_of_an_environment_names_it_as_uv_reads_it(
    shared: SharedCache, text: str
) -> None:
    project = shared.home() / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    real = shared.environment("real", NEWEST)
    file = project / ".venv"
    file.write_text(text.format(real))
    shared.uv(NEWEST, "sync", "-q", "--python", f"{real}/bin/python", cwd=project)
    assert file.is_file()
    assert next(real.glob("lib/python3*/site-packages/six.py")).is_symlink()
    assert redirected(str(file)) == str(real)


def test_dots_after_a_link_lead_where_the_kernel_says(open_folder: Path) -> None:
    (open_folder / "disk" / "project").mkdir(parents=True)
    (open_folder / "disk" / "real").mkdir()
    (open_folder / "project").symlink_to("disk/project")
    (open_folder / "project" / ".venv").write_text("../real\n")
    found = redirected(f"{open_folder}/project/.venv")
    assert found is not None
    assert os.path.samefile(found, open_folder / "disk" / "real")


@pytest.mark.parametrize("through_a_link", [False, True])
@pytest.mark.parametrize("way", ["discover", "include", "pattern", "registry"])
def test_what_only_such_a_file_names_is_kept_however_the_file_is_found(
    shared: SharedCache, cacheadmin: Cacheadmin, way: str, through_a_link: bool
) -> None:
    """The site says that all are known; the environment lies where nothing else looks."""
    real = shared.environment("disk/real", NEWEST, "six==1.16.0")
    project = shared.home() / "code" / "project"
    project.mkdir(parents=True)
    file = project / ".venv"
    text = project.parent / "named" if through_a_link else file
    text.write_text("../../disk/real\n")
    if through_a_link:
        file.symlink_to("../named")
    registry = shared.home() / "registry"
    registry.mkdir()
    (registry / "project").symlink_to(file)
    sources = {
        "discover": f"discover: [{{root: {project}}}]",
        "include": f"discover: [], include: [{file}]",
        "pattern": f"discover: [], include: ['{project.parent}/*/.venv']",
        "registry": f"discover: [], registry: {registry}",
    }
    shutil.rmtree(shared.path / newest_bucket("wheels"))
    age(shared.path, 40)
    policy = cacheadmin.policy(
        shared.path,
        f"venvs: {{complete: true, from_cache: false, {sources[way]}}}\nhosts: {{only: this}}\n",
        complete=False,
    )
    cacheadmin("prune", policy, code=0)
    assert dangling_links(real) == {}


def empty_file(path: Path) -> None:
    path.touch()


def folder(path: Path) -> None:
    path.mkdir()


def link_to_a_secret(path: Path) -> None:
    path.symlink_to("/etc/shadow")
    if os.geteuid() == 0:
        # Of an account that can't read it.
        os.chown(path, 61001, 61001, follow_symlinks=False)


def endless_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def null_bytes(path: Path) -> None:
    path.write_bytes(b"/tmp/\0\n")


@pytest.mark.parametrize(
    "make", [empty_file, folder, link_to_a_secret, os.mkfifo, endless_file, null_bytes]
)
def test_what_is_no_such_file_names_no_environment(
    open_folder: Path, make: Callable[[Path], None]
) -> None:
    make(open_folder / ".venv")
    assert redirected(f"{open_folder}/.venv") is None
    assert redirected(f"{open_folder}/absent/.venv") is None


@pytest.mark.root
@pytest.mark.parametrize("relative", [False, True])
def test_a_link_has_nothing_read_that_its_owner_may_not_reach(
    open_folder: Path, relative: bool
) -> None:
    """A report would show its first line, as the path of an environment that is not there."""
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "token").write_text("secret\n")
    (closed / "token").chmod(0o644)
    link = open_folder / ".venv"
    link.symlink_to("closed/token" if relative else closed / "token")
    os.chown(link, 61001, 61001, follow_symlinks=False)
    found = redirected(str(link))
    assert isinstance(found, ReadFailure) and found.blocked
    closed.chmod(0o711)
    assert redirected(str(link)) == f"{open_folder}/secret"
    closed.chmod(0o700)
    os.chown(closed, 61001, 61001)
    assert redirected(str(link)) == f"{open_folder}/secret"


@pytest.mark.root
def test_a_link_in_another_root_leads_to_what_is_there(open_folder: Path) -> None:
    """Its absolute path means that root; this one's file of the same name is another one."""
    root = open_folder / "root"
    project = root / "project"
    there = root / str(open_folder).lstrip("/")
    project.mkdir(parents=True)
    there.mkdir(parents=True)
    (open_folder / "named").write_text("ours\n")
    (there / "named").write_text("theirs\n")
    (project / ".venv").symlink_to(open_folder / "named")
    (project / "venv").symlink_to(".venv")
    program = (
        f"import os, sys; os.chroot({str(root)!r}); os.chdir('/'); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        seen = f"/proc/{process.pid}/root/project"
        assert redirected(f"{seen}/.venv") == f"{seen}/theirs"
        # One link behind another is not followed there: it may name any environment.
        behind = redirected(f"{seen}/venv")
        assert isinstance(behind, ReadFailure) and behind.blocked
        process.communicate(b"\n")


@pytest.fixture
def tool(shared: SharedCache) -> str:
    """The entry of a cached environment."""
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    with looking_at(shared.path) as look:
        (archive,) = [
            one for one in look.inventory.archives.values() if one.content.value == "environment"
        ]
    return archive.path


def locator(shared: SharedCache) -> CacheLocator:
    with looking_at(shared.path) as look:
        return locator_for(look.policy, look.inventory)


def read(
    shared: SharedCache, *places: PlaceOfFiles
) -> tuple[set[tuple[str, str, int | None]], set[str], list[Unseen]]:
    found = [named_in_files(place, locator(shared), "file") for place in places]
    entries = {(o.entry, o.file, o.uid) for there in found for o in there.entries}
    environments = {one.path for there in found for one in there.environments}
    return entries, environments, [one for there in found for one in there.unseen]


def test_a_jupyter_kernel_names_the_cached_environment_it_starts(
    shared: SharedCache, tool: str
) -> None:
    home = shared.home()
    (place,) = [one for one in kernel_places([str(home)]) if one.path.startswith(str(home))]
    kernel = Path(place.path) / "reports" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [f"{shared.path}/{tool}/bin/python", "-m", "ipykernel_launcher", "-f", "{file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Reports"}))
    os.chown(kernel, 61001, 61001)
    entries, environments, unseen = read(shared, place)
    assert entries == {(tool, str(kernel), 61001)}
    assert (environments, unseen) == (set(), [])


def test_units_and_crontabs_name_entries_and_environments(shared: SharedCache, tool: str) -> None:
    home = shared.home()
    plain = shared.environment("app", NEWEST, "six==1.16.0")
    project = shared.environment("proj/.venv", NEWEST)
    shortcut = home / "shortcut"
    shortcut.symlink_to(shared.path / tool)
    (unit_place,) = [one for one in unit_places([str(home)]) if one.path.startswith(str(home))]
    units = Path(unit_place.path)
    (units / "app.service.d").mkdir(parents=True)
    (units / "a.service").write_text(
        f"[Service]\nExecStart=-{shared.path}/{tool}/bin/python -m app\nWorkingDirectory=%h/proj\n"
    )
    (units / "app.service.d" / "b.conf").write_text("[Service]\nExecStart=%h/shortcut/bin/run\n")
    (units / "notes.txt").write_text(f"{shared.path}/archive-v0/nobody/bin/python\n")
    cron = home / "cron"
    cron.mkdir()
    (cron / "jobs").write_text(
        f"MAILTO=root\n5 4 * * 1 ana {plain}/bin/python x.py\n@daily '{project}/bin/app' \n"
    )
    entries, environments, unseen = read(shared, unit_place, PlaceOfFiles(str(cron)))
    assert {(entry, Path(file).name) for entry, file, _ in entries} == {
        (tool, "a.service"),
        (tool, "b.conf"),
    }
    assert environments == {str(plain), str(project)}
    assert unseen == []
    assert "/etc/crontab" in {place.path for place in crontab_places()}


def test_units_name_packages_by_a_variable_and_projects_by_a_script(
    shared: SharedCache, open_folder: Path
) -> None:
    packages = open_folder / "opt" / "packages"
    uv_in(shared, open_folder, NEWEST, "pip", "install", "--target", packages, "six==1.16.0")
    project = shared.environment("app/.venv", NEWEST)
    (project.parent / "start.sh").touch()
    units = shared.home() / "units"
    units.mkdir()
    (units / "a.service").write_text(
        f"[Service]\nEnvironment=PYTHONPATH={open_folder}:{packages}\n"
        f"ExecStart={project.parent}/start.sh\n"
    )
    entries, environments, unseen = read(shared, PlaceOfFiles(str(units)))
    assert environments == {str(packages), str(project)}
    assert (entries, unseen) == (set(), [])


def test_hostile_files_in_these_places_end_nothing(shared: SharedCache, tool: str) -> None:
    folder = shared.home() / "units"
    folder.mkdir()
    os.mkfifo(folder / "fifo.service")
    (folder / "masked.service").symlink_to("/dev/null")
    (folder / "gone.service").symlink_to("/nonexistent/x.service")
    with (folder / "huge.service").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "deep.json").write_text("[" * 60_000)
    (folder / "null.json").write_text(json.dumps(["/a\0b", "/\ud800"]))
    (folder / "words.service").write_text("/x/y " * 10_000 + "".join(f"/{n} " for n in range(900)))
    named = folder / "good.service"
    named.write_text(f"ExecStart={shared.path}/{tool}/bin/python\n")
    entries, environments, unseen = read(shared, PlaceOfFiles(str(folder)))
    assert {entry for entry, _, _ in entries} == {tool}
    assert environments == set()
    assert {Path(one.path).name for one in unseen} == {"huge.service", "words.service"}
    assert not any(one.hides_archives for one in unseen)


@pytest.mark.root
def test_links_are_followed_as_far_as_their_owner_may_read(shared: SharedCache, tool: str) -> None:
    """People keep their units with other such files, and link them."""
    outside = shared.home() / "kept" / "app.service"
    outside.parent.mkdir(mode=0o755)
    outside.write_text(f"ExecStart={shared.path}/{tool}/bin/python\n")
    folder = shared.home() / "units"
    folder.mkdir()
    link = folder / "app.service"
    link.symlink_to(outside)

    def found() -> tuple[set[str], list[str]]:
        entries, _, unseen = read(shared, PlaceOfFiles(str(folder)))
        return {entry for entry, _, _ in entries}, [Path(one.path).name for one in unseen]

    assert found() == ({tool}, [])
    os.chown(link, 61001, 61001, follow_symlinks=False)
    assert found() == ({tool}, [])
    outside.chmod(0o600)
    assert found() == (set(), [])
    os.chown(outside, 61001, 61001)
    assert found() == ({tool}, [])
    outside.parent.chmod(0o700)
    # What its owner may not reach may be theirs to reach by a group: it is told.
    assert found() == (set(), ["app.service"])


def test_units_of_the_system_are_read_where_root_has_no_home(
    shared: SharedCache, tool: str, open_folder: Path
) -> None:
    folder = open_folder / "system"
    folder.mkdir()
    (folder / "app.service").write_text(f"ExecStart={shared.path}/{tool}/bin/python\n")
    place = PlaceOfFiles(str(folder), home=str(open_folder / "root"))
    assert {entry for entry, _, _ in read(shared, place)[0]} == {tool}


@pytest.mark.root
def test_a_linked_folder_of_units_is_read_as_far_as_its_owner_may_go(
    shared: SharedCache, tool: str, open_folder: Path
) -> None:
    kept = open_folder / "kept"
    (kept / "user").mkdir(parents=True)
    (kept / "user" / "app.service").write_text(f"ExecStart={shared.path}/{tool}/bin/python\n")
    home = open_folder / "ana"
    (home / ".config").mkdir(parents=True)
    for folder in (home, home / ".config"):
        os.chown(folder, 61001, 61001)
    (home / ".config" / "systemd").symlink_to(kept)
    (place,) = [one for one in unit_places([str(home)]) if one.path.startswith(str(home))]
    assert {entry for entry, _, _ in read(shared, place)[0]} == {tool}
    kept.chmod(0o700)
    entries, _, unseen = read(shared, place)
    assert entries == set()
    assert [one.path for one in unseen] == [str(home / ".config" / "systemd")]


@pytest.mark.root
def test_a_prune_keeps_what_only_a_crontab_names(
    shared: SharedCache, cacheadmin: Cacheadmin, tool: str
) -> None:
    environment = shared.environment("nightly", NEWEST, "six==1.16.0")
    for bucket in [*shared.path.glob("wheels-v*"), *shared.path.glob("interpreter-v*")]:
        shutil.rmtree(bucket)
    for tree in (shared.path, shared.homes):
        age(tree, 40)
    nothing = cacheadmin.folder / "nothing"
    nothing.mkdir()
    policy = cacheadmin.policy(
        shared.path,
        f"venvs:\n  discover: [root: {nothing}]\n"
        "prune: {environments: {idle: 0s, keep_latest: false}}\n",
    )

    def removed() -> set[str]:
        plan = cacheadmin("plan", policy, "--format", "json").json
        return {row["path"] for row in plan["removals"]}

    assert tool in removed()
    table = Path(f"/etc/cron.d/cacheadmin-test-{os.getpid()}")
    table.write_text(
        f"0 4 1 * * root {shared.path}/{tool}/bin/cowsay -t moo\n"
        f"0 5 1 * * root {environment}/bin/python -c 'import six'\n"
    )
    try:
        assert tool not in removed()
        cacheadmin("prune", policy, code=0)
        assert dangling_links(environment) == {}
        assert dangling_links(shared.path / tool) == {}
    finally:
        table.unlink()
