"""The commands that our documentation shows, taken out of it word by word.

    for command in commands_in(REPOSITORY / "README.md"): ...

From Markdown: fenced blocks. Each says its language, and the language says what
it is: every line of ``sh`` is a command of root; in ``console`` lines after a
prompt are (``# `` root's, ``ana$ `` of that user) and the rest is output;
``cron`` holds lines of a crontab with a user. ``toml``, ``yaml``, ``ini`` and
``text`` hold no commands, and no other language is known. From manual pages:
examples between ``.EX`` and ``.EE``. From systemd units: ``Exec`` lines. A whole
policy, wherever it is shown, is one that has to pass ``cacheadmin policy check``.

A command that is meant to leave with another code than 0 says so beside it:
``# exit 4`` at its end, or ``.\\" exit 4`` on the line before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"\s*```(\S*)\s*$")
_SILENT = frozenset({"toml", "yaml", "ini", "text"})
_EXAMPLE = "/etc/cacheadmin/policies.d/example.yaml"
_PROMPT = re.compile(r"(?:(?P<root># )|(?P<user>[a-z]+)\$ )(?P<text>.*)")
_EXIT = re.compile(r"\s+# exit (\d+)\b.*")
_HERE_DOCUMENT = re.compile(r"<<'(\w+)'")
_CRON = re.compile(r"(?:[-\d*/,]+\s+){5}(?P<user>[a-z_][-\w]*)\s+(?P<text>\S.*)")


@dataclass(frozen=True)
class Command:
    """One command as documented: ``place`` is file:line, ``user`` who types it."""

    place: str
    text: str
    user: str = "root"
    code: int = 0
    #: "shell", "cron" or "unit"
    kind: str = "shell"


def commands_in(path: Path) -> list[Command]:
    """Return every command of one document, in order, by the kind of file it is."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return list(_of_markdown(path.name, text))
    if re.fullmatch(r"\.[1-9]", path.suffix):
        return list(_of_manual(path.name, text))
    return list(_of_unit(path.name, text))


def with_last_run(text: str, must: Callable[[str], str]) -> str:
    """Put the last run's id in for RUN, which only a reader can know.

    ``must`` runs a command where the text will run, and returns its output.
    """
    if not re.search(r"\bRUN\b", text):
        return text
    listed = must("cacheadmin runs list ml-team --format json")
    runs = re.findall(r"\d{8}T\d{6}Z-[0-9a-f]{6}", listed)
    assert runs, "the example undoes a run, but there was none before it"
    return re.sub(r"\bRUN\b", runs[-1], text)


def _of_markdown(name: str, text: str) -> Iterator[Command]:
    language: str | None = None
    block: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence is None:
            block.append((number, line))
        elif language is None:
            language, block = fence[1], []
        else:
            assert not fence[1], f"{name}:{number}: a block begins in a block"
            yield from _of_block(name, number, language, block)
            language = None


def _of_block(
    name: str, number: int, language: str, lines: list[tuple[int, str]]
) -> Iterator[Command]:
    if language == "console":
        lines = [(at, line) for at, line in lines if _PROMPT.match(line)]
    elif language not in ("sh", "cron", *_SILENT):
        raise AssertionError(f"{name}:{number}: a block of no known language: {language!r}")
    if language not in _SILENT or (lines and lines[0][1] == "version: 1"):
        yield from _of_lines(name, lines, prompts=language == "console")


def _of_manual(name: str, text: str) -> Iterator[Command]:
    inside = False
    lines: list[tuple[int, str]] = []
    code = ""
    for number, line in enumerate(text.splitlines(), 1):
        declared = re.match(r'\.\\" (exit \d+)', line)
        if line == ".EX":
            inside, lines = True, []
        elif line == ".EE":
            inside = False
            yield from _of_lines(name, lines)
        elif declared:
            code = f"  # {declared[1]}"
        elif inside:
            going_on = line.endswith("\\e")
            lines.append((number, _plain(line) + ("" if going_on else code)))
            code = code if going_on else ""


def _of_lines(
    name: str, lines: list[tuple[int, str]], *, prompts: bool = False
) -> Iterator[Command]:
    if lines and lines[0][1].strip() == "version: 1":
        # A whole policy: what a reader does with it is to write and check it.
        content = "\n".join(line for _, line in lines)
        text = f"cat > {_EXAMPLE} <<'END'\n{content}\nEND\ncacheadmin policy check {_EXAMPLE}"
        yield Command(f"{name}:{lines[0][0]}", text)
        return
    waiting = iter(lines)
    for number, first in waiting:
        prompt = _PROMPT.match(first) if prompts else None
        user = (prompt["user"] or "root") if prompt else "root"
        text = (prompt["text"] if prompt else first).strip()
        while text.endswith("\\"):
            text = f"{text[:-1].rstrip()} {next(waiting)[1].strip()}"
        here = _HERE_DOCUMENT.search(text)
        while here and not text.endswith(f"\n{here[1]}"):
            text += f"\n{next(waiting)[1]}"
        if not text or text.startswith("#"):
            continue
        declared = _EXIT.search(text)
        code = int(declared[1]) if declared else 0
        text = _EXIT.sub("", text)
        cron = _CRON.fullmatch(text)
        if cron:
            yield Command(f"{name}:{number}", cron["text"], cron["user"], code, "cron")
        else:
            yield Command(f"{name}:{number}", text, user, code)


def _of_unit(name: str, text: str) -> Iterator[Command]:
    joined = re.sub(r"\s*\\\n\s*", " ", text).replace("%i", "ml-team")
    settings = re.findall(r'^Environment="(\w+=[^"]*)"$', joined, re.MULTILINE)
    begin = "".join(f"{setting}; " for setting in settings)
    for number, line in enumerate(joined.splitlines(), 1):
        cron = _CRON.fullmatch(line)
        if cron:
            yield Command(f"{name}:{number}", cron["text"], cron["user"], 0, "cron")
        found = re.fullmatch(r"Exec\w+=[-@:+!]*(.*)", line)
        if found and found[1]:
            yield Command(f"{name}:{number}", begin + found[1], kind="unit")


def _plain(line: str) -> str:
    """Return what a line of an example prints."""
    for written, printed in (
        (r"\[aq]", "'"),
        (r"\(aq", "'"),
        (r"\-", "-"),
        (r"\(ti", "~"),
        (r"\(ha", "^"),
        (r"\&", ""),
        (r"\e", "\\"),
    ):
        line = line.replace(written, printed)
    assert "\\" not in line[:-1], f"an escape that is not known: {line}"
    return line
