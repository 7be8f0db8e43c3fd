"""Unpack msgpack that the users of a cache can write. Pure.

The danger is in the promises: five bytes announce an array of any length, room
for which is made before the first element is seen, and a thousand of these
nest: a file of 5 KiB cost half a second and 70 MB. Lengths are bounded to what
uv writes, with room to spare; depth is bounded by msgpack itself.
"""

from __future__ import annotations

from typing import Any

import msgpack

# The longest real ones are the search path of an interpreter, and the
# environment variables and folders that a build depends on (`tool.uv.cache-keys`).
_MAX_ELEMENTS = 1024


def first_object(data: bytes, limit: int, *, unicode_errors: str = "strict") -> Any:
    """Return the first object of at most ``limit`` bytes of data; None for what is none.

    What follows the first object is not looked at. Never raises.
    """
    if not data or len(data) > limit:
        return None
    unpacker = msgpack.Unpacker(
        raw=False,
        strict_map_key=False,
        max_buffer_size=limit,
        max_array_len=_MAX_ELEMENTS,
        max_map_len=_MAX_ELEMENTS,
        unicode_errors=unicode_errors,
    )
    unpacker.feed(data)
    try:
        return unpacker.unpack()
    except (
        ValueError,  # damaged, too long, too deep, or text that is not UTF-8
        msgpack.UnpackException,
        TypeError,  # an array as a key of a map
        RecursionError,
        MemoryError,
    ):
        return None


def first_texts(data: bytes, limit: int, count: int) -> tuple[str, ...] | None:
    """Return the first elements of an array, where these are texts; None for anything else.

    Only these are read, whatever the array's length. Never raises.
    """
    if not data or len(data) > limit:
        return None
    unpacker = msgpack.Unpacker(
        raw=False,
        strict_map_key=False,
        max_buffer_size=limit,
        max_array_len=_MAX_ELEMENTS,
        max_map_len=_MAX_ELEMENTS,
    )
    unpacker.feed(data)
    try:
        if unpacker.read_array_header() < count:
            return None
        found = tuple(unpacker.unpack() for _ in range(count))
    except (ValueError, msgpack.UnpackException, TypeError, RecursionError, MemoryError):
        return None
    return found if all(isinstance(one, str) for one in found) else None
