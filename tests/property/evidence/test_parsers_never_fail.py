"""Whatever bytes users write: parsers give an answer or none, and never raise."""

from __future__ import annotations

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from cacheadmin.evidence.lock_holders import parse_lock
from cacheadmin.evidence.releases import receipt_version
from cacheadmin.policy.quantities import duration_words, parse_duration, parse_size
from cacheadmin.text.escapes import printable
from cacheadmin.uv.environment_config import parse_environment_config
from cacheadmin.uv.interpreters import environment_prefix
from cacheadmin.uv.layout import is_archive_id, parse_bucket_name, pointer_key
from cacheadmin.uv.pointers import archive_named_by, revision_named_by

identifiers = st.text("abcXYZ019_-", min_size=16, max_size=21)
hashes = st.just([["Sha256", "00"]])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary(), st.sampled_from(["http", "rev"]), st.integers(0, 9))
def test_arbitrary_bytes(content: bytes, kind: str, version: int) -> None:
    archive_named_by(content, kind)
    revision_named_by(content, kind)
    environment_prefix(content, version)
    parse_environment_config(content)
    receipt_version(content)
    parse_lock(content)


@given(values, st.sampled_from(["http", "rev"]), st.integers(0, 9))
def test_arbitrary_objects(value: object, kind: str, version: int) -> None:
    content = msgpack.packb(value)
    found = archive_named_by(content, kind)
    assert found is None or is_archive_id(found)
    environment_prefix(content, version)


@given(identifiers, hashes, st.binary(max_size=40), st.integers(0, 200))
def test_every_real_shape_names_its_archive_and_no_cut_one_names_another(
    identifier: str, digests: list, trailer: bytes, cut: int
) -> None:
    shapes = [
        f"/srv/uv/archive-v0/{identifier}",
        [identifier, digests],
        [identifier, digests, "six-1.0-py3-none-any.whl", 0],
        {"id": identifier, "hashes": digests, "filename": "x", "version": 0, "size": 1},
        [identifier, digests, "six-1.0-py3-none-any.whl", 0, None],
    ]
    for shape in shapes:
        for kind, value in (("http", shape), ("rev", [[1, 2], shape])):
            content = msgpack.packb(value)
            assert archive_named_by(content + trailer, kind) == identifier
            assert archive_named_by(content[:cut], kind) in (None, identifier)


@st.composite
def real_objects(draw: st.DrawFn) -> tuple[object, str]:
    """Draw what a release writes: a pointer, a revision or an interpreter entry."""
    identifier, digests = draw(identifiers), draw(hashes)
    prefix = "/" + "/".join(draw(st.lists(st.text(min_size=1, max_size=9), max_size=4)))
    scheme = [f"{prefix}/l", f"{prefix}/l", f"{prefix}/bin", prefix, f"{prefix}/i"]
    return draw(
        st.sampled_from(
            [
                ([identifier, digests, "x-1.0-py3-none-any.whl", 0, None], identifier),
                ({"id": identifier, "hashes": digests, "size": 1}, identifier),
                ([[1, 2], [identifier, digests]], identifier),
                ([[[1, 2], None, None, {}], {"id": identifier, "hashes": []}], identifier),
                ([[1, 2], [{"os": "x"}, {"version": "3"}, scheme, None, prefix]], prefix),
                ([[1, 2], [[{"os": "x"}, []], [{"version": "3"}, scheme]]], prefix),
            ]
        )
    )


@given(
    real_objects(),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    st.integers(0, 10_000),
    st.integers(0, 6),
)
def test_damaged_real_objects(
    real: tuple[object, str], changes: list[tuple[int, int]], cut: int, version: int
) -> None:
    content = bytearray(msgpack.packb(real[0]))
    for place, byte in changes:
        content[place % len(content)] = byte
    for damaged in (bytes(content), bytes(content[: cut % len(content)])):
        for kind in ("http", "rev"):
            for named in (archive_named_by(damaged, kind), revision_named_by(damaged, kind)):
                assert named is None or is_archive_id(named)
        prefix = environment_prefix(damaged, version)
        assert prefix is None or (prefix.startswith("/") and "\0" not in prefix)


@given(st.integers(0, 2**32 - 1), st.integers(1, 2000), st.sampled_from([0xDD, 0xDF, 0xDB, 0xC6]))
def test_lengths_that_promise_too_much(length: int, nested: int, marker: int) -> None:
    content = (bytes([marker]) + length.to_bytes(4, "big")) * nested
    # And within hypothesis' deadline: room is not made for all that is promised.
    assert archive_named_by(content, "http") is None
    assert revision_named_by(content, "rev") is None
    assert environment_prefix(content, 4) is None


@given(st.text())
def test_names(name: str) -> None:
    parsed = parse_bucket_name(name)
    assert parsed is None or f"{parsed[0]}-v{parsed[1]}" == name
    pointer_key(name)
    shown = printable(name)
    assert shown.isprintable() or all(c.isprintable() or c.isspace() for c in shown)
    assert "\n" not in shown
    assert "\x1b" not in shown


@given(st.integers(0, 10**8))
def test_a_duration_reads_as_it_is_written(seconds: int) -> None:
    duration = parse_duration(f"{seconds}s")
    assert parse_duration(duration_words(duration)) == duration


@given(st.integers(0, 10**9), st.sampled_from(["K", "M", "G"]))
def test_sizes_are_exact(number: int, letter: str) -> None:
    power = "KMG".index(letter) + 1
    assert parse_size(f"{number}{letter}iB") == number * 1024**power
    assert parse_size(f"{number}{letter}B") == number * 1000**power
