"""Tell what sort of environment a folder is, without reading a file's content."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.owners import owner_by_name, owner_of_link
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import failure
from cacheadmin.readers import Question
from cacheadmin.values import frozen

_LIBRARIES = ("lib", "lib64", "local/lib")
_PYTHONS = ("python", "pypy", "graalpy")

# The largest folders of packages have some thousand.
_MOST_NAMES = 20_000

_DIST_INFO = ".dist-info"

INTO_A_CACHE = re.compile(r"/(?:archive|environments|builds)-v[0-9]+/[^/]")

# Entries looked at for a link into a cache.
_MAX_ENTRIES = 5_000


@frozen
class NamedFolder:
    """A folder that an account names, which may not be its owner."""

    path: str
    """Its absolute path."""
    uid: int | None = None
    """The account that names it; None where no account does."""


def folder_kind(named: NamedFolder) -> EnvironmentKind | None:
    """Return what sort of environment a folder is, as ``kind_of``; for readers to be asked."""
    return kind_of(named.path)


def folder_identity(named: NamedFolder) -> tuple[int, int] | None:
    """Return device and inode of a folder, links followed; None for one that is gone, or closed."""
    try:
        status = os.stat(named.path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def own_place(named: NamedFolder) -> str | None:
    """Return where a folder really is, without links on the way; None where there is none.

    One that can't be looked at is searched, and fails.
    """
    return resolve(named.path) if may_be_folder(named.path) else None


def who_names(named: NamedFolder) -> int | None:
    """Return who names a folder, else its owner. Raises OSError."""
    return named.uid if named.uid is not None else owner_of_link(named.path)


def probably_names(named: NamedFolder) -> int | None:
    """Return the same as far as the path tells."""
    return named.uid if named.uid is not None else owner_by_name(named.path)


def is_present(named: NamedFolder) -> bool:
    """Whether anything has a name; for readers to be asked."""
    return os.path.lexists(named.path)


def closed_if_nothing(named: NamedFolder, parts: Sequence[object]) -> Iterable[str]:
    """Return the folder that was asked for, where nothing was seen of it."""
    return () if parts and parts[0] is not None else (named.path,)


def what_is_something(before: Sequence[object], after: Sequence[object]) -> Sequence[object]:
    """Return the later answer, where it is one."""
    return after if after and after[0] is not None else before


KIND: Question[NamedFolder, EnvironmentKind | None] = Question(
    folder_kind,
    EnvironmentKind | None,
    whose=who_names,
    blame=probably_names,
    together=64,
    closed=closed_if_nothing,
    merged=what_is_something,
)

IDENTITY: Question[NamedFolder, tuple[int, int] | None] = Question(
    folder_identity,
    tuple[int, int] | None,
    whose=who_names,
    blame=probably_names,
    together=256,
    closed=closed_if_nothing,
    merged=what_is_something,
)

PRESENT: Question[NamedFolder, bool] = Question(
    is_present,
    bool,
    whose=who_names,
    blame=probably_names,
    together=256,
)


def kind_of(path: str) -> EnvironmentKind | None:
    """Return what sort of environment a folder is; None when it is none, or is closed to us.

    One that lost all that marks it still is one when it links into some cache,
    in itself or in one of its folders.
    """
    if os.path.lexists(f"{path}/uv-receipt.toml"):
        return EnvironmentKind.TOOL
    if os.path.lexists(f"{path}/pyvenv.cfg"):
        return EnvironmentKind.VENV
    try:
        names = os.listdir(path)
    except OSError:
        return None
    if any(name.endswith(_DIST_INFO) for name in names):
        return EnvironmentKind.TARGET
    kinds = set(_installations(path))
    if kinds:
        whole = EnvironmentKind.PYTHON in kinds
        return EnvironmentKind.PYTHON if whole else EnvironmentKind.PREFIX
    return EnvironmentKind.TARGET if _links_into_a_cache(path) else None


def holds_distributions(path: str) -> bool:
    """Whether packages are installed into a folder itself; False for one that can't be listed.

    So may they be into one of very many names, which a scan looks at on its owner's account.
    """
    try:
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries):
                if number == _MOST_NAMES or entry.name.endswith(_DIST_INFO):
                    return True
    except (OSError, ValueError):
        pass
    return False


def is_closed(path: str) -> bool:
    """Whether rights, or the disk, keep us from listing a folder, or from looking at what it lists.

    False for what is no folder, or is gone.
    """
    try:
        os.listdir(path)
        os.lstat(f"{path}/.")
    except OSError as error:
        return not failure(path, error).missing
    return False


def _installations(path: str) -> Iterator[EnvironmentKind]:
    """Yield what each folder of packages below says: a Python's own, or one of a ``--prefix``."""
    for library in _LIBRARIES:
        base = f"{path}/{library}"
        for name in _names(base):
            if not name.startswith(_PYTHONS):
                continue
            # Debian keeps the Python whose packages these are in another place.
            if os.path.isdir(f"{base}/{name}/dist-packages"):
                yield EnvironmentKind.PYTHON
            elif os.path.isdir(f"{base}/{name}/site-packages"):
                own = os.path.lexists(f"{base}/{name}/os.py")
                yield EnvironmentKind.PYTHON if own else EnvironmentKind.PREFIX


def _links_into_a_cache(path: str) -> bool:
    left = _MAX_ENTRIES
    waiting = [(path, 0)]
    while waiting:
        folder, depth = waiting.pop(0)
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    left -= 1
                    if left < 0:
                        return False
                    if entry.is_symlink():
                        if INTO_A_CACHE.search(os.readlink(entry.path)):
                            return True
                    elif depth == 0 and entry.is_dir(follow_symlinks=False):
                        waiting.append((entry.path, 1))
        except OSError:
            continue
    return False


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
