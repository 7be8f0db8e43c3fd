"""Running the real command line in its own process.

    result = cacheadmin("plan", policy, "--format", "json")   # the fixture
    result.code, result.stdout, result.stderr, result.json

Each runner has its own state folder and home; nothing of the caller's
environment reaches the child. ``user`` runs it as somebody else (needs root).
A call as oneself starts warm, and finds no other home in the list of accounts
(``warm_start``).
"""

from __future__ import annotations

import atexit
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.document_checks import check_document
from tests.support.users import User, open_temporary_folder, python_for_everyone
from tests.support.uv_releases import REPOSITORY
from tests.support.warm_start import run_warm, starts_alike

# Checking a longer document takes longer than printing it.
_CHECKED_BYTES = 200_000


@dataclass(frozen=True)
class Result:
    """What one call gave: exit code, both outputs as text."""

    code: int
    stdout: str
    stderr: str

    @classmethod
    def of(cls, code: int, stdout: bytes, stderr: bytes) -> Result:
        """Return a result from a process's bytes."""
        return cls(code, _text(stdout), _text(stderr))

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; it follows its schema."""
        try:
            document = json.loads(self.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(f"no JSON: {self.stdout!r}\n{self.stderr}") from error
        if len(self.stdout) < _CHECKED_BYTES:
            check_document(document)
        return document


@dataclass
class Cacheadmin:
    """Runs ``python -m cacheadmin``; state, home and policies lie in ``folder``."""

    folder: Path

    @property
    def home(self) -> Path:
        """The HOME of the child."""
        return self.folder / "home"

    def __call__(
        self,
        *arguments: str | os.PathLike[str],
        code: int | None = None,
        user: User | None = None,
        environment: dict[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        timeout: float = 120,
    ) -> Result:
        """Run one command; with ``code`` assert that exit code."""
        where = os.fspath(cwd or self._home_of(user))
        variables = self.environment(user) | (environment or {})
        if not _somebody_else(user) and starts_alike(environment or {}):
            call = [os.fspath(argument) for argument in arguments]
            result = Result.of(*run_warm(call, variables, where, timeout))
        else:
            finished = subprocess.run(
                self.command(*arguments, user=user),
                env=variables,
                cwd=where,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
                **(user.process_arguments() if user else {}),
            )
            result = Result.of(finished.returncode, finished.stdout, finished.stderr)
        if code is not None and result.code != code:
            words = " ".join(map(os.fspath, arguments))
            raise AssertionError(
                f"cacheadmin {words}: code {result.code}, not {code}\n"
                f"{result.stderr}\n{result.stdout}"
            )
        return result

    def start(
        self, *arguments: str | os.PathLike[str], user: User | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command and return at once; its output goes to ``folder/started.log``."""
        with (self.folder / "started.log").open("wb") as log:
            return subprocess.Popen(
                self.command(*arguments, user=user),
                env=self.environment(user),
                cwd=self._home_of(user),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **(user.process_arguments() if user else {}),
            )

    def command(self, *arguments: str | os.PathLike[str], user: User | None = None) -> list[str]:
        """Return the command line of a call."""
        python = sys.executable
        if _somebody_else(user):
            python = python_for_everyone() or sys.executable
        return [python, "-m", "cacheadmin", *map(os.fspath, arguments)]

    def environment(self, user: User | None = None) -> dict[str, str]:
        """Return the whole environment of a call."""
        home = self._home_of(user)
        modules = _open_modules() if _somebody_else(user) else REPOSITORY
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": os.fspath(home),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": os.fspath(modules),
            "PYTHONDONTWRITEBYTECODE": "1" if _somebody_else(user) else "",
            "XDG_STATE_HOME": os.path.join(home, "state"),
            "XDG_CONFIG_HOME": os.path.join(home, "config"),
            "CACHEADMIN_POLICY_DIR": os.fspath(self.folder / "policies"),
        }

    def policy(
        self,
        cache_path: str | os.PathLike[str],
        text: str = "",
        name: str = "test",
        *,
        complete: bool = True,
    ) -> Path:
        """Write a policy for a cache and return its path.

        ``text`` is added to ``version``, ``name``, ``cache`` and ``state``;
        the state database lies in the runner's own folder. ``complete``: the
        test gives its word that every environment is known (``venvs.complete``),
        so that what it says of removals does not depend on who else is there.
        Then one empty tree stands for the homes of this machine, too. The lock may be
        held for long, unless ``text`` says for how long: a busy machine is no fault.
        """
        if complete:
            nowhere = self.folder / "nowhere"
            nowhere.mkdir(exist_ok=True)
            text = _with_word(text, nowhere)
        if "held_at_most" not in text:
            text = _with_key(text, "lock", "held_at_most: 1m")
        folder = self.folder / "policies"
        folder.mkdir(exist_ok=True, mode=0o755)
        path = folder / f"{name}.yaml"
        lines = ["version: 1", f"name: {name}", f"cache: {json.dumps(os.fspath(cache_path))}"]
        if "\nstate:" not in f"\n{text}":
            lines.append(f"state: sqlite:///{self.folder}/state/{name}.sqlite")
            (self.folder / "state").mkdir(exist_ok=True, mode=0o755)
        path.write_text("\n".join(lines) + "\n" + text, encoding="utf-8")
        path.chmod(0o644)
        return path

    def _home_of(self, user: User | None) -> Path:
        home = self.home if not _somebody_else(user) else self.folder / f"home-{user.name}"
        if not home.exists():
            # Two calls may begin at once.
            home.mkdir(parents=True, exist_ok=True)
            # An empty home could be one that is mounted when its user logs in.
            (home / ".profile").touch()
            if user and os.geteuid() == 0:
                os.chown(home, user.uid, user.gid)
        return home


