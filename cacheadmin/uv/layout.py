"""Names in a uv cache: buckets, pointer files, what the root may hold. Pure.

::

    wheels-v5/pypi/six/1.17.0-py2.py3-none-any         symlink to the archive
    wheels-v5/pypi/six/1.17.0-py2.py3-none-any.http    what uv installs by
    wheels-v5/pypi/six/1.17.0-py2.py3-none-any.msgpack metadata only
    wheels-v5/{index,url}/<digest>/<name>/<key>.{http,rev}
    sdists-v9/{pypi,index/<digest>}/<name>/<version>/revision.http -> <revid>/
    sdists-v9/{url,path,editable}/<digest>/revision.{http,rev}     -> <revid>/
    sdists-v9/git/<digest>/<digest>/                               no revision file
    environments-v2/<interpreter digest>/<digest>      symlink to an archive
    environments-v2/<name>/                            a real environment
    archive-v0/<id>/                                   an unpacked wheel, or environment
    files-v0/<2 digits>/<64 digits>                    content of a file, hard-linked into archives
    git-v2/{db/<digest>,checkouts/<digest>/<commit>}   git repositories, and what is built from
    builds-v0/.tmpXXXXXX/                              builds, `uv run --with` overlays

And what is ours there, in place of what is on trial (``cacheadmin.trial``)::

    archive-v0/<id>                                    a tripwire: a link to ...
    archive-v0/cacheadmin.trial/<id>/                  ... the archive itself

Source: uv-cache-facts section 2 (run 0.1.45 to 0.13.9).
"""

from __future__ import annotations

import os
import re

from cacheadmin.text.percent import percent_decoded, percent_encoded

# A key may hold dots (`1.0-cp311-manylinux_2_17.manylinux2014`), so only these
# known endings may be cut off, never what follows the last dot.
POINTER_SUFFIXES = (".http", ".rev")
METADATA_SUFFIX = ".msgpack"
OTHER_SUFFIXES = (METADATA_SUFFIX, ".whl", ".lock")

# What a wheel pointer consists of, beside a link of its own name.
WHEEL_SUFFIXES = (*POINTER_SUFFIXES, METADATA_SUFFIX)

# What uv's prune spares in the root (`.lock` from 0.8.19 on), and our own
# fallback quarantine in a cache that is a mount point.
ROOT_NAMES = frozenset({"CACHEDIR.TAG", ".gitignore", ".git", ".lock", ".cacheadmin"})

# Buckets of contents by their hash, whose files are hard-linked into archives.
CONTENT_KINDS = frozenset({"files"})

# Buckets with archive pointers, by kind.
WHEEL_KINDS = frozenset({"wheels"})
SOURCE_KINDS = frozenset({"sdists", "built-wheels"})
POINTER_KINDS = WHEEL_KINDS | SOURCE_KINDS | {"environments"}

# The unpacked source archive in a revision: ``src``, before 0.5 ``source``.
UNPACKED_SOURCES = frozenset({"src", "source"})

# Buckets of git sources, and the folders in them.
GIT_KINDS = frozenset({"git"})
GIT_DATABASES = "db"
GIT_CHECKOUTS = "checkouts"

# Our folder in buckets of these kinds: it holds the roots that protect archives
# from uv's own prune (``protect.roots``). A shield, never evidence of use.
ROOTS_FOLDER = "cacheadmin"
ROOTS_KINDS = SOURCE_KINDS | GIT_KINDS

# The bucket of archives, which all releases share, and our folder in it: what is
# on trial lies there. No id has a dot, so no archive is ever called that.
ARCHIVES = "archive-v0"
TRIAL_FOLDER = "cacheadmin.trial"

# Names in our folder that begin so are its own records, no entries.
_OF_TRIALS = "."
_LONGEST_TRIAL_NAME = 200

_BUCKET = re.compile(r"([a-z][a-z-]{0,40}?)-v(\d{1,6})", re.ASCII)
_CONTENT = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ARCHIVE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


def parse_bucket_name(name: str) -> tuple[str, int] | None:
    """Return ``("wheels", 5)`` for ``wheels-v5``; None for another name."""
    found = _BUCKET.fullmatch(name)
    if found is None or (found[2] != "0" and found[2].startswith("0")):
        return None
    return found[1], int(found[2])


