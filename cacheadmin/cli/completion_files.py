"""Write the completion files of bash, zsh and fish: ``make completions``.

They are installed as they are; typer's own ``--show-completion`` starts the
program at each TAB, these do not.
"""

from __future__ import annotations

import os
import sys

from cacheadmin.audit.rules import RULES
from cacheadmin.cli.program import build_program
from cacheadmin.operations.completions import (
    bash_completion,
    calls_of,
    fish_completion,
    zsh_completion,
)


def completion_files() -> dict[str, str]:
    """Return the text of each file by the name it is installed under."""
    calls = list(calls_of(build_program(whole=True), {"--rule": tuple(rule.id for rule in RULES)}))
    return {
        "cacheadmin.bash": bash_completion(calls),
        "_cacheadmin": zsh_completion(calls),
        "cacheadmin.fish": fish_completion(calls),
    }


def _main() -> None:
    for name, text in completion_files().items():
        with open(os.path.join(sys.argv[1], name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    _main()
