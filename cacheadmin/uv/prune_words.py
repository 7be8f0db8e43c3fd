"""What a uv says while it prunes, by which a changed prune is noticed. Pure.

How a release prunes can't be read from a binary, but what it says of each removal
can. These sentences have named every step since 0.12.24, and each step that was added
brought one (run 0.5.10 to 0.13.9, [bin]). A newer release that says the same is
taken to do the same; of one that says something else nothing is claimed until a developer has
compared it: not what it would delete (``simulate``), not what keeps archives from it
(``protect``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

# What the newest releases that were compared with real binaries say.
EXPECTED = frozenset(
    {
        "Removing cached environment",
        "Removing dangling cache archive",
        "Removing dangling cache bucket",
        "Removing dangling cache entry",
        "Removing dangling source revision",
        "Removing temporary build environment",
        "Removing unzipped built wheel entry",
        "Removing unzipped wheel entry",
    }
)

# Said by other commands.
_NOT_OF_PRUNE = frozenset({"Removing executable", "Removing existing directory"})

_SENTENCE = re.compile(rb"Removing [a-z][a-z -]{2,60}(?=: )")
_MAX_MENTIONS = 10_000
_NAMED = 3


def prune_words(piece: bytes) -> Iterator[str]:
    """Yield what a piece of a binary says of removals, perhaps more than once."""
    for found in islice(_SENTENCE.finditer(piece), _MAX_MENTIONS):
        text = found[0].decode("ascii")
        if text not in _NOT_OF_PRUNE:
            yield text


def prune_changed(words: frozenset[str]) -> str:
    """Return how a prune differs from that of the newest known release; empty: it does not."""
    if not words:
        return "its binary says nothing of what a prune of uv says"
    new, gone = sorted(words - EXPECTED), sorted(EXPECTED - words)
    parts = []
    if new:
        parts.append(f"its binary says {_quoted(new)}, as none before")
    if gone:
        parts.append(f"it does not say {_quoted(gone)} any more")
    return " and ".join(parts)


def _quoted(words: list[str]) -> str:
    named = [f'"{word}"' for word in words[:_NAMED]]
    more = len(words) - len(named)
    return ", ".join(named) + (f" and {more} more" if more else "")
