"""What a plan is made from, gathered in one value, and the words for users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind, GapKind
from cacheadmin.inventory.entries import ArchiveId, EntryPath, archive_path
from cacheadmin.planner.gaps import open_gaps
from cacheadmin.planner.git_packages import git_packages
from cacheadmin.uv.releases import (
    buckets_of,
    known_kinds,
    newest_known,
    parse_release,
    used_together_with,
)

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, Evidence, Gap, Process, Unseen
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.inventory.entries import Bucket, Inventory, UnreadEntry
    from cacheadmin.policy.model import Policy


@dataclass(frozen=True)
class PlanInput:
    """Policy, inventory and evidence of one cache at one moment."""

    policy: Policy
    """The effective policy of the cache."""
    inventory: Inventory
    """What lies in the cache, and what of it could not be read."""
    evidence: Evidence
    """Who uses the cache, and where the sources could not look."""
    now_ns: int
    """The time that ages are counted to (ns since the epoch)."""
    over_budget: frozenset[ArchiveId] = frozenset()
    """Unused archives that ``prune.budget`` gives up."""
    sources_over_budget: frozenset[str] = frozenset()
    """Revisions, their parts and git sources that it gives up, by entry path."""
    budget_unmet: str = ""
    """What the budget lacks all the same, in words; empty when it is met or not set."""

    @cached_property
    def outside_environments(self) -> tuple[Environment, ...]:
        """Environments that people own: everything but cached ones."""
        return tuple(e for e in self.evidence.environments if e.kind is not EnvironmentKind.CACHED)

    @cached_property
    def cached_environments(self) -> dict[str, Environment]:
        """Scans of environments inside the cache, by the entry they are."""
        entries = ((one.entry_in(self.inventory.cache), one) for one in self.evidence.environments)
        return {entry: one for entry, one in entries if entry is not None}

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Places where a user of the cache may be, and that were not looked at."""
        return open_gaps(self.policy, self.evidence)

    @cached_property
    def gaps_keep(self) -> bool:
        """Whether open gaps keep what rests on absence of evidence: it can't go on trial.

        Where gaps refuse a prune, an eviction is made all the same.
        """
        return self.policy.venvs.gaps == "keep" or self.policy.prune.trial == "never"

    def keeps_everything(self, unseen: Unseen) -> bool:
        """Whether what could not be looked at keeps every archive and cached environment.

        A running program that we may not look into does not: what it may use goes on
        trial, where it goes on working and shows itself.
        """
        return unseen.hides_archives and not (unseen.trial_suffices and not self.gaps_keep)

    @cached_property
    def unread_pins(self) -> tuple[Unseen, ...]:
        """Pins of an administrator, and folders of pins, that can't be read.

        What they name may be any entry of the cache, of whatever kind.
        """
        unseen = self.evidence.unseen
        return tuple(one for one in unseen if one.what == "pin" and one.hides_archives)

    @cached_property
    def absence_is_proof(self) -> bool:
        """Whether the site vouches for its sources, and no gap is left: absence is proof then."""
        return self.policy.venvs.complete and not self.gaps

    @cached_property
    def absence_goes_on_trial(self) -> bool:
        """Whether what is removed because no user was seen to use it goes on trial first."""
        return self.policy.prune.trial != "never" and not self.absence_is_proof

    @cached_property
    def away(self) -> frozenset[str]:
        """Paths of environments that are not there now, and may be there again."""
        return frozenset(gap.subject for gap in self.evidence.gaps if gap.id == "environments.away")

    @cached_property
    def _publishers(self) -> dict[str, str]:
        """Entries that are links to an archive which is a whole environment, each with its path."""
        return {
            environment.path: archive_path(environment.archive)
            for environment in self.inventory.environments
            if environment.archive is not None
        }

    def led_to(self, entry: str) -> tuple[str, ...]:
        """Return what a cached environment leads to, in one step; nothing for other entries."""
        published = self._publishers.get(entry)
        scanned = self.cached_environments.get(entry)
        return (
            *(() if published is None else (published,)),
            *(() if scanned is None else scanned.led_to),
        )

    @cached_property
    def programs(self) -> dict[int | None, tuple[ReleaseTrace, ...]]:
        """The uv executables of each account; under None those for every user.

        There is a trace for each environment, and all are held against these.
        """
        found: dict[int | None, list[ReleaseTrace]] = {}
        for trace in self.evidence.releases:
            if trace.is_program:
                found.setdefault(trace.uid, []).append(trace)
        return {uid: tuple(programs) for uid, programs in found.items()}

    @cached_property
    def git_packages(self) -> dict[str, tuple[tuple[str, str | None], ...]]:
        """The packages that were built from each git source, by its path."""
        return git_packages(self.inventory)

    @cached_property
    def lock_free_uv(self) -> tuple[Process, ...]:
        """Running uv processes that our lock does not stop and that may be at work.

        Before 0.8.19 uv takes no lock (facts section 4), and its prune deletes
        the lock of those that do; a release that could not be told is treated
        alike.
        """
        unlinked = {holder.pid for holder in self.evidence.lock_holders if holder.unlinked}
        return tuple(
            process
            for process in self.working_uv
            if self.may_work_without_lock(process) or process.pid in unlinked
        )

    def may_work_without_lock(self, process: Process) -> bool:
        """Whether a uv may be at work in this cache without a lock that keeps us out.

        A stranger is one program more that may not be looked into: what it may
        use goes on trial. At worst its install fails once.
        """
        if process.is_stranger and not self.gaps_keep:
            return False
        return process.uv is None or process.uv.takes_cache_lock is not True

    @cached_property
    def working_uv(self) -> tuple[Process, ...]:
        """Running uv processes that do more than wait for the program they started."""
        return tuple(p for p in self.evidence.processes if p.uv is not None and not p.uv.parked)

    @property
    def prunes_concurrently(self) -> bool:
        """Whether a prune leaves to grace periods what a uv at work may know."""
        return self.policy.lock.busy == "concurrent"

    @cached_property
    def lock_proves_absence(self) -> bool:
        """Whether holding uv's lock shows that no other *host* is at work here."""
        filesystem = self.evidence.filesystem
        return not filesystem.network or filesystem.locks_reach_other_hosts is True

    @property
    def others_may_link(self) -> bool:
        """Whether environments of other hosts may link to the cache, and none told of them.

        Where the policy names the hosts, each that was not heard of in time is a gap.
        """
        if not self.evidence.filesystem.network or self.policy.hosts.is_alone:
            return False
        return not self.policy.hosts.expect or any(
            gap.kind is GapKind.HOSTS and gap.id != "hosts.locks" for gap in self.gaps
        )

    def hosts_may_run_from(self, changed_ns: int) -> bool:
        """Whether a process of another host may run from what has been there since a moment.

        The lock shows none: uv before 0.8.19 takes none, and a program goes on without it when
        its uv is killed. A host tells of those that it had when it told.
        """
        if any(gap.kind is GapKind.HOSTS and gap.id.startswith("hosts.") for gap in self.gaps):
            return True
        if self.policy.hosts.is_alone:
            return False
        return any(one.at_ns <= changed_ns for one in self.evidence.hosts)

    def buckets_of(self, version: str, uid: int | None = None) -> frozenset[str] | None:
        """Return a release's bucket names, from the table or as learned; None: unknown.

        With ``uid``, a binary that this account has is believed too: it says what
        its user needs, and nothing about any other user.
        """
        known = buckets_of(version)
        if known is None:
            known = self._learned.get(version)
        if known is None and uid is not None:
            own = [
                seen.buckets
                for seen in self.evidence.seen_releases
                if seen.version == version and seen.uid == uid
            ]
            known = frozenset().union(*own) if own else None
        return known

    def used_together_with(self, bucket: str) -> frozenset[str]:
        """Return the buckets that each release has which has this one, by the table or as learned.

        The table comes first: of a release that is newer it can't tell that it wrote there.
        """
        having = [names for names in self._learned.values() if bucket in names]
        return used_together_with(bucket) or frozenset().union(*having[:1]).intersection(*having)

    @cached_property
    def _learned(self) -> dict[str, frozenset[str]]:
        """What the administrator named, and what no user but root can have written."""
        trusted = {s.version: s.buckets for s in self.evidence.seen_releases if s.trusted}
        return {**trusted, **self.evidence.learned}

    @property
    def newest_known(self) -> str:
        """The newest release whose buckets are known, from the table or as learned."""
        return max((newest_known(), *self._learned), key=lambda one: parse_release(one) or ())

    def learned_releases_of(self, bucket: str) -> tuple[str, ...]:
        """Return the learned or seen releases that use a bucket, oldest first."""
        found = {version for version, names in self._learned.items() if bucket in names}
        found |= {s.version for s in self.evidence.seen_releases if bucket in s.buckets}
        return tuple(sorted(found, key=lambda one: parse_release(one) or ()))

    def is_known(self, bucket: Bucket) -> bool:
        """Whether some release, of the table or learned, uses a bucket of this name."""
        return bucket.known or any(bucket.name in names for names in self._learned.values())

    def is_known_bucket(self, name: str) -> bool:
        """As ``is_known``, by a bucket's name."""
        return name in self._known_buckets

    @cached_property
    def _known_buckets(self) -> frozenset[str]:
        return frozenset(b.name for b in self.inventory.buckets if self.is_known(b))

    def is_known_kind(self, kind: str) -> bool:
        """Whether some release, of the table or learned, has buckets of this kind."""
        if kind in known_kinds():
            return True
        names = (name for learned in self._learned.values() for name in learned)
        return any(EntryPath.of(name).kind == kind for name in names)

    def unread_words(self, failure: UnreadEntry) -> str:
        """Return a sentence's beginning: what could not be read, why, and whose it is."""
        whose = "" if failure.uid is None else f", of {self.user(failure.uid)}"
        return f"{failure.path}{whose} could not be read ({failure.reason})"

    def user(self, uid: int | None) -> str:
        """Return an account's name, or ``uid 1234`` for one that has left."""
        if uid is None:
            return "no known account"
        return self.evidence.user_names.get(uid, f"uid {uid}")

    def user_of_release(self, uid: int | None) -> str:
        """Return who has a uv: an account, or every user where it is installed for the host."""
        return "all users of this host" if uid is None else self.user(uid)
