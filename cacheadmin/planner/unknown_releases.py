"""What is said of uv releases that cacheadmin does not know: one line for each. Pure.

A release whose binary was seen is understood: what it needs is kept, and nothing
of its own is ever removed until `uv learn` names it. That lowers no verdict. A bucket
that no binary explains does: its users may use it in ways that are not known.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.planner.bucket_needs import is_active
from cacheadmin.planner.plan import Limit, Verdict
from cacheadmin.planner.users import HiddenUser
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.evidence.release_trace import SeenRelease
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput


def learn_command(path: str = "PATH-OF-UV") -> str:
    """Return the command that teaches a binary to every policy of this host."""
    quoted = path if path == "PATH-OF-UV" else shell_word(path)
    return f"cacheadmin uv learn {quoted}"


def unknown_releases(case: PlanInput, live: Liveness) -> Iterator[Limit]:
    """Yield one limit for each unknown release that was seen, and one for all other buckets."""
    unknown = [bucket.name for bucket in case.inventory.buckets if not case.is_known(bucket)]
    hidden = {use.user for use in live.hidden_uses}
    hiding = {name for name in unknown if HiddenUser(name) in hidden}
    seen = _seen(case)
    explained: set[str] = set()
    for version, binaries in seen.items():
        explained |= {name for one in binaries for name in one.buckets}
        yield _limit(case, version, binaries, unknown, hiding)
    users = _unseen_versions(case, seen)
    rest = [name for name in unknown if name not in explained]
    if rest:
        # Most likely these are its buckets: one line says both.
        yield _unexplained(rest, sorted(hiding & set(rest)), users)
        return
    for version, names in users.items():
        yield Limit(
            "releases.unknown",
            Verdict.SAFE,
            f"{_not_found(version, names)}: the newest buckets of every kind are kept",
            f"teach it the release, for every policy of this host: `{learn_command()}`",
        )


def _not_found(version: str, users: list[str]) -> str:
    named = "; ".join(join_some(users))
    return f"uv {version} ({named}) is newer than this cacheadmin, and its binary was not found"


def _seen(case: PlanInput) -> dict[str, list[SeenRelease]]:
    found: dict[str, list[SeenRelease]] = defaultdict(list)
    for seen in case.evidence.seen_releases:
        if case.buckets_of(seen.version) is None:
            found[seen.version].append(seen)
    return found


def _limit(
    case: PlanInput, version: str, binaries: list[SeenRelease], unknown: list[str], hiding: set[str]
) -> Limit:
    names = {name for one in binaries for name in one.buckets}
    own = [name for name in unknown if name in names]
    hides = sorted(hiding & names)
    who = ", ".join(join_some([f"{case.user_of_release(one.uid)}, {one.path}" for one in binaries]))
    kept = f"; {', '.join(own)} are kept" if own else ""
    if hides:
        kept += f"; {', '.join(hides)} could name any archive, so all archives are kept"
    if len({one.buckets for one in binaries}) == 1:
        command = learn_command(binaries[0].path)
        fix = f"to let its own buckets go when no user needs them: `{command}`"
    else:
        # What is taught holds for every user: an account could have its own needs taken for all.
        kept += "; these binaries name different buckets, so not all of them are that release"
        fix = f"teach it one that you have installed yourself: `{learn_command()}`"
    return Limit(
        "releases.unknown",
        Verdict.LIMITED if hides else Verdict.SAFE,
        f"uv {version} ({who}) is newer than this cacheadmin: its binary was read, and what it "
        f"needs is kept{kept}",
        fix,
    )


def _unseen_versions(case: PlanInput, seen: dict[str, list[SeenRelease]]) -> dict[str, list[str]]:
    """Return active releases of which neither table nor binary tells, with their users."""
    users: dict[str, list[str]] = defaultdict(list)
    for trace in case.evidence.releases:
        version = trace.version
        if version is None or not is_active(case, trace):
            continue
        if case.buckets_of(version, trace.uid) is None and version not in seen:
            users[version].append(f"{case.user_of_release(trace.uid)}, {trace.path}")
    return users


def _unexplained(buckets: list[str], hiding: list[str], users: dict[str, list[str]]) -> Limit:
    one = len(buckets) == 1
    parts = [
        *(_not_found(version, names) for version, names in users.items()),
        f"{', '.join(buckets)} {'belongs' if one else 'belong'} to no uv release that cacheadmin "
        f"knows, {'it is' if one else 'they are'} kept",
    ]
    if hiding:
        parts.append(f"{', '.join(hiding)} could name any archive, so all archives are kept")
    return Limit(
        "buckets.unknown",
        Verdict.LIMITED,
        "; ".join(parts),
        f"teach it the release, for every policy of this host: `{learn_command()}`",
    )
