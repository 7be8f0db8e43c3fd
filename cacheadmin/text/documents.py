"""JSON documents: one a command, each with the same header.

Keys are public API (cacheadmin(1), JSON): add freely, never rename. Sizes are
integers in bytes, times RFC 3339 in UTC, durations seconds. Paths keep their
exact bytes: what is not UTF-8 appears as a lone surrogate escape
(``\\udcff``), which ``json.loads`` and ``os.fsencode`` turn back.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Protocol

from cacheadmin import __version__
from cacheadmin.text.json_pieces import pieces
from cacheadmin.text.timestamps import now_ns, rfc3339
from cacheadmin.values import frozen

Document = dict[str, Any]


class Named(Protocol):
    """A policy, of which a document tells its name."""

    @property
    def name(self) -> str:
        """Its name."""
        ...


class Loaded(Protocol):
    """A policy that was read from a file."""

    @property
    def policy(self) -> Named:
        """What it says."""
        ...

    @property
    def path(self) -> str | None:
        """Absolute path of its file; None where it came from none."""
        ...


class Identity(Protocol):
    """A cache, of which a document tells where it is."""

    @property
    def path(self) -> str:
        """Absolute path of its root."""
        ...

    @property
    def device(self) -> int:
        """Device number of its root."""
        ...

    @property
    def inode(self) -> int:
        """Inode number of its root."""
        ...


def header(command: str, loaded: Loaded | None, cache: Identity | None) -> Document:
    """Return the keys every document starts with."""
    return {
        "schema": f"cacheadmin/{command}/1",
        "version": __version__,
        "host": socket.gethostname(),
        "generated_at": rfc3339(now_ns()),
        "policy": None if loaded is None else {"name": loaded.policy.name, "path": loaded.path},
        "cache": None
        if cache is None
        else {"path": cache.path, "device": cache.device, "inode": cache.inode},
    }


@frozen
class Heading:
    """How the document of one cache begins, and where it ends in what was not looked at."""

    first: Document
    """The keys that every document starts with."""
    gaps: list[Document] | None = None
    """Where users of the cache may be unseen; None where the document says nothing of it."""

    def over(self, content: Mapping[str, Any]) -> Document:
        """Return the document with this content."""
        gaps = {} if self.gaps is None else {"gaps": self.gaps}
        return {**self.first, **content, **gaps}


def dumps(document: Mapping[str, Any]) -> str:
    """Return a document as text: indented, stable, ASCII only (no terminal can be harmed).

    Its values may be iterators of rows, as those of ``json_pieces.pieces``.
    """
    return "".join(pieces(document))
