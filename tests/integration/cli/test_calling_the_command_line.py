"""Options count wherever they stand, POLICY may be left out, help is whole, and tables fit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cacheadmin.cli import output
from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.incident import Incident
from tests.support.shared_cache import SharedCache, dangling_links
from tests.support.terminals import on_terminal
from tests.support.uv_releases import NEWEST


@pytest.fixture
def policy(cacheadmin: Cacheadmin, incident: Incident) -> Path:
    homes = incident.shared.homes
    return cacheadmin.policy(incident.shared.path, f"venvs:\n  include: ['{homes}/*/*']\n")


def calls() -> list[tuple[str, ...]]:
    """Return the words of every command and group."""
    from cacheadmin.cli.program import build_program

    def inner(command: object, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = [words]
        for name, one in getattr(command, "commands", {}).items():
            found += inner(one, (*words, name))
        return found

    return inner(build_program(whole=True), ())


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "--quiet", "--format", "json"),
        ("--quiet", "plan", "--format", "json"),
        ("plan", "-q", "-v", "--format", "json"),
        ("plan", "--format", "json", "--color", "never", "-v"),
    ],
)
def test_global_options_count_before_and_after_the_command(
    cacheadmin: Cacheadmin, policy: Path, words: tuple[str, ...]
) -> None:
    assert cacheadmin(*words, policy, code=4).json["verdict"] == "limited"


def test_quiet_after_the_command_is_as_quiet_as_before_it(
    cacheadmin: Cacheadmin, policy: Path
) -> None:
    result = cacheadmin("prune", policy, "-q", code=0)
    assert (result.stdout, result.stderr) == ("", "")
    result = cacheadmin("runs", "list", "-q", policy, "--version", code=0)
    assert result.stdout.startswith("cacheadmin ")


@pytest.mark.parametrize("words", calls(), ids=" ".join)
def test_the_help_of_every_command_is_whole_at_eighty_columns(
    cacheadmin: Cacheadmin, words: tuple[str, ...]
) -> None:
    cacheadmin.home.mkdir(parents=True, exist_ok=True)
    seen = on_terminal(cacheadmin, 80, *words, "--help")
    assert seen.code == 0
    # `NAME...` may be repeated; anything else with dots was cut.
    assert "..." not in re.sub(r"[A-Z\]}]\.\.\.", "", seen.text), seen.text
    assert max(map(len, seen.lines)) <= 80
    assert "--quiet" in seen.text
    # What Python or typer call things is nothing to a reader.
    assert not re.search(r"<(list|str|int|float)\b|\.\.\.\}", seen.text), seen.text


def test_help_explains_commands_rules_keys_and_exit_codes(cacheadmin: Cacheadmin) -> None:
    told = cacheadmin("help", "runs", "restore", code=0).stdout
    assert told == cacheadmin("runs", "restore", "--help", code=0).stdout
    assert "uv's lock" in cacheadmin("help", "lock-file", code=0).stdout
    assert "largest size" in cacheadmin("help", "prune.budget", code=0).stdout
    assert " 78  " in cacheadmin("help", "exit-codes", code=0).stdout
    assert "did you mean preflight?" in cacheadmin("help", "preflght", code=2).stderr
    assert cacheadmin("help", code=0).stdout.startswith(cacheadmin("--help", code=0).stdout[:400])


def test_the_policy_may_be_left_out_in_every_command(
    cacheadmin: Cacheadmin, incident: Incident
) -> None:
    def run(*words: str, code: int = 0) -> str:
        own = {"UV_CACHE_DIR": str(incident.shared.path)}
        return cacheadmin(*words, code=code, environment=own).stdout

    assert "six" in run("explain", "six")
    run("pin", "add", "six")
    assert "six" in run("pin", "list")
    run("pin", "remove", "six")
    run("venv", "add", str(incident.environments["ana"]))
    assert str(incident.environments["ana"]) in run("venv", "list")
    run("venv", "remove", str(incident.environments["ana"]))
    assert "built-in policy: ok" in run("policy", "check")
    for name in incident.environments.values():
        run("venv", "add", str(name))
    run("prune")
    run("runs", "show")
    run("runs", "restore")


def test_a_missing_argument_is_named(cacheadmin: Cacheadmin) -> None:
    assert "TARGET is missing" in cacheadmin("explain", code=2).stderr
    assert "PATH is missing" in cacheadmin("venv", "add", code=2).stderr


def test_a_line_of_progress_makes_room_for_whatever_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.show_progress("environments scanned: 10 of 10")
    output.data("status  kind")
    output.show_progress("environments scanned: 11 of 11")
    output.warning("one is odd")
    told = capsys.readouterr()
    assert told.out == "status  kind\n"
    erased = "\r\x1b[K"
    assert told.err.endswith(f"10 of 10{erased}{erased}environments scanned: 11 of 11{erased}"
                             "cacheadmin: warning: one is odd\n")  # fmt: skip
    output.clear_progress()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("usage", "--by", "no"), "'--by': 'no' is not one of 'bucket', 'package', "),
        (("audit", "--fail-on", "no"), "'--fail-on': 'no' is not one of 'error', "),
        (("verify", "--jobs", "0"), "'--jobs': must be at least 1 (see"),
        (("verify", "--jobs", "1.5"), "'--jobs': not a whole number (see"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(
    cacheadmin: Cacheadmin, words: tuple[str, ...], said: str
) -> None:
    assert f"cacheadmin: Invalid value for {said}" in cacheadmin(*words, code=2).stderr


def test_a_list_of_rules_is_no_plan_that_could_be_saved(
    cacheadmin: Cacheadmin, tmp_path: Path
) -> None:
    saved = tmp_path / "saved.plan"
    said = cacheadmin("plan", "--list-rules", "--out", saved, code=2).stderr
    assert said == "cacheadmin: --list-rules and --out don't go together\n"
    assert not saved.exists()


@pytest.mark.parametrize("kind", ["a link", "a FIFO"])
def test_a_plan_is_saved_through_nothing_that_others_prepared(
    shared: SharedCache, cacheadmin: Cacheadmin, tmp_path: Path, kind: str
) -> None:
    shared.environment("proj", NEWEST, "six==1.16.0")
    saved, victim = tmp_path / "saved.plan", tmp_path / "precious"
    victim.write_text("precious")
    if kind == "a FIFO":
        os.mkfifo(saved)
    else:
        saved.symlink_to(victim)
    said = cacheadmin("plan", cacheadmin.policy(shared.path), "--out", saved, code=1).stderr
    assert f"{saved} is {kind}: only a plain file is replaced" in said
    assert victim.read_text() == "precious"


def test_a_run_left_out_is_the_last_one_and_never_an_older(
    cacheadmin: Cacheadmin, policy: Path, incident: Incident
) -> None:
    first = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    assert cacheadmin("runs", "show", policy, "--format", "json", code=0).json["run_id"] == first
    moved = cacheadmin("runs", "show", policy, first, "--format", "json", code=0).json["entries"]
    path = incident.shared.path / moved[0]["path"]
    assert not path.exists()
    assert f"run {first}: " in cacheadmin("runs", "restore", policy, code=0).stderr
    assert path.exists()
    assert (
        "can't be restored: it is restored" in cacheadmin("runs", "restore", policy, code=5).stderr
    )
    second = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    told = cacheadmin("runs", "purge", policy, first, code=0).stderr
    assert "1 run deleted for good" in told
    assert cacheadmin("runs", "show", policy, "--format", "json", code=0).json["run_id"] == second
    assert not any(map(dangling_links, incident.environments.values()))


COMMANDS = [
    ("preflight",),
    ("plan",),
    ("plan", "-v"),
    ("scan",),
    ("schemas",),
    ("usage", "--by", "package"),
    ("audit",),
    ("policy", "show"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_a_terminal_of_eighty_columns_shows_fits_but_for_commands(
    cacheadmin: Cacheadmin, policy: Path, words: tuple[str, ...]
) -> None:
    cacheadmin.home.mkdir(parents=True, exist_ok=True)
    command, *options = words
    if words == ("policy", "show"):
        seen = on_terminal(cacheadmin, 80, *words, policy)
    else:
        seen = on_terminal(cacheadmin, 80, command, policy, *options)
    wide = [
        line
        for line in seen.lines
        if len(line) > 80
        and not re.search(r"`|^ +(setpriv|cacheadmin|chmod|find|su) |/\S{40}", line)
    ]
    assert wide == []


def test_what_a_narrow_terminal_leaves_out_is_said_and_wide_shows_it(
    cacheadmin: Cacheadmin, policy: Path
) -> None:
    cacheadmin.home.mkdir(parents=True, exist_ok=True)
    narrow = on_terminal(cacheadmin, 80, "schemas", policy)
    assert "(no room for: last write; --wide shows all)" in narrow.lines
    wide = on_terminal(cacheadmin, 80, "schemas", policy, "--wide")
    assert "no room" not in wide.text
    assert any(len(line) > 80 for line in wide.lines)
    # A file or a pipe has no width.
    assert wide.lines[0] in cacheadmin("schemas", policy, code=0).stdout.splitlines()


def test_without_a_cache_of_ones_own_the_policies_are_named(cacheadmin: Cacheadmin) -> None:
    told = cacheadmin("preflight", code=66).stderr
    assert "there is no such folder" in told
    assert "cacheadmin policy init" in told
    cacheadmin.policy("/srv/one", name="ml-team")
    cacheadmin.policy("/srv/two", name="web")
    told = cacheadmin("preflight", "-q", code=66).stderr
    assert "policies here: ml-team, web; name one, as in `cacheadmin preflight ml-team`" in told
    assert "policies here" not in cacheadmin("preflight", "web", code=66).stderr


def test_a_folder_of_policies_is_checked_as_a_whole(
    cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    good = cacheadmin.policy("/srv/one", name="ml-team")
    bad = cacheadmin.policy("/srv/two", "prune: {archive: true}\n", name="web")
    result = cacheadmin("policy", "check", good.parent, code=78)
    assert f"{good}: ok" in result.stdout
    assert f"{bad}:5:9: unknown key prune.archive: did you mean archives?" in result.stderr
    assert cacheadmin("policy", "check", code=78).stdout == result.stdout
    assert "no policy" in cacheadmin("policy", "check", open_folder, code=66).stderr


def test_a_starter_policy_is_accepted_whatever_the_umask(
    cacheadmin: Cacheadmin, open_folder: Path
) -> None:
    file = open_folder / "new" / "policies.d" / "ml.yaml"
    cacheadmin.home.mkdir(parents=True, exist_ok=True)
    command = cacheadmin.command("policy", "init", "--cache", "/srv/uv", "--name", "ml", file)
    variables = cacheadmin.environment()
    subprocess.run(command, env=variables, check=True, umask=0o002, capture_output=True)
    assert cacheadmin("policy", "check", file, code=0).stdout == f"{file}: ok\n"
    assert file.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=")
    loose = open_folder / "loose"
    loose.mkdir()
    loose.chmod(0o775)
    told = cacheadmin("policy", "init", "--cache", "/srv/uv", loose / "ml.yaml", code=0).stderr
    assert "it will be refused: the policy's folder" in told


def test_commands_that_are_printed_can_be_pasted(
    cacheadmin: Cacheadmin, open_folder: Path, shared: SharedCache
) -> None:
    """A policy whose path needs quotes: each command that is printed runs as it stands."""
    shared.environment("proj", NEWEST, "six==1.16.0")
    folder = open_folder / "my policies"
    folder.mkdir(mode=0o755)
    policy = cacheadmin.policy(shared.path)
    moved = folder / "the team's.yaml"
    os.replace(policy, moved)
    told = cacheadmin("policy", "init", "--cache", "/srv/uv", folder / "a b.yaml", code=0).stderr
    printed = re.findall(r"`cacheadmin ([^`]*)`", told)
    printed += re.findall(r"`cacheadmin ([^`]*)`", cacheadmin("audit", moved).stdout)
    assert printed
    for line in printed:
        words = subprocess.run(
            ["sh", "-c", f'for word in {line}; do printf "%s\\n" "$word"; done'],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        assert cacheadmin(*words).code in (0, 4, 8), line


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("preflight", "POLICY"), 4),
        (("preflight", "POLICY", "--format", "json"), 4),
        (("preflight", "POLICY", "--format", "csv"), 4),
        (("--help",), 0),
        (("help",), 0),
        (("help", "exit-codes"), 0),
    ],
)
def test_a_reader_that_leaves_does_not_change_the_exit_code(
    cacheadmin: Cacheadmin, policy: Path, words: tuple[str, ...], code: int
) -> None:
    named = [os.fspath(policy) if word == "POLICY" else word for word in words]
    reading, writing = os.pipe()
    os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "cacheadmin", *named],
            env=cacheadmin.environment(),
            cwd="/",
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (result.returncode, result.stderr) == (code, b"")


def test_an_interrupt_while_modules_are_loaded_is_one_line() -> None:
    # As Ctrl-C in the first tenth of a second.
    interrupted = (
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'cacheadmin.cli.app': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
        "sys.argv = ['cacheadmin', 'plan']\n"
        "from cacheadmin.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"cacheadmin: interrupted\n")


@pytest.mark.parametrize("gone", ["a full disk", "a reader that has left"])
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("preflight", "no-such-policy"), 66),
        (("no-such-command",), 2),
        # A warning, once the work is done.
        (("prune", "POLICY", "--metrics", "/proc/no-such.prom"), 0),
        (("runs", "restore", "POLICY"), 66),
    ],
)
def test_errors_that_cant_be_written_change_neither_work_nor_exit_code(
    cacheadmin: Cacheadmin, policy: Path, words: tuple[str, ...], code: int, gone: str
) -> None:
    named = [os.fspath(policy) if word == "POLICY" else word for word in words]
    if gone == "a full disk":
        writing = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, writing = os.pipe()
        os.close(reading)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "cacheadmin", *named],
            env=cacheadmin.environment(),
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=writing,
            check=False,
        )
    finally:
        os.close(writing)
    assert result.returncode == code
    if code == 0:
        listed = cacheadmin("runs", "list", policy, "--format", "json", code=0).json["runs"]
        assert [run["state"] for run in listed] == ["committed"]
