"""All that runs cacheadmin in a soak: a guard, prunes in every mode, reports, a backup.

No exit code but those that the manual gives for the case may come, and no word of
an unexpected error, whoever is at work and whatever was killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.soak.adversity import another_clock
from tests.soak.site import LOCK_MODES, Site
from tests.support.cacheadmin_cli import Result

DONE, BUSY, LIMITED, REFUSED, PARTIAL, FINDINGS, NOT_FOUND = 0, 3, 4, 5, 7, 8, 66

#: What else a command may leave with while the disk is full, if it says so.
WHILE_FULL = (1, BUSY, REFUSED, PARTIAL)

BUDGETS = ("", "", "{max_size: 1KiB}", "{max_files: 2000}", "{max_size: 20MiB}")

#: Reports, and the codes that each may leave with.
REPORTS: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (
    (("observe",), (DONE,)),
    (("scan",), (DONE,)),
    (("status",), (DONE, LIMITED, FINDINGS)),
    (("schemas",), (DONE,)),
    (("usage",), (DONE,)),
    (("plan",), (DONE, LIMITED)),
    (("preflight",), (DONE, LIMITED)),
    (("doctor",), (DONE, FINDINGS)),
    (("audit",), (DONE, FINDINGS)),
    (("verify",), (DONE, FINDINGS)),
    (("protect", "--check"), (DONE, LIMITED)),
    (("runs", "list"), (DONE,)),
)
_MEASURED = (
    ("prune", (DONE, BUSY)),
    ("observe", (DONE,)),
    ("status", (DONE, LIMITED, FINDINGS)),
    ("scan", (DONE,)),
    ("verify", (DONE, FINDINGS)),
)
_BROKEN_WORDS = ("unexpected", "Traceback")
_COMMAND_SECONDS = 300.0


@dataclass
class Administrators:
    """The policy of the moment, and what was seen of the product's own doing."""

    site: Site
    policy: Path = field(init=False)
    sizes_kib: dict[str, list[int]] = field(default_factory=dict)
    """Largest resident size of each call that was measured (KiB), by command."""

    outcomes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.policy = self.site.write_policy()
        self.chance = self.site.chance("administrators")

    # Threads

    def prune_all_the_time(self) -> None:
        """Prune in each lock mode, with budgets and without, restore, and die in the middle."""
        number = 0
        while not self.site.stopping.is_set():
            busy = LOCK_MODES[number % len(LOCK_MODES)]
            self.policy = self.site.write_policy(busy=busy, budget=self.chance.choice(BUDGETS))
            number += 1
            fate = self.chance.random()
            if fate < 0.12:
                self._prune_and_die()
            elif fate < 0.24:
                self._measure("prune")
            else:
                self.prune()
            if self.chance.random() < 0.15:
                self._ask("runs", "restore", codes=(DONE, BUSY, REFUSED, PARTIAL, NOT_FOUND))
            if self.chance.random() < 0.1:
                self._ask("runs", "purge", "--all", codes=(DONE, BUSY, PARTIAL, NOT_FOUND))
            self.site.stopping.wait(self.chance.random() * 3.0)

    def report_all_the_time(self) -> None:
        """Look at everything, beside whoever prunes; protect by hand now and then."""
        chance = self.site.chance("reports")
        while not self.site.stopping.is_set():
            words, codes = chance.choice(REPORTS)
            self._ask(*words, codes=codes)
            if chance.random() < 0.2:
                self._measure(chance.choice(("observe", "status", "scan", "verify")))
            if chance.random() < 0.1:
                self._ask("protect", codes=(DONE, BUSY))
            if chance.random() < 0.1:
                self._ask("prune", codes=(DONE, BUSY))
            self.site.stopping.wait(chance.random() * 4.0)

    def walk_as_backups_do(self) -> None:
        """Read the whole cache now and then; every other time through links, too."""
        follow = False
        while not self.site.stopping.wait(45.0):
            for folder, folders, files in os.walk(self.site.shared.path, followlinks=follow):
                if self.site.stopping.is_set():
                    return
                for name in (*folders, *files):
                    _read(Path(folder, name))
            follow = not follow
            self.site.count("walks through the whole cache")

    # What they do

    def prune(self, *options: str, codes: tuple[int, ...] = (DONE, BUSY)) -> Result:
        """Prune once, and note what came of it."""
        result = self._ask("prune", *options, "--format", "json", codes=codes)
        if result.code in (DONE, PARTIAL) and result.stdout:
            self._note(result.json)
        else:
            self._outcome(f"code {result.code}")
        return result

    def _note(self, document: Any) -> None:
        self._outcome(document["outcome"])
        trial = document.get("trial") or {}
        for what in ("planted", "put_back", "doubtful", "ended"):
            self.site.count(f"entries on trial: {what}", len(trial.get(what, ())))
        self.site.count("entries removed", len(document["removals"]))

    def _outcome(self, word: str) -> None:
        self.outcomes[word] = self.outcomes.get(word, 0) + 1
        self.site.count("prunes")

    def _prune_and_die(self) -> None:
        process = self._start("prune")
        # An instant of it, or of what follows.
        time.sleep(self.chance.random() * 4.0)
        process.kill()
        process.wait()
        self.site.count("prunes killed")

    def _measure(self, command: str) -> None:
        begun = time.monotonic()
        process = self._start(command)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.sizes_kib.setdefault(command, []).append(used.ru_maxrss)
        if command == "prune":
            self._outcome(f"measured, code {process.returncode}")
        codes = dict(_MEASURED)[command]
        said = self._said(command)
        self._judge((command,), Result(process.returncode, "", said), codes, begun)

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        with self._log(command).open("wb") as log:
            return subprocess.Popen(
                self.site.cacheadmin.command(command, self.policy),
                env=self.site.cacheadmin.environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _log(self, command: str) -> Path:
        return self.site.folder / f"{command}.log"

    def _said(self, command: str) -> str:
        return self._log(command).read_text(errors="replace")[-600:]

    def _ask(self, *words: str, codes: tuple[int, ...]) -> Result:
        command = words[:2] if words[0] == "runs" else words[:1]
        rest = words[len(command) :]
        begun = time.monotonic()
        try:
            result = self.site.cacheadmin(
                *command,
                self.policy,
                *rest,
                environment=another_clock(self.site, self.chance),
                timeout=_COMMAND_SECONDS,
                cwd="/",
            )
        except subprocess.TimeoutExpired:
            self.site.fail(f"cacheadmin {' '.join(words)} took more than {_COMMAND_SECONDS:g} s")
            return Result(BUSY, "", "")
        self.site.count(f"cacheadmin {' '.join(command)}")
        self._judge(words, result, codes, begun)
        return result

    def _judge(
        self, words: tuple[str, ...], result: Result, codes: tuple[int, ...], begun: float
    ) -> None:
        said = (result.stderr or result.stdout)[-800:]
        if result.code not in codes and self.site.was_full_since(begun):
            codes = WHILE_FULL if said.strip() else ()
            self.site.count("cacheadmin commands that a full disk failed")
        broken = any(word in result.stderr for word in _BROKEN_WORDS)
        if result.code not in codes or broken:
            self.site.fail(f"cacheadmin {' '.join(words)}: code {result.code}: {said}")


@dataclass
class GuardOfSoak:
    """The guard as a service manager runs it: started again when it dies."""

    site: Site
    policy: Path
    sizes_kib: list[tuple[float, int]] = field(default_factory=list)
    """(seconds since its start, resident size)."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0

    @property
    def log(self) -> Path:
        """What it says."""
        return self.site.folder / "guard.log"

    def run(self) -> None:
        """Keep it running; end it now and then, as a person and as the kernel."""
        chance = self.site.chance("guard")
        until = 0.0
        while not self.site.stopping.wait(2.0):
            if self.process is None or self.process.poll() is not None:
                if self.process is not None:
                    self.site.fail(f"guard: left with {self.process.returncode}: {self._said()}")
                self._start()
                until = time.monotonic() + 90 + chance.random() * 120
            self._measure()
            if time.monotonic() > until:
                self.stop(signal.SIGKILL if chance.random() < 0.5 else signal.SIGTERM)
                self._start()
                until = time.monotonic() + 90 + chance.random() * 120

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it, and see that it ends well."""
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            code = self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.site.fail("guard: does not end when it is told to")
            self.process.kill()
            code = self.process.wait()
        if number == signal.SIGTERM and code != 0:
            self.site.fail(f"guard: SIGTERM ended it with {code}: {self._said()}")
        self.process = None
        self.site.count("guards ended")

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.site.cacheadmin.command("guard", self.policy),
                env=self.site.cacheadmin.environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.started = time.monotonic()

    def _measure(self) -> None:
        if self.process is None:
            return
        with suppress(psutil.NoSuchProcess):
            resident = psutil.Process(self.process.pid).memory_info().rss // 1024
            self.sizes_kib.append((time.monotonic() - self.started, resident))

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-600:]


def _read(path: Path) -> None:
    try:
        if path.is_symlink():
            os.readlink(path)
        elif path.is_file():
            path.read_bytes()
    except OSError:
        # Gone while it was read: a backup goes on.
        pass
