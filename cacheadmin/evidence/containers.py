"""Containers that are there and may not run: what runtimes keep of each on the disk.

A process that runs tells of its container (``evidence.reach``). One that is stopped
has its environments in a layer of its own, and in volumes, until it is started
again. Records of root's containers belong to root, and no other account can have
written them. Those of an account's own Podman are that account's word: read by a
reader, and believed of what belongs to the account.

containerd keeps the list of its containers in a database that no other program
reads. Of nerdctl's the names are known, and no more. Kubernetes starts no
container again that has ended, but a pod's volumes outlive its containers.

Sources: Docker Engine 20 to 27 with overlay2: ``containers/ID/config.v2.json``, and
``image/overlay2/layerdb/mounts/ID/mount-id``. containers-storage 1.5x of Podman 3 to
5: ``overlay-containers/containers.json``, and the OCI runtime's ``config.json``; where an
account's own lie: containers-storage.conf(5). nerdctl 1 and 2: ``names/NAMESPACE/NAME``.
kubelet 1.20 to 1.33: ``pods/UID/volumes/kubernetes.io~empty-dir/NAME``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from cacheadmin.fs.small_files import ReadFailure, read_file_and_status
from cacheadmin.readers import Question
from cacheadmin.values import frozen

DOCKER = "/var/lib/docker"
PODMAN = "/var/lib/containers/storage"
NERDCTL = "/var/lib/nerdctl"
PODS = "/var/lib/kubelet/pods"

# Where the Podman of an account keeps its containers, if no file says otherwise.
_OF_ACCOUNTS = "$HOME/.local/share/containers/storage"
_STORAGE_CONF = ("/etc/containers/storage.conf", "/usr/share/containers/storage.conf")

_MOST_BYTES = 8 * 1024 * 1024
_MOST_CONTAINERS = 10_000

_TOO_MANY = f"it keeps more than {_MOST_CONTAINERS} containers: the rest was not read"
_OTHER_SHAPE = "it has another shape than it should"


@frozen
class KnownContainer:
    """One container that a runtime keeps."""

    runtime: str
    """``Docker`` or ``Podman``."""
    name: str
    """What people call it."""
    sources: tuple[str, ...]
    """Folders of this host that are mounted in it, absolute."""
    layer: str | None
    """The folder of what it has written itself; None where that is not known."""
    uid: int = 0
    """The account whose container it is."""
    searched: tuple[str, ...] | None = None
    """Folders of an account's container that are there and its own; None: root's container."""


@frozen
class Unlisted:
    """A runtime whose containers could not be read."""

    runtime: str
    """Which program runs them: ``Docker`` or ``Podman``."""
    folder: str
    """The folder or record that could not be read, an absolute path."""
    reason: str
    """Why it could not be read, in words."""
    uid: int = 0
    """The account whose containers they are."""


@frozen
class OwnStorage:
    """Where the Podman of one account keeps its containers."""

    folder: str
    """Absolute path."""
    uid: int
    """The account."""


@frozen
class OwnContainers:
    """What the Podman of one account keeps."""

    known: tuple[KnownContainer, ...]
    """Its containers."""
    unlisted: tuple[Unlisted, ...]
    """Records that could not be read."""


def known_containers() -> Iterator[KnownContainer | Unlisted]:
    """Yield the containers that root's Docker and Podman keep, and what can't be read of them."""
    yield from _docker()
    yield from podman_containers(OwnStorage(PODMAN, 0))


def nerdctl_containers() -> Iterator[str]:
    """Yield the names of root's containers of nerdctl, which containerd runs."""
    for place in _folders(NERDCTL):
        for namespace in _folders(f"{place}/names"):
            yield from _names(namespace)


def pod_volumes() -> Iterator[str]:
    """Yield the folders of volumes that pods of Kubernetes have on this host's disk."""
    for pod in _folders(PODS):
        yield from _folders(f"{pod}/volumes/kubernetes.io~empty-dir")


def own_storage(home: str, uid: int) -> OwnStorage:
    """Return where the Podman of an account keeps its containers."""
    place = _OF_ACCOUNTS
    for file in _STORAGE_CONF:
        found = _root_file(file)
        if found is None:
            continue
        import tomllib

        try:
            named = tomllib.loads(found.decode()).get("storage", {}).get("rootless_storage_path")
        except (ValueError, AttributeError):
            named = None
        place = named if isinstance(named, str) and named else place
        break
    name = os.path.basename(home.rstrip("/"))
    for word, value in (("$HOME", home.rstrip("/")), ("$UID", str(uid)), ("$USER", name)):
        place = place.replace(word, value)
    return OwnStorage(place, uid)


def read_own_containers(storage: OwnStorage) -> OwnContainers:
    """Return the containers of an account's own Podman; for readers to be asked."""
    found = tuple(podman_containers(storage))
    return OwnContainers(
        tuple(_with_own_folders(one) for one in found if isinstance(one, KnownContainer)),
        tuple(one for one in found if isinstance(one, Unlisted)),
    )


