"""Load a policy: find it, trust it, and have it checked (``parsing``), or recall that it was."""

from __future__ import annotations

import os

from cacheadmin.errors import NotACache, PolicyInvalid
from cacheadmin.policy.compiled_policies import CompiledFile
from cacheadmin.policy.loaded import LoadedPolicy, origins_of
from cacheadmin.policy.location import default_cache, policy_path
from cacheadmin.policy.trust import others_can_read, read_trusted
from cacheadmin.rights.acting import act_as, acting_account

# What the policy is called that is in force where none is named.
_BUILT_IN = "default"


def load_policy(
    argument: str | None, *, insecure: bool = False, recall: bool = False
) -> LoadedPolicy:
    """Load the policy a command line names, and act from now on as its ``run_as`` says.

    None stands for the built-in policy on the caller's own cache, and ``default`` too, where
    no file has that name. With ``recall`` its values may come from what is remembered of the
    very same content, then without the model's class and what is said of audits. Raises
    PolicyInvalid, NotACache (no such policy), NotPermitted.
    """
    loaded = read_policy(argument, insecure=insecure, recall=recall)
    act_as(loaded.policy.run_as)
    return loaded


def read_policy(
    argument: str | None, *, insecure: bool = False, recall: bool = False
) -> LoadedPolicy:
    """Load a policy as ``load_policy``, and act as before."""
    try:
        path = None if argument is None else policy_path(argument, os.environ)
    except NotACache:
        if argument != _BUILT_IN:
            raise
        path = None
    # Root that acts as an account believes its files, but not what it acts as next.
    recall = recall and not insecure and acting_account() is None
    if path is None:
        return _built_in(recall)
    content = read_trusted(path, insecure=insecure)
    if not recall:
        return _parsed(content, path)

    file = CompiledFile(path, content)
    found = file.read()
    if found is not None:
        return LoadedPolicy(found.policy, path, origins_of(path, found.positions), found.positions)
    loaded = _parsed(content, path)
    file.write(loaded.policy, loaded.positions)
    return loaded


def _built_in(recall: bool) -> LoadedPolicy:
    cache = default_cache(os.environ)
    file = CompiledFile(f"{_BUILT_IN}\0{cache}", b"") if recall else None
    found = file and file.read()
    if found:
        return LoadedPolicy(found.policy, None, {})

    from cacheadmin.policy.parser import built_in_policy

    policy = built_in_policy(_BUILT_IN, cache)
    if file is not None:
        file.write(policy, {})
    return LoadedPolicy(policy, None, {})


def _parsed(content: bytes, path: str) -> LoadedPolicy:
    from cacheadmin.policy.parser import parse_policy

    loaded = parse_policy(content, path)
    if loaded.policy.notify.urls and others_can_read(path):
        position = loaded.positions.get("notify.urls", (1, 1))
        raise PolicyInvalid(
            f"{path}:{position[0]}:{position[1]}: notify.urls: others can read this file, and "
            "such URLs hold passwords",
            hint="make it 0600, or put the URLs into a file of its own with mode 0600 and name "
            "that by notify.file",
        )
    return loaded
