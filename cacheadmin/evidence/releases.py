"""Which uv releases are in use, and by whom: traces with a date each.

Nothing is ever run to find out. An environment names the release that made
it; an installed uv its own; a running uv may be told by metadata beside it;
and the user who wrote to a version bucket used one of that bucket's releases. A
trace counts for ``uv.active_within`` after its date; the planner decides.
"""

from __future__ import annotations

import json
import pwd
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.release_trace import ReleaseTrace
from cacheadmin.fs.small_files import ReadFailure, read_file_and_status
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.uv.executables import Executable, executables_in_home, system_executables
from cacheadmin.uv.releases import parse_release
from cacheadmin.values import frozen

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
    readers: Readers,
) -> tuple[ReleaseTrace, ...]:
    """Return every trace found, exact releases first."""
    environments = tuple(environments)
    owners = {e.uid for e in environments if e.uid is not None and e.uid >= 0}
    owners |= {write.uid for bucket in inventory.buckets for write in bucket.writes}
    traces = [
        *_environments(environments),
        *_later_releases(environments),
        *_installed(environments),
        *_in_homes(owners, inventory, now_ns, readers),
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
        lengths = set(map(len, environment.archives))
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


@frozen
class HomeFolder:
    """Where a uv may be installed: an account's home, or the places for every user."""

    uid: int | None
    """The account; None for every user."""
    path: str
    """Its home folder; empty for every user."""


def read_home(home: HomeFolder) -> tuple[ReleaseTrace, ...]:
    """Return what uv is installed in a home, or for every user; for readers to be asked."""
    if home.uid is None:
        words = "an executable for all users of this host"
        return tuple(_program(None, found, words) for found in system_executables())
    found = executables_in_home(home.path)
    programs = [_program(home.uid, one, "an executable in their home") for one in found]
    return (*programs, *_receipt(home.uid, home.path))


def _owner(home: HomeFolder) -> int | None:
    return home.uid


def _closed(home: HomeFolder, _parts: Sequence[object]) -> Iterable[str]:
    return (home.path,) if home.path else ()


HOME: Question[HomeFolder, tuple[ReleaseTrace, ...]] = Question(
    read_home, tuple[ReleaseTrace, ...], blame=_owner, together=8, closed=_closed
)


def _in_homes(
    uids: Iterable[int], inventory: Inventory, now_ns: int, readers: Readers
) -> Iterator[ReleaseTrace]:
    """Look for uv in the usual places of homes, and for one that every user can run."""
    homes = [*(HomeFolder(uid, path) for uid, path in _homes(uids)), HomeFolder(None, "")]
    answers = readers.ask_all(HOME, homes)
    for home, answer in zip(homes, answers, strict=True):
        if not isinstance(answer, Unreadable):
            yield from answer
            continue
        # A release of any bucket may be installed there.
        why = f"their home could not be looked at ({answer.reason}): it may have any uv"
        for bucket in inventory.buckets:
            yield ReleaseTrace(home.uid, None, bucket.name, why, home.path, now_ns)


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


def _receipt(uid: int, home: str) -> Iterator[ReleaseTrace]:
    """Read the receipt that uv's standalone installer leaves in a home."""
    path = f"{home}/.config/uv/uv-receipt.json"
    read = read_file_and_status(path, _RECEIPT_BYTES)
    if isinstance(read, ReadFailure):
        return
    content, status = read
    version = receipt_version(content)
    if version is not None:
        yield ReleaseTrace(uid, version, None, "its installer's receipt", path, status.st_mtime_ns)


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
        if process.uv is not None and process.uv.version is not None:
            yield ReleaseTrace(
                process.uid,
                process.uv.version,
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
