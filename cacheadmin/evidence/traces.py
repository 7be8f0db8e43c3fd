"""Which accounts left traces in a cache: owners of what lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Look


def accounts_with_traces(look: Look) -> frozenset[int]:
    """Return the uids that own archives, pointers, records, or temporary folders.

    So do those that registered an environment, or had one when it was last
    seen. Files that anybody may own (locks) tell as little as the root folder.
    """
    inventory = look.inventory
    uids = {archive.uid for archive in inventory.archives.values()}
    uids |= {write.uid for bucket in inventory.buckets for write in bucket.writes}
    uids |= {build.uid for build in inventory.builds}
    uids |= {environment.uid for environment in inventory.environments}
    uids |= {stray.uid for stray in inventory.strays}
    uids |= {one.registrant for one in look.found if one.registrant is not None}
    uids |= {memory.uid for memory in look.remembered if memory.uid is not None}
    return frozenset(uid for uid in uids if uid >= 0)