def is_archive_id(text: str) -> bool:
    """Whether a name could be an archive's: 16, 21 or 24 of ``[A-Za-z0-9_-]``, leniently."""
    return _ARCHIVE_ID.fullmatch(text) is not None


def is_content_made_id(text: str) -> bool:
    """Whether an archive's id may be made from its content (preview of 0.12.7 and later).

    A uv can then compute the id and find the archive without any pointer.
    """
    return len(text) == 24 and text.isalnum() and text.lower() == text


def trial_name(entry: str) -> str | None:
    """Return what an entry is called in our folder while on trial; None: it can't be.

    ``entry`` is a path relative to the cache, of an archive, or of a folder in
    a bucket of environments.
    """
    bucket, _, name = entry.partition("/")
    if bucket == ARCHIVES:
        fits = is_archive_id(name) and not is_content_made_id(name)
        return name if fits else None
    parsed = parse_bucket_name(bucket)
    if parsed is None or parsed[0] != "environments" or not name or name in (".", ".."):
        return None
    if "/" in name:
        return None
    quoted = percent_encoded(os.fsencode(entry), safe=b"")
    return quoted if len(quoted) <= _LONGEST_TRIAL_NAME else None


def entry_on_trial(name: str) -> str | None:
    """Return which entry a name in our folder stands for; None for the folder's own records."""
    if name.startswith(_OF_TRIALS):
        return None
    entry = f"{ARCHIVES}/{name}"
    if "%" in name:
        entry = os.fsdecode(percent_decoded(name))
    return entry if trial_name(entry) == name else None


def tripwire_text(entry: str) -> str | None:
    """Return what the link says that stands in an entry's place; None: it can't be on trial.

    Relative: it holds wherever the cache is seen, by whatever path.
    """
    name = trial_name(entry)
    if name is None:
        return None
    if entry.partition("/")[0] == ARCHIVES:
        return f"{TRIAL_FOLDER}/{name}"
    return f"../{ARCHIVES}/{TRIAL_FOLDER}/{name}"


def way_back_text(entry: str) -> str | None:
    """Return what the link says that leads from an entry's place on trial to its own place.

    None: it can't be on trial. Relative, as what ``tripwire_text`` returns.
    """
    if trial_name(entry) is None:
        return None
    bucket, _, name = entry.partition("/")
    return f"../{name}" if bucket == ARCHIVES else f"../../{entry}"


def is_digest(name: str) -> bool:
    """Whether a name could be a digest of uv's, as of an interpreter or a tool's requirements."""
    return len(name) == 16 and all(character in "0123456789abcdef" for character in name)


def is_stored_file(folder: str, name: str) -> bool:
    """Whether ``files-v0/<folder>/<name>`` is what uv calls a content: by its hash."""
    return _CONTENT.fullmatch(name) is not None and folder == name[:2]


def is_temporary(name: str) -> bool:
    """Whether a name is one that uv gives to what it has not finished."""
    return name.startswith(".tmp")


def pointer_key(name: str) -> tuple[str, str] | None:
    """Split a file name of a wheel folder into key and kind.

    Kinds: ``http``, ``rev`` for pointer files, ``link`` for a name without a
    known suffix (the symlink); None for metadata and locks.
    """
    for suffix in POINTER_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix), suffix[1:]
    if name.endswith(OTHER_SUFFIXES):
        return None
    return name, "link"


def version_of_key(key: str, package: str) -> str | None:
    """Return the version in a wheel key (``1.17.0-py2...``, before 0.6.4 ``six-1.17.0-py2...``)."""
    parts = key.split("-")
    if len(parts) >= 5 and _same_name(parts[0], package):
        return parts[1]
    return parts[0] if len(parts) >= 2 else None


def _same_name(left: str, right: str) -> bool:
    return re.sub(r"[-_.]+", "-", left).lower() == re.sub(r"[-_.]+", "-", right).lower()


def wheel_stem(name: str) -> tuple[str, str] | None:
    """Return (name, version) of a wheel's file stem, None for what is none.

    In source folders this stem is the name of the symlink to the archive
    (facts section 2: "the file name is parsed as the wheel name").
    """
    parts = name.split("-")
    if len(parts) not in (5, 6) or not parts[1][:1].isdigit():
        return None
    return parts[0], parts[1]
