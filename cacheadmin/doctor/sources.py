"""What to ask uv for so that it installs the very same distribution again. Pure.

The version is known from the ``*.dist-info`` folder, the place it came from
from ``direct_url.json`` (PEP 610). Both are the owner's to write, so neither
may become anything but one requirement: no option, no marker, no variable.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from cacheadmin.doctor.damage import Damaged

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*", re.ASCII)
_SCHEMES = frozenset({"http", "https", "file", "ssh", "git"})
_VERSION_CONTROL = frozenset({"git"})
_COMMIT = re.compile(r"[0-9a-fA-F]{7,64}", re.ASCII)


def requirement_of(one: Damaged) -> tuple[str, ...]:
    """Return the arguments that name a distribution exactly (``six==1.16.0``, ``-e URL``).

    Empty where it can't be named with certainty: a name that is none, or an
    origin of a kind that uv does not know.
    """
    if not _NAME.fullmatch(one.name):
        return ()
    if one.origin is None:
        return (f"{one.name}=={one.version}",) if _VERSION.fullmatch(one.version) else ()
    url = _url(one.origin.get("url"))
    directory = one.origin.get("dir_info")
    if url and isinstance(directory, dict) and directory.get("editable") is True:
        return ("-e", url)
    url = _within(_at_commit(url, one.origin.get("vcs_info")), one.origin.get("subdirectory"))
    return (f"{one.name} @ {url}",) if url else ()


def _at_commit(url: str, control: object) -> str:
    """Return the URL of one commit; the URL itself where no version control is named."""
    if not url or not isinstance(control, dict):
        return url
    kind, commit = control.get("vcs"), str(control.get("commit_id"))
    known = kind in _VERSION_CONTROL and _COMMIT.fullmatch(commit)
    return f"{kind}+{url}@{commit}" if known else ""


def _within(url: str, folder: object) -> str:
    """Return the URL of a folder in what the URL names."""
    if not url or not folder:
        return url
    plain = isinstance(folder, str) and re.fullmatch(r"[A-Za-z0-9._/-]+", folder)
    return f"{url}#subdirectory={folder}" if plain else ""


def _url(value: object) -> str:
    """Return a URL that is one word and expands to nothing else; "" for any other."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return ""
    if any(character in value for character in " ;#\\\"'`"):
        return ""
    try:
        scheme = urlsplit(value).scheme
    except ValueError:
        return ""
    # uv expands ${NAME} in requirements.
    return value.replace("$", "%24") if scheme in _SCHEMES else ""
