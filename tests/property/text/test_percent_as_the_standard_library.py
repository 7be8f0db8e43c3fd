"""Bytes are written as ``%XX``, and read again, as the standard library does it."""

from __future__ import annotations

from urllib.parse import quote, unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from cacheadmin.text.percent import percent_decoded, percent_encoded

_SAFE = st.sampled_from([b"", b"/", b"/ !\"#$&'()*+,-.:;<=>?@[\\]^_`{|}~"])


@given(st.binary(max_size=60), _SAFE)
def test_what_is_written_is_what_the_standard_library_writes(data: bytes, safe: bytes) -> None:
    written = percent_encoded(data, safe=safe)
    assert written == quote(data, safe=safe)
    assert percent_decoded(written) == data


@given(st.text(alphabet="%0aAfFgZ_ é/+", max_size=30))
def test_what_is_no_such_text_is_read_as_the_standard_library_reads_it(text: str) -> None:
    assert percent_decoded(text) == unquote_to_bytes(text)
