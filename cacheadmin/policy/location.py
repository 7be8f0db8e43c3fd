"""Find a policy by path or bare name, and the cache of a user who has none."""

from __future__ import annotations

import os
from collections.abc import Mapping

from cacheadmin.errors import NotACache, NotPermitted

_SYSTEM_FOLDER = "/etc/cacheadmin/policies.d"


def policy_path(argument: str, environment: Mapping[str, str]) -> str:
    """Return the absolute path of a policy named on the command line.

    With a ``/`` or an ending ``.yaml`` it is a path; else a bare name, looked
    up in the folders of ``policy_folders`` and never in the current folder.
    Raises NotACache (66) with the places looked at, NotPermitted where it can't be told.
    """
    if "/" in argument or argument.endswith((".yaml", ".yml")):
        path = os.path.abspath(argument)
        if not _is_there(path):
            raise NotACache(f"no such policy: {argument}")
        return path
    folders = policy_folders(environment)
    for folder in folders:
        path = os.path.join(folder, f"{argument}.yaml")
        if _is_there(path):
            return path
    raise NotACache(
        f"no policy is named {argument}",
        details=tuple(f"looked for {folder}/{argument}.yaml" for folder in folders),
        hint="name a file by its path, or write one with `cacheadmin policy init`",
    )


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        # A folder that is closed, or a disk that fails: the next place is not meant.
        raise NotPermitted(f"the policy {path} can't be looked at: {error.strerror}") from None
    return True


def policy_folders(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the folders that bare names are looked up in, in order."""
    own = environment.get("CACHEADMIN_POLICY_DIR", "")
    user = _xdg(environment, "XDG_CONFIG_HOME", ".config")
    folders = (own, f"{user}/cacheadmin" if user else "", _SYSTEM_FOLDER)
    # A relative folder would make the current one configuration.
    return tuple(folder for folder in folders if folder.startswith("/"))


def known_policies(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the policies that can be named: bare name to path, in the order of the names.

    A folder that can't be read has none.
    """
    found: dict[str, str] = {}
    for folder in policy_folders(environment):
        try:
            names = os.listdir(folder)
        except OSError:
            continue
        for name in names:
            if name.endswith(".yaml") and not name.startswith("."):
                found.setdefault(name.removesuffix(".yaml"), os.path.join(folder, name))
    return dict(sorted(found.items()))


def is_folder(argument: str) -> bool:
    """Whether an argument names a folder of policies.

    A bare name is a policy's, whatever lies in the current folder.
    """
    return ("/" in argument or argument in (".", "..")) and os.path.isdir(argument)


def policies_of(argument: str, environment: Mapping[str, str]) -> list[str]:
    """Return the absolute paths of the policies an argument stands for.

    A folder stands for every ``*.yaml`` in it. What can't be found is
    returned as it was named, to fail when it is loaded. Raises NotPermitted
    for a folder that can't be read, NotACache for one without policies.
    """
    if not is_folder(argument):
        try:
            return [policy_path(argument, environment)]
        except (NotACache, NotPermitted):
            return [argument]
    folder = os.path.abspath(argument)
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise NotPermitted(f"the folder {folder} can't be read: {error.strerror}") from None
    found = sorted(name for name in names if name.endswith(".yaml") and not name.startswith("."))
    if not found:
        raise NotACache(f"no policy (*.yaml) lies in {folder}")
    return [os.path.join(folder, name) for name in found]


def default_cache(environment: Mapping[str, str]) -> str:
    """Return the caller's own default cache, as uv finds it without configuration."""
    named = environment.get("UV_CACHE_DIR", "")
    if named:
        return os.path.abspath(named)
    base = _xdg(environment, "XDG_CACHE_HOME", ".cache")
    if not base:
        raise NotACache(
            "no policy is named, and there is no home folder to look for a cache in",
            hint="name a policy, or set UV_CACHE_DIR",
        )
    return f"{base}/uv"


def _xdg(environment: Mapping[str, str], variable: str, below_home: str) -> str:
    named = environment.get(variable, "")
    if named.startswith("/"):
        return named.rstrip("/")
    home = os.path.expanduser("~")
    return f"{home.rstrip('/')}/{below_home}" if home.startswith("/") else ""
