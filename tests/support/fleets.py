"""What a fleet of hosts tells of one cache, without the hosts: observations in a state.

told_by(url, cache, 200, environments=50)    # all at once, each in a session of its own
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.observations import Observation, ObservedUse, Reach
from cacheadmin.hosts.observation_store import HostsTable
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.state.store import open_state


def name_of(number: int) -> str:
    """Return the name of one host of a fleet, as ``node[001-200]`` has it."""
    return f"node{number:03d}"


def observation(number: int, archives: list[str], environments: int) -> Observation:
    """Return what one host tells: environments that use the cache's archives by turns."""
    uses = tuple(
        ObservedUse(
            f"/home/user{one}/proj{one}/.venv",
            1000 + one,
            tuple(archives[(number + one + step) % len(archives)] for step in range(10)),
        )
        for one in range(environments)
        if archives
    )
    return Observation(
        host=name_of(number),
        boot=f"boot-{number}",
        at_ns=time.time_ns(),
        uid=0,
        version="0.1.0",
        reach=Reach("/shared/cache", "nfs4", "server:/srv", "/shared", ("rw",), read_only=False),
        uses=uses,
        releases=(),
        gaps=(),
        environments=environments,
    )


def told_by(url: str, cache: Path, hosts: int, *, environments: int = 50) -> list[str]:
    """Have so many hosts tell at the same moment; return what went wrong, a line each."""
    archives = sorted(f"archive-v0/{one.name}" for one in (cache / "archive-v0").iterdir())
    together = threading.Barrier(hosts)
    problems: list[str] = []
    with open_cache(str(cache)) as opened:

        def tell(number: int) -> None:
            table = HostsTable(open_state(url, cache=opened.identity), opened)
            one = observation(number, archives, environments)
            together.wait()
            try:
                table.write(one)
            except CacheadminError as error:
                problems.append(f"{one.host}: {error.message}")

        threads = [threading.Thread(target=tell, args=(number + 1,)) for number in range(hosts)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return problems
