"""The commands by their names, and what declares each: a module is loaded when it is called.

Command NAME is the function of that name in ``cli/NAME.py``, group NAME its
``NAME_app``. A command's module imports at its top all that the command does; so
only ``load`` imports it, for the one command that is called. What lists commands
has their names and ``SENTENCES``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# What each is for, as the command itself says it (a test holds them to the same words), in the
# order of --help.
SENTENCES = {
    "status": "Show how caches are: verdict, size, free space, runs, gaps and findings.",
    "preflight": "Say whether it is safe to prune this cache now, and every check behind it.",
    "plan": "Show what prune would remove and keep, each with its reason; changes nothing.",
    "prune": "Remove what the plan allows: all of it, undoable, or nothing.",
    "simulate": "Show exactly what `uv cache prune` of a release would delete, and whom it breaks.",
    "evict": "Remove a package from the cache now, and say who still has it.",
    "explain": "Say why something is kept or removed, who uses it, and what would change that.",
    "scan": "List the environments, their owners, link modes, uv versions and broken links.",
    "schemas": "Show users, the uv releases they use, and which buckets they need.",
    "usage": "Show how much room the cache takes, and how much of it is exclusively its own.",
    "report": "Show a cache at a glance: verdict, sizes, who holds what, findings, past prunes.",
    "audit": "Check one or many caches against the audit rules; leaves with 8 when they fail.",
    "dedupe": "Let equal files of several archives share their blocks, on xfs and btrfs.",
    "doctor": "Find broken environments, and the exact command that repairs each.",
    "verify": (
        "Compare archives with their own RECORD, and say who may have changed what is not so."
    ),
    "protect": "Plant roots for the archives in use, so that any `uv cache prune` keeps them.",
    "guard": "Keep a cache protected: plant again at once what a user's prune has removed.",
    "observe": "Record what this host sees of the cache, for those that prune it elsewhere.",
    "help": "Explain a command, an audit rule, a key of the policy, or the exit codes.",
    "runs": "Past prunes: what each moved, undo, final deletion.",
    "venv": "The registry of environments.",
    "pin": "Entries never to be removed.",
    "policy": "Write, check and explain policies.",
    "uv": "What is known of uv releases.",
}

GROUPS = frozenset({"runs", "venv", "pin", "policy", "uv"})


def load(name: str) -> Any:
    """Return what is declared of a command: its function, or its group (``lazy_typer.Typer``)."""
    module = import_module(f"cacheadmin.cli.{name}")
    return getattr(module, f"{name}_app" if name in GROUPS else name)


def function_of(name: str, second: str | None) -> Callable[..., object] | None:
    """Return the function of a command, or of one in a group; None where there is none."""
    if name not in SENTENCES or (name in GROUPS) is (second is None):
        return None
    found: Callable[..., object] = load(name)
    return found if second is None else load(name).functions.get(second)
