"""Containers that are there and may not run: what Docker and Podman keep of each on the disk.

A process that runs tells of its container (``evidence.reach``). One that is stopped
has its environments in a layer of its own, and in volumes, until it is started
again. Only root's containers are read: their records belong to root, and no user
else can have written them.

Sources: Docker Engine 20 to 27 with overlay2: ``containers/ID/config.v2.json``, and
``image/overlay2/layerdb/mounts/ID/mount-id``. containers-storage 1.5x of Podman 3 to
5: ``overlay-containers/containers.json``, and the OCI runtime's ``config.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

from cacheadmin.fs.reading import ReadFailure, read_file_and_status
from cacheadmin.values import frozen

DOCKER = "/var/lib/docker"
PODMAN = "/var/lib/containers/storage"

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


@frozen
class Unlisted:
    """A runtime whose containers could not be read."""

    runtime: str
    """Which program runs them: ``Docker`` or ``Podman``."""
    folder: str
    """The folder or record that could not be read, an absolute path."""
    reason: str
    """Why it could not be read, in words."""


def known_containers() -> Iterator[KnownContainer | Unlisted]:
    """Yield the containers that root's Docker and Podman keep, and what can't be read of them."""
    yield from _docker()
    yield from _podman()


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


def _podman() -> Iterator[KnownContainer | Unlisted]:
    record = f"{PODMAN}/overlay-containers/containers.json"
    if not os.path.lexists(f"{PODMAN}/overlay-containers"):
        return
    rows = _json(record, list)
    if isinstance(rows, str):
        if os.path.lexists(record) or not os.access(os.path.dirname(record), os.X_OK):
            yield Unlisted("Podman", record, rows)
        return
    if len(rows) > _MOST_CONTAINERS:
        yield Unlisted("Podman", record, _TOO_MANY)
    for row in rows[:_MOST_CONTAINERS]:
        try:
            identity, layer = str(row["id"]), str(row.get("layer") or "")
            name = str((row.get("names") or [identity])[0])
        except (AttributeError, TypeError, LookupError):
            yield Unlisted("Podman", record, _OTHER_SHAPE)
            continue
        config = f"{PODMAN}/overlay-containers/{identity}/userdata/config.json"
        specification = _json(config)
        if isinstance(specification, str):
            yield Unlisted("Podman", config, specification)
            continue
        try:
            sources = _sources(one.get("source") for one in specification.get("mounts") or ())
        except (AttributeError, TypeError):
            yield Unlisted("Podman", config, _OTHER_SHAPE)
            continue
        written = f"{PODMAN}/overlay/{layer}/diff" if layer.isalnum() else None
        yield KnownContainer("Podman", name, sources, written)


def _sources(named: Iterable[object]) -> tuple[str, ...]:
    """Return the folders that a record names as mounted, each once."""
    return tuple(sorted({str(one or "") for one in named} - {""}))


def _json(path: str, kind: type[Any] = dict) -> Any:
    """Return a record of root's; a sentence why it can't be read."""
    found = read_file_and_status(path, _MOST_BYTES)
    if isinstance(found, ReadFailure):
        return found.reason
    content, status = found
    if status.st_uid != 0:
        return f"it belongs to uid {status.st_uid}"
    try:
        row = json.loads(content)
    except (ValueError, RecursionError):
        return "it is no JSON"
    return row if isinstance(row, kind) else _OTHER_SHAPE


def _root_file(path: str) -> bytes | None:
    found = read_file_and_status(path, _MOST_BYTES)
    return None if isinstance(found, ReadFailure) or found[1].st_uid != 0 else found[0]
