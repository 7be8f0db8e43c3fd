"""RECORD: what a wheel says its files are. Pure, over hostile bytes.

A RECORD is a CSV file beside METADATA: ``path,algorithm=digest,size`` a line.
In a wheel's archive paths start at the archive; in an environment they start
at site-packages and may climb to ``bin`` (``../../../bin/cowsay``). A user who
could write in the cache could write this file, so a path is turned into one
inside the archive here, by text, or is reported and never opened.

Source: PEP 376, PEP 427 and the "Recording installed projects" page of the
packaging specifications; uv 0.5.10 to 0.13.8 leave RECORD in the archive as it
was in the wheel, and write RECORDs of that form into environments.
"""

from __future__ import annotations

import binascii
import hashlib
from itertools import islice

from cacheadmin.packages.record_rows import record_rows
from cacheadmin.values import frozen

# The largest RECORD seen (a package with 30,000 files) is 4 MiB. A line takes
# some hundred bytes of memory, however short it is.
MAX_BYTES = 16 * 1024 * 1024
MAX_LINES = 250_000

# What the specifications allow: sha256 or better. Digests of fixed length only.
ALGORITHMS = frozenset({"sha256", "sha384", "sha512"})

# What RECORD cannot hold a hash of: itself, and its signatures.
UNHASHED = ("RECORD", "RECORD.jws", "RECORD.p7s")

_PATH_LIMIT = 4096
_TRANSLATION = str.maketrans("-_", "+/")


@frozen
class Line:
    """What RECORD says of one file."""

    algorithm: str = ""
    """The hash's name (``sha256``); "" where it gives no hash that may be relied on."""
    digest: bytes | None = None
    """The hash; None where it gives none that may be relied on."""
    size_bytes: int | None = None
    """The file's length in bytes; None where it gives none."""


@frozen
class Record:
    """One RECORD, read."""

    lines: dict[str, Line]
    """What it says of each file, by path inside the archive."""
    unsafe: tuple[str, ...] = ()
    """Paths, as written, that lead out of the archive or can't be used as paths."""
    repeated: tuple[str, ...] = ()
    """Paths inside the archive that lines say different things of."""
    unhashed: tuple[str, ...] = ()
    """Paths that should have a hash and have none that may be relied on."""
    unreadable: int = 0
    """How many rows are no line of RECORD."""
    rows: int = 0
    """How many rows were read."""
    too_long: bool = False
    """Whether it goes on after the last row that was read."""


def parse_record(content: bytes, base: str = "", limit: int = MAX_LINES) -> Record:
    """Return what a RECORD says. ``base`` is the folder its paths start at, "" for the archive.

    No more than ``limit`` lines are read. Never raises. Names keep their bytes,
    as `record_rows` reads them.
    """
    lines: dict[str, Line] = {}
    unsafe: list[str] = []
    repeated: list[str] = []
    unhashed: list[str] = []
    unreadable = 0
    count = 0
    rows = record_rows(content)
    for row in islice(rows, limit):
        count += 1
        if row is None or len(row) > 3:
            unreadable += 1
            continue
        path = inside(row[0], base)
        if path is None:
            unsafe.append(row[0])
            continue
        line = _line(row[1] if len(row) > 1 else "", row[2] if len(row) > 2 else "")
        if not path or (row[0].endswith("/") and line.digest is None):
            continue
        if lines.setdefault(path, line) != line:
            repeated.append(path)
        if line.digest is None and not may_lack_hash(path):
            unhashed.append(path)
    too_long = next(rows, None) is not None
    return Record(
        lines, tuple(unsafe), tuple(repeated), tuple(unhashed), unreadable, count, too_long
    )


def may_lack_hash(path: str) -> bool:
    """Whether a file may stand in RECORD without a hash: RECORD itself, compiled files."""
    folder, _, name = path.rpartition("/")
    return (name in UNHASHED and folder.endswith(".dist-info")) or name.endswith(".pyc")


def inside(path: str, base: str) -> str | None:
    """Return a path of RECORD as one inside the archive; None when it would leave it.

    By text: ``..`` takes back a part, never more than there are.
    """
    if not path or path.startswith("/") or "\0" in path or len(path) > _PATH_LIMIT:
        return None
    # The plain case, nearly always.
    if "." not in (path[0], path[-1]) and "/." not in path and "//" not in path:
        return f"{base}/{path}".strip("/") if base else path.rstrip("/")
    parts = base.split("/") if base else []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _line(named: str, size: str) -> Line:
    size_bytes = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else None
    algorithm, _, encoded = named.partition("=")
    if algorithm not in ALGORITHMS:
        return Line(size_bytes=size_bytes)
    try:
        # Without padding, as written; with one that is there already, as some tools write it.
        text = encoded.rstrip("=").translate(_TRANSLATION)
        digest = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (ValueError, binascii.Error):
        return Line(size_bytes=size_bytes)
    if len(digest) != hashlib.new(algorithm).digest_size:
        return Line(size_bytes=size_bytes)
    return Line(algorithm, digest, size_bytes)
