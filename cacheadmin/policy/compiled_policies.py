"""What checking a policy came to, remembered beside the state.

It is found by everything it rests on: the content of the policy's file, which is
read and trusted each time as without it, the caller, this release, and the times
of its modules about policies. So no clock and no change of a file in place can
make it stale, and losing it costs a tenth of a second. What is damaged, foreign,
or could have been written by others is not used. A policy that was accepted in
spite of who could write it (--insecure-policy) is checked each time.
"""

from __future__ import annotations

import os
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgpack

import cacheadmin.policy
from cacheadmin import __version__
from cacheadmin.errors import CacheadminError
from cacheadmin.fs.atomic_file import write_atomically
from cacheadmin.fs.trusted_files import is_own_folder, read_own_file
from cacheadmin.policy import recalled
from cacheadmin.policy.state_place import default_url, sqlite_path
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.policy.model import Policy

_MAGIC = b"cacheadmin policy\n"
_SUM_BYTES = 16
_MAX_BYTES = 4 * 1024 * 1024
_FOLDER = "policies"

# Where the state is, as a policy says it in its usual form: told before it is parsed.
# Another form costs time, and no more.
_STATE = re.compile(rb"^state:[ \t]*[\"']?(sqlite:///[^\s\"'?#]+)", re.MULTILINE)


@frozen
class CompiledPolicy:
    """A policy as it was checked, and where its values stand."""

    policy: Policy
    """The effective policy."""
    positions: Mapping[str, tuple[int, int]]
    """(line, column) of each value, by dotted key."""


class CompiledFile:
    """The place of one policy's compiled form.

    ``name`` is the policy's path, or what else tells it from others; ``content``
    what was read of it, or what stands for that.
    """

    def __init__(self, name: str, content: bytes) -> None:
        said = _STATE.search(content)
        url = os.fsdecode(said[1]) if said else default_url()
        key = blake2b(os.fsencode(name), digest_size=10).hexdigest()
        folder = os.path.dirname(os.path.abspath(sqlite_path(url) or ""))
        self.path = os.path.join(folder, _FOLDER, f"{key}.{os.geteuid()}")
        """Where it is kept."""
        self._rests_on = blake2b(
            b"\0".join((os.fsencode(name), _model_times(), content)), digest_size=32
        ).digest()

    def read(self) -> CompiledPolicy | None:
        """Return what is remembered; None where that is nothing that holds today."""
        content = read_own_file(self.path, _MAX_BYTES)
        head = len(_MAGIC) + _SUM_BYTES
        if content is None or not content.startswith(_MAGIC) or content[-32:] != self._rests_on:
            return None
        body = content[head:]
        if _sum(body) != content[len(_MAGIC) : head]:
            return None
        try:
            policy, positions = msgpack.unpackb(
                body[:-32], raw=False, unicode_errors="surrogateescape"
            )
            return CompiledPolicy(
                recalled.from_plain(policy),
                {key: (line, column) for key, (line, column) in positions.items()},
            )
        except (msgpack.UnpackException, ValueError, TypeError, KeyError, RecursionError):
            return None

    def write(self, policy: Policy, positions: Mapping[str, tuple[int, int]]) -> None:
        """Remember a policy that was checked a moment ago, if that can be done."""
        try:
            plain: list[Any] = [recalled.to_plain(policy), dict(positions)]
            packed = msgpack.packb(plain, use_bin_type=True, unicode_errors="surrogateescape")
        except (recalled.NotPlainError, ValueError, OverflowError):
            return
        body = packed + self._rests_on
        if len(body) > _MAX_BYTES // 2:
            return
        try:
            folder = os.path.dirname(self.path)
            # As the state makes its own, whatever the umask.
            os.makedirs(os.path.dirname(folder), mode=0o755, exist_ok=True)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            # Where others can write, they could lead this to any folder of root's.
            if not (is_own_folder(os.path.dirname(folder)) and is_own_folder(folder)):
                return
            write_atomically(self.path, _MAGIC + _sum(body) + body, 0o600)
        except (OSError, CacheadminError):
            pass


def _sum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_SUM_BYTES).digest()


def _model_times() -> bytes:
    """Return what changes with the code that checks policies."""
    told = [__version__]
    with os.scandir(os.path.dirname(str(cacheadmin.policy.__file__))) as found:
        for entry in sorted(found, key=lambda one: one.name):
            if entry.name.endswith(".py"):
                status = entry.stat()
                told.append(f"{entry.name} {status.st_size} {status.st_mtime_ns}")
    return "\n".join(told).encode()
