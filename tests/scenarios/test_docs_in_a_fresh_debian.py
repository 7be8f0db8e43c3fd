"""README, sharing page and runbook, followed word by word on a Debian that was just made."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.debians import Debian, fresh_debian
from tests.support.docs_commands import Command, commands_in, with_last_run
from tests.support.docs_site import write_wheel
from tests.support.packages import Index
from tests.support.running_uv import binary_for
from tests.support.uv_releases import REPOSITORY

pytestmark = [pytest.mark.root, pytest.mark.long]

README = REPOSITORY / "README.md"
SHARING = REPOSITORY / "docs" / "sharing-a-uv-cache.md"
RUNBOOK = REPOSITORY / "docs" / "runbook.md"
OLDER = "0.5.10"

# No systemd runs in a folder; the rest is minutes of other work, with tests of its own.
NOT_HERE = re.compile(r"systemctl .*|make .*")


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def debian(request: pytest.FixtureRequest, index: Index) -> Iterator[Debian]:
    if os.geteuid() != 0:
        pytest.skip("needs root: debootstrap and chroot")
    with fresh_debian(request.param, index) as debian:
        yield debian


def section_of(path: Path, heading: str) -> list[Command]:
    """Return the commands below one heading of a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    begin = lines.index(f"## {heading}") + 1
    end = next((n for n, line in enumerate(lines[begin:], begin + 1) if line.startswith("## ")),
               len(lines))  # fmt: skip
    return [one for one in commands_in(path) if begin < int(one.place.rpartition(":")[2]) < end]


def follow(debian: Debian, commands: list[Command], cwd: str = "") -> None:
    """Run commands one after the other, as whoever the page says."""
    assert commands
    for command in commands:
        if NOT_HERE.fullmatch(command.text.partition("  #")[0].strip()):
            continue
        text = with_last_run(command.text, debian.must)
        begun = re.search(r"\bcacheadmin policy init .*?(/\S+\.yaml)", text)
        if begun:
            # Another page made it already.
            debian.must(f"rm -f {begun[1]}")
        ended = debian.run(text, user=command.user, cwd=cwd if command.user == "root" else "")
        assert ended.code == command.code, (
            f"{command.place}: {text}\nleft with {ended.code}, not {command.code}:\n{ended.output}"
        )


def test_it_is_installed_as_the_readme_says(debian: Debian) -> None:
    # Root has used uv before, and so has a Python: else there is no cache to look at.
    debian.must("apt-get install -y python3 && uv venv -q own && rm -r own")
    follow(debian, section_of(README, "Install"), cwd="/root/cacheadmin")
    for page in ("cacheadmin", "cacheadmin-policy"):
        assert "CACHEADMIN" in debian.must(f"man {page}")


def test_a_plain_user_installs_it_for_their_own_cache(debian: Debian) -> None:
    debian.must("cp -r /root/cacheadmin /home/ana/source && chown -R ana: /home/ana/source")
    debian.must("apt-get install -y pipx")
    debian.must("pipx install .", user="ana", cwd="/home/ana/source")
    debian.must("UV_LINK_MODE=symlink uv venv -q own", user="ana")
    debian.must("UV_LINK_MODE=symlink uv pip install -q --python own six", user="ana")
    program = "~/.local/bin/cacheadmin"
    preflight = debian.run(f"{program} preflight", user="ana")
    assert preflight.code == 4, preflight.output
    debian.must(f"{program} -q prune", user="ana")
    debian.must("own/bin/python -c 'import six'", user="ana")
    debian.must("rm -rf own source .cache/uv", user="ana")


def test_the_sharing_page_is_followed_to_its_end(debian: Debian) -> None:
    debian.must("rm -rf /etc/cacheadmin/policies.d/ml-team.yaml")
    follow(debian, commands_in(SHARING))
    # What the page promises: both work with what the other one cached.
    for user in ("ana", "ben"):
        debian.must("demo/bin/python -c 'import pytz'", user=user)


def test_the_runbook_is_followed_to_its_end(debian: Debian) -> None:
    # The tests' index, and a small torch: `su -`, by which scripts are run, keeps no variable.
    write_wheel(debian.root / "usr" / "share" / "wheels", "torch", "2.4.0")
    debian.must(f"echo 'index-url = \"{debian.index.url}\"' >> /etc/uv/uv.toml")
    debian.must("echo 'find-links = [\"/usr/share/wheels\"]' >> /etc/uv/uv.toml")
    # The page is about Ana alone.
    debian.must("rm -rf demo", user="ben")
    debian.must("uv venv -q proj/.venv", user="ana")
    debian.must("uv pip install -q --python proj/.venv six==1.16.0 torch==2.4.0", user="ana")
    # Protection is off, as on the day before somebody reads the runbook.
    debian.must("cacheadmin protect ml-team --remove")
    debian.must("mkdir -p /srv/uv-cache/archive-v0/.tmpleft; touch -d '9 days ago' "
                "/srv/uv-cache/archive-v0/.tmpleft")  # fmt: skip
    debian.must("cacheadmin prune ml-team")
    # The morning's misfortune: a release that looks at its own buckets alone.
    older = debian.root / "usr" / "local" / "bin" / f"uv-{OLDER}"
    shutil.copy(binary_for(OLDER), older)
    older.chmod(0o755)
    debian.must(f"uv-{OLDER} cache prune --cache-dir /srv/uv-cache")
    follow(debian, commands_in(RUNBOOK))
    debian.must("proj/.venv/bin/python -c 'import six'", user="ana")
