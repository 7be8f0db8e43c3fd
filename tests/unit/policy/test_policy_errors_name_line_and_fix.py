"""What is wrong with a policy is said with line, column, key and what is wanted."""

from __future__ import annotations

import os

import pytest

from cacheadmin.errors import NotACache, NotPermitted, PolicyInvalid
from cacheadmin.policy.loader import load_policy
from cacheadmin.policy.parser import parse_policy

GOOD = "version: 1\nname: ml\ncache: /srv/uv\n"


def error_of(text: str | bytes) -> str:
    content = text if isinstance(text, bytes) else text.encode()
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(content, "p.yaml")
    return "\n".join((caught.value.message, *caught.value.details))


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("vens: {}", "p.yaml:4:1: unknown key vens: did you mean venvs?"),
        ("venvs:\n  includ: []", "p.yaml:5:3: unknown key venvs.includ: did you mean include?"),
        ("venvs:\n  scan: quick", "p.yaml:5:3: venvs.scan must be 'fast' or 'deep', not 'quick'"),
        ("lock:\n  timeout: 5", "p.yaml:5:3: lock.timeout: write a number with its unit"),
        ("lock:\n  timeout: soon", "p.yaml:5:3: lock.timeout: 'soon' is no duration"),
        ("prune:\n  archives: 1", "p.yaml:5:3: prune.archives must be true or false, not 1"),
        ("scan: {limits: {memory: 1KiB}}", "scan.limits.memory: a reader needs at least 64MiB"),
        ("scan: {limits: {cpu: 0s}}", "scan.limits.cpu: a reader needs at least 1s"),
        ("prune:\n  archives: off", "prune.archives must be true or false, not 'off'"),
        ("prune:\n  keep: [six, 'six=1.17.0']", "p.yaml:5:15: prune.keep.1: 'six=1.17.0' names no"),
        ("prune:\n  keep: ['six>2,<1']", "its conditions exclude each other"),
        ("prune:\n  keep: ['==1.0']", "'==1.0' names no package"),
        ("prune:\n  keep: ['foo/bar*']", "'foo/bar*' names no package"),
        ("prune:\n  keep: ['']", "'' names no package"),
        ("uv:\n  keep: [latest]", "'latest' is no uv release"),
        ("aliases: [relative]", "'relative' is relative: write an absolute path"),
        ("quarantine:\n  path: /srv/uv/archive-v0/q", "p.yaml:5:3: quarantine.path: /srv/uv/arch"),
        ("quarantine:\n  path: /srv", "holds the cache itself"),
        ("name: again", "p.yaml:4:1: the key 'name' stands there twice"),
        ("a: &a [*a]", "p.yaml:4"),
        ("a: !!python/object:os.system x", "tags such as"),
        ("\tb: c", "p.yaml:4:1: not valid YAML: a tab: YAML is indented with spaces"),
        ("venvs:\n\tinclude: []", "p.yaml:5:1: not valid YAML: a tab: YAML is indented with"),
        ("a: [1, 2", "p.yaml:4:4: not valid YAML: the list `[` that begins here has no end"),
        ("a: 'b", "p.yaml:4:4: not valid YAML: the text in quotes that begins here has no end"),
        ("a: @b", "p.yaml:4:4: not valid YAML: a value that begins with @ must stand in quotes"),
        ("a: *b", "p.yaml:4:4: not valid YAML: *b is the name of nothing: put it in quotes"),
        ("a: b: c", "p.yaml:4:5: not valid YAML: a second `: ` in one line"),
        ("- a", "not valid YAML: this line does not belong to those above"),
        ("description:", "p.yaml:4:1: description must be text; nothing stands there"),
        ("venvs:", "p.yaml:4:1: venvs must be a mapping of keys; nothing stands there"),
        ("state: 5", "p.yaml:4:1: state must be text, not 5: put it in quotes"),
        ("state: true", "p.yaml:4:1: state must be text, not true: put it in quotes"),
        ("state: [a]", "p.yaml:4:1: state must be text, not the list ['a']"),
        (
            "venvs: {registry: /srv/uv/registry}",
            "p.yaml:4:9: venvs.registry: /srv/uv/reg",
        ),
        # Another file in another folder: what is remembered would be forgotten by the next run.
        ("state: sqlite:///state.db", "p.yaml:4:1: state: 'sqlite:///state.db' is relative"),
        ("state: 'sqlite:///:memory:'", "keeps nothing from one run to the next"),
        ("state: sqlite:///", "keeps nothing from one run to the next"),
        ("state: sqlite:////srv/uv/state.db", "lies in the cache"),
        ("state: sqlite:////srv/x/../uv/state.db", "lies in the cache"),
        ("state: /var/state.db", "'/var/state.db' is no state that is known here: write sqlite"),
        ("state: mysql://ana:secret@host/x", "p.yaml:4:1: state: 'mysql' is no state that is kno"),
        ("state: {a: b}", "p.yaml:4:1: state must be text, not a mapping of keys"),
        ("prune: {keep: torch}", "prune.keep must be a list, not 'torch': write [torch]"),
        ("protect: {ahead: 21}", "p.yaml:4:11: protect.ahead must be at most 20, not 21"),
        ("prune: {limits: {entries: 0}}", "prune.limits.entries must be at least 1, not 0"),
        ("uv: {minimum: 0.8}", "'0.8' is no uv release: write three numbers, such as 0.8.19"),
        (
            "prune: {environments: sometimes}",
            "p.yaml:4:9: prune.environments must be 'never', or a mapping of keys, not 'sometimes'",
        ),
        ("prune: {unused: {after: soon}}", "prune.unused.after"),
        ("prune: {budget: {max_files: -1}}", "prune.budget.max_files"),
        (
            "hosts: {expect: ['node[9-1]']}",
            "p.yaml:4:18: hosts.expect.0: 'node[9-1]' is a range that ends before it begins",
        ),
        ("hosts: {expect: ['a b']}", "'a b' is no host name, range (node[001-200]) or @FILE"),
        ("hosts: {expect: ['@hosts']}", "'@hosts' names no absolute path after its @"),
        ("hosts: {expect: ['n[1-99999]']}", "is a range of 99999 hosts, more than 10000"),
        (
            "audit: {links: loud}",
            "p.yaml:4:9: audit.links must be 'error', 'warning', 'info' or 'off', not 'loud'",
        ),
        ("audit: {links: 5}", "p.yaml:4:9: audit.links must be a mapping of keys, not 5"),
        ("audit: {suppress: {}}", "p.yaml:4:9: audit.suppress must be a list"),
        ("audit:\n  suppress: [{rule: x}]", "p.yaml:5:14: audit.suppress.0.reason is required"),
        (
            "audit:\n  suppress: [{rule: x, reason: y, expires: soon}]",
            "p.yaml:5:35: audit.suppress.0.expires: 'soon' is no date: write YYYY-MM-DD",
        ),
        (
            "audit:\n  suppress: [{rule: x, reason: y, expires: 2026-02-30, sbject: z}]",
            "unknown key audit.suppress.0.sbject: did you mean subject?",
        ),
    ],
)
def test_one_line_says_where_and_what(added: str, expected: str) -> None:
    assert expected in error_of(f"{GOOD}{added}\n")


