"""What to ask uv for so that it installs the very same distribution again. Pure.

The version is known from the ``*.dist-info`` folder, the place it came from
from ``direct_url.json`` (PEP 610). Both are the owner's to write, so neither
may become anything but one requirement: no option, no marker, no variable.

Nor may a secret: uv before 0.8 writes the login of a URL into that file, and
what we print ends in mails, logs and process lists.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from cacheadmin.doctor.damage import Damaged

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[0-9][A-Za-z0-9.!+_-]*", re.ASCII)
_SCHEMES = frozenset({"http", "https", "file", "ssh", "git"})
_VERSION_CONTROL = frozenset({"git"})
_HASH = re.compile(r"sha(?:256|384|512)=[0-9a-f]+", re.ASCII)
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


def had_login(one: Damaged) -> bool:
    """Whether the URL that a distribution came from had a login, which is in no command."""
    if not requirement_of(one) or one.origin is None:
        return False
    found = urlsplit(str(one.origin.get("url")))
    return found.netloc != _host(found)


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
    mark = "&" if "#" in url else "#"
    return f"{url}{mark}subdirectory={folder}" if plain else ""


def _url(value: object) -> str:
    """Return a URL that is one word, holds no secret, and expands to nothing else; else "".

    A login is left out. A query may be one (signed URLs), and means nothing without.
    """
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return ""
    if any(character in value for character in ' ;\\"`'):
        return ""
    try:
        found = urlsplit(value)
    except ValueError:
        return ""
    # uv before 0.8 keeps the hash of a URL there.
    if found.query or (found.fragment and not _HASH.fullmatch(found.fragment)):
        return ""
    value = value.replace(f"//{found.netloc}", f"//{_host(found)}", 1)
    # uv expands ${NAME} in requirements.
    return value.replace("$", "%24") if found.scheme in _SCHEMES else ""


def _host(url: SplitResult) -> str:
    """Return where a URL leads: the host, with a user's name for ssh, without any password."""
    login, _, host = url.netloc.rpartition("@")
    user = login.partition(":")[0]
    return f"{user}@{host}" if user and url.scheme == "ssh" else host