def _with_word(text: str, nowhere: Path) -> str:
    """Return a policy's text with ``venvs.complete: true``, unless it says something of that."""
    word = "complete: true"
    if "complete:" in text:
        return text
    if "discover:" not in text:
        nowhere_alone = f"discover: [{{root: {json.dumps(os.fspath(nowhere))}}}]"
        text = _with_key(text, "venvs", nowhere_alone)
    return _with_key(text, "venvs", word)


def _with_key(text: str, section: str, word: str) -> str:
    """Return a policy's text with a key more in a section, whichever way that is written."""
    lines = f"\n{text}"
    if f"\n{section}: {{" in lines:
        return lines.replace(f"\n{section}: {{", f"\n{section}: {{{word}, ", 1)[1:]
    if f"\n{section}:" in lines:
        begin = lines.index(f"\n{section}:") + len(f"\n{section}:")
        following = lines[begin:].lstrip("\n")
        indent = " " * (len(following) - len(following.lstrip(" ")))
        return f"{lines[:begin]}\n{indent}{word}{lines[begin:]}"[1:]
    separator = "\n" if text and not text.endswith("\n") else ""
    return f"{text}{separator}{section}: {{{word}}}\n"


def _text(output: bytes) -> str:
    return output.decode("utf-8", "surrogateescape").replace("\r\n", "\n")


@cache
def _open_modules() -> Path:
    """Copy cacheadmin and what it needs to where every user can read it; once a process."""
    modules = open_temporary_folder("cacheadmin-modules-")
    atexit.register(shutil.rmtree, modules, ignore_errors=True)
    shutil.copytree(REPOSITORY / "cacheadmin", modules / "cacheadmin")
    for folder, names in _needed_modules():
        for name in names:
            source, copy = folder / name, modules / name
            if source.is_dir():
                shutil.copytree(source, copy, dirs_exist_ok=True)
            else:
                shutil.copy(source, copy)
    subprocess.run(["chmod", "-R", "a+rX", modules], check=True)
    return modules


def _somebody_else(user: User | None) -> bool:
    return user is not None and user.uid != os.geteuid()


def _needed_modules() -> list[tuple[Path, set[str]]]:
    """Return folders and the names in them that cacheadmin's dependencies consist of."""
    wanted = _declared_dependencies()
    found: dict[str, tuple[Path, set[str]]] = {}
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        tops = {file.parts[0] for file in distribution.files or () if ".." not in file.parts}
        found[name] = (Path(str(distribution.locate_file(""))), tops - {"__pycache__"})
        wanted += [_name(line) for line in distribution.requires or () if "extra ==" not in line]
    return list(found.values())


def _declared_dependencies() -> list[str]:
    import tomllib

    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    return [_name(line) for line in project["project"]["dependencies"]]


def _name(requirement: str) -> str:
    from packaging.requirements import Requirement

    return Requirement(requirement).name
