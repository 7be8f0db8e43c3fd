"""Which uv releases are in use, and by whom: traces with a date each.

Nothing is ever run to find out. An environment names the release that made
it; an installed uv its own; a running uv may be told by metadata beside it;
and whoever wrote to a version bucket used one of that bucket's releases. A
trace counts for ``uv.active_within`` after its date; the planner decides.
"""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind, ReleaseTrace
from cacheadmin.fs.reading import ReadFailure, read_file
from cacheadmin.uv.executables import Executable, executables_in_home, system_executables
from cacheadmin.uv.releases import parse_release

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Environment, Process
    from cacheadmin.inventory.entries import Inventory

# The first release with archive ids of so many characters.
_FIRST_WITH = {16: (0, 11, 9), 24: (0, 12, 7)}

_RECEIPT_BYTES = 256 * 1024


def collect_releases(
    inventory: Inventory,
    environments: Iterable[Environment],
    processes: Iterable[Process],
    now_ns: int,
) -> tuple[ReleaseTrace, ...]:
    """Return every trace found, exact releases first."""
    environments = tuple(environments)
    owners = {e.uid for e in environments if e.uid is not None and e.uid >= 0}
    owners |= {write.uid for bucket in inventory.buckets for write in bucket.writes}
    traces = [
        *_environments(environments),
        *_later_releases(environments),
        *_installed(environments),
        *_executables(owners),
        *_receipts(owners),
        *_running(processes, now_ns),
        *_bucket_writes(inventory),
    ]
    return tuple(dict.fromkeys(traces))


def _environments(environments: Iterable[Environment]) -> Iterator[ReleaseTrace]:
    for environment in environments:
        version = environment.uv_version
        if version is None or parse_release(version) is None or not environment.changed_ns:
            continue
        cached = environment.kind is EnvironmentKind.CACHED
        what = "a cached environment" if cached else "an environment"
        yield ReleaseTrace(
            environment.uid,
            version,
            None,
            f"{what} made with it",
            environment.path,
            environment.changed_ns,
        )


def _later_releases(environments: Iterable[Environment]) -> Iterator[ReleaseTrace]:
    """Tell of later releases than the one that made an environment, by what they leave.

    Archive ids have had 16 characters instead of 21 since 0.11.9 (facts
    section 2), and 24 with a preview of 0.12.7 and later: a link with such an id
    in an older environment was made later.
    """
    for environment in environments:
        made_by = parse_release(environment.uv_version or "")
        lengths = {len(archive) for archive in environment.archives}
        later = max((_FIRST_WITH[n] for n in lengths & _FIRST_WITH.keys()), default=None)
        if later and made_by is not None and made_by < later and environment.changed_ns:
            yield ReleaseTrace(
                environment.uid,
                None,
                None,
                "its links are of a later release than made it",
                environment.path,
                environment.changed_ns,
                at_least=".".join(map(str, later)),
            )


def _executables(uids: Iterable[int]) -> Iterator[ReleaseTrace]:
    """Look for uv in the usual places of homes, and for one that everybody can run."""
    for uid, home in _homes(uids):
        for found in executables_in_home(home):
            yield _program(uid, found, "an executable in their home")
    for found in system_executables():
        yield _program(None, found, "an executable for everybody on this host")


def _homes(uids: Iterable[int]) -> Iterator[tuple[int, str]]:
    for uid in sorted(uids):
        try:
            yield uid, pwd.getpwuid(uid).pw_dir
        except (KeyError, OverflowError):
            continue


def _program(uid: int | None, found: Executable, what: str) -> ReleaseTrace:
    return ReleaseTrace(
        uid, found.version, None, what, found.path, found.installed_ns, is_program=True
    )


def _installed(environments: Iterable[Environment]) -> Iterator[ReleaseTrace]:
    for environment in environments:
        for uv in environment.installed_uv:
            if parse_release(uv.version) is not None:
                yield ReleaseTrace(
                    uv.uid,
                    uv.version,
                    None,
                    "it is installed there",
                    uv.path,
                    uv.installed_ns,
                    is_program=True,
                )


def _receipts(uids: Iterable[int]) -> Iterator[ReleaseTrace]:
    """Read the receipts that uv's standalone installer leaves in users' homes."""
    for uid, home in _homes(uids):
        path = f"{home}/.config/uv/uv-receipt.json"
        content = read_file(path, _RECEIPT_BYTES)
        if isinstance(content, ReadFailure):
            continue
        version = receipt_version(content)
        if version is not None:
            try:
                moment = os.lstat(path).st_mtime_ns
            except OSError:
                continue
            yield ReleaseTrace(uid, version, None, "its installer's receipt", path, moment)


def receipt_version(content: bytes) -> str | None:
    """Return the release an installer receipt names; None for anything else."""
    try:
        receipt = json.loads(content)
    except (ValueError, RecursionError):
        return None
    version = receipt.get("version") if isinstance(receipt, dict) else None
    return version if isinstance(version, str) and parse_release(version) is not None else None


def _running(processes: Iterable[Process], now_ns: int) -> Iterator[ReleaseTrace]:
    for process in processes:
        if process.is_uv and process.uv_version is not None:
            yield ReleaseTrace(
                process.uid,
                process.uv_version,
                None,
                f"process {process.pid} runs it",
                f"/proc/{process.pid}",
                now_ns,
            )


def _bucket_writes(inventory: Inventory) -> Iterator[ReleaseTrace]:
    for bucket in inventory.buckets:
        for write in bucket.writes:
            yield ReleaseTrace(
                write.uid,
                None,
                bucket.name,
                f"wrote to {bucket.name}",
                f"{inventory.cache.path}/{bucket.name}",
                write.written_ns,
            )
