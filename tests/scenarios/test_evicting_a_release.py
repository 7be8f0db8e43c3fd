"""A release was yanked, or is malicious: it leaves the cache now, and who has it is known."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.mixed_cache import git_project
from tests.support.shared_cache import SharedCache, dangling_links, names_in, tree_snapshot
from tests.support.uv_releases import NEWEST


@pytest.fixture
def infected(shared: SharedCache) -> SharedCache:
    """Six 1.16.0 by symlinks, by copies and in a tool's cached environment, of two releases."""
    shared.environment("linking", NEWEST, "six==1.16.0", "idna==3.7")
    shared.environment("copying", "0.8.5", "six==1.16.0", link_mode="copy")
    shared.environment("other", "0.8.5", "six==1.17.0")
    words = ("tool", "run", "--with", "six==1.16.0", "cowsay", "-t", "hello")
    shared.uv(NEWEST, *words, link_mode="copy")
    return shared


def policy_of(shared: SharedCache, cacheadmin: Cacheadmin) -> Path:
    found = f"venvs: {{complete: true, discover: [{{root: {shared.homes}, depth: 3}}]}}\n"
    return cacheadmin.policy(shared.path, found)


def pointers_to(shared: SharedCache, version: str) -> list[Path]:
    found = [*shared.path.glob("wheels-v*/*/*/six/*"), *shared.path.glob("wheels-v*/pypi/six/*")]
    return [path for path in found if version in path.name and not path.name.endswith(".lock")]


def offline(shared: SharedCache, release: str, requirement: str) -> bool:
    environment = shared.home() / f"offline-{release}-{requirement}"
    shared.uv(release, "venv", environment, "--quiet")
    words = ("pip", "install", "--offline", "--python", environment, requirement)
    return shared.uv(release, *words, check=False).returncode == 0


