"""docs/sharing-a-uv-cache.md lets members with umask 022 share a cache, and audit agrees.

Everything is done by the page's own commands, on a private machine; only the
uv releases are more than it shows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest

from tests.support.docs_commands import commands_in
from tests.support.docs_site import Machine, built_site, missing_for_machines
from tests.support.packages import Index
from tests.support.uv_releases import NEWEST, REPOSITORY

pytestmark = pytest.mark.root

PAGE = REPOSITORY / "docs" / "sharing-a-uv-cache.md"
RELEASES = ("0.5.10", "0.8.5", NEWEST)


def follow(machine: Machine, *, section: str, only_root: bool = True) -> None:
    """Run the commands of one section of the page, found by a word of its heading."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    headings = [number for number, line in enumerate(lines, 1) if line.startswith("## ")]
    begin = next(number for number in headings if section in lines[number - 1])
    end = min((number for number in headings if number > begin), default=len(lines) + 1)
    followed = 0
    for command in commands_in(PAGE):
        inside = begin < int(command.place.rpartition(":")[2]) < end
        installs = command.text.startswith("apt-get install ")
        if inside and not installs and (command.user == "root" or not only_root):
            machine.must(command.text, user=command.user)
            followed += 1
    assert followed, f"no commands in the section {section}"


@pytest.fixture(scope="module")
def fresh(index: Index) -> Iterator[Machine]:
    """A machine without a cache, and with a policy for the one that will be."""
    if os.geteuid() != 0:
        pytest.skip("needs root: private mounts")
    missing = missing_for_machines()
    if missing:
        pytest.skip(missing)
    with built_site(index, lived_in=False) as site, site.machine() as machine:
        machine.must("sed -i /^uvcache:/d /etc/group")
        machine.must("install -d -m 755 /etc/cacheadmin/policies.d")
        machine.must(
            "printf 'version: 1\\nname: ml-team\\ncache: /srv/uv-cache\\n"
            "venvs:\\n  discover:\\n    - root: /home\\n      depth: 3\\n'"
            " > /etc/cacheadmin/policies.d/ml-team.yaml"
        )
        yield machine


def by(release: str) -> str:
    return "uv" if release == NEWEST else f"uv-{release}"


def new_environment(machine: Machine, user: str, name: str, release: str) -> None:
    machine.must(f"{by(release)} venv -q {name}", user=user)


def install(machine: Machine, user: str, name: str, release: str, words: str) -> None:
    uv = by(release)
    machine.must(f"{uv} pip install -q --python {name}/bin/python {words}", user=user)
    assert machine.must(f"find {name} -xtype l", user=user) == ""


def test_members_with_umask_022_use_what_each_other_cached(fresh: Machine) -> None:
    follow(fresh, section="1.")
    follow(fresh, section="2.")
    for release in RELEASES:
        # Programs of the tests say it aloud; uv itself reads the file too. By another
        # name: a uv without locks that names no cache would hinder prunes of other tests.
        fresh.must(f"cp /usr/bin/{by(release)} /srv/asked")
        assert fresh.must("/srv/asked cache dir", user="ana") == "/srv/uv-cache\n"
        fresh.must("rm /srv/asked")
        name = f"by-{release}"
        for user in ("ana", "ben"):
            new_environment(fresh, user, name, release)
        # Ana fetches two wheels and builds one from source; ben needs no index.
        install(fresh, "ana", name, release, "six==1.16.0 pytz==2024.1 docopt==0.6.2")
        install(fresh, "ben", name, release, "--offline six==1.16.0 pytz==2024.1 docopt==0.6.2")
        # The other way round: ben upgrades, and builds; ana follows from the cache.
        install(fresh, "ben", name, release, "six==1.17.0 idna==3.6")
        install(fresh, "ana", name, release, "--offline six==1.17.0 idna==3.6")
        # Both look at the index anew, over what the other wrote.
        for user in ("ana", "ben"):
            install(fresh, user, name, release, "--refresh --reinstall six pytz idna")

    links = fresh.must("find by-* -lname '/srv/uv-cache/archive-v0/*'", user="ben")
    assert "six.py" in links, "no environment links into the shared cache"

    # That two of the releases are old is all there is to say.
    findings = [found for found in audited(fresh) if not str(found["rule"]).startswith("uv-")]
    assert findings == [], json.dumps(findings, indent=1)

    # Then the page's third step, and prunes of uv itself by a member and by root.
    fresh.must("cacheadmin prune ml-team")
    fresh.must("cacheadmin protect ml-team")
    by_a_member = fresh.run("uv cache prune", user="ben")
    assert "Permission denied" in by_a_member.output, "the page says that it stops half-way"
    fresh.must("uv cache prune")
    for user in ("ana", "ben"):
        assert fresh.must("find by-* -xtype l", user=user) == ""
        fresh.must("uv venv -q after", user=user)
        install(fresh, user, "after", NEWEST, "six==1.17.0")


