"""What stands after the program that uv runs is the program's own."""

from __future__ import annotations

import pytest

from cacheadmin.uv.command_line import read_command


@pytest.mark.parametrize(
    ("line", "words", "cache"),
    [
        ("uv sync", ("sync",), None),
        ("uv --cache-dir /c sync", ("sync",), "/c"),
        ("uv sync --cache-dir /c", ("sync",), "/c"),
        ("uv sync --cache-dir=/c --frozen", ("sync",), "/c"),
        ("uv pip install six --cache-dir /c", ("pip", "install"), "/c"),
        ("uv --cache-dir /a sync --cache-dir /c", ("sync",), "/c"),
        ("uv run s.py --cache-dir /mine", ("run",), None),
        ("uv run --with six --python 3.11 s.py --cache-dir /mine", ("run",), None),
        ("uv run --cache-dir /c s.py --cache-dir /mine", ("run",), "/c"),
        ("uv run -q --offline --with six==1.16.0 --no-project s.py --cache-dir=/m", ("run",), None),
        ("uv run -- --cache-dir /mine", ("run",), None),
        ("uv run --unheard-of x s.py --cache-dir /mine", ("run",), None),
        ("uv run --unheard-of=x --cache-dir /c s.py", ("run",), "/c"),
        ("uv tool run --from black black --cache-dir /mine", ("tool", "run"), None),
        ("uv tool uvx --cache-dir /c ruff", ("tool", "uvx"), "/c"),
        ("/usr/bin/uvx ruff --cache-dir /mine", ("tool", "run"), None),
        ("uvx --cache-dir /c ruff", ("tool", "run"), "/c"),
        ("uv", (), None),
        ("", (), None),
    ],
)
def test_only_uvs_own_option_names_its_cache(
    line: str, words: tuple[str, ...], cache: str | None
) -> None:
    command = read_command(line.split())
    assert command.words == words
    assert command.cache_dir == cache


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("uv run s.py", True),
        ("uv tool run ruff", True),
        ("uvx ruff", True),
        ("uv sync --group run", False),
        ("uv tool install run", False),
        ("uv pip install run x", False),
    ],
)
def test_what_starts_a_program_is_told_by_the_command(line: str, runs: bool) -> None:
    assert read_command(line.split()).runs_a_program is runs
