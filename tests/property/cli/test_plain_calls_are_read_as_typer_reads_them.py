"""What is read without typer is read as typer reads it; what is left to typer is not guessed."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cacheadmin.cli import commands, output, program
from cacheadmin.cli.everywhere import global_options
from cacheadmin.cli.lazy_typer import Typer
from cacheadmin.cli.plain_calls import read_plainly

# Each with words that fit it, words that do not, and words that typer treats specially.
_VALUES = ("table", "json", "csv", "nonsense", "p.yaml", "six==1.0", "7", "error", "", "-", "-5")
_GLOBAL = ("-q", "--quiet", "-v", "--wide", "--color", "--color=never", "always", "--version")
_ODD = ("--", "--help", "-qv", "--quiet=1", "--forma", "--format=", "-h")


def _functions() -> dict[tuple[str, ...], Callable[..., object]]:
    found: dict[tuple[str, ...], Callable[..., object]] = {}
    for name in commands.SENTENCES:
        declared = commands.load(name)
        inner = declared.functions if name in commands.GROUPS else {"": declared}
        for second, function in inner.items():
            found[(name, second) if second else (name,)] = function
    return found


_FUNCTIONS = _functions()


def _options(function: Callable[..., object]) -> list[str]:
    source = inspect.signature(function).parameters.values()
    names = []
    for parameter in source:
        hint = inspect.get_annotations(function, eval_str=True)[parameter.name]
        declared = hint.__metadata__[0]
        names += getattr(declared, "names", None) or getattr(declared, "param_decls", None) or ()
    return [name for name in names if name.startswith("-")]


@st.composite
def _calls(draw: st.DrawFn) -> list[str]:
    words = draw(st.sampled_from(sorted(_FUNCTIONS)))
    options = _options(_FUNCTIONS[words]) or ["--none"]
    one = st.one_of(
        st.sampled_from(options),
        st.sampled_from(_VALUES),
        st.sampled_from(_GLOBAL),
        st.sampled_from(_ODD),
        st.builds("{}={}".format, st.sampled_from(options), st.sampled_from(_VALUES)),
    )
    before = draw(st.lists(st.sampled_from(_GLOBAL), max_size=2))
    return [*before, *words, *draw(st.lists(one, max_size=5))]


def _spied_group(group: Typer) -> Typer:
    """Return a group whose commands tell what they were called with."""
    spied = copy.copy(group)
    spied.functions = {name: _spy(one) for name, one in group.functions.items()}
    return spied


def _spy(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def told(**values: Any) -> object:
        return "called", function, values

    return told


@pytest.fixture
def typer_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[list[str]], object]]:
    def spied(name: str) -> Any:
        declared = commands.load(name)
        return _spied_group(declared) if name in commands.GROUPS else _spy(declared)

    monkeypatch.setattr(program, "load", spied)
    built = program.build_program()

    def read(arguments: list[str]) -> object:
        output.settings = output.Settings()
        return built(arguments, prog_name="cacheadmin", standalone_mode=False)

    yield read
    output.settings = output.Settings()


def _check(arguments: list[str], typer_reads: Callable[[list[str]], object]) -> bool:
    call = read_plainly(arguments, commands.function_of, global_options)
    if call is None:
        return False
    bound = inspect.signature(call.function).bind(**call.values)
    bound.apply_defaults()
    output.settings = output.Settings()
    for callback, value in call.before:
        callback(value)
    ours = (call.function.__name__, bound.arguments, output.settings)
    _, function, values = typer_reads(arguments)  # type: ignore[misc]
    assert ours == (function.__name__, values, output.settings), arguments
    return True


def test_generated_calls(typer_reads: Callable[[list[str]], object]) -> None:
    plain = 0

    @settings(deadline=None, max_examples=400)
    @given(_calls())
    def check(arguments: list[str]) -> None:
        nonlocal plain
        plain += _check(arguments, typer_reads)

    check()
    assert plain > 5, "hardly any call was read without typer"


@pytest.mark.parametrize(
    "arguments",
    [
        ["preflight"],
        ["preflight", "p.yaml"],
        ["-q", "prune", "p.yaml"],
        ["prune", "-q", "p.yaml", "--metrics", "/m.prom"],
        ["--color", "never", "plan", "--format=json", "p.yaml"],
        ["runs", "purge", "p.yaml"],
        ["status", "--all"],
        ["audit", "a.yaml", "b.yaml", "--fail-on", "warning"],
        ["evict", "six", "idna==3.4"],
        ["scan", "p.yaml", "--format", "csv"],
    ],
    ids=" ".join,
)
def test_what_cron_and_people_call_is_plain(
    typer_reads: Callable[[list[str]], object], arguments: list[str]
) -> None:
    assert _check(arguments, typer_reads)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["nonsense"],
        ["preflight", "--help"],
        ["preflight", "--nonsense"],
        ["preflight", "a", "b"],
        ["preflight", "--format"],
        ["preflight", "--format", "nonsense"],
        ["preflight", "--format", "json", "--format", "table"],
        ["prune", "-nq"],
        ["runs"],
        ["runs", "nonsense"],
        ["evict"],
        ["--version"],
        ["preflight", "--", "p.yaml"],
    ],
    ids=" ".join,
)
def test_what_is_wrong_or_not_plain_is_left_to_typer(arguments: list[str]) -> None:
    assert read_plainly(arguments, commands.function_of, global_options) is None


def test_a_shell_that_asks_for_completion_gets_typers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_CACHEADMIN_COMPLETE", "complete_bash")
    assert read_plainly(["preflight"], commands.function_of, global_options) is None


def test_the_list_of_commands_is_that_of_the_whole_program(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for built in (program.build_program(), program.build_program(whole=True)):
        built(["--help"], prog_name="cacheadmin", standalone_mode=False)
    text = capsys.readouterr().out
    assert text[: len(text) // 2] == text[len(text) // 2 :]
