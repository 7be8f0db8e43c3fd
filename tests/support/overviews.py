"""An overview made by hand, for tests of how reports look.

    an_overview(packages={"six": 100}, history=[...])

``HOSTILE`` are names that somebody may give to whatever they own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from cacheadmin.accounting import Size
from cacheadmin.evidence.facts import EnvironmentStatus, LinkMode
from cacheadmin.findings import Finding, Severity
from cacheadmin.hosts.fleet import HostStanding, KnownHost
from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.overview.facts import (
    CacheReport,
    Disk,
    EnvironmentFacts,
    Goal,
    Going,
    HolderFacts,
    Part,
    Parts,
    PastPrunes,
    PastRun,
    ReleaseInUse,
)
from cacheadmin.planner.plan import Limit, Verdict
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.state.size_history import SizeRecord
from cacheadmin.trial.ledger import Spring, Trial
from cacheadmin.trial.summary import TrialSummary
from cacheadmin.usage.groups import Group, Sort
from tests.support.facts import DAY, NOW, policy

MIB = 2**20

HOSTILE = (
    "<script>document.title='owned'</script>",
    "\"><img src=x onerror=\"document.title='owned'\">",
    "'><svg onload=alert(1)><style>*{display:none}</style>",
    "<img src=http://attacker.invalid/leak.png>",
    "</title></desc></svg></table></details></main><h1>owned</h1>",
    "<!--", "-->", "]]>", "&lt;b&gt;", "javascript:alert(1)", "{{7*7}}", "%3Cscript%3E",
    "\u202egnp.exe", "a\u2066b\u2069", "line\nbreak\ttab\x1b[31mred\x07", "\u200b\ufeff",
    os.fsdecode(b"/home/ana/\xff\xfe"), "\ud800", "שלום", "日本語パッケージ", "a" * 255,
    "e" + "\u0301" * 40,
)  # fmt: skip


def size(bytes_: int, files: int = 10) -> Size:
    """Return a size that is its own."""
    return Size(bytes_, bytes_, bytes_, files)


def parts(sort: Sort, sizes: Mapping[str, int]) -> tuple[Part, ...]:
    """Return parts of these bytes by name."""
    return tuple(Part(Group(sort, name), size(bytes_), 1) for name, bytes_ in sizes.items())


def record(day: int, teams: Mapping[str, int], packages: Mapping[str, int]) -> SizeRecord:
    """Return what was measured so many days ago."""
    total = sum(packages.values())
    return SizeRecord(NOW - day * DAY, total, 100, {"archive-v0": total}, teams, packages)


def holder(name: str | None, bytes_: int) -> HolderFacts:
    """Return somebody who holds one archive alone."""
    return HolderFacts(name, 1, 1, size(bytes_), size(bytes_), bytes_)


def known(path: str, bytes_: int = MIB, **facts: Any) -> EnvironmentFacts:
    """Return an environment that holds one archive alone."""
    values: dict[str, Any] = {
        "kind": "venv",
        "status": EnvironmentStatus.OK,
        "owner": "ana",
        "team": "ml",
        "uv_version": "0.8.5",
        "link_modes": {LinkMode.SYMLINK: 3},
        "broken_links": 0,
        "broken_packages": (),
        "reason": "",
        "changed_ns": NOW - DAY,
        "holder": holder(path, bytes_),
    }
    return EnvironmentFacts(path, **(values | facts))


def finding(subject: str, detail: str, **facts: Any) -> Finding:
    """Return a warning about something."""
    values: dict[str, Any] = {
        "rule": "a-rule",
        "severity": Severity.WARNING,
        "owner": "ana",
        "fix": "repair it",
    }
    return Finding(subject=subject, detail=detail, **(values | facts))


def a_trial(names: Sequence[str]) -> TrialSummary:
    """Return one archive on trial and one that came back, for each name."""
    trials = tuple(
        Trial(f"archive-v0/{name}", "20261101T000000Z-0a1b2c", NOW - DAY, NOW + DAY, None, name,
              "1.0", MIB)
        for name in names
    )  # fmt: skip
    springs = tuple(
        Spring(f"archive-v0/{name}", "20261101T000000Z-0a1b2c", NOW, "sprung", (name,))
        for name in names
    )
    size_bytes = MIB * len(names)
    return TrialSummary(
        len(trials), size_bytes, NOW + DAY, len(springs), springs[-1], trials, springs
    )


def an_overview(names: Sequence[str] = ("six", "numpy"), **facts: Any) -> CacheReport:
    """Return an overview in which everything has these names, and four days of history."""
    sizes = {name: (number + 1) * MIB for number, name in enumerate(names)}
    total = sum(sizes.values())
    run = PastRun("20261101T000000Z-0a1b2c", "committed", "2026-11-01T00:00:00Z", names[0], 3,
                  MIB, NOW + DAY)  # fmt: skip
    values: dict[str, Any] = {
        "loaded": LoadedPolicy(
            policy(
                name=names[0] if names[0].isalnum() else "hostile", team=names[-1],
                description=names[0], contact=names[-1],
                teams={"ml": {"users": ("ana",)}},
            ), None, {},
        ),
        "cache": CacheIdentity(f"/srv/{names[0]}", 1, 2),
        "taken_ns": NOW,
        "verdict": Verdict.LIMITED,
        "limits": tuple(Limit("links", Verdict.LIMITED, name, name) for name in names),
        "going": Going(2, size(MIB)),
        "kept": 5,
        "total": size(total, 1000),
        "archives": len(names),
        "unread": 1,
        "disk": Disk("ext4", f"/{names[0]}", 300 * MIB, 1000 * MIB),
        "budget": (Goal("max_size", total, 1, "bytes"), Goal("max_files", 9, 90, "files")),
        "parts": Parts(
            parts(Sort.BUCKET, sizes), parts(Sort.PACKAGE, sizes),
            parts(Sort.OWNER, sizes), parts(Sort.TEAM, sizes),
        ),
        "environments": (
            *(known(f"/home/{name}", owner=name, team=name) for name in names),
            known("/broken", broken_links=4, status=EnvironmentStatus.BROKEN),
            known("/srv/cached", owner=None, team=None, holder=None, changed_ns=None),
        ),
        "holding_owners": tuple(holder(name, MIB) for name in names),
        "holding_teams": tuple(holder(name, MIB) for name in (*names, None)),
        "releases": (ReleaseInUse("0.8.5", tuple(names), False, NOW),),
        "findings": tuple(finding(name, name, owner=name, fix=name) for name in names),
        "quarantine": PastPrunes(f"/{names[0]}", (run,)),
        "trial": a_trial(names),
        "hosts": (
            KnownHost("silent", HostStanding.MISSING, expected=True),
            *(
                KnownHost(name, HostStanding.STALE, False, NOW, (name,), 5, 3, f"/{name}", name,
                          read_only=True, gaps=tuple(names) * 2)
                for name in names
            ),
        ),
        "history": tuple(record(day, sizes, sizes) for day in (3, 2, 1, 0)),
    }  # fmt: skip
    return CacheReport(**(values | facts))