def _with_own_folders(one: KnownContainer) -> KnownContainer:
    layer = one.layer if one.layer is not None and os.path.isdir(one.layer) else None
    own = [source for source in one.sources if _owner(source) == one.uid and os.path.isdir(source)]
    searched = (*own, *(() if layer is None else (layer,)))
    return replace(one, layer=layer, searched=searched)


def _owner(path: str) -> int | None:
    try:
        return os.lstat(path).st_uid
    except (OSError, ValueError):
        return None


def _whose(storage: OwnStorage) -> int:
    return storage.uid


def _closed(storage: OwnStorage, _parts: Sequence[object]) -> Iterable[str]:
    return (storage.folder,)


OWN_CONTAINERS: Question[OwnStorage, OwnContainers] = Question(
    read_own_containers,
    OwnContainers,
    blame=_whose,
    together=16,
    closed=_closed,
)


def _docker() -> Iterator[KnownContainer | Unlisted]:
    folder = f"{DOCKER}/containers"
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        yield Unlisted("Docker", folder, error.strerror or "?")
        return
    if len(names) > _MOST_CONTAINERS:
        yield Unlisted("Docker", folder, _TOO_MANY)
    for name in names[:_MOST_CONTAINERS]:
        record = f"{folder}/{name}/config.v2.json"
        row = _json(record)
        if isinstance(row, str):
            yield Unlisted("Docker", record, row)
            continue
        try:
            points = row.get("MountPoints") or {}
            sources = _sources(one.get("Source") for one in points.values())
        except (AttributeError, TypeError):
            yield Unlisted("Docker", record, _OTHER_SHAPE)
            continue
        layer = _docker_layer(name) if row.get("Driver") == "overlay2" else None
        yield KnownContainer("Docker", str(row.get("Name") or name).lstrip("/"), sources, layer)


def _docker_layer(container: str) -> str | None:
    found = _root_file(f"{DOCKER}/image/overlay2/layerdb/mounts/{container}/mount-id")
    name = "" if found is None else found.decode("ascii", "replace").strip()
    return f"{DOCKER}/overlay2/{name}/diff" if name.isalnum() else None


def podman_containers(storage: OwnStorage) -> Iterator[KnownContainer | Unlisted]:
    """Yield the containers in one storage of Podman, and what can't be read of them."""
    folder, uid = storage.folder, storage.uid
    record = f"{folder}/overlay-containers/containers.json"
    if not os.path.lexists(f"{folder}/overlay-containers"):
        return
    rows = _json(record, list, uid)
    if isinstance(rows, str):
        if os.path.lexists(record) or not os.access(os.path.dirname(record), os.X_OK):
            yield Unlisted("Podman", record, rows, uid)
        return
    if len(rows) > _MOST_CONTAINERS:
        yield Unlisted("Podman", record, _TOO_MANY, uid)
    for row in rows[:_MOST_CONTAINERS]:
        try:
            identity, layer = str(row["id"]), str(row.get("layer") or "")
            name = str((row.get("names") or [identity])[0])
        except (AttributeError, TypeError, LookupError):
            yield Unlisted("Podman", record, _OTHER_SHAPE, uid)
            continue
        if not identity.isalnum():
            yield Unlisted("Podman", record, _OTHER_SHAPE, uid)
            continue
        config = f"{folder}/overlay-containers/{identity}/userdata/config.json"
        specification = _json(config, dict, uid)
        if isinstance(specification, str):
            yield Unlisted("Podman", config, specification, uid)
            continue
        try:
            sources = _sources(one.get("source") for one in specification.get("mounts") or ())
        except (AttributeError, TypeError):
            yield Unlisted("Podman", config, _OTHER_SHAPE, uid)
            continue
        written = f"{folder}/overlay/{layer}/diff" if layer.isalnum() else None
        yield KnownContainer("Podman", name, sources, written, uid)


def _sources(named: Iterable[object]) -> tuple[str, ...]:
    """Return the folders that a record names as mounted, each once."""
    return tuple(sorted({str(one or "") for one in named} - {""}))


def _folders(path: str) -> Iterator[str]:
    """Yield the folders in one of root's folders; none where it is not there."""
    for name in _names(path):
        inner = f"{path}/{name}"
        if os.path.isdir(inner) and not os.path.islink(inner):
            yield inner


def _names(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))[:_MOST_CONTAINERS]
    except OSError:
        return []


def _json(path: str, kind: type[Any] = dict, uid: int = 0) -> Any:
    """Return a record of an account's; a sentence why it can't be read."""
    found = read_file_and_status(path, _MOST_BYTES)
    if isinstance(found, ReadFailure):
        return found.reason
    content, status = found
    if status.st_uid != uid:
        return f"it belongs to uid {status.st_uid}"
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):
        return "it is no JSON"
    return row if isinstance(row, kind) else _OTHER_SHAPE


def _root_file(path: str) -> bytes | None:
    found = read_file_and_status(path, _MOST_BYTES)
    return None if isinstance(found, ReadFailure) or found[1].st_uid != 0 else found[0]
