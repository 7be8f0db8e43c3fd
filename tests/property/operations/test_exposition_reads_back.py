"""Whatever a cache or policy is called, Prometheus and we read the same metrics back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from cacheadmin.operations.exposition import Sample, exposition, samples_of
from cacheadmin.text.escapes import printable

# Names from the disk: any bytes, which Python holds as surrogates.
NAMES = st.one_of(
    st.text(),
    st.binary(max_size=20).map(lambda name: name.decode("utf-8", "surrogateescape")),
    st.text(alphabet='\\"\n{},= ', max_size=8),
)
NUMBERS = st.one_of(st.integers(0, 2**53), st.floats(0, 1e12, allow_nan=False))


@given(st.lists(st.tuples(NAMES, NAMES, NUMBERS), max_size=4))
def test_labels_come_back_as_they_are_printed(rows: list[tuple[str, str, float]]) -> None:
    samples = [Sample("m", number, {"policy": a, "cache": b}) for a, b, number in rows]
    text = exposition(samples, {"m": 'a "help"\nof two lines \\'})
    text.encode("utf-8")
    expected = {(printable(a), printable(b)): float(number) for a, b, number in rows}
    parsed = [s for family in text_string_to_metric_families(text) for s in family.samples]
    theirs = {(s.labels["policy"], s.labels["cache"]): s.value for s in parsed}
    assert len(theirs) == len(parsed)
    assert theirs == expected
    ours = {(s.labels["policy"], s.labels["cache"]): s.value for s in samples_of(text, "m")}
    assert ours == expected


@given(st.text())
def test_no_file_that_somebody_changed_is_too_odd_to_read(text: str) -> None:
    for line in (text, f"m{{{text}}} 1", f'm{{policy="{text}"}} {text}'):
        for sample in samples_of(line, "m"):
            assert sample.metric == "m"