def test_a_cache_that_grew_wrong_is_put_right(fresh: Machine) -> None:
    fresh.must("rm -rf /srv/uv-cache by-*; install -d -m 2775 -g uvcache /srv/uv-cache")
    fresh.must(
        "rm -rf by-* after; uv venv -q wrong; uv pip install -q --python wrong six", user="ana"
    )
    fresh.must("rm -rf by-* after", user="ben")
    # What is remembered of the last cache is no part of this one.
    fresh.must("rm -rf /var/lib/cacheadmin /srv/uv-cache.cacheadmin")
    refused = fresh.run("uv venv -q wrong", user="ben")
    assert "Permission denied" in refused.output, "it is not wrong at all: nothing was tested"
    assert "not-group-writable" in {finding["rule"] for finding in audited(fresh)}

    follow(fresh, section="grew wrong", only_root=False)

    fresh.must("uv venv -q wrong", user="ben")
    install(fresh, "ben", "wrong", NEWEST, "--offline six")
    install(fresh, "ben", "wrong", NEWEST, "idna==3.7")
    install(fresh, "ana", "wrong", NEWEST, "--offline idna==3.7")
    assert audited(fresh) == []


@pytest.mark.parametrize(
    ("missing", "take_away"),
    [
        ("the setgid bit", "chmod g-s /srv/uv-cache"),
        ("the default ACL", "setfacl -k /srv/uv-cache"),
        ("rights", "chmod 2755 /srv/uv-cache"),
        ("rights of what a member made", "chmod -R g-w /srv/uv-cache/archive-v0"),
        ("the lock", "chmod 0600 /srv/uv-cache/.lock"),
        ("another group", "chgrp -R ana /srv/uv-cache/archive-v0"),
    ],
)
def test_the_audit_says_when_something_of_the_page_is_missing(
    fresh: Machine, missing: str, take_away: str
) -> None:
    fresh.must("rm -rf /srv/uv-cache /var/lib/cacheadmin /srv/uv-cache.cacheadmin")
    follow(fresh, section="1.")
    follow(fresh, section="2.")
    for user in ("ana", "ben"):
        fresh.must("rm -rf by-* after wrong", user=user)
        fresh.must("uv venv -q --clear claims", user=user)
        install(fresh, user, "claims", NEWEST, "six" if user == "ana" else "idna")
    fresh.must("test -e /srv/uv-cache/.lock || (umask 0; : > /srv/uv-cache/.lock)")
    assert audited(fresh) == []

    fresh.must(take_away)

    findings = audited(fresh)
    assert findings, f"nothing is said of {missing}"
    for finding in findings:
        # There is no sudo on this machine.
        who, fix = re.fullmatch(r"(?:sudo -u (\w+) )?(.*)", str(finding["fix"])).groups()
        fresh.must(fix, user=who or "root")
    assert audited(fresh) == [], missing


def test_a_sticky_bit_keeps_members_from_each_others_entries(fresh: Machine) -> None:
    fresh.must("rm -rf /srv/uv-cache")
    follow(fresh, section="1.")
    for user in ("ana", "ben"):
        fresh.must("uv venv -q --clear sticky", user=user)
    install(fresh, "ana", "sticky", NEWEST, "six")
    fresh.must("find /srv/uv-cache -type d -exec chmod +t {} +")

    refused = fresh.run("uv pip install --refresh --python sticky six", user="ben")

    assert refused.code == 2
    assert "Operation not permitted" in refused.output


def audited(machine: Machine) -> list[dict[str, object]]:
    """Return the findings about how the cache is shared: not those about old releases."""
    answer = json.loads(machine.run("cacheadmin audit ml-team --format json").output)
    return [finding for finding in answer["findings"] if not str(finding["rule"]).startswith("uv-")]
