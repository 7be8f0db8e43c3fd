"""Paths that files in a package folder add to ``sys.path``: ``*.pth`` and their kin.

Literal text only: nothing is run. A line of a ``*.pth`` is a path, or Python
that begins with ``import``; paths in such code stand between quotes (uv's
overlays, finders of editable installs, a site's ``sitecustomize.py``). What
looks like a path and is none does no harm: it leads nowhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from cacheadmin.fs.small_files import ReadFailure, open_file, read_file, read_linked_file

# Real ones have a few lines; finders of editable installs a few kilobytes.
_MAX_BYTES = 256 * 1024
_MAX_PATHS = 1_000

# What tells text from the rest.
_BEGINNING = 4096

# What Python imports at its start, where it is there.
_CUSTOMIZE = frozenset({"sitecustomize.py", "usercustomize.py"})

_QUOTED = re.compile(r"'([^'\n]*/[^'\n]*)'|\"([^\"\n]*/[^\"\n]*)\"")
_CODE = re.compile(r"import[ \t]")


def names_paths(name: str) -> bool:
    """Whether a file of that name in a package folder may name paths."""
    if name.endswith((".pth", ".egg-link")) or name in _CUSTOMIZE:
        return True
    return name.startswith("__editable__") and name.endswith(".py")


def named_paths(path: str, *, linked: bool) -> list[str] | ReadFailure:
    """Return the paths a file names, as it spells them; ``linked`` where it is a link."""
    content = (read_linked_file if linked else read_file)(path, _MAX_BYTES)
    if isinstance(content, ReadFailure):
        # PyTorch calls the weights of a model `model.pth`, too.
        return [] if _is_large_and_binary(path) else content
    found: list[str] = []
    for one in _paths_in(os.fsdecode(content), code=path.endswith(".py")):
        if len(found) == _MAX_PATHS:
            return ReadFailure(path, f"it names more than {_MAX_PATHS} paths")
        found.append(one)
    return found


def _is_large_and_binary(path: str) -> bool:
    opened = open_file(path)
    if isinstance(opened, ReadFailure):
        return False
    fd, status = opened
    try:
        return status.st_size > _MAX_BYTES and b"\0" in os.read(fd, _BEGINNING)
    except OSError:
        return False
    finally:
        os.close(fd)


def _paths_in(text: str, *, code: bool) -> Iterator[str]:
    for line in text.removeprefix("\ufeff").splitlines():
        if code or _CODE.match(line):
            for single, double in _QUOTED.findall(line):
                # Code that takes paths apart has a lone `/`; no packages lie in the root.
                if (text := single or double).strip("/"):
                    yield text
        elif line.strip() and not line.startswith("#") and "\0" not in line:
            yield line.rstrip()
