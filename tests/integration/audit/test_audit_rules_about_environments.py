"""Audit rules about environments: two users' cache; each test changes one thing and undoes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cacheadmin.findings import Severity
from tests.support.auditing import Audited, link_environment, make_cache, name_of, own
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User, open_temporary_folder, other_users

pytestmark = pytest.mark.root


@dataclass
class Site(Audited):
    """A cache that ana and ben link into: ana registers, ben's home is searched."""

    archive: Path
    ana: User
    ben: User

    @property
    def homes(self) -> Path:
        return self.folder / "homes"

    @property
    def registry(self) -> Path:
        return self.folder / "registry"

    @property
    def where(self) -> str:
        """The policy's ``venvs``: a registry, and ben's home."""
        tree = f"{{root: {self.homes}/ben, depth: 3}}"
        return f"venvs: {{registry: {self.registry}, discover: [{tree}]}}\n"

    def register(self, target: Path, user: User) -> Path:
        """Make a user's link in the registry."""
        link = self.registry / f"{user.name}-{target.name}"
        link.symlink_to(target)
        os.chown(link, user.uid, user.gid, follow_symlinks=False)
        return link

    @contextmanager
    def environment(self, name: str, user: User) -> Iterator[Path]:
        """One more environment of a user, for a while."""
        path = link_environment(self.homes / user.name / name, self.archive, user=user)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = open_temporary_folder("cacheadmin-audit-")
    ana, ben = other_users(2)
    site = Site(folder, folder / "cache", make_cache(folder / "cache"), ana, ben)
    site.registry.mkdir()
    site.registry.chmod(0o1777)
    for user in (ana, ben):
        link_environment(site.homes / user.name / "proj", site.archive)
        own(site.homes / user.name, user)
    site.register(site.homes / "ana" / "proj", ana)
    yield site
    shutil.rmtree(folder)


def test_nothing_is_found_where_all_is_well(site: Site) -> None:
    for rule in (
        "environment-broken",
        "environment-missing",
        "environment-unreadable",
        "environment-unregistered",
        "link-mode",
        "registry-coverage",
        "registry-entry-wrong",
    ):
        assert site.findings(rule, site.where) == []


def test_links_are_unwanted_where_the_policy_refuses_them(site: Site) -> None:
    refuse = site.where + "links: {symlink: refuse}\n"
    assert {f.owner for f in site.findings("link-mode", refuse)} == {
        name_of(site.ana),
        name_of(site.ben),
    }
    with site.environment("second", site.ben):
        (found,) = site.findings("link-mode", refuse, owner=site.ben)
        assert found.count == 2
        assert f"{site.homes}/ben/proj (1 by symlink)" in found.detail
        assert "UV_LINK_MODE=hardlink" in found.fix


def test_the_link_modes_that_are_allowed_can_be_named(site: Site) -> None:
    only_links = site.where + "audit: {link-mode: {allow: [symlink]}}\n"
    assert site.findings("link-mode", only_links) == []
    copied = site.homes / "ben" / "copied"
    # Without following links would copy them as they are.
    subprocess.run(["cp", "-rL", site.homes / "ben" / "proj", copied], check=True)
    own(copied, site.ben)
    try:
        (found,) = site.findings("link-mode", only_links)
        assert (found.owner, found.count) == (name_of(site.ben), 1)
        assert "(1 by copy)" in found.detail or "(1 by clone)" in found.detail
        assert "not linked by symlink" in found.detail
    finally:
        shutil.rmtree(copied)


def test_an_environment_that_was_met_by_chance_is_unregistered(site: Site) -> None:
    with site.environment("unknown", site.ana) as path, _running_in(path, site.ana):
        (found,) = site.findings("environment-unregistered", site.where)
        assert (found.owner, found.subject) == (name_of(site.ana),) * 2
        assert "(by process)" in found.detail
        policy = site.folder / "policy.yaml"
        assert found.fix == f"as {name_of(site.ana)}: cacheadmin venv add {policy} {path}"
        # Without a registry nobody could have done it.
        assert site.findings("environment-unregistered") == []
        link = site.register(path, site.ana)
        assert site.findings("environment-unregistered", site.where) == []
        link.unlink()


def test_a_team_that_registers_too_few_is_told(site: Site) -> None:
    teams = "teams: {ml: {paths: ['" + f"{site.homes}/ana" + "']}}\n"
    with site.environment("unknown", site.ana) as path, _running_in(path, site.ana):
        (found,) = site.findings("registry-coverage", site.where + teams)
        assert (found.team, found.subject, found.count) == ("ml", "ml", 1)
        assert "cover 1 of 2 environments (50%, wanted 90%)" in found.detail
        enough = "audit: {registry-coverage: {minimum: 50%}}\n"
        assert site.findings("registry-coverage", site.where + teams + enough) == []


