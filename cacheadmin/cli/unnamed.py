"""What to say when no policy was named, and the caller's own cache is none."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cacheadmin.errors import CacheadminError, NotACache
from cacheadmin.policy.location import default_cache, known_policies, policy_path
from cacheadmin.text.escapes import shell_command

_NAMED = 12
_GROUPS = ("runs", "venv", "pin", "policy", "uv")


def with_policies(error: NotACache, arguments: Sequence[str]) -> NotACache:
    """Return an error about the caller's own cache with the policies that could be named.

    Any other error is returned as it is.
    """
    try:
        own = default_cache(os.environ)
    except CacheadminError:
        own = ""
    words = [word for word in arguments if not word.startswith("-")]
    if not error.cache or error.cache != os.path.normpath(own) or _names_policy(words):
        return error
    looked = "no policy was named, so your own default cache was looked for"
    names = list(known_policies(os.environ))
    if not names:
        return NotACache(
            error.message,
            details=(*error.details, looked),
            hint="write a policy for another cache with `cacheadmin policy init`, "
            "or set UV_CACHE_DIR",
        )
    more = f", and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    call = shell_command(
        ["cacheadmin", *words[: 2 if words[:1] and words[0] in _GROUPS else 1], names[0]]
    )
    return NotACache(
        error.message,
        details=(*error.details, looked),
        hint=f"policies here: {', '.join(names[:_NAMED])}{more}; name one, as in `{call}`",
    )


def _names_policy(words: Sequence[str]) -> bool:
    for word in words[1:]:
        try:
            policy_path(word, os.environ)
        except CacheadminError:
            continue
        return True
    return False


def named_policy(arguments: Sequence[str]) -> str | None:
    """Return the word of a command line that names a policy; None where none does."""
    words = [word for word in arguments if not word.startswith("-")]
    for word in words[1:]:
        # Other words are paths, too: of environments, in the cache, of files to be written.
        if ("/" not in word or word.endswith((".yaml", ".yml"))) and _names_policy(["", word]):
            return word
    return None
