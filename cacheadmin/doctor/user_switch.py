"""How root starts a script as the user it is for.

``su`` gives a user their own settings. It knows no number without an account:
a container's user, or one who has left. ``setpriv`` becomes any number; which
groups such a user has no user here knows, so it gets that of the cache, without
which it could not write there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache


def become_words(uid: int, cache: OpenCache) -> str:
    """Return the command by which root runs a script that it is given on standard input."""
    name = account_name(uid)
    if not name.startswith("uid "):
        return f"su - {shell_word(name)} -s /bin/sh -c 'exec sh -s'"
    gid = os.fstat(cache.fd).st_gid
    return (
        f"setpriv --reuid={uid} --regid={gid} --clear-groups --inh-caps=-all "
        "env -i -C / PATH=/usr/local/bin:/usr/bin:/bin HOME=/nonexistent sh -s"
    )