def test_new_installs_find_it_no_more_and_its_holders_are_named(
    infected: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(infected, cacheadmin)
    linking, copying, other = infected.environments
    before = tree_snapshot(infected.path)
    dry = cacheadmin("evict", policy, "six==1.16", "--dry-run", "--format", "json", code=0).json
    assert tree_snapshot(infected.path) == before
    said = cacheadmin("evict", policy, "six==1.16", "--format", "json", code=0).json
    assert said["outcome"] == "committed"
    assert {row["path"] for row in said["removals"]} == {row["path"] for row in dry["removals"]}
    assert pointers_to(infected, "1.16.0") == []
    for release in ("0.8.5", NEWEST):
        assert not offline(infected, release, "six==1.16.0")
    assert offline(infected, "0.8.5", "six==1.17.0")
    # Whoever has it goes on, and is named; the others are not.
    assert all(not dangling_links(one) for one in infected.environments)
    holders = {row["venv"]: row for row in said["holders"]}
    assert {str(linking), str(copying)} < set(holders)
    assert str(other) not in holders
    assert holders[str(linking)]["links"]
    assert not holders[str(copying)]["links"]
    (cached,) = [row for row in holders.values() if row["kind"] == "cached"]
    assert cached["packages"] == ["six==1.16.0"]
    # The next run makes the tool's environment again, from the index or not at all.
    words = ("tool", "run", "--offline", "--with", "six==1.16.0", "cowsay", "-t", "hello")
    assert infected.uv(NEWEST, *words, check=False).returncode != 0
    again = infected.uv(NEWEST, *[word for word in words if word != "--offline"])
    assert "hello" in again.stdout


def test_the_commands_for_the_owners_replace_it(
    infected: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(infected, cacheadmin)
    linking, copying, _ = infected.environments
    words = ("evict", policy, "six==1.16.0", "--even-in-use", "--format", "json")
    said = cacheadmin(*words, code=0).json
    assert dangling_links(linking)
    assert not [one for one in said["kept"] if one["package"] == "six"]
    for row in said["holders"]:
        if row["repair"] is None:
            continue
        command = shlex.split(row["repair"])
        assert command[0] == "uv"
        for release in ("0.8.5", NEWEST):
            infected.uv(release, *command[1:])
    for environment in (linking, copying):
        asked = (
            "import six, idna; print(six.__version__)"
            if environment is linking
            else ("import six; print(six.__version__)")
        )
        python = environment / "bin" / "python"
        found = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True)
        assert found.stdout.strip() == "1.17.0"
        assert not dangling_links(environment)


def test_what_is_in_use_goes_only_when_asked_and_comes_back(
    infected: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(infected, cacheadmin)
    linking = infected.environments[0]
    program = "import six, time; print('up', flush=True); time.sleep(300)"
    running = subprocess.Popen(
        [linking / "bin" / "python", "-c", program], stdout=subprocess.PIPE, cwd="/"
    )
    try:
        assert running.stdout is not None
        running.stdout.readline()
        said = cacheadmin("evict", policy, "six==1.16.0", "--format", "json", code=0).json
        assert running.pid in [row["pid"] for row in said["processes"]]
        assert [row["package"] for row in said["kept"]] == ["six"]
        assert not dangling_links(linking)
        told = cacheadmin("evict", policy, "six==1.16.0", "--even-in-use", code=0)
        assert "although it is used" in told.stderr
        assert str(linking) in told.stderr
        assert dangling_links(linking)
        (undo,) = [line for line in told.stdout.splitlines() if line.startswith("undo: ")]
        cacheadmin(*shlex.split(undo.removeprefix("undo: cacheadmin ")), code=0)
        assert not dangling_links(linking)
    finally:
        running.kill()
        running.wait()


def test_a_package_with_all_its_versions_and_sources(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "docopt==0.6.2", "six==1.16.0")
    shared.remove_environment(environment)
    policy = policy_of(shared, cacheadmin)
    said = cacheadmin("evict", policy, "Docopt", "six", "--format", "json", code=0).json
    assert said["packages"] == ["docopt", "six"]
    assert {"wheel", "revision", "archive"} == {row["kind"] for row in said["removals"]}
    left = [path for path in shared.path.glob("archive-v0/*/*") if "docopt" in path.name]
    assert left == []
    for name in ("docopt", "six"):
        assert not offline(shared, NEWEST, name)
    for wrong in ("six>=1", "six[x]", "six=1", "six==1.*"):
        assert cacheadmin("evict", policy, wrong, code=2).stderr
    none = cacheadmin("evict", policy, "nothing-of-that-name", code=0).stdout
    assert "nothing of it in this cache" in none


def test_of_several_packages_those_of_which_there_is_nothing_are_named(
    infected: SharedCache, cacheadmin: Cacheadmin
) -> None:
    policy = policy_of(infected, cacheadmin)
    words = ("evict", policy, "six==1.16.0", "sixx", "idna==9.9")
    dry = cacheadmin(*words, "--dry-run", "--format", "json", code=0).json
    assert dry["not_found"] == ["sixx", "idna==9.9"]
    first, second, third, *_ = cacheadmin(*words, code=0).stdout.splitlines()
    assert first.startswith("six==1.16.0: removed ")
    assert second == "sixx: nothing of it in this cache"
    assert third == "idna==9.9: nothing of it in this cache"
    # What environments use is still there, and can't be called nothing.
    again = cacheadmin("evict", policy, "six==1.16.0", code=0).stdout
    assert "stays in use" in again
    assert "nothing of it in this cache" not in again
    assert again.startswith("six==1.16.0: removed nothing\n")


@pytest.mark.parametrize("gaps", ["trial", "keep", "refuse"])
def test_without_trials_an_environment_that_no_source_knows_keeps_its_package(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path, gaps: str
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0")
    shared.remove_environment(shared.environment("other", NEWEST, "idna==3.7"))
    for bucket in shared.path.glob("interpreter-v*"):
        shutil.rmtree(bucket)
    (open_folder / "empty").mkdir()
    policy = cacheadmin.policy(
        shared.path,
        f"venvs: {{gaps: {gaps}, discover: [{{root: {open_folder / 'empty'}}}]}}\n"
        "prune: {trial: never}\n",
        complete=False,
    )
    said = cacheadmin("evict", policy, "six", "--format", "json", code=0).json
    assert {row["kind"] for row in said["removals"]} == {"wheel"}
    assert dangling_links(environment) == {}


def test_an_environment_that_nobody_knows_goes_on_working(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    hidden = hidden_environment(shared, open_folder)
    policy = cacheadmin.policy(shared.path, complete=False)
    said = cacheadmin("evict", policy, "six==1.16.0", "--format", "json", code=0).json
    (archive,) = [row for row in said["removals"] if row["kind"] == "archive"]
    assert archive["rests_on"] == "absence"
    assert not dangling_links(hidden)
    assert not offline(shared, NEWEST, "six==1.16.0")


def hidden_environment(shared: SharedCache, folder: Path) -> Path:
    """Return an environment with six that lies where nobody looks."""
    hidden = folder / "mnt" / "node7" / "env"
    hidden.parent.mkdir(parents=True)
    shared.environment("proj", NEWEST, "six==1.16.0").rename(hidden)
    shared.environments.clear()
    return hidden


def test_what_is_silent_on_trial_is_out_of_reach_at_once_and_can_come_back(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    hidden = hidden_environment(shared, open_folder)
    policy = cacheadmin.policy(shared.path, complete=False)
    words = ("evict", policy, "six==1.16.0", "--format", "json")
    (planted,) = cacheadmin(*words, code=0).json["trial"]["planted"]
    # By names alone: who reads a tripwire springs it.
    before = names_in(shared.path)
    dry = cacheadmin(*words, "--dry-run", code=0).json
    assert names_in(shared.path) == before
    said = cacheadmin(*words, code=0).json
    assert [row["path"] for row in said["removals"]] == [planted]
    assert [row["path"] for row in dry["removals"]] == [planted]
    assert "on trial" in said["removals"][0]["reason"]
    assert dangling_links(hidden)
    assert not any(name.endswith("six.py") for name in names_in(shared.path))
    cacheadmin("runs", "restore", policy, said["run_id"], code=0)
    assert not dangling_links(hidden)


def test_pointers_that_are_restored_lead_to_no_tripwire(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    environment = shared.environment("proj", NEWEST, "six==1.16.0", "docopt==0.6.2")
    shared.uv(NEWEST, "tool", "run", "cowsay", "-t", "hello")
    policy = cacheadmin.policy(shared.path, "prune: {environments: {idle: 0s}}\n", complete=False)
    evicted = cacheadmin("evict", policy, "six", "docopt", "--format", "json", code=0).json
    assert {row["package"] for row in evicted["kept"]} == {"six", "docopt"}
    shared.remove_environment(environment)
    for bucket in shared.path.glob("interpreter-v*"):
        shutil.rmtree(bucket)
    planted = cacheadmin("prune", policy, "--format", "json", code=0).json["trial"]["planted"]
    assert set(planted) >= {row["path"] for row in evicted["kept"]}
    cacheadmin("runs", "restore", policy, evicted["run_id"], code=0)
    assert offline(shared, NEWEST, "six==1.16.0")
    assert offline(shared, NEWEST, "docopt==0.6.2")
    assert not dangling_links(shared.homes)


def test_no_root_leads_to_what_was_evicted(shared: SharedCache, cacheadmin: Cacheadmin) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    shared.environment("other", NEWEST, "idna==3.7")
    policy = policy_of(shared, cacheadmin)
    cacheadmin("protect", policy, code=0)
    assert len(dangling_roots(shared)) == 0
    cacheadmin("evict", policy, "six", "--even-in-use", code=0)
    assert dangling_roots(shared) == []
    assert cacheadmin("protect", policy, "--check").code == 0, "the rest is protected still"


def dangling_roots(shared: SharedCache) -> list[Path]:
    roots = [path for path in shared.path.glob("*/cacheadmin/**/*") if path.is_symlink()]
    assert roots
    return [path for path in roots if not path.exists()]


def test_what_springs_on_trial_stays_in_use_and_is_told(
    shared: SharedCache, cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    hidden = hidden_environment(shared, open_folder)
    policy = cacheadmin.policy(shared.path, complete=False)
    words = ("evict", policy, "six==1.16.0", "--format", "json")
    (planted,) = cacheadmin(*words, code=0).json["trial"]["planted"]
    subprocess.run([hidden / "bin" / "python", "-c", "import six"], check=True)
    told = cacheadmin(*words, code=0)
    assert "was used while it was on trial" in told.stderr
    assert [row["path"] for row in told.json["kept"]] == [planted]
    assert [row["path"] for row in told.json["trial"]["sprung"]] == [planted]
    assert not dangling_links(hidden)
    cacheadmin(*words, "--even-in-use", code=0)
    assert dangling_links(hidden)


@pytest.mark.parametrize("use", ["project", "program", "pin"])
def test_a_tools_environment_that_is_used_by_its_path_stays_whole(
    shared: SharedCache, cacheadmin: Cacheadmin, use: str
) -> None:
    shared.uv(NEWEST, "tool", "run", "--with", "six==1.16.0", "cowsay", "-t", "hello")
    policy = policy_of(shared, cacheadmin)
    (cached,) = [path for path in shared.path.glob("environments-v*/*/*") if path.is_symlink()]
    link = shared.home() / "proj" / ".venv" / "bin" / "cowsay"
    if use == "project":
        link.parents[2].mkdir()
        link.parents[1].symlink_to(cached)
    elif use == "program":
        link.parent.mkdir(parents=True)
        (link.parents[1] / "pyvenv.cfg").write_text("home = /usr/bin\n")
        link.symlink_to(cached / "bin" / "cowsay")
    else:
        cacheadmin("pin", "add", policy, cached, "--reason", "a service runs it", code=0)
        link = cached / "bin" / "cowsay"
    said = cacheadmin("evict", policy, "six", "--format", "json", code=0).json
    assert str(cached.relative_to(shared.path)) in [row["path"] for row in said["kept"]]
    assert pointers_to(shared, "1.16.0") == []
    assert not dangling_links(shared.homes)
    assert (
        "hello"
        in subprocess.run([link, "-t", "hello"], check=True, capture_output=True, text=True).stdout
    )
    cacheadmin("evict", policy, "six", "--even-in-use", code=0)
    assert not cached.exists()


def test_sources_that_an_environment_imports_from_stay(
    shared: SharedCache, cacheadmin: Cacheadmin
) -> None:
    repository = git_project(shared.home() / "lib")
    assert repository is not None
    from_git = f"{repository.name} @ git+file://{repository}"
    shared.environment("building", NEWEST, from_git, "docopt==0.6.2")
    (checkout,) = [path for path in shared.path.glob("git-v*/checkouts/*/*") if path.is_dir()]
    (source,) = shared.path.glob("sdists-v*/*/*/docopt/*/*/src")
    importing = shared.environment("importing", NEWEST)
    (packages,) = importing.glob("lib/python*/site-packages")
    (packages / "sources.pth").write_text(f"{checkout}\n{source}\n")
    policy = policy_of(shared, cacheadmin)
    told = cacheadmin("evict", policy, repository.name, "docopt", "--format", "json", code=0)
    kept = {row["path"] for row in told.json["kept"]}
    assert {str(one.relative_to(shared.path)) for one in (checkout, source.parent)} <= kept
    assert "uv finds it by its commit" in told.stderr
    ask = f"import {repository.name}, docopt; print(docopt.__file__)"
    found = subprocess.run(
        [importing / "bin" / "python", "-c", ask], check=True, capture_output=True, text=True
    )
    assert found.stdout.startswith(str(source))
    # uv itself takes a checkout without this file for half-made, and deletes it.
    assert checkout.with_name(f"{checkout.name}.ok").exists()
    # By the revision that went, the checkout is known by its package.
    cacheadmin("runs", "restore", policy, code=0)
    cacheadmin("evict", policy, repository.name, "docopt", "--even-in-use", code=0)
    assert not checkout.exists()
    assert not source.exists()
