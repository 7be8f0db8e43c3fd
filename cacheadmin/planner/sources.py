"""What wheels are built from: who uses it, and what of it is given up. Pure.

The problem. A source revision is current until its source changes, and uv looks
for it by its source's name, so nothing in the cache tells a revision that is needed
every day from one whose checkout was deleted a year ago. Git databases and
checkouts are named by nothing at all. Losing one costs no more than time: uv
fetches and builds again. Offline, or where the source is gone, it can't; so what an
environment was built from stays.

The model. A revision is used when a wheel that was built of it is (``archives`` of
the revision, by links, hard links, clones or copies), a checkout when an
environment has a distribution of its commit, a database when one of its checkouts
is. Processes that work in one, pins and ``prune.keep`` count as everywhere. That a
local source is still there says nothing: most sources outlive their last user.

What is given up, by ``prune.unused.after`` or over ``prune.budget``:

- a revision goes whole, with the file that names it: of its parts, uv would unpack
  a wheel again that no user asked for;
- *parts* of a revision that stays go over budget alone: the ``.whl`` beside the archive
  that it was unpacked to, and the unpacked source beside a wheel. uv asks for them
  when it builds or unpacks once more (run 0.5.10, 0.8.5, 0.13.9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.packages.names import matches
from cacheadmin.planner import reasons
from cacheadmin.planner.git_packages import commit_lengths
from cacheadmin.text.timestamps import NANOSECONDS, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import ArchiveId, GitSource, SourceRevision
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.reasons import Why


def unused_sources(case: PlanInput, live: Liveness) -> Iterator[str]:
    """Yield the revisions and git sources (by path) that no user uses in any way.

    None where that can't be concluded. ``live.unused`` must be known, pointers must
    not be marked yet.
    """
    if live.hidden_uses or case.others_may_link:
        return
    unused = frozenset(archive.id for archive in live.unused)
    copies: set[str] = set()
    commits: set[str] = set()
    for environment in case.evidence.environments:
        if environment.status is not EnvironmentStatus.MISSING:
            copies |= environment.copied
            commits |= environment.commits
    used_git = set()
    for revision in case.inventory.revisions:
        if not _is_used(case, live, revision, unused, copies):
            yield revision.path
        elif "/git/" in revision.path:
            used_git.add(revision.path.rpartition("/")[2])
    used_databases: set[str | None] = set()
    checkouts = [one for one in case.inventory.git_sources if one.commit is not None]
    lengths = commit_lengths(checkouts)
    named = {commit[:length] for commit in commits | used_git for length in lengths}
    for checkout in checkouts:
        if checkout.commit in named or checkout.path in live.occupied or _is_kept(case, checkout):
            used_databases.add(checkout.database)
        else:
            yield checkout.path
    for database in case.inventory.git_sources:
        if database.commit is not None or database.path in live.occupied:
            continue
        # A used checkout of which nothing tells where it comes from may be of any.
        if not {database.path, None} & used_databases and not _is_kept(case, database):
            yield database.path


def _is_used(
    case: PlanInput,
    live: Liveness,
    revision: SourceRevision,
    unused: frozenset[ArchiveId],
    copies: set[str],
) -> bool:
    present = revision.archives & case.inventory.archives.keys()
    if present - unused or revision.path in live.occupied:
        return True
    package, version = revision.package, revision.version
    if package is None:
        return False
    keeps = case.policy.prune.keep
    return f"{package}=={version}" in copies or matches(keeps, package, version) is not None


def _is_kept(case: PlanInput, source: GitSource) -> bool:
    """Whether ``prune.keep`` names a package that was built from a git source."""
    return any(
        matches(case.policy.prune.keep, package, version) is not None
        for package, version in case.git_packages.get(source.path, ())
    )


def may_go(case: PlanInput, live: Liveness, revision: SourceRevision) -> bool:
    """Whether a revision that no newer one has replaced is of a known sort, and may be given up."""
    return (
        bool(live.buckets[revision.bucket])
        and case.is_known_bucket(revision.bucket)
        and case.policy.prune.revisions
        and revision.current is not False
        and revision.understood
    )


def evicted_sources(case: PlanInput, live: Liveness) -> dict[str, Why]:
    """Return what is given up, each path with why. ``live.evicted`` must be known."""
    found: dict[str, Why] = {}
    staying: list[SourceRevision] = []
    for revision in case.inventory.revisions:
        if not may_go(case, live, revision):
            continue
        present = revision.archives & case.inventory.archives.keys()
        why = _given_up(case, live, revision.path, is_git=False)
        if why is not None and present <= live.evicted.keys():
            found[revision.path] = why
        else:
            staying.append(revision)
    # Two files may name two current ones; they go with both, or not at all.
    named = {path for revision in staying for path in revision.file_paths}
    for revision in case.inventory.revisions:
        if revision.path in found and named.intersection(revision.file_paths):
            del found[revision.path]
    for revision in staying:
        found.update(_parts_given_up(case, live, revision))
    for source in case.inventory.git_sources:
        if live.buckets[source.bucket] and case.is_known_bucket(source.bucket):
            why = _given_up(case, live, source.path, is_git=True)
            if why is not None and case.policy.prune.revisions:
                found[source.path] = why
    return found


def _given_up(case: PlanInput, live: Liveness, path: str, *, is_git: bool) -> Why | None:
    if path not in live.unused_sources:
        return None
    after = case.policy.prune.unused.after
    idle_ns = case.evidence.idle.get(path)
    if after is not None and idle_ns is not None and idle_ns >= nanoseconds(after):
        days = idle_ns // (86_400 * NANOSECONDS)
        return (reasons.GIT_UNUSED if is_git else reasons.REVISION_UNUSED), str(days)
    if path in case.sources_over_budget:
        return (reasons.GIT_OVER_BUDGET if is_git else reasons.REVISION_OVER_BUDGET), ""
    return None


def _parts_given_up(
    case: PlanInput, live: Liveness, revision: SourceRevision
) -> Iterator[tuple[str, Why]]:
    """Yield what goes of a revision that stays: wheels no user needs, and parts over budget."""
    spare = frozenset(spare_parts(case, live, revision))
    for name in revision.wheels:
        path = f"{revision.path}/{name}"
        archive = revision.links.get(name.removesuffix(".whl"))
        if archive is not None and archive in live.evicted:
            # With the wheel left, uv would unpack it again for no user.
            yield path, live.evicted[archive]
    for path in sorted(spare & case.sources_over_budget):
        yield (
            path,
            (
                reasons.SOURCE_OVER_BUDGET,
                "a wheel that is here was built from it"
                if path in {f"{revision.path}/{name}" for name in revision.unpacked}
                else "its archive is here, unpacked",
            ),
        )


def spare_parts(case: PlanInput, live: Liveness, revision: SourceRevision) -> Iterator[str]:
    """Yield the parts of a revision (paths) without which uv installs as before.

    The ``.whl`` whose archive is here and stays, and the unpacked source beside one.
    """
    stored = case.inventory.archives
    stems = {
        name
        for name, archive in revision.links.items()
        if archive in stored and archive not in live.evicted
    }
    if not stems or revision.path in live.occupied:
        return
    for name in revision.wheels:
        if name.removesuffix(".whl") in stems:
            yield f"{revision.path}/{name}"
    for name in revision.unpacked:
        yield f"{revision.path}/{name}"
