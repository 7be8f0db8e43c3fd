"""What uv's pointer files say: which archive, which revision. Pure, over hostile bytes.

A ``.http`` file is one msgpack object and then uv's HTTP cache policy, whose
trailer changed meaning in 0.13; a ``.rev`` file is one object, an array whose
second element is what ``.http`` holds alone. Only the first object is read.
The users of the cache can write these files: sizes are bounded, and whatever
is of no known shape gives None: the caller keeps what it may name.

Source: uv-cache-facts section 2 (bytes of 0.1.5 to 0.13.9).
"""

from __future__ import annotations

import re
from typing import Literal

from cacheadmin.uv.untrusted_msgpack import first_object, first_texts

PointerKind = Literal["http", "rev"]

# Real pointer files are below 10 KiB; the largest seen is a wheel with
# hundreds of HTTP headers.
MAX_BYTES = 1024 * 1024

# The first object alone, an id and a few hashes, is below 1 KiB.
_MAX_OBJECT = 64 * 1024

# Longer than any package name or version that an index takes.
_LONGEST_NAME = 200

# Ids have had 21 and 16 characters, and 24 where they are made from the content
# (preview `content-addressed-cache`, 0.12.7 and later). Narrower than what may be a folder's name:
# in a shape of a release to come, the first text may be anything but the id, and
# taking it for one would leave the archive that is meant without its pointer.
_IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{16,24}", re.ASCII)


def archive_named_by(pointer: bytes, kind: PointerKind) -> str | None:
    """Return the archive that a wheel pointer file names, None for an unknown shape.

    Shapes by release: a string, the archive's path (0.1.5); an array whose
    first element is the id (0.1.45 to 0.12.1, 0.13); a map with ``id``
    (0.12.2 to 0.12.24).
    """
    named = _named(pointer, kind)
    if named is None:
        return None
    identifier = named.rpartition("/")[2]
    return identifier if _IDENTIFIER.fullmatch(identifier) else None


def revision_named_by(pointer: bytes, kind: PointerKind) -> str | None:
    """Return the revision folder that ``revision.http`` or ``.rev`` names."""
    named = _named(pointer, kind)
    return named if named is not None and _IDENTIFIER.fullmatch(named) else None


def revision_fields(pointer: bytes, kind: PointerKind) -> int:
    """Return how many fields a revision pointer's array has; 0 for a map or an unknown shape."""
    found = _object(pointer, kind)
    return len(found) if isinstance(found, list) else 0


def package_named_by(metadata: bytes) -> tuple[str, str] | None:
    """Return name and version from a revision's ``metadata.msgpack``; None for an unknown shape.

    The file is an array that begins with both (run 0.5.10, 0.8.5, 0.13.9).
    """
    texts = first_texts(metadata, MAX_BYTES, 2)
    if texts is None or not all(0 < len(text) <= _LONGEST_NAME for text in texts):
        return None
    return texts[0], texts[1]


def _object(pointer: bytes, kind: PointerKind) -> object:
    first = first_object(pointer[:_MAX_OBJECT], _MAX_OBJECT)
    if kind == "http":
        return first
    return first[1] if isinstance(first, list) and len(first) >= 2 else None


def _named(pointer: bytes, kind: PointerKind) -> str | None:
    first = _object(pointer, kind)
    if isinstance(first, str):
        return first
    if isinstance(first, list) and first and isinstance(first[0], str):
        return first[0]
    if isinstance(first, dict) and isinstance(first.get("id"), str):
        return str(first["id"])
    return None
