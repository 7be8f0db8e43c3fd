"""bash, zsh and fish complete commands, options, values and the names of policies."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.uv_releases import REPOSITORY

FILES = REPOSITORY / "docs" / "operations" / "completions"

CASES = {
    "pre": {"preflight"},
    "runs re": {"restore"},
    "prune --dr": {"--dry-run"},
    "--color al": {"always"},
    "--color always pre": {"preflight"},
    "audit --fail-on w": {"warning"},
    "prune --metrics x ml": {"ml-team", "ml-test"},
    "runs show ml-te": {"ml-team", "ml-test"},
    "uv learn --policy ml-tea": {"ml-team"},
    "policy check ml-team ml-tes": {"ml-test"},
    "prune ml-team --qu": {"--quiet"},
    "audit --rule no-user": {"no-user-xattrs"},
    "runs show ml-team 2026": {"20260102T030405Z-0a1b2c"},
    "runs restore ml-test 2026": {"20260304T050607Z-0d0e0f"},
    "runs restore 2026": {"20260506T070809Z-0a0b0c"},
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A shell's environment with two policies, and a file that is none."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for name in ("ml-team.yaml", "ml-test.yaml", "ml-$(touch bad).yaml", "ml-notes.txt"):
        (folder / name).touch()
    cache, other = tmp_path / "cache", tmp_path / "elsewhere"
    (folder / "ml-team.yaml").write_text(f'version: 1\ncache: "{cache}"  # its path\n')
    (folder / "ml-test.yaml").write_text(
        f"cache: {cache}\nlog:\n  trail: /x\nquarantine:\n  keep: 7d\n  path: {other}\n"
    )
    own = tmp_path / ".cache" / "uv"
    for quarantine, run in (
        (tmp_path / "cache.cacheadmin" / "quarantine", "20260102T030405Z-0a1b2c"),
        (tmp_path / "cache.cacheadmin" / "quarantine", "20260102T-$(touch bad)"),
        (other, "20260304T050607Z-0d0e0f"),
        (own.with_name("uv.cacheadmin") / "quarantine", "20260506T070809Z-0a0b0c"),
    ):
        (quarantine / run).mkdir(parents=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
        "CACHEADMIN_POLICY_DIR": str(folder),
    }


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def answers(command: list[str], environment: dict[str, str]) -> list[set[str]]:
    """Return what a script that ends each case with `==` printed."""
    finished = subprocess.run(
        command,
        env=environment,
        cwd=environment["HOME"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.stderr == ""
    return [set(part.split("\n")) - {""} for part in finished.stdout.split("==\n")[:-1]]


def test_the_files_are_those_that_the_program_makes_now() -> None:
    from cacheadmin.cli.completion_files import completion_files

    for name, text in completion_files().items():
        assert (FILES / name).read_text(encoding="utf-8") == text, (
            f"{name} is out of date: run `make completions`"
        )


def test_bash_completes(environment: dict[str, str]) -> None:
    script = f"source '{FILES}/cacheadmin.bash'\n"
    for line in CASES:
        words = f"cacheadmin {line}".split()
        script += f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _cacheadmin\n"
        script += "printf '%s\\n' \"${COMPREPLY[@]}\" ==\n"
    found = answers([shell("bash"), "--norc", "-c", script], environment)
    assert dict(zip(CASES, found, strict=True)) == CASES


def test_bash_knows_the_function_for_the_command_and_values_after_an_equals_sign(
    environment: dict[str, str],
) -> None:
    script = f"""source '{FILES}/cacheadmin.bash'
        complete -p cacheadmin; echo ==
        COMP_WORDS=(cacheadmin plan --format = js); COMP_CWORD=4; _cacheadmin
        echo "${{COMPREPLY[@]}}"; echo =="""
    found = answers([shell("bash"), "--norc", "-c", script + "\n"], environment)
    assert found == [{"complete -o default -F _cacheadmin cacheadmin"}, {"json jsonl"}]


def test_fish_completes(environment: dict[str, str]) -> None:
    script = f"source '{FILES}/cacheadmin.fish'\n"
    for line in CASES:
        script += f"complete -C 'cacheadmin {line}' | string replace -r '\\t.*' ''; echo ==\n"
    found = answers([shell("fish"), "--no-config", "-c", script], environment)
    assert dict(zip(CASES, found, strict=True)) == CASES


def test_zsh_completes(environment: dict[str, str]) -> None:
    """In an interactive zsh on a terminal: one TAB completes what only one word fits."""
    zsh = shell("zsh")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(environment["HOME"])
        os.execve(zsh, ["zsh", "-f", "-i"], environment)
    try:
        setup = f"fpath=('{FILES}' $fpath); autoload -Uz compinit; compinit -u -D; "
        setup += 'unsetopt zle_bracketed_paste; PROMPT=; cacheadmin() { print -r -- "<$@>"; }; '
        os.write(terminal, f"{setup}print rea''dy\n".encode())
        read_until(terminal, "\nready")
        unambiguous = {line: next(iter(w)) for line, w in CASES.items() if len(w) == 1}
        for line, word in unambiguous.items():
            os.write(terminal, f"cacheadmin {line}\t\n".encode())
            expected = " ".join([*line.split()[:-1], word])
            read_until(terminal, f"<{expected}>")
        os.write(terminal, b"cacheadmin prune ml-tea\t\n")
        read_until(terminal, "<prune ml-team>")
    finally:
        os.close(terminal)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def read_until(terminal: int, wanted: str) -> None:
    """Read a terminal until a text has appeared."""
    seen = ""
    deadline = time.monotonic() + 60
    while wanted not in seen.replace("\r", ""):
        ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"no {wanted!r} in {seen!r}"
        seen += os.read(terminal, 65536).decode("utf-8", "replace")
