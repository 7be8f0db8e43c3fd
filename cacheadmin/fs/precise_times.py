"""Whether the times of a filesystem tell every change, and of a moment in time.

What was read is taken for unchanged where its inode has the change time
(``st_ctime``) that it had then. No user can set that time: ``utimensat(2)``
sets access and modification times alone, and moves the change time to now. It
goes back only with the clock, which is root's to set. Still:
- a time as young as the look may hide a second change in the same tick of the
  filesystem's clock: only what is older than the look's begin is remembered;
- some filesystems tell in whole seconds: there it has to be older by two;
- networks and FUSE tell late, and ``lazytime`` may lose times in a crash: there
  nothing is remembered;
- a clock that was set during a look spoils what that look saw.
"""

from __future__ import annotations

import time

from cacheadmin.fs.mounts import Mount, mount_of, read_mounts
from cacheadmin.fs.resolution import resolve
from cacheadmin.values import frozen

# Kept with fine times, on this host alone, and together with what they tell of.
_PRECISE = frozenset({"ext4", "xfs", "btrfs", "f2fs", "tmpfs", "zfs", "bcachefs", "overlay"})

_WITHOUT_CLONES = frozenset({"ext4", "f2fs", "tmpfs"})

# Filesystems' clocks tick every few milliseconds.
_GRAIN_NS = 20_000_000
_COARSE_GRAIN_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


@frozen
class LookTime:
    """When a look began, by two clocks."""

    wall_ns: int
    """Nanoseconds since the epoch, by the clock that can be set."""
    steady_ns: int
    """Nanoseconds of the kernel's monotonic clock, which can't be set."""

    @classmethod
    def now(cls) -> LookTime:
        """Return the present moment."""
        return cls(time.time_ns(), time.monotonic_ns())

    def was_set(self) -> bool:
        """Whether the clock was set since."""
        now = LookTime.now()
        passed_ns = now.wall_ns - self.wall_ns
        return abs(passed_ns - (now.steady_ns - self.steady_ns)) > _GRAIN_NS // 2

    def tells(self, changed_ns: int) -> bool:
        """Whether a change time, read since, would be another after any later change."""
        # One of whole seconds may come from a filesystem that has no finer ones.
        grain_ns = _GRAIN_NS if changed_ns % _SECOND_NS else _COARSE_GRAIN_NS
        return changed_ns < self.wall_ns - grain_ns


class Devices:
    """Tells whether a filesystem's times can be trusted, by its device."""

    def __init__(self, mounts: tuple[Mount, ...] | None = None) -> None:
        self._mounts = read_mounts() if mounts is None else mounts
        self._known: dict[int, bool] = {}
        self._without_clones: set[int] = set()

    def is_precise(self, device: int, path: str) -> bool:
        """Whether times on that device are fine and never late; ``path`` lies on it."""
        known = self._known.get(device)
        if known is None:
            found = [mount for mount in self._mounts if mount.device == device]
            # A subvolume of btrfs has a device that no mount has.
            mounts = found or [mount_of(resolve(path), self._mounts)]
            known = all(
                mount.kind in _PRECISE and "lazytime" not in mount.options for mount in mounts
            )
            self._known[device] = known
            if all(mount.kind in _WITHOUT_CLONES for mount in mounts):
                self._without_clones.add(device)
        return known

    def may_clone(self, device: int) -> bool:
        """Whether files on a device whose times can be trusted can share blocks."""
        return device not in self._without_clones
