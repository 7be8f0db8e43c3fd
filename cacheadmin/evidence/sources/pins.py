"""Pins and leases: what users asked to be kept."""

from __future__ import annotations

import os
import stat

from cacheadmin.evidence.look import Facts, Look, Moment
from cacheadmin.evidence.pins import (
    folders_beside_other_mounts,
    own_folder,
    pin_folders,
    read_pins,
)
from cacheadmin.fs.mounts import mount_of, read_mounts

# In the place of the time of a folder that is not there.
_ABSENT = -1


class Pins:
    """Pins of the administrators, and leases in the registry."""

    id = "pin"

    def collect(self, look: Look) -> Facts:
        """Return every pin; the age of none is known here (``evidence.pin_ages``)."""
        # From before they are listed: what comes meanwhile moves them again.
        times = _times(look)
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


def _times(look: Look) -> dict[str, int | None]:
    """Return the modification time (ns) of each folder of pins; None where it can't be told."""
    policy, cache = look.policy, look.cache.identity
    # Once: this is asked under uv's lock, too.
    mounts = read_mounts()
    beside_others = set(folders_beside_other_mounts(cache, mounts)) - {own_folder(cache)}
    return {
        # What lies beside another mount of the cache may be any user's, and lead anywhere.
        folder: None
        if mount_of(folder, mounts).is_network
        else _time_of(folder, follow=folder not in beside_others)
        for folder in pin_folders(cache, policy.venvs.registry, policy.aliases, mounts)
    }


def _time_of(folder: str, *, follow: bool) -> int | None:
    try:
        status = os.stat(folder, follow_symlinks=follow)
    except FileNotFoundError:
        return _ABSENT
    except OSError:
        return None
    return None if stat.S_ISLNK(status.st_mode) else status.st_mtime_ns


def _are_as_they_were(look: Look, before: Facts) -> bool:
    """Whether no pin has come, or was replaced, since the plan: the folders' times tell.

    Any account can fill the registry: what did not change is not listed under the lock.
    """
    for folder, now_ns in _times(look).items():
        seen_ns = before.watched.get(folder)
        if seen_ns is None or now_ns is None:
            return False
        if _ABSENT in (seen_ns, now_ns):
            if seen_ns != now_ns:
                return False
        elif look.may_have_changed(now_ns, seen_ns):
            return False
    return True
