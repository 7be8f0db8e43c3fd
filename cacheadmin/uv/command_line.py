"""What a uv was told to do: its own arguments, not those of the program it runs. Pure.

``uv run script.py --cache-dir X``: everything after the script, or after the
command of ``uv tool run`` and ``uvx``, is the program's. Where it begins depends on
which options take a value; after an option that is not known, a word may be a
value or the program, and then nothing after it is believed to be uv's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from cacheadmin.values import frozen

# Options of uv, of any release, that take the next word as their value.
_WITH_VALUE = frozenset(
    {
        *("--cache-dir", "--color", "--config-file", "--directory", "--project"),
        *("--python", "-p", "--python-preference", "--python-fetch", "--python-platform"),
        *("--with", "-w", "--with-editable", "--with-requirements", "--from", "--package"),
        *("--extra", "--no-extra", "--group", "--no-group", "--only-group", "--env-file"),
        *("--index", "--default-index", "--index-url", "-i", "--extra-index-url"),
        *("--find-links", "-f", "--index-strategy", "--keyring-provider", "--link-mode"),
        *("--resolution", "--prerelease", "--fork-strategy", "--exclude-newer", "-P", "-C"),
        *("--exclude-newer-package", "--upgrade-package", "--reinstall-package"),
        *("--refresh-package", "--no-build-package", "--no-binary-package", "--config-setting"),
        *("--config-settings", "--config-settings-package", "--no-build-isolation-package"),
        *("--allow-insecure-host", "--trusted-host", "--constraints", "--constraint", "-c"),
        *("--overrides", "--override", "--build-constraints", "--build-constraint", "-b"),
        *("--preview-features", "--torch-backend", "--no-editable-package", "--upgrade-group"),
    }
)

# Options that are known to take none: a word after one of these begins the program.
_WITHOUT_VALUE = frozenset(
    {
        *("--quiet", "-q", "--verbose", "-v", "--offline", "--no-config", "--no-cache", "-n"),
        *("--no-progress", "--native-tls", "--system-certs", "--no-project", "--isolated"),
        *("--frozen", "--locked", "--no-sync", "--exact", "--active", "--no-env-file"),
        *("--script", "-s", "--module", "-m", "--gui-script", "--no-dev", "--dev", "--only-dev"),
        *("--all-extras", "--all-groups", "--all-packages", "--no-default-groups", "--preview"),
        *("--no-editable", "--editable", "--refresh", "--reinstall", "--upgrade", "-U"),
        *("--no-build", "--no-binary", "--no-index", "--no-build-isolation", "--no-sources"),
        *("--managed-python", "--no-managed-python", "--no-python-downloads", "--lfs"),
        *("--compile-bytecode", "--inexact", "--all-packages", "--no-preview", "--show-resolution"),
    }
)

# Commands that start a program; ``uvx`` is one by its own name.
_RUNNING = (("run",), ("tool", "run"), ("tool", "uvx"), ("x",))
_RUNNING_ALONE = frozenset({"uvx", "uvx.exe"})


@frozen
class UvCommand:
    """A command line of uv, read as uv reads it."""

    words: tuple[str, ...]
    """The subcommand (``("tool", "run")``); empty where there is none, or none can be told."""
    cache_dir: str | None
    """What the last ``--cache-dir`` says that is surely uv's own option; None without one."""

    @property
    def runs_a_program(self) -> bool:
        """Whether it starts a program and waits for its end."""
        return self.words in _RUNNING


def read_command(arguments: Sequence[str]) -> UvCommand:
    """Return what a uv or uvx with these arguments (its own name first) was told."""
    words: list[str] = []
    if arguments and os.path.basename(arguments[0]) in _RUNNING_ALONE:
        words = ["tool", "run"]
    cache_dir = None
    position = 1
    while position < len(arguments):
        argument = arguments[position]
        position += 1
        if argument == "--":
            break
        if argument.startswith("--cache-dir="):
            cache_dir = argument.partition("=")[2]
        elif argument in _WITH_VALUE:
            if argument == "--cache-dir" and position < len(arguments):
                cache_dir = arguments[position]
            position += 1
        elif argument.startswith("-") and len(argument) > 1:
            unknown = "=" not in argument and argument not in _WITHOUT_VALUE
            if unknown and _runs(words) and _is_word(arguments, position):
                # The next word is its value, or the program: that can't be told.
                break
        elif _runs(words):
            # The program, and what follows is its own.
            break
        elif len(words) < 2:
            # Of commands that run nothing every option is uv's, wherever it stands.
            words.append(argument)
    return UvCommand(tuple(words), cache_dir)


def _runs(words: Sequence[str]) -> bool:
    return tuple(words) in _RUNNING


def _is_word(arguments: Sequence[str], position: int) -> bool:
    return position < len(arguments) and not arguments[position].startswith("-")
