"""What another program reads is no order to it: shells, terminals, spreadsheets."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.audit.rights import other_writer
from cacheadmin.doctor import user_switch
from cacheadmin.evidence.release_trace import SeenRelease
from cacheadmin.planner.planner import make_plan
from cacheadmin.planner.words import to_keep
from cacheadmin.policy.loaded import LoadedPolicy
from cacheadmin.report.tables import comma_separated
from cacheadmin.text.escapes import posix_word, printable, shell_word
from tests.support.facts import NOW, evidence, inventory, policy

# What names may hold: bytes that are no UTF-8, escapes, overrides of direction, quotes.
_NAMES = st.one_of(
    st.binary(min_size=1, max_size=30).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"\n"))),
    st.text("ab$`'\"\\ \n\t\x1b\u202e\u200b\u2028%!0d/-", min_size=1, max_size=20),
)
_EVIL = "a'b\x1b]0;pwn\x07\u202egpj.\\x41\n$(touch pwned)%s\udcff"


def said_by(shell: str, word: str) -> bytes:
    script = b"printf %s " + os.fsencode(word)
    done = subprocess.run([shell, "-c", script], check=True, capture_output=True)
    return done.stdout


@settings(max_examples=120, deadline=None)
@given(name=_NAMES)
def test_a_word_for_a_shell_means_the_name_and_shows_no_escapes(name: str) -> None:
    raw = os.fsencode(name)
    word = shell_word(name)
    assert said_by("bash", word) == raw
    assert printable(word) == word
    script = posix_word(name)
    assert said_by("sh", script) == raw
    if not name.endswith("\n"):
        assert printable(script) == script


@pytest.mark.parametrize("shell", ["bash", "sh", "dash", "busybox"])
def test_every_shell_reads_what_scripts_hold(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    arguments = [shell, "sh"] if shell == "busybox" else [shell]
    script = b"printf %s " + os.fsencode(posix_word(_EVIL))
    done = subprocess.run([*arguments, "-c", script], check=True, capture_output=True)
    assert done.stdout == os.fsencode(_EVIL)


def test_a_name_without_escapes_is_quoted_as_everybody_does() -> None:
    for name in ("/home/ana/proj", "/home/ana/my proj", "it's", "größe/日本"):
        assert shell_word(name) == posix_word(name)
        assert said_by("sh", shell_word(name)).decode() == name


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r", " =", "\uff1d"])
def test_no_cell_of_a_csv_is_a_formula(begin: str) -> None:
    evil = f"{begin}cmd|' /C calc'!A0"
    text = comma_separated(("a", "b", "c", "d"), [(evil, "/path", None, -1)])
    (row,) = list(csv.reader(io.StringIO(text)))[1:]
    assert not row[0].lstrip().startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d"))
    assert row[0].endswith("calc'!A0")
    assert row[1:] == ["/path", "-", "-1"]


def test_a_fix_of_an_audit_shows_no_escape_and_means_the_name_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "a\x1b[2J'b"
    folder.mkdir()
    folder.chmod(0o777)
    writer = other_writer(str(folder), folder.stat())
    assert writer is not None
    assert "\x1b" not in writer.fix
    subprocess.run(["bash", "-c", writer.fix], check=True)
    assert folder.stat().st_mode & 0o022 == 0


def commands_with_evil_names() -> Iterator[tuple[str, str]]:
    """Yield commands that hold the name of somebody's file, and the words they must mean."""
    loaded = LoadedPolicy(policy(), f"/etc/{_EVIL}.yaml", {})
    yield (
        loaded.command("runs restore", _EVIL),
        f"cacheadmin runs restore /etc/{_EVIL}.yaml {_EVIL}",
    )
    seen = SeenRelease("99.1.0", frozenset(), f"/home/ana/{_EVIL}/uv", 1000, trusted=False)
    plan = make_plan(policy(), inventory(), evidence(seen_releases=(seen,)), NOW)
    (limit,) = [one for one in plan.limits if one.id == "releases.unknown"]
    yield _quoted(limit.fix), f"cacheadmin uv learn {seen.path}"
    yield _quoted(to_keep(f"/srv/{_EVIL}")), f"cacheadmin pin add POLICY /srv/{_EVIL}"


def _quoted(text: str) -> str:
    found = re.search(r"`(.*?)`(?=$|, or )", text, re.DOTALL)
    assert found is not None, text
    return found[1]


def test_a_command_with_names_of_users_shows_no_escape_and_means_them_all_the_same() -> None:
    for command, meant in commands_with_evil_names():
        assert printable(command) == command
        spoken = subprocess.run(
            ["bash", "-c", b'cacheadmin() { printf %s "cacheadmin $*"; }; ' + os.fsencode(command)],
            check=True,
            capture_output=True,
        )
        assert spoken.stdout == os.fsencode(meant)


def test_root_becomes_an_account_whose_name_shows_no_escape(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Directory services have such names; the local files here can't.
    monkeypatch.setattr(user_switch, "account_name", lambda _uid: "ana\x1b[2J\u202e x")
    become = user_switch.become_words(1000, None)  # type: ignore[arg-type]
    assert printable(become) == become
    said = subprocess.run(
        ["bash", "-c", f'su() {{ printf "%s\\n" "$@"; }}; {become}'],
        check=True,
        capture_output=True,
    )
    assert said.stdout.decode().splitlines()[1] == "ana\x1b[2J\u202e x"
