"""What audit prints is run by the accounts it names, and nothing of it is left to do.

On a private machine: whose uv is where, and who is in which group, decides what is printed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.uv.test_uv_binaries_are_read_not_run import a_binary
from tests.scenarios.test_a_release_newer_than_the_table import BUCKETS
from tests.support.docs_site import Machine, built_site, missing_for_machines
from tests.support.packages import Index
from tests.support.uv_releases import NEWEST
from tests.support.uv_upgrades import receipt, release_page, write_uv_wheel

pytestmark = pytest.mark.root

OLD = "0.5.10"
RULES = ("uv-without-lock", "uv-below-minimum")
CACHE = "/srv/uv-cache"


@pytest.fixture(scope="module")
def machine(index: Index) -> Iterator[Machine]:
    """A machine with an empty shared cache, and wheels of two uv releases."""
    if os.geteuid() != 0:
        pytest.skip("needs root: private mounts")
    missing = missing_for_machines()
    if missing:
        pytest.skip(missing)
    with built_site(index, lived_in=False) as site:
        for release in (OLD, NEWEST):
            write_uv_wheel(site.folder / "wheels", release)
        with site.machine() as machine:
            machine.must(f"install -d -m 2775 -g uvcache {CACHE}")
            machine.must(f"setfacl -d -m u::rwx,g::rwx,o::rx {CACHE}")
            machine.must(f"install -D -m 644 {site.folder}/uv.toml /etc/uv/uv.toml")
            machine.must("install -d -m 755 /etc/cacheadmin/policies.d")
            machine.must(
                f"printf 'version: 1\\nname: ml-team\\ncache: {CACHE}\\n"
                "venvs: {discover: [{root: /home, depth: 4}]}\\n'"
                " > /etc/cacheadmin/policies.d/ml-team.yaml"
            )
            yield machine


def fixes(machine: Machine, owner: str, *rules: str) -> dict[str, str]:
    """Return what audit prints to be done, by rule, for one owner."""
    said = machine.run("cacheadmin audit ml-team --format json").output
    found = [one for one in json.loads(said)["findings"] if one["owner"] == owner]
    return {one["rule"]: one["fix"] for one in found if one["rule"] in rules}


def run_as_printed(machine: Machine, fix: str, variables: str = "") -> None:
    """Run the first command of a fix, as whoever it says."""
    found = re.match(r"(?:as (?P<who>\w+): )?`?(?P<command>[^`,;]+?)(?:`|, or |;|$)", fix)
    assert found is not None, fix
    machine.must(f"{variables} {found['command']}", user=found["who"] or "root")


def work(machine: Machine, user: str, uv: str) -> None:
    """Make an environment and install into it: traces in both."""
    said = f"UV_CACHE_DIR={CACHE} {uv}"
    machine.must(f"{said} venv -q work && {said} pip install -q --python work six", user=user)


def test_a_uv_of_the_standalone_installer_updates_itself(machine: Machine) -> None:
    machine.must(f"mkdir -p .local/bin .config/uv && cp /usr/bin/uv-{OLD} .local/bin/uv",
                 user="ana")  # fmt: skip
    told = receipt("/home/ana", OLD)
    machine.must(f"echo {shlex.quote(told)} > .config/uv/uv-receipt.json", user="ana")
    work(machine, "ana", ".local/bin/uv")
    printed = fixes(machine, "ana", *RULES)
    assert printed.keys() == set(RULES)
    (fix,) = set(printed.values())
    assert fix.startswith("as ana: /home/ana/.local/bin/uv self update, or ")
    with release_page(NEWEST, "/usr/bin/uv") as url:
        run_as_printed(machine, fix, f"UV_INSTALLER_GHE_BASE_URL={url}")
    assert NEWEST in machine.must(".local/bin/uv --version", user="ana")
    # Also what it wrote to buckets of that time: it was done what there was to do.
    assert fixes(machine, "ana", *RULES) == {}
    # Who goes back to it all the same is found again.
    machine.must("rm -rf work", user="ana")
    work(machine, "ana", f"uv-{OLD}")
    assert fixes(machine, "ana", *RULES).keys() == set(RULES)


def test_a_uv_in_an_environment_is_upgraded_there(machine: Machine) -> None:
    machine.must("uv venv -q 'with uv' && "
                 f"uv pip install -q --python 'with uv' uv=={OLD}", user="ben")  # fmt: skip
    work(machine, "ben", "'with uv/bin/uv'")
    printed = fixes(machine, "ben", *RULES)
    assert printed.keys() == set(RULES)
    for fix in printed.values():
        assert fix == "as ben: uv pip install --python '/home/ben/with uv' --upgrade 'uv>=0.8.19'"
    run_as_printed(machine, printed["uv-without-lock"])
    assert NEWEST in machine.must("'with uv/bin/uv' --version", user="ben")
    assert fixes(machine, "ben", *RULES) == {}


def test_who_has_a_uv_that_was_not_found_is_told_how_long_its_traces_count(
    machine: Machine,
) -> None:
    machine.must("useradd --create-home --groups uvcache eve")
    # Where nobody looks, by pip.
    machine.must("install -d -o eve /srv/elsewhere")
    machine.must(f"$UV_PYTHON -m venv /srv/elsewhere/tools && "
                 f"/srv/elsewhere/tools/bin/pip install -q --no-index "
                 f"--find-links /usr/share/wheels uv=={OLD}", user="eve")  # fmt: skip
    work(machine, "eve", "/srv/elsewhere/tools/bin/uv")
    printed = fixes(machine, "eve", *RULES)
    assert printed.keys() == set(RULES)
    (fix,) = set(printed.values())
    upgrade = re.search(r"or `(pip install [^`]*)` where pip installed it", fix)
    assert upgrade is not None, fix
    assert "uv.active_within" in fix
    machine.must(
        f"PATH=/srv/elsewhere/tools/bin:$PATH PIP_FIND_LINKS=/usr/share/wheels {upgrade[1]}",
        user="eve",
    )
    assert NEWEST in machine.must("/srv/elsewhere/tools/bin/uv --version", user="eve")
    machine.must("rm -rf work", user="eve")
    work(machine, "eve", "/srv/elsewhere/tools/bin/uv")
    # By then what the old one left is 30 days old.
    machine.must(f"find {CACHE} -user eve -path '*-v*' ! -newer /srv/elsewhere/tools/bin/uv "
                 "-exec touch -h -d '31 days ago' {} +")  # fmt: skip
    assert fixes(machine, "eve", *RULES) == {}


def test_an_unknown_release_is_learned_from_its_binary(machine: Machine, tmp_path: Path) -> None:
    binary = a_binary(tmp_path / "uv", b"0.99.0version_info", *BUCKETS)
    machine.must(f"install -D -o ben {binary} /home/ben/bin/uv")
    machine.must("rm -rf work", user="ben")
    work(machine, "ben", "uv")
    said = machine.run("cacheadmin audit ml-team --format json").output
    (fix,) = [one["fix"] for one in json.loads(said)["findings"]
              if one["rule"] == "unknown-release"]  # fmt: skip
    assert fix == "cacheadmin uv learn /home/ben/bin/uv"
    run_as_printed(machine, fix)
    said = machine.run("cacheadmin audit ml-team --format json").output
    assert "unknown-release" not in said


@pytest.mark.parametrize("owner", ["root", "ana"])
def test_a_torn_pin_is_removed_by_its_owner_once_what_it_kept_is_pinned(
    machine: Machine, owner: str
) -> None:
    registry = "/srv/registry"
    machine.must(f"install -d -m 1777 {registry}; mkdir -p {CACHE}.pins")
    machine.must(
        f"sed -i 's|venvs: {{|&registry: {registry}, |' /etc/cacheadmin/policies.d/ml-team.yaml"
    )
    place = f"{CACHE}.pins" if owner == "root" else registry
    try:
        machine.must(f"printf '{{' > '{place}/torn one.pin'", user=owner)
        printed = fixes(machine, owner, "pins-broken")
        who = "" if owner == "root" else f"as {owner}: "
        fix = printed["pins-broken"]
        assert fix.startswith(f"{who}pin again what it should keep: cacheadmin pin add ")
        assert fix.endswith(f"; and only then rm -r -- '{place}/torn one.pin'")
        run_as_printed(machine, who + fix.rpartition("only then ")[2])
        assert fixes(machine, owner, "pins-broken") == {}
    finally:
        machine.must(f"sed -i 's|registry: {registry}, ||' /etc/cacheadmin/policies.d/ml-team.yaml")


@dataclass(frozen=True)
class Wanted:
    """A root folder that keeps its users out, and how the printed command begins."""

    begin: str
    group: str = "root"
    prepare: str = "true"
    policy: str = ""


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted("groupadd -f uvcache && usermod -aG uvcache ana && usermod -aG uvcache ben && "
               "chgrp uvcache /srv/second && chmod 2775 ", prepare="groupdel uvcache"),
        Wanted("groupadd -f uvcache-second && ", prepare="groupdel uvcache; groupadd uvcache; "
               "usermod -aG uvcache,audio games"),
        Wanted("chgrp uvcache /srv/second && chmod 2775 "),
        Wanted("chgrp research /srv/second && chmod 2775 ",
               prepare="groupadd -f research; gpasswd -M ana,ben research",
               policy="team: ml\nteams: {ml: {groups: [research]}}\n"),
        Wanted("chmod 2775 /srv/second && setfacl -d ", group="uvcache"),
    ],
    ids=["no group", "a group of that name with others", "in common", "of the team", "its own"],
)  # fmt: skip
def test_a_root_folder_that_keeps_its_users_out_is_opened_to_a_real_group(
    machine: Machine, wanted: Wanted
) -> None:
    second = "/srv/second"
    machine.must(f"rm -rf {second} {second}.*; install -d -m 1777 {second}")
    machine.must("cp /etc/group /srv/group")
    try:
        for user in ("ana", "ben"):
            said = f"UV_CACHE_DIR={second}/{user} uv"
            machine.must(f"rm -rf work; {said} venv -q work && "
                         f"{said} pip install -q --python work six", user=user)  # fmt: skip
        # As two caches that were put together: root's folder, with what both had.
        machine.must(f"cd {second} && mv ana/* ana/.[a-z]* . && cp -a ben/. . && rm -r ana ben")
        machine.must(f"chgrp {wanted.group} {second}; chmod 755 {second}; {wanted.prepare}")
        machine.must(f"printf 'version: 1\\nname: second\\ncache: {second}\\n{wanted.policy}' "
                     "> /etc/cacheadmin/policies.d/second.yaml")  # fmt: skip
        (fix,) = root_mode_fixes(machine)
        assert fix.startswith(wanted.begin)
        machine.must(fix)
        assert root_mode_fixes(machine) == []
        assert "rwx" in machine.must(f"getfacl -cp {second} | grep default:group::")
        for user in ("ana", "ben"):
            machine.must(f"touch {second}/.by-{user}", user=user)
    finally:
        machine.must("cat /srv/group > /etc/group; rm -f /etc/cacheadmin/policies.d/second.yaml")


def root_mode_fixes(machine: Machine) -> list[str]:
    said = machine.run("cacheadmin audit second --rule cache-root-mode --format json").output
    return [one["fix"] for one in json.loads(said)["findings"]]
