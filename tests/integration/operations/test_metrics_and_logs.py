"""What monitoring, logs and the audit trail are told of a command, also of one that failed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.cacheadmin_cli import Cacheadmin
from tests.support.users import User

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def cache(open_folder: Path) -> Path:
    """A cache with one archive that nothing refers to, laid out by hand."""
    cache = open_folder / "cache"
    information = cache / "archive-v0" / "AbCdEfGhIjKlMnOpQrStU" / "old-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Name: old\nVersion: 1.0\n", encoding="utf-8")
    tag = "Signature: 8a477f597d28d172789f06886806bc55"
    (cache / "CACHEDIR.TAG").write_text(tag, encoding="utf-8")
    (cache / ".gitignore").write_text("*", encoding="utf-8")
    cache.chmod(0o755)
    return cache


def read(path: Path) -> Series:
    """Parse a metrics file as Prometheus does; a series must not come twice."""
    found: Series = {}
    text = path.read_text(encoding="utf-8")
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation
        assert text.count(f"# TYPE {family.name} ") == text.count(f"# HELP {family.name} ") == 1
        for sample in family.samples:
            key = (sample.name.removeprefix("cacheadmin_"), frozenset(sample.labels.items()))
            assert sample.name.startswith("cacheadmin_")
            assert {"command", "policy", "cache"} <= sample.labels.keys()
            assert key not in found
            found[key] = sample.value
    return found


def value(series: Series, name: str, **labels: str) -> float | None:
    """Return the one value of a metric under these labels; None: there is none."""
    wanted = set(labels.items())
    found = [
        number for (metric, have), number in series.items() if metric == name and wanted <= have
    ]
    assert len(found) <= 1
    return found[0] if found else None


def outcome(series: Series) -> str:
    """Return the outcome that is set; exactly one must be."""
    found = [
        dict(labels)["outcome"]
        for (metric, labels), number in series.items()
        if metric == "last_run_outcome" and number
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.root
def test_a_prune_says_what_it_removed_and_when(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    policy = cacheadmin.policy(cache, name="ml-team")
    metrics = open_folder / "prune.prom"
    cacheadmin("-q", "prune", policy, "--metrics", metrics, code=0)
    series = read(metrics)
    assert outcome(series) == "committed"
    assert value(series, "removed_entries", command="prune", policy="ml-team") == 1
    assert value(series, "quarantine_runs", cache=str(cache)) == 1
    assert value(series, "last_run_exit_code") == 0
    assert value(series, "last_success_timestamp_seconds") == value(
        series, "last_run_timestamp_seconds"
    )
    assert value(series, "verdict", verdict="safe") == 1
    assert value(series, "environments", status="broken") == 0
    assert value(series, "users_without_lock") == 0
    assert stat.S_IMODE(metrics.stat().st_mode) == 0o644
    assert [path.name for path in open_folder.glob("*.prom*")] == ["prune.prom"]


@pytest.mark.root
def test_a_failed_run_is_told_and_keeps_when_the_last_was_well(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    policy = cacheadmin.policy(cache, "lock: {busy: skip}\n", name="ml-team")
    metrics = open_folder / "prune.prom"
    cacheadmin("preflight", policy, "--metrics", open_folder / "preflight.prom", code=0)
    (cache / ".lock").touch()
    with held(cache / ".lock"):
        cacheadmin("prune", policy, "--metrics", metrics, code=3)
    assert outcome(read(metrics)) == "busy"
    assert value(read(metrics), "last_success_timestamp_seconds") is None
    cacheadmin("prune", policy, "--metrics", metrics, code=0)
    well = value(read(metrics), "last_success_timestamp_seconds")
    policy.write_text(policy.read_text() + "nonsense: 1\n")
    cacheadmin("prune", policy, "--metrics", metrics, code=78)
    broken = read(metrics)
    assert outcome(broken) == "policy_invalid"
    assert value(broken, "last_run_exit_code", policy="ml-team") == 78
    assert value(broken, "last_success_timestamp_seconds", cache=str(cache)) == well
    assert well is not None


def test_an_audit_tells_findings_of_each_cache_and_which_it_could_not_reach(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    metrics = open_folder / "audit.prom"
    cacheadmin.policy(cache, name="here")
    cacheadmin.policy(open_folder / "nowhere", name="gone")
    folder = cacheadmin.folder / "policies"
    cacheadmin("audit", folder, "--metrics", metrics, "--fail-on", "never", code=0)
    series = read(metrics)
    assert value(series, "last_success_timestamp_seconds", policy="here") is not None
    assert value(series, "last_success_timestamp_seconds", policy="gone") is None
    told = [labels for (name, labels) in series if name == "findings"]
    assert any(("policy", "gone") in labels for labels in told)


def test_an_audit_whose_reader_leaves_early_tells_its_findings_all_the_same(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    metrics = open_folder / "audit.prom"
    policy = cacheadmin.policy(cache, name="ml-team")
    cache.chmod(0o777)
    command = cacheadmin.command("audit", policy, "--format", "sarif", "--metrics", metrics)
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody_reads:
        subprocess.run(command, stdout=nobody_reads, env=cacheadmin.environment(), check=False)
    series = read(metrics)
    assert value(series, "findings", cache=str(cache), rule="world-writable") == 1
    assert value(series, "last_success_timestamp_seconds", cache=str(cache)) is not None


@pytest.mark.root
def test_names_with_quotes_lines_and_odd_bytes_are_read_back(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    odd = open_folder / 'a"b\\c d\x1b'
    cache.rename(odd)
    policy = cacheadmin.policy(odd)
    metrics = open_folder / "odd.prom"
    for _ in range(2):
        cacheadmin("preflight", policy, "--metrics", metrics, code=0)
    labels = next(dict(labels) for (name, labels) in read(metrics) if name == "info")
    assert labels["cache"] == f'{open_folder}/a"b\\\\c d\\x1b'


@pytest.mark.parametrize("what", ["link", "folder", "missing folder", "device"])
def test_what_is_no_plain_file_is_a_warning_and_changes_nothing_else(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path, what: str
) -> None:
    target = open_folder / "target"
    target.write_text("precious", encoding="utf-8")
    metrics = open_folder / "x.prom"
    if what == "link":
        metrics.symlink_to(target)
    elif what == "folder":
        metrics.mkdir()
    elif what == "device":
        metrics = Path("/dev/null")
    else:
        metrics = open_folder / "none" / "x.prom"
    result = cacheadmin("-q", "prune", cacheadmin.policy(cache), "--metrics", metrics, code=0)
    assert result.stdout == ""
    assert result.stderr.startswith("cacheadmin: warning: no metrics: ")
    assert result.stderr.count("\n") == 1
    assert target.read_text(encoding="utf-8") == "precious"
    assert Path("/dev/null").is_char_device()


def test_a_dry_run_takes_no_metrics(cacheadmin: Cacheadmin, cache: Path, tmp_path: Path) -> None:
    metrics = tmp_path / "x.prom"
    cacheadmin("prune", cacheadmin.policy(cache), "-n", "--metrics", metrics, code=2)
    assert not metrics.exists()


@pytest.mark.root
def test_the_trail_has_a_line_for_each_command_that_changes_something(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    trail = open_folder / "trail.jsonl"
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    text = f"log: {{trail: {trail}}}\nvenvs: {{registry: {registry}}}\n"
    policy = cacheadmin.policy(cache, text)
    cacheadmin("prune", policy, "-n", code=0)
    cacheadmin("preflight", policy, code=0)
    assert not trail.exists()
    run = cacheadmin("prune", policy, "--format", "json", code=0).json["run_id"]
    cacheadmin("runs", "restore", policy, run, code=0)
    # As logrotate does it, between two commands.
    trail.rename(open_folder / "trail.jsonl.1")
    cacheadmin("pin", "add", policy, "archive-v0/AbCdEfGhIjKlMnOpQrStU", "--reason", "x", code=0)
    cacheadmin("protect", policy)
    cacheadmin("venv", "add", policy, open_folder / "no\nvenv", code=2)
    old = [json.loads(x) for x in (open_folder / "trail.jsonl.1").read_text().splitlines()]
    new = [json.loads(x) for x in trail.read_text().splitlines()]
    assert [(e["command"], e["outcome"], e["run_id"]) for e in old] == [
        ("prune", "committed", run),
        ("runs restore", "done", run),
    ]
    assert old[0]["counts"]["removed_entries"] == old[1]["counts"]["restored_entries"] == 1
    assert old[0]["uid"] == os.getuid()
    assert old[0]["policy"] == {"name": "test", "path": str(policy)}
    assert old[0]["argv"][0] == "prune"
    assert [e["command"] for e in new] == ["pin add", "protect", "venv add"]
    assert new[2]["subject"] == f"{open_folder}/no\nvenv"
    assert (new[2]["exit_code"], new[2]["outcome"]) == (2, "wrong_usage")
    assert new[2]["error"]
    assert stat.S_IMODE(trail.stat().st_mode) == 0o640


@pytest.mark.parametrize("what", ["link", "second name", "fifo", "folder open to all"])
def test_a_trail_that_somebody_prepared_is_not_written(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path, what: str
) -> None:
    precious = open_folder / "precious"
    precious.write_text("precious", encoding="utf-8")
    logs = open_folder / "logs"
    logs.mkdir(mode=0o755)
    trail = logs / "trail.jsonl"
    if what == "link":
        trail.symlink_to(precious)
    elif what == "second name":
        trail.hardlink_to(precious)
    elif what == "fifo":
        os.mkfifo(trail)
    else:
        logs.chmod(0o777)
    policy = cacheadmin.policy(cache, f"log: {{trail: {trail}}}\n")
    result = cacheadmin("-q", "prune", policy, code=0)
    assert result.stderr.startswith("cacheadmin: warning: no audit trail: ")
    assert precious.read_text(encoding="utf-8") == "precious"


@pytest.mark.root
def test_a_user_who_may_not_write_the_trail_is_not_bothered(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path, three_users: list[User]
) -> None:
    registry = open_folder / "registry"
    registry.mkdir()
    registry.chmod(0o1777)
    logs = open_folder / "logs"
    logs.mkdir(mode=0o750)
    text = f"log: {{trail: {logs}/trail.jsonl}}\nvenvs: {{registry: {registry}}}\n"
    policy = cacheadmin.policy(cache, text + f"state: sqlite:///{open_folder}/none.sqlite\n")
    ana = three_users[0]
    archive = "archive-v0/AbCdEfGhIjKlMnOpQrStU"
    result = cacheadmin("pin", "add", policy, archive, "--reason", "mine", code=0, user=ana)
    assert "warning" not in result.stderr
    assert not list(logs.iterdir())


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(path))
        server.settimeout(30)
        yield server


@contextmanager
def held(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.root
def test_the_journal_gets_fields_and_no_value_can_forge_one(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    odd = open_folder / "cache\nPRIORITY=0"
    cache.rename(odd)
    with listening(open_folder / "journal") as server:
        log = f"log: {{system: journald, socket: {open_folder}/journal}}\n"
        run = cacheadmin("prune", cacheadmin.policy(odd, log), "--format", "json", code=0)
        entry = journal_fields(server.recv(65536))
    assert entry["PRIORITY"] == b"6"
    assert entry["SYSLOG_IDENTIFIER"] == b"cacheadmin"
    assert entry["CACHEADMIN_CACHE"] == os.fsencode(odd)
    assert entry["CACHEADMIN_RUN_ID"].decode() == run.json["run_id"]
    assert entry["CACHEADMIN_OUTCOME"] == b"committed"
    assert entry["CACHEADMIN_REMOVED_ENTRIES"] == b"1"
    assert entry["MESSAGE"].startswith(b"prune test: committed, run ")


def journal_fields(datagram: bytes) -> dict[str, bytes]:
    """Take an entry of the journal's native protocol apart."""
    fields: dict[str, bytes] = {}
    while datagram:
        line, _, datagram = datagram.partition(b"\n")
        name, equals, content = line.partition(b"=")
        if not equals:
            size = int.from_bytes(datagram[:8], "little")
            content, datagram = datagram[8 : 8 + size], datagram[8 + size + 1 :]
        assert name.decode() not in fields
        fields[name.decode()] = content
    return fields


