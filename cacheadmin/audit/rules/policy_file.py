"""Rights of what cacheadmin itself relies on: policy, state, quarantine, registry."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rights import other_writer, other_writers, writers_of_folders
from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity
from cacheadmin.fs.resolution import resolve
from cacheadmin.policy.quarantine_place import choose_quarantine
from cacheadmin.state.location import sqlite_path
from cacheadmin.text.escapes import shell_word

if TYPE_CHECKING:
    from cacheadmin.audit.rights import Writer
    from cacheadmin.audit.target import AuditTarget

_REGISTRY_MODE = 0o1777
_QUARANTINE = "quarantine"


class PolicyFile(Rule):
    """Other users can change what decides what root deletes, or what was moved aside."""

    id = "policy-file"
    severity = Severity.ERROR
    title = "Policy, state, quarantine or registry that others can change"
    rationale = (
        "The policy decides what is deleted, the state how long something was unused, quarantine "
        "holds what can come back, and the registry names who needs what: a user who can change "
        "one of them can make others lose their files."
    )
    fix = "chmod go-w it, and give it to root"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding a path and person; a folder above several of them once."""
        seen: set[str] = set()
        for what, path in self._own_paths(subject):
            try:
                writers = list(other_writers(path))
            except FileNotFoundError:
                continue
            for writer in writers:
                if writer.path not in seen:
                    seen.add(writer.path)
                    finding = self._writable(what, path, writer)
                    above = what == _QUARANTINE and writer.path != resolve(path)
                    # A prune checks the folder itself: who can move that away ends the undo.
                    yield replace(finding, severity=Severity.WARNING) if above else finding
        yield from self._readable_state(subject)
        yield from self._readable_password(subject)
        registry = subject.policy.venvs.registry
        if registry is not None:
            yield from self._registry(registry, seen)

    @staticmethod
    def _own_paths(subject: AuditTarget) -> Iterator[tuple[str, str]]:
        loaded = subject.snapshot.loaded
        if loaded.path is not None:
            yield "the policy", loaded.path
        state = sqlite_path(subject.snapshot.state.url)
        if state is not None:
            yield "the state", state
        quarantine = choose_quarantine(subject.policy, subject.snapshot.cache).path
        # In a cache that is a mount point, every user may write above it, and every
        # report says so already.
        if not quarantine.startswith(f"{subject.cache_path}/"):
            yield _QUARANTINE, quarantine

    def _writable(self, what: str, path: str, writer: Writer) -> Finding:
        above, fix = "", writer.fix
        if writer.path != resolve(path):
            above = f", the folder above {path},"
            # That folder may be a user's home, or their work.
            fix = f"keep {what} where no other user can write; or, if this is ours alone: {fix}"
        return self.finding(
            writer.path, f"{what}: {writer.path}{above} {writer.who}", owner=writer.owner, fix=fix
        )

    def _readable_state(self, subject: AuditTarget) -> Iterator[Finding]:
        """Yield a remark when every user can read of every user's environments."""
        path = sqlite_path(subject.snapshot.state.url)
        if path is None:
            return
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
            above = stat.S_IMODE(os.stat(os.path.dirname(path) or "/").st_mode)
        except FileNotFoundError:
            return
        if (mode & 0o040 and above & 0o010) or (mode & 0o004 and above & 0o001):
            yield replace(
                self.finding(
                    path,
                    f"the state: {path} can be read by others than its owner (mode {mode:04o}): "
                    "it names every user's environments",
                    fix=f"chmod 0600 {shell_word(path)}",
                ),
                severity=Severity.INFO,
            )

    def _readable_password(self, subject: AuditTarget) -> Iterator[Finding]:
        """Yield a warning when the state's password stands where every user can read it."""
        path = subject.snapshot.loaded.path
        credentials = (subject.policy.state or "").partition("://")[2].rpartition("@")[0]
        if path is None or not credentials.partition(":")[2]:
            return
        if stat.S_IMODE(os.stat(path).st_mode) & 0o044:
            said = self.finding(
                path,
                f"the policy: {path} holds the password of the state, and others can read it",
                fix=f"chmod 0600 {shell_word(path)}, and change the password",
            )
            yield replace(said, severity=Severity.WARNING)

    def _registry(self, folder: str, seen: set[str]) -> Iterator[Finding]:
        quoted = shell_word(folder)
        try:
            status = os.stat(folder)
            real = resolve(folder, strict=True)
        except FileNotFoundError:
            missing = self.finding(
                folder,
                f"the registry: there is no folder {folder}, so no user can register environments",
                fix=f"install -d -m 1777 -o root {quoted}",
            )
            yield replace(missing, severity=Severity.WARNING)
            return
        for writer in writers_of_folders(os.path.dirname(real)):
            if writer.path not in seen:
                yield self._writable("the registry", folder, writer)
        mode = stat.S_IMODE(status.st_mode)
        owner = other_writer(real, status)
        if owner is not None and owner.owner is not None:
            yield self._writable("the registry", folder, owner)
        if mode & 0o022 and not mode & stat.S_ISVTX:
            yield self.finding(
                folder,
                f"the registry: {folder} is not sticky (mode {mode:04o}): who can write to it "
                "can remove what others registered",
                fix=f"chmod {_REGISTRY_MODE:o} {quoted}",
            )
        elif not mode & 0o002:
            closed = self.finding(
                folder,
                f"the registry: not every user can write to {folder} (mode {mode:04o}), so not "
                "every user can register environments",
                fix=f"chmod {_REGISTRY_MODE:o} {quoted}",
            )
            yield replace(closed, severity=Severity.WARNING)
