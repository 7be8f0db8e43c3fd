"""Which commands repair an environment, as argument lists. Nothing is run here.

All of them were tried with real releases (docs/repairing-environments.md).
What they have in common: the installed version stays, and nothing else in the
environment is touched.

- ``uv pip install --reinstall --no-deps NAME==VERSION`` with ``--python`` works
  on whatever uv or pip installs into: environments of any making, tools, what
  ``uvx`` and scripts keep in the cache. ``--target``, ``--prefix`` and
  ``--system`` are for folders without a Python of their own.
- ``uv sync`` is better for projects: the lock knows where a package came from.
- ``uv venv --allow-existing`` gives a lost Python back, and keeps all packages.

The trap: where a pointer in the cache still names an archive that is gone, or
that has lost files, uv trusts it, uninstalls the package and then fails (local
wheels, find-links folders and build requirements, every release) or installs
half of it again. ``--refresh-package`` does not help. ``--no-cache`` does; it
excludes symlinks, so the files are copied.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from typing import TYPE_CHECKING

from cacheadmin.doctor.projects import has_lock, selection_of
from cacheadmin.doctor.sources import had_login, requirement_of
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.packages.names import normalized
from cacheadmin.text.escapes import shell_word
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.doctor.damage import Damaged, Examination
    from cacheadmin.doctor.limits import WorkDone

Command = tuple[str, ...]

_PAST_THE_CACHE = ("--no-cache", "--link-mode", "copy")
_PYTHON = re.compile(r"(?:pypy|graalpy)?\d+\.\d+", re.ASCII)


@frozen
class Repair:
    """How to repair one environment."""

    commands: tuple[Command, ...]
    """Commands in their order, for its owner; empty where nothing certain can be said."""
    folder: str
    """The absolute folder to run them in."""
    note: str = ""
    """What to do about distributions that no command names, or what to know; may be empty."""


def repair_of(
    found: Examination, *, past_the_cache: bool, limits: WorkDone | None = None
) -> Repair:
    """Return what repairs an environment.

    ``past_the_cache``: pointers in the cache name archives that are not there.
    ``limits`` counts what is read of each account in one run.
    """
    # uv refuses to work in a folder of the cache.
    cached = found.environment.kind is EnvironmentKind.CACHED
    folder = "/" if cached else os.path.dirname(found.path)
    if found.dangling_target:
        return _recreate(found, folder)
    commands: list[Command] = []
    notes = []
    if found.interpreter_missing:
        if not _PYTHON.fullmatch(found.python):
            note = "its Python is gone and its packages name none: make it again with `uv venv`"
            return Repair((), folder, note)
        commands.append(_new_interpreter(found))
        notes.append(f"needs a Python {found.python}: `uv python install {found.python}`")
    extra = _PAST_THE_CACHE if past_the_cache or found.partly else ()
    if extra:
        notes.append("the cache still offers files that are gone, so it is left out: copies")
    by_sync, by_pip, unnamed = _divide(found, limits)
    if by_sync is not None and by_sync[1]:
        options, damaged = by_sync
        names = [word for one in damaged for word in ("--reinstall-package", one.name)]
        # Without it, a project that asks for another Python by now gets a new environment.
        python = ("--python", found.python) if _PYTHON.fullmatch(found.python) else ()
        chosen = (*python, *options, *extra)
        commands.append(("uv", "sync", "--inexact", "--frozen", *chosen, *names))
    commands += [_install(found, site, words, extra) for site, words in by_pip.items()]
    if any(map(had_login, found.damaged)):
        notes.append("the login of a URL is left out: uv finds it in ~/.netrc")
    if unnamed:
        titles = ", ".join(one.title for one in unnamed[:5])
        notes.append(f"no command can safely say where to get {titles}: install it by hand")
    return Repair(tuple(commands), folder, "; ".join(notes))


def _divide(
    found: Examination, limits: WorkDone | None
) -> tuple[tuple[tuple[str, ...], list[Damaged]] | None, dict[str, list[str]], list[Damaged]]:
    """Return what `uv sync` installs, requirements by folder for `uv pip`, and what is left."""
    selection = selection_of(found.path, found.installed, limits)
    by_sync: list[Damaged] = []
    by_pip: dict[str, list[str]] = {}
    unnamed = []
    times = Counter((one.site, normalized(one.name)) for one in found.damaged)
    for one in found.damaged:
        named = requirement_of(one)
        # Two versions in one folder can't be asked for together: all else would fail with them.
        twice = times[one.site, normalized(one.name)] > 1
        if twice or not one.uids <= {0, found.uid}:
            unnamed.append(one)
        elif named and selection is not None and normalized(one.name) in selection.reached:
            by_sync.append(one)
        elif named:
            by_pip.setdefault(one.site, []).extend(named)
        else:
            unnamed.append(one)
    return None if selection is None else (selection.options, by_sync), by_pip, unnamed


def _install(found: Examination, site: str, words: list[str], extra: Command) -> Command:
    where = _where(found, site)
    return ("uv", "pip", "install", *where, "--reinstall", "--no-deps", *extra, *words)


def _where(found: Examination, site: str) -> Command:
    python = ("--python", found.python) if _PYTHON.fullmatch(found.python) else ()
    if found.environment.kind in (EnvironmentKind.TARGET, EnvironmentKind.FOLDER):
        return ("--target", site, *python)
    if found.environment.kind is EnvironmentKind.PREFIX:
        return ("--prefix", found.path, *python)
    if found.environment.kind is not EnvironmentKind.PYTHON:
        return ("--python", found.path)
    if os.path.basename(site) == "dist-packages":
        # Debian's own: its Python lies elsewhere and knows this folder.
        return ("--system", *python, "--break-system-packages")
    interpreter = f"{found.path}/bin/python{found.python}"
    if os.path.lexists(interpreter):
        return ("--python", interpreter, "--break-system-packages")
    return ("--prefix", found.path, *python)


def _new_interpreter(found: Examination) -> Command:
    """Return what puts a Python into a venv again, as ``pyvenv.cfg`` says it was made."""
    words = ["uv", "venv", "--allow-existing", "--python", found.python]
    config = found.config
    if config.get("include-system-site-packages") == "true":
        words.append("--system-site-packages")
    if config.get("relocatable") == "true":
        words.append("--relocatable")
    prompt = config.get("prompt", "").strip("'\"")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 ._+-]*", prompt):
        words += ["--prompt", prompt]
    return (*words, found.path)


def _recreate(found: Examination, folder: str) -> Repair:
    if not has_lock(folder):
        return Repair((), folder, "it led to an environment that is gone: make it again")
    # Releases that don't know such environments (before 0.11.25) fail at the link.
    commands = (("rm", "-f", "--", found.path), ("uv", "sync", "--frozen"))
    return Repair(commands, folder, "extras and groups have to be named again")


def shell_words(repair: Repair) -> str:
    """Return a repair as one line for a shell, safe to print; "" when there is none."""
    if not repair.commands:
        return ""
    commands = (("cd", "--", repair.folder), *repair.commands)
    return " && ".join(" ".join(map(shell_word, command)) for command in commands)
