"""Is it safe to have a user's script work on a path? Only if no other user can change it.

A script is run by the owner of an environment, with that owner's rights. uv
runs the environment's interpreter, reads ``uv.toml`` and ``pyproject.toml`` of
the folders above, and may build the project. A user who can put another folder
in the environment's place would have their code run by another user: an
environment ends up in a script only if everything above it belongs to root or
its owner, and can't be written by every user.

A folder that a group may write to is accepted: its owner gave the group that
right, and runs what lies there every day. A sticky folder (``/tmp``) lets
no user replace what is not theirs; the script itself looks for files that
strangers may have put there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping
from urllib.parse import unquote_to_bytes, urlsplit

_MAX_LINKS = 40


def why_unsafe(
    path: str, folder: str, uid: int, parts: Iterable[str] = (), trusted: Collection[int] = ()
) -> str:
    """Return what speaks against a script, in words; "" when nothing does.

    ``path`` (the environment) and ``folder`` (where commands run) have no links
    on the way. ``parts`` are folders and files of the environment that decide
    what is run and installed. ``trusted`` are further uids whose folders are
    accepted above.
    """
    try:
        return _first_doubt(path, folder, uid, {0, uid, *trusted}) or _foreign_part(parts, uid)
    except OSError as error:
        return f"it can't be looked at: {error.strerror}"


def why_source_unsafe(origin: Mapping[str, object] | None, uid: int) -> str:
    """Return what speaks against installing again from a file or folder; "" when nothing does.

    ``origin`` is what ``direct_url.json`` says. A wheel that once lay in /tmp
    may be another user's by now, or be made by one before the script runs.
    """
    path = str(origin.get("url")) if origin else ""
    try:
        url = urlsplit(path)
        if url.scheme != "file":
            return ""
        path = os.fsdecode(unquote_to_bytes(url.path))
        doubt = _doubt_about_source(path, {0, uid})
    except OSError as error:
        doubt = f"it can't be looked at: {error.strerror}"
    except ValueError:
        doubt = "it is no path"
    return f"a package comes from {path}: {doubt}" if doubt else ""


def _doubt_about_source(path: str, friends: Collection[int]) -> str:
    here, waiting, steps = "/", path.split("/"), 0
    while waiting:
        name = waiting.pop(0)
        if name in ("", "."):
            continue
        doubt = _doubt_about(here, friends)
        if doubt:
            return doubt
        step = os.path.dirname(here) if name == ".." else os.path.join(here, name)
        try:
            status = os.lstat(step)
        except FileNotFoundError:
            open_to_all = _all_may_write(os.lstat(here))
            return f"{step} is not there, and every user may put it there" if open_to_all else ""
        if status.st_uid not in friends:
            return f"{step} belongs to uid {status.st_uid}"
        if not stat.S_ISLNK(status.st_mode):
            here = step
            continue
        steps += 1
        if steps > _MAX_LINKS:
            return "too many links lead there"
        target = os.readlink(step)
        waiting = target.split("/") + waiting
        here = "/" if target.startswith("/") else here
    return f"every user may write to {here}" if _all_may_write(os.lstat(here)) else ""


def _first_doubt(path: str, folder: str, uid: int, friends: Collection[int]) -> str:
    own = os.lstat(path)
    if own.st_uid != uid:
        return f"it belongs to uid {own.st_uid}"
    if _all_may_write(own):
        return "every user may write to it"
    for above in dict.fromkeys((*_above(path), folder, *_above(folder))):
        doubt = _doubt_about(above, friends)
        if doubt:
            return doubt
    for name in ("pyproject.toml", "uv.lock", "uv.toml"):
        owner = _owner(f"{folder}/{name}")
        if owner is not None and owner not in (0, uid):
            return f"{folder}/{name} belongs to uid {owner}"
    return ""


def _doubt_about(folder: str, friends: Collection[int]) -> str:
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is a link, or no folder"
    if status.st_uid not in friends:
        return f"it lies in {folder}, which belongs to uid {status.st_uid}"
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return f"it lies in {folder}, where every user may write"
    return ""


def _foreign_part(parts: Iterable[str], uid: int) -> str:
    for part in parts:
        try:
            status = os.lstat(part)
        except FileNotFoundError:
            continue
        if status.st_uid not in (0, uid):
            return f"{part} belongs to uid {status.st_uid}"
        if _all_may_write(status):
            return f"every user may write to {part}"
    return ""


def _all_may_write(status: os.stat_result) -> bool:
    return not stat.S_ISLNK(status.st_mode) and bool(status.st_mode & stat.S_IWOTH)


def _above(path: str) -> list[str]:
    folders = []
    while path != "/":
        path = os.path.dirname(path)
        folders.append(path)
    return folders


def _owner(path: str) -> int | None:
    try:
        return os.lstat(path).st_uid
    except FileNotFoundError:
        return None
