"""Which archives a nightly sample takes. Pure.

Nothing is remembered. An archive's id gives it a fixed place on a circle, by
hash; each day's sample is an arc as long as the share, that starts where the
day before ended. So two nights have no archive in common, and after
1 / share nights every archive had its turn, also those that came meanwhile
by then or in the next round. Ids are random, so the share of the archives is
about the share that was asked for.

Who knows the day knows the sample. It finds damage, and changes that stay; a
whole ``verify`` finds the others.
"""

from __future__ import annotations

import hashlib

# Fine enough for a cache of millions; whole numbers, so that arcs meet exactly.
_CIRCLE = 1 << 64


def in_sample(archive: str, share: float, seed: int) -> bool:
    """Whether an archive is in the sample of a day. ``share`` is from 0 to 1."""
    if share >= 1:
        return True
    arc = int(share * _CIRCLE)
    digest = hashlib.sha256(archive.encode("utf-8", "surrogateescape")).digest()
    place = int.from_bytes(digest[:8], "big")
    return (place - seed * arc) % _CIRCLE < arc
