"""Every command in our documentation does what it says, on a machine as it describes.

Each document gets a fresh machine (``tests.support.docs_site``) and its
commands run there one after the other, word by word. What can't run is in
``NOT_RUN``, with the reason, and is checked in another way. There is no third
kind: a command that is neither run nor listed fails.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.docs_commands import Command, commands_in, with_last_run
from tests.support.docs_site import Machine, Site, built_site, missing_for_machines
from tests.support.packages import Index
from tests.support.uv_releases import REPOSITORY

pytestmark = pytest.mark.root


def documents() -> list[Path]:
    """Every file that shows commands to a reader."""
    found = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
    found += sorted((REPOSITORY / "man").glob("*.[1-9]"))
    found += sorted(
        path
        for path in (REPOSITORY / "docs").rglob("*")
        if path.suffix in (".service", ".timer") or path.parent.name == "cron.d"
    )
    return found


def make_target_exists(text: str) -> None:
    target = text.split()[1]
    assert re.search(rf"^{target}:", (REPOSITORY / "Makefile").read_text(), re.MULTILINE), text


def unit_exists(text: str) -> None:
    for unit in re.findall(r"(cacheadmin[-\w]*@)[-\w]*(?:\.(\w+))?", text):
        suffix = unit[1] or "service"
        assert list((REPOSITORY / "docs").rglob(f"{unit[0]}.{suffix}")), text


def file_of_the_repository_exists(text: str) -> None:
    assert (REPOSITORY / "pyproject.toml").exists(), text


def nothing_more(text: str) -> None:
    """The reason says it all."""


@dataclass(frozen=True)
class NotRun:
    """A command that can't run in a test: which, why, and what is checked instead."""

    pattern: str
    reason: str
    check: Callable[[str], None] = nothing_more


NOT_RUN = (
    NotRun(r"make \w[-\w]*", "runs all of this, or minutes of other work", make_target_exists),
    NotRun(
        r"apt-get install -y .*|python3 -m venv /opt/cacheadmin"
        r"|/opt/cacheadmin/bin/pip install \.|ln -sf /opt/cacheadmin/bin/cacheadmin .*"
        r"|cp -r /opt/cacheadmin/share/\. .*",
        "need the network; test_docs_in_a_fresh_debian.py runs them",
        file_of_the_repository_exists,
    ),
    NotRun(r"systemctl .*", "no systemd runs in a test", unit_exists),
    NotRun(r"/bin/kill -HUP \$MAINPID", "only systemd knows the process"),
)

#: Services that never end: they are asked to after a while, and must leave with 0.
ENDLESS = re.compile(r"\bcacheadmin guard ")


#: What happened on the machine before the reader opened that document.
BEFORE = {
    "runbook.md": ("cacheadmin prune ml-team", "uv cache prune --cache-dir /srv/uv-cache"),
    "sharing-a-uv-cache.md": (
        "rm -rf /srv/uv-cache /etc/cacheadmin/policies.d/ml-team.yaml",
        "sed -i /^uvcache:/d /etc/group",
        "rm -rf /home/ana/proj/.venv /home/ben/proj/.venv",
    ),
}


@pytest.fixture(scope="module")
def site(index: Index) -> Iterator[Site]:
    if os.geteuid() != 0:
        pytest.skip("needs root: private mounts")
    missing = missing_for_machines()
    if missing:
        pytest.skip(missing)
    with built_site(index) as built:
        yield built


@pytest.mark.parametrize(
    "document", documents(), ids=lambda path: str(path.relative_to(REPOSITORY))
)
def test_every_command_runs_as_documented(document: Path, site: Site) -> None:
    failures = []
    commands = commands_in(document)
    if not commands:
        return
    with site.machine() as machine:
        write_the_policy_of_examples(machine)
        for line in BEFORE.get(document.name, ()):
            machine.must(line)
        for command in commands:
            problem = run(command, machine)
            if problem:
                failures.append(f"{command.place}: {command.text}\n{problem}")
    assert not failures, "\n\n".join(failures)


def write_the_policy_of_examples(machine: Machine) -> None:
    """Every example is of one policy; those that make it themselves begin without."""
    machine.must("mkdir -p /etc/cacheadmin/policies.d /var/lib/uv-registry")
    machine.must("chmod 1777 /var/lib/uv-registry")
    machine.must(
        "printf 'version: 1\\nname: ml-team\\ncache: /srv/uv-cache\\n"
        "venvs:\\n  registry: /var/lib/uv-registry\\n'"
        " > /etc/cacheadmin/policies.d/ml-team.yaml"
    )


def run(command: Command, machine: Machine) -> str:
    """Run one command, or check what stands for it; return what is wrong, or ""."""
    for exempt in NOT_RUN:
        if re.fullmatch(exempt.pattern, command.text.partition("  #")[0].strip()):
            exempt.check(command.text)
            return ""
    text = with_last_run(command.text, machine.must)
    begun = re.search(r"\bcacheadmin policy init .*?(/\S+\.yaml)", text)
    if begun:
        machine.must(f"rm -f {begun[1]}")
    if ENDLESS.search(text):
        text = f"timeout --preserve-status --signal=TERM 8 {text}"
    ended = machine.run(
        text, user=command.user, shell="sh" if command.kind == "cron" else "bash -o pipefail"
    )
    if ended.code != command.code:
        return f"left with {ended.code}, not {command.code}:\n{ended.output}"
    if command.kind == "cron" and ended.output:
        return f"cron would send mail:\n{ended.output}"
    if command.kind == "cron" and re.search(r"(?<!\\)%", command.text):
        return "cron makes a new line of %"
    return ""


def test_what_is_not_run_is_documented_somewhere() -> None:
    """An exemption that nothing needs would hide the next command that is wrong."""
    texts = {
        command.text.partition("  #")[0].strip()
        for path in documents()
        for command in commands_in(path)
    }
    for exempt in NOT_RUN:
        assert any(re.fullmatch(exempt.pattern, text) for text in texts), exempt.pattern


def test_man_finds_every_page(site: Site) -> None:
    if shutil.which("man") is None:
        pytest.skip("man is not installed")
    with site.machine() as machine:
        for page in (REPOSITORY / "man").glob("*.[1-9]"):
            assert page.stem.upper() in machine.must(f"man {page.suffix[1:]} {page.stem}")
