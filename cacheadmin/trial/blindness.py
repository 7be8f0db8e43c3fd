"""Where silence proves nothing: no access time moves, here or for some of the users.

A filesystem mounted noatime keeps no access times; that is tried with a link of
our own. But other mounts may show the cache too, and their lookups go unseen although
ours are seen:

- one that is read-only or noatime, in a container, a chroot or a service (``ProtectSystem=``);
- one that shows the ids of some accounts alone (an idmapped mount, such as systemd-nspawn's
  ``--bind=...:rootidmap``): the kernel moves no access time of what belongs to any other
  account [run on Linux 6.18, ext4]. A container's usual range has all of them, so it is tried
  with a link of our own, through that very mount;
- an overlay with the cache among its lower layers, even if it is mounted to be
  written: the kernel follows links of lower layers through a private mount that is
  read-only and noatime [run on Linux 6.1, ext4 and tmpfs].

So the mounts of every mount namespace are read. Mounts of other hosts can't be
read from here: over NFS the server's mount decides, and it is the one tried.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from cacheadmin.fs.mounted_places import (
    LOWER_LAYERS,
    MountedPlace,
    UnknownPlaceError,
    layers_of,
    place_of,
)
from cacheadmin.fs.mounts import Mount, mount_of, read_mounts
from cacheadmin.readers import Question, Readers
from cacheadmin.trial.folder import PLACE
from cacheadmin.trial.tripwires import TRIED_KINDS, access_is_seen
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.trial.folder import TrialFolder

_BLIND_OPTIONS = frozenset({"ro", "noatime"})
_IDMAPPED = "idmapped"

# Where systems mount an overlay of their own, whose layers they then hide.
_OF_SYSTEMS = frozenset({"/", "/usr", "/opt", "/etc"})

# What reads packages: a Python, or a uv that starts one.
_USES_PACKAGES = re.compile(r"(python|pypy|graalpy|uvx?$)")
# Systemd alone makes groups in system.slice; the first service there is its own.
_SYSTEM_UNIT = re.compile(
    r"^(?:0:|\d+:name=systemd):/system\.slice/(?:[^/\n]+\.slice/)*([^/\n]+\.service)(?=/|$)",
    re.MULTILINE,
)
# Accounts of people have higher numbers (login.defs(5), SYS_UID_MAX).
_LAST_OF_SYSTEM = 999
_ADMINS_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/transient")
_SYSTEMS_UNITS = ("/usr/lib/systemd/system", "/lib/systemd/system")


_SHOWS = "shows the cache and keeps no access times"


@frozen
class _Tables:
    """Two tables of mounts: in which a mount was found, and ours, in which paths have a meaning."""

    theirs: tuple[Mount, ...]
    ours: tuple[Mount, ...]
    seen_through: Callable[[str], bool]
    """Whether a lookup through another mount is seen: asked with a path in their table."""
    known: frozenset[int] = frozenset()
    """Devices of the overlays among ours: these were looked at where their layers can be told."""


def blindness(folder: TrialFolder, cache: CacheIdentity) -> str:
    """Return why silence proves nothing now, in words; "" where it does. Makes a link."""
    if not access_is_seen(folder):
        return f"{cache.path} lies on a filesystem that keeps no access times (noatime)"
    ours = read_mounts()
    used, place = mount_of(cache.path, ours), _place_of(cache.path, ours)
    table = _Tables(ours, ours, partial(_is_seen_through, folder, ""))
    for mount in ours:
        if mount != used and (why := _hides(mount, place, table)):
            return f"the mount {mount.mount_point} {_SHOWS} ({why})"
    known = frozenset(mount.device for mount in ours if mount.kind == "overlay")
    for pid in _with_other_mounts():
        try:
            mounts = read_mounts(pid)
        except (OSError, ValueError, IndexError):
            continue
        seen_through = partial(_is_seen_through, folder, f"/proc/{pid}/root")
        table = _Tables(mounts, ours, seen_through, known)
        for mount in mounts:
            if why := _hides(mount, place, table):
                return f"a mount of process {pid} {_SHOWS} ({why})"
    return ""


def _place_of(path: str, ours: tuple[Mount, ...]) -> MountedPlace:
    try:
        return place_of(path, ours)
    except (UnknownPlaceError, OSError):
        mount = mount_of(path, ours)
        below = path.removeprefix(mount.mount_point.rstrip("/"))
        return MountedPlace(mount.device, os.path.normpath(f"{mount.root.rstrip('/')}/{below}"))


def _hides(mount: Mount, place: MountedPlace, table: _Tables) -> str:
    """Return how a mount shows the cache and hides lookups, in words; "" where it does not."""
    options = _BLIND_OPTIONS.intersection(mount.options)
    if options and _shows(mount, MountedPlace(mount.device, mount.root), place, table):
        return ", ".join(sorted(options))
    if _IDMAPPED in mount.options and _hides_accounts(mount, place, table):
        return _IDMAPPED
    is_overlay = mount.kind == "overlay" and mount.device not in table.known
    return "an overlay" if is_overlay and _has_layer(mount, place, table) else ""


def _hides_accounts(mount: Mount, place: MountedPlace, table: _Tables) -> bool:
    """Whether an idmapped mount shows the cache, and not the account that tripwires belong to."""
    shown = MountedPlace(mount.device, mount.root)
    if not _shows(mount, shown, place, table):
        return False
    at = _cache_in(mount, shown, place)
    # Where a part of the cache is all that is shown, our folder may not be in it.
    return at is None or not table.seen_through(at)


def _is_seen_through(folder: TrialFolder, root: str, cache: str) -> bool:
    """Whether a lookup by the path that the cache has elsewhere moves an access time here.

    A reader looks: what lies on the way may be a user's. In a sticky bucket tripwires belong
    to another account than the link that is tried here.
    """
    if any(status.st_mode & stat.S_ISVTX for status in _buckets_tried(folder)):
        return False
    with Readers() as readers:

        def look_up(name: str) -> None:
            readers.ask(_LOOKED_UP, f"{root}{cache}/{PLACE}/{name}")

        return access_is_seen(folder, look_up)


def _buckets_tried(folder: TrialFolder) -> Iterator[os.stat_result]:
    for name in os.listdir(folder.cache_fd):
        if (bucket := parse_bucket_name(name)) is not None and bucket[0] in TRIED_KINDS:
            yield os.stat(name, dir_fd=folder.cache_fd, follow_symlinks=False)


def _is_looked_up(path: str) -> bool:
    try:
        os.stat(path)
    except OSError:
        return False
    return True


_LOOKED_UP: Question[str, bool] = Question(_is_looked_up, bool)


def _has_layer(overlay: Mount, place: MountedPlace, table: _Tables) -> bool:
    """Whether a layer may show the cache; one that can't be told may."""
    try:
        layers = [place_of(layer, table.ours) for layer in layers_of(overlay, LOWER_LAYERS)]
    except (UnknownPlaceError, OSError):
        return overlay.mount_point not in _OF_SYSTEMS
    return any(_shows(overlay, layer, place, table) for layer in layers)


