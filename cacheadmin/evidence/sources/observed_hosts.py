"""What other hosts told of themselves, and which of them were not heard of in time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Gap, GapKind, HostUse
from cacheadmin.evidence.look import Facts, Look, Moment
from cacheadmin.evidence.observations import (
    Observation,
    Observations,
    of_hosts,
)
from cacheadmin.evidence.this_host import ThisHost, this_host
from cacheadmin.policy.host_names import expected_hosts
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from cacheadmin.evidence.release_trace import ReleaseTrace

# Clocks of one site agree by seconds; a clock this far ahead makes old news look fresh.
_AHEAD_NS = 5 * 60 * 10**9

_READ_IT = "run it as root, or as a user who may read it"
_DENIED = os.strerror(errno.EACCES)
_OBSERVE = "run `cacheadmin observe POLICY` there, as root, from cron or a timer"


class ObservedHosts:
    """Observations of other hosts, and a gap for each that is missing, stale or partial."""

    id = "observed"

    def collect(self, look: Look) -> Facts:
        """Return what all other hosts use, and where they could not look."""
        here = this_host()
        seen = look.told if look.moment is Moment.PLAN else look.observed.read()
        others = tuple(
            # A plain user's word says nothing of the others there.
            one if _is_whole(one, look) else replace(one, unreferenced=())
            for one in seen.known
            if not here.has_told(one)
        )
        return Facts(
            hosts=others,
            host_uses=tuple(use for one in others for use in _uses(one)),
            releases=tuple(trace for one in others for trace in _releases(one)),
            gaps=tuple(_gaps(look, here, Observations(others, seen.problems))),
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what hosts told since."""
        if look.moment is Moment.UNDER_LOCK:
            # What hosts told meanwhile is read after the moves, and put back.
            return Facts()
        known = {(use.host, use.who, use.entry) for use in before.host_uses}
        now = self.collect(look)
        return Facts(
            written=tuple(
                (use.entry, f"{use.who} on host {use.host} uses it now")
                for use in now.host_uses
                if (use.host, use.who, use.entry) not in known
            )
        )


def is_named(host: str, expected: str) -> bool:
    """Whether a host is the one that a policy expects; a short name stands for a long one."""
    expected = expected.lower()
    return host == expected or ("." not in expected and host.partition(".")[0] == expected)


def _uses(observation: Observation) -> Iterator[HostUse]:
    for use in observation.uses:
        for entry in use.entries:
            yield HostUse(entry, use.who, use.uid, observation.host, observation.at_ns)


def _releases(observation: Observation) -> Iterator[ReleaseTrace]:
    for trace in observation.releases:
        host = observation.host
        evidence = f"{trace.evidence} (on host {host})"
        yield replace(trace, evidence=evidence, path=f"host {host}: {trace.path}", host=host)


def _gaps(look: Look, here: ThisHost, seen: Observations) -> Iterator[Gap]:
    expect = look.policy.hosts.expect
    expected, problems = expected_hosts(expect)
    for problem in problems:
        yield Gap("hosts.unreadable", GapKind.HOSTS, "hosts.expect", problem, "mend that file")
    for problem in seen.problems:
        yield Gap(
            "hosts.unreadable",
            GapKind.HOSTS,
            "observations of hosts",
            f"an observation can't be used: {problem}",
            _READ_IT if problem.endswith(_DENIED) else _OBSERVE,
        )
    told = of_hosts([one for one in seen.known if _is_whole(one, look)])
    for name in expected:
        if not is_named(here.name, name) and not any(is_named(host, name) for host in told):
            yield Gap(
                "hosts.missing",
                GapKind.HOSTS,
                name,
                f"host {name} is expected to use the cache, and has told nothing of itself",
                _OBSERVE,
                host=name,
            )
    for one in seen.known:
        if here.is_called_like(one):
            yield Gap(
                "hosts.name",
                GapKind.HOSTS,
                one.host,
                f"another machine that uses the cache calls itself {here.name}, too: whether each "
                "of them has told of itself can't be checked",
                "give each host that uses the cache a name of its own",
                host=one.host,
            )
    for host, observations in told.items():
        yield from _of_one(look, host, observations[0], expected=bool(expect))


def _of_one(look: Look, host: str, newest: Observation, *, expected: bool) -> Iterator[Gap]:
    clock_ns = look.now_ns + look.clock_ahead_ns
    age_ns = clock_ns - newest.at_ns
    if age_ns < -_AHEAD_NS:
        yield Gap(
            "hosts.clock",
            GapKind.HOSTS,
            host,
            f"the clock of host {host} is ahead of this one by {format_age(0, -age_ns)}: how old "
            "its observation is can't be told",
            "set the clocks of both hosts by NTP",
            host=host,
        )
    elif age_ns > nanoseconds(look.policy.hosts.max_age):
        yield Gap(
            "hosts.stale",
            GapKind.HOSTS,
            host,
            f"host {host} told of itself {format_age(newest.at_ns, clock_ns)} ago, longer than "
            "hosts.max_age: what it used then is kept",
            f"{_OBSERVE}; or, if it is gone for good: "
            f"`cacheadmin observe POLICY --forget {shell_word(host)}`",
            host=host,
        )
    if expected:
        for gap in newest.gaps:
            yield Gap(
                "hosts.gap",
                GapKind.HOSTS,
                f"{host}: {gap.subject}",
                f"host {host} could not look everywhere: {gap.detail}",
                f"close it there: `cacheadmin preflight POLICY` on {host} says how",
                gap.uid,
                host,
            )


def _is_whole(observation: Observation, look: Look) -> bool:
    """Whether an account saw all of its host: root, or the owner of the cache for its own."""
    return observation.uid in (0, os.fstat(look.cache.fd).st_uid)
