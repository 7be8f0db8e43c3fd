"""Archives: those that no counted link leads to go.

Which links count changed five times. None of these rules looks at what uv
installs by (the id in ``.http`` and ``.rev``), and none at environments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.simulate.behaviours import References
from cacheadmin.simulate.steps.prune import PruneFails, extension

if TYPE_CHECKING:
    from cacheadmin.simulate.steps.prune import PrunedRelease
    from cacheadmin.simulate.tree import FolderEntry, Tree

_NO_LINKS = frozenset({"lock", "whl", "http", "rev", "msgpack"})
_NOT_ENTERED = frozenset({"src", ".lock", ".gitignore"})


def remove_unreferenced_archives(tree: Tree, release: PrunedRelease) -> None:
    """Source: crates/uv-cache/src/lib.rs `prune`, `find_archive_references`."""
    bucket = release.path(tree, "archive")
    if bucket is None:
        return
    counted = {archive for _, archive in references(tree, release)}
    for entry in tree.entries(bucket) or ():
        real = tree.canonicalize(entry.path)
        if real is None:
            raise PruneFails(f"{entry.path} leads nowhere")
        if real not in counted:
            tree.remove(real if release.behaviour.follows_links_out else entry.path)


def references(tree: Tree, release: PrunedRelease) -> Iterator[tuple[str, str]]:
    """Yield (link, what it resolves to) for everything that a release counts as a reference."""
    rule = release.behaviour.references
    for kind, name in release.buckets.items():
        bucket = f"{tree.root}/{name}"
        if not _counts(rule, kind) or not tree.is_folder(bucket):
            continue
        if kind == "python" and release.behaviour.python_is_strange:
            continue
        skip = _is_left_out if rule is References.SOURCES_AND_WHEELS else None
        for entry in tree.walk(bucket, skip):
            if not _may_refer(rule, kind, entry):
                continue
            real = tree.canonicalize(entry.path)
            if real is not None:
                yield entry.path, real
            elif release.behaviour.fails_on_dangling_pointers:
                raise PruneFails(f"{entry.path} leads nowhere (fails before 0.2.28)")


def _counts(rule: References, kind: str) -> bool:
    if rule is References.SOURCES_AND_WHEELS:
        return kind in ("sdists", "wheels")
    return kind != "archive" or rule is not References.ALL_BUT_ARCHIVES


def _may_refer(rule: References, kind: str, entry: FolderEntry) -> bool:
    """Whether an entry counts as a reference, by its type and name.

    From 0.6.0 to 0.7.8 the type was not looked at; a file or folder resolves
    to itself then, which is an archive only inside the archive bucket.
    """
    if rule in (References.EVERY_LINK, References.SOURCES_AND_WHEELS):
        return entry.is_link
    if not entry.is_link and kind != "archive":
        return False
    if rule is References.ALL_BUT_ARCHIVES:
        return extension(entry.name) not in _NO_LINKS
    if extension(entry.name) == "lock":
        return False
    if rule is References.LAST_PART_WITHOUT_DOT and kind == "wheels":
        _, dash, last = entry.name.rpartition("-")
        return bool(dash) and "." not in last
    return is_wheel_stem(entry.name)


def is_wheel_stem(name: str) -> bool:
    """Whether uv takes a name for a wheel's without its ending.

    Five or six parts; a valid name, version and build tag.
    Source: crates/uv-distribution-filename/src/wheel.rs `from_stem`.
    """
    from packaging.version import InvalidVersion, Version

    parts = name.split("-")
    if len(parts) not in (5, 6) or extension(name) == "whl":
        return False
    package = parts[0]
    letters = package.replace("_", "").replace(".", "")
    if not (letters.isascii() and letters.isalnum() and package[0].isalnum()):
        return False
    if not package[-1].isalnum() or (len(parts) == 6 and not parts[2][:1].isdigit()):
        return False
    try:
        Version(parts[1])
    except InvalidVersion:
        return False
    return True


def _is_left_out(entry: FolderEntry) -> bool:
    return entry.name in _NOT_ENTERED or extension(entry.name) in _NO_LINKS
