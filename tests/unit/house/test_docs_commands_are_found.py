"""What the documentation shows as a command is taken for one, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.docs_commands import commands_in


def texts(path: Path, content: str) -> list[tuple[str, str, int]]:
    path.write_text(content, encoding="utf-8")
    return [(found.user, found.text, found.code) for found in commands_in(path)]


def test_a_shell_block_is_all_commands_of_root(tmp_path: Path) -> None:
    content = "text\n```sh\n# a remark\ncacheadmin plan \\\n  ml   # exit 4\n\nls\n```\n"
    assert texts(tmp_path / "a.md", content) == [
        ("root", "cacheadmin plan ml", 4),
        ("root", "ls", 0),
    ]


def test_in_a_console_block_only_lines_after_a_prompt_are(tmp_path: Path) -> None:
    content = "```console\n# ls\nfile\nana$ false   # exit 1\n```\n"
    assert texts(tmp_path / "a.md", content) == [
        ("root", "ls", 0),
        ("ana", "false", 1),
    ]


def test_a_here_document_belongs_to_its_command(tmp_path: Path) -> None:
    content = "```sh\ncat > x <<'EOF'\nls\nEOF\nid\n```\n"
    found = texts(tmp_path / "a.md", content)
    assert [text for _, text, _ in found] == ["cat > x <<'EOF'\nls\nEOF", "id"]


def test_a_block_has_to_say_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no known language"):
        texts(tmp_path / "a.md", "```\nls\n```\n")


def test_a_crontab_line_runs_as_its_user(tmp_path: Path) -> None:
    content = "```cron\n17 3 * * *  ana  true -q\n```\n"
    assert texts(tmp_path / "a.md", content) == [("ana", "true -q", 0)]


def test_examples_of_manual_pages_are_read_as_printed(tmp_path: Path) -> None:
    content = '.EX\n.\\" exit 4\nplan \\-\\-out x \\e\n  \\[aq]y\\[aq]\nls\n.EE\ntext\n'
    found = texts(tmp_path / "a.1", content)
    assert [(text, code) for _, text, code in found] == [
        ("plan --out x 'y'", 4),
        ("ls", 0),
    ]


def test_a_unit_runs_what_its_exec_lines_say(tmp_path: Path) -> None:
    content = "[Service]\nExecStart=/bin/true \\\n  %i\nExecReload=-/bin/false\n"
    found = texts(tmp_path / "a.service", content)
    assert [text for _, text, _ in found] == ["/bin/true ml-team", "/bin/false"]