@pytest.mark.root
def test_syslog_gets_one_line_with_a_warning_for_what_failed(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    (cache / ".lock").touch()
    with listening(open_folder / "log") as server, held(cache / ".lock"):
        log = f"log: {{system: syslog, socket: {open_folder}/log}}\nlock: {{busy: skip}}\n"
        cacheadmin("prune", cacheadmin.policy(cache, log), code=3)
        message = server.recv(65536).decode()
    assert message.startswith("<28>")
    assert "\n" not in message
    assert "]: prune test: busy, " in message


def test_a_log_daemon_that_hangs_or_is_gone_is_only_a_warning(
    cacheadmin: Cacheadmin, cache: Path, open_folder: Path
) -> None:
    log = f"log: {{system: syslog, socket: {open_folder}/log}}\n"
    policy = cacheadmin.policy(cache, log)
    assert "warning: no system log" in cacheadmin("prune", policy, code=0).stderr
    with listening(open_folder / "log") as server:
        fill(server)
        assert "no daemon reads what is logged" in cacheadmin("prune", policy, code=0).stderr


def fill(server: socket.socket) -> None:
    """Send to a socket until it takes no more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(server.getsockname())
        with pytest.raises(BlockingIOError):
            for _ in range(100_000):
                client.send(b"x")