def test_a_registered_environment_that_is_gone_is_missing(site: Site) -> None:
    with site.environment("gone", site.ana) as path:
        link = site.register(path, site.ana)
        assert site.findings("environment-missing", site.where) == []
        site.remember(site.where)
        shutil.rmtree(path)
        (found,) = site.findings("environment-missing", site.where)
        assert (found.owner, found.subject) == (name_of(site.ana), str(path))
        assert "known by registry and remembered" in found.detail
        assert "it last linked 1 archive" in found.detail
        assert f"venv remove {site.folder}/policy.yaml {path}" in found.fix
        # The registry's link goes; what an earlier run saw is still known.
        link.unlink()
        (found,) = site.findings("environment-missing", site.where)
        assert "known by remembered" in found.detail
        with site.look() as snapshot:
            assert snapshot.state.forget(str(path))
        assert site.findings("environment-missing", site.where) == []


def test_one_user_can_not_bury_what_else_is_found(site: Site) -> None:
    links = [site.register(site.folder / "nowhere" / str(n), site.ben) for n in range(60)]
    try:
        found = site.findings("environment-missing", site.where)
        assert len(found) == 51
        (rest,) = [finding for finding in found if finding.count > 1]
        assert (rest.subject, rest.count) == (name_of(site.ben), 10)
        assert "and 10 more of" in rest.detail
    finally:
        for link in links:
            link.unlink()


def test_a_tree_that_is_not_there_can_not_be_searched(site: Site) -> None:
    nowhere = f"venvs: {{discover: [{{root: {site.folder}/nowhere}}]}}\n"
    (found,) = site.findings("environment-unreadable", nowhere)
    assert (found.severity, found.owner) == (Severity.WARNING, None)
    assert found.subject == f"{site.folder}/nowhere"
    assert "a folder of venvs.discover that could not be looked at" in found.detail


def test_a_closed_environment_is_unreadable_to_who_is_not_root(
    site: Site, cacheadmin: Cacheadmin
) -> None:
    closed = site.homes / "ana" / "proj"
    closed.chmod(0o700)
    states = cacheadmin.folder / "states"
    states.mkdir()
    os.chown(states, site.ben.uid, site.ben.gid)
    state = f"state: sqlite:///{states}/state.sqlite\n"
    try:
        assert site.findings("environment-unreadable", site.where) == []
        for unreadable, severity in (("limit", "warning"), ("refuse", "error")):
            where = site.where.replace("venvs: {", f"venvs: {{unreadable: {unreadable}, ")
            policy = cacheadmin.policy(site.cache, state + where)
            result = cacheadmin("audit", policy, "--format", "json", user=site.ben)
            (found,) = [
                finding
                for finding in result.json["findings"]
                if finding["rule"] == "environment-unreadable"
            ]
            assert found["severity"] == severity
            assert (found["owner"], found["subject"]) == (name_of(site.ana), str(closed))
    finally:
        closed.chmod(0o755)


def test_a_broken_environment_is_an_error_with_its_packages(site: Site) -> None:
    away = site.folder / "away"
    site.archive.rename(away)
    try:
        found = site.findings("environment-broken", site.where)
        assert [f.owner for f in found] == [name_of(site.ana), name_of(site.ben)]
        assert {f.severity for f in found} == {Severity.ERROR}
        assert found[0].subject == f"{site.homes}/ana/proj"
        # One link a package, or all of them where the environment was known already.
        words = r"\b(1 link into this cache leads|4 links into this cache lead) nowhere: six"
        assert re.search(words, found[0].detail)
        assert f"cacheadmin doctor {site.folder}/policy.yaml" in found[0].fix
    finally:
        away.rename(site.archive)


def test_a_project_in_the_registry_is_no_environment(site: Site) -> None:
    project = site.homes / "ana" / "app; rm -rf x"
    link_environment(project / ".venv", site.archive, user=site.ana)
    link = site.register(project, site.ana)
    try:
        (found,) = site.findings("registry-entry-wrong", site.where)
        assert (found.owner, found.count) == (name_of(site.ana), 1)
        assert f"{project} (its .venv is one)" in found.detail
        assert f"venv remove {site.folder}/policy.yaml '{project}'" in found.fix
        link.unlink()
        assert site.findings("registry-entry-wrong", site.where) == []
    finally:
        shutil.rmtree(project)
        link.unlink(missing_ok=True)


@contextmanager
def _running_in(environment: Path, user: User) -> Iterator[None]:
    """A program of a user, started in an activated environment."""
    variables = {"VIRTUAL_ENV": str(environment), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen(["sleep", "300"], env=variables, cwd="/", **user.process_arguments())
    try:
        yield
    finally:
        process.kill()
        process.wait()