def _shows(mount: Mount, shown: MountedPlace, place: MountedPlace, table: _Tables) -> bool:
    """Whether a mount shows the cache, or a part of it, and no other mount lies over that."""
    if not place.overlaps(shown):
        return False
    # A part of the cache is all that is shown, or the cache is in what is shown.
    at = _cache_in(mount, shown, place) or mount.mount_point
    try:
        return mount_of(at, table.theirs) == mount
    except OSError:
        # A root that is no mount of its own.
        return True


def _cache_in(mount: Mount, shown: MountedPlace, place: MountedPlace) -> str | None:
    """Return the path that a mount gives the cache; None where it shows a part of it alone."""
    below = os.path.relpath(place.path, shown.path)
    if below.startswith(".."):
        return None
    return os.path.normpath(os.path.join(mount.mount_point, below))


def _with_other_mounts() -> Iterator[int]:
    """Yield one process of each mount namespace that may run a user's environment.

    That is a container, which has another root, and what runs a Python with private
    mounts. Services of the system, which have these too, are hardened and run none.
    """
    root = os.stat("/")
    own = _namespace("self")
    spaces: dict[str, list[str]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (namespace := _namespace(name)) not in (None, own):
            spaces.setdefault(str(namespace), []).append(name)
    for names in spaces.values():
        for name in names:
            try:
                other = os.stat(f"/proc/{name}/root/")
            except OSError:
                continue
            if (other.st_dev, other.st_ino) != (root.st_dev, root.st_ino):
                yield int(name)
                break
        else:
            yield from _first_with_packages(names)


def _first_with_packages(names: Iterable[str]) -> Iterator[int]:
    for name in names:
        try:
            program = os.path.basename(os.readlink(f"/proc/{name}/exe"))
        except OSError:
            continue
        if _USES_PACKAGES.match(program) and not _is_of_the_system(name):
            yield int(name)
            return


def _is_of_the_system(process: str) -> bool:
    """Whether a process belongs to a service whose unit came with the system, unchanged."""
    try:
        # People's own programs are in services of the system too: what cron and sshd start.
        if os.stat(f"/proc/{process}").st_uid > _LAST_OF_SYSTEM:
            return False
        with open(f"/proc/{process}/cgroup", encoding="utf-8", errors="replace") as file:
            unit = system_unit(file.read(65536))
    except OSError:
        return False
    if unit is None:
        return False
    names = {unit, re.sub(r"@[^.]*\.", "@.", unit)}
    return not _is_in(names, _ADMINS_UNITS) and _is_in(names, _SYSTEMS_UNITS)


def system_unit(cgroups: str) -> str | None:
    """Return the service of the system that a process is in, by its ``/proc/PID/cgroup``.

    None where it is in none. Users make what they like below their own
    ``user@1000.service``, which is no service of the system's but all that they run.
    """
    found = _SYSTEM_UNIT.search(cgroups)
    return None if found is None else found[1]


def _is_in(names: Iterable[str], folders: Iterable[str]) -> bool:
    return any(os.path.lexists(f"{folder}/{name}") for folder in folders for name in names)


def _namespace(process: str) -> str | None:
    try:
        return os.readlink(f"/proc/{process}/ns/mnt")
    except OSError:
        return None
