"""Pins and leases: what users asked to be kept."""

from __future__ import annotations

import os

from cacheadmin.evidence.look import Facts, Look, Moment
from cacheadmin.evidence.pins import pin_folders, read_pins
from cacheadmin.fs.mounts import mount_of

# In the place of the time of a folder that is not there.
_ABSENT = -1


class Pins:
    """Pins of the administrators, and leases in the registry."""

    id = "pin"

    def collect(self, look: Look) -> Facts:
        """Return every pin; the age of none is known here (``evidence.pin_ages``)."""
        # From before they are listed: what comes meanwhile moves them again.
        times = {folder: _time_of(folder) for folder in _folders(look)}
        trusted = frozenset({0, os.geteuid(), os.fstat(look.cache.fd).st_uid})
        policy = look.policy
        pins, unseen = read_pins(
            look.cache.identity,
            policy.venvs.registry,
            policy.aliases,
            trusted,
            readers=look.readers,
            deadline_seconds=look.deadline_seconds,
        )
        watched = {folder: time for folder, time in times.items() if time is not None}
        return Facts(pins=pins, unseen=unseen, watched=watched)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return the pins that have come since."""
        if look.moment is Moment.UNDER_LOCK and _are_as_they_were(look, before):
            return Facts()
        now = self.collect(look)
        return Facts(
            pins=tuple(pin for pin in now.pins if pin not in before.pins),
            unseen=tuple(one for one in now.unseen if one not in before.unseen),
        )


def _folders(look: Look) -> tuple[str, ...]:
    policy = look.policy
    return pin_folders(look.cache.identity, policy.venvs.registry, policy.aliases)


def _time_of(folder: str) -> int | None:
    """Return a folder's modification time in ns; None where it can't be told."""
    try:
        return os.stat(folder).st_mtime_ns
    except FileNotFoundError:
        return _ABSENT
    except OSError:
        return None


def _are_as_they_were(look: Look, before: Facts) -> bool:
    """Whether no pin has come, or was replaced, since the plan: the folders' times tell.

    Any account can fill the registry: what did not change is not listed under the lock.
    """
    for folder in _folders(look):
        seen_ns, now_ns = before.watched.get(folder), _time_of(folder)
        if seen_ns is None or now_ns is None or mount_of(folder).is_network:
            return False
        if _ABSENT in (seen_ns, now_ns):
            if seen_ns != now_ns:
                return False
        elif look.may_have_changed(now_ns, seen_ns):
            return False
    return True