def test_a_name_that_no_file_could_have_is_refused_in_plain_words() -> None:
    told = error_of("version: 1\nname: my team\ncache: /srv/uv\n")
    assert "name must begin with a letter or digit" in told
    assert "name must not be empty" in error_of("version: 1\nname: ''\ncache: /srv/uv\n")


def test_one_mistake_in_a_section_that_may_be_a_word_is_one_error() -> None:
    told = error_of(f"{GOOD}prune:\n  environments: {{idle: soon}}\n")
    assert told.startswith("p.yaml:5:18: prune.environments.idle: 'soon' is no duration")
    assert "\n" not in told


def test_all_errors_of_a_file_come_together_in_order() -> None:
    lines = error_of("version: 2\nname: ml\ncache: uv\nfoo: 1\n").splitlines()
    assert [line.split(":")[1] for line in lines] == ["1", "3", "4"]


@pytest.mark.parametrize(
    "content", [b"", b"# nothing\n", b"\xff\xfe", b"version: 1\0", b"- 1", b"x"]
)
def test_what_is_no_policy_is_refused(content: bytes) -> None:
    assert "p.yaml" in error_of(content)


def test_a_billion_laughs_are_cut_short() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "expands to more than" in error_of("\n".join(lines))


def test_deep_nesting_is_cut_short() -> None:
    assert "nested deeper" in error_of("a: " + "[" * 500 + "]" * 500)


def test_off_is_a_word_where_the_model_wants_one() -> None:
    loaded = parse_policy(f"{GOOD}prune:\n  unused: {{after: off}}\n  budget: off\n".encode(), "p")
    assert loaded.policy.prune.unused.after is None


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_can_write_is_refused(tmp_path, mode: int) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(GOOD)
    path.chmod(mode)
    with pytest.raises(PolicyInvalid, match="can be written by"):
        load_policy(str(path))
    assert load_policy(str(path), insecure=True).policy.name == "ml"


def test_a_folder_that_others_can_write_is_refused_through_a_link_too(tmp_path) -> None:
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    (open_folder / "p.yaml").write_text(GOOD)
    (open_folder / "p.yaml").chmod(0o644)
    open_folder.chmod(0o777)
    link = tmp_path / "p.yaml"
    link.symlink_to(open_folder / "p.yaml")
    with pytest.raises(PolicyInvalid, match=r"folder .* can be written by others"):
        load_policy(str(link))


def test_a_fifo_and_a_folder_in_place_of_the_file_do_not_hang(tmp_path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("fifo.yaml", "folder.yaml"):
        with pytest.raises(PolicyInvalid, match="must be a file"):
            load_policy(str(tmp_path / name))


def test_a_bare_name_is_never_looked_up_in_the_current_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "ml.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CACHEADMIN_POLICY_DIR", ".")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    with pytest.raises(NotACache, match="no policy is named ml"):
        load_policy("ml")
    monkeypatch.setenv("CACHEADMIN_POLICY_DIR", str(tmp_path))
    assert load_policy("ml").path == str(tmp_path / "ml.yaml")


def test_a_policy_that_cant_be_looked_at_is_not_called_missing(tmp_path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(NotPermitted, match="can't be looked at: Too many levels"):
        load_policy(str(tmp_path / "loop" / "x.yaml"))
    with pytest.raises(NotACache, match="no such policy"):
        load_policy(str(tmp_path / "x.yaml"))
