"""Documents are the text that Python's own json makes of them, however they are put together."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from cacheadmin.evidence.facts import LinkMode
from cacheadmin.text.documents import dumps

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(LinkMode)
)
KEYS = st.text() | st.sampled_from(LinkMode) | st.integers() | st.booleans() | st.none()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=25,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
@example({})
@example({"path": "/srv/\udcff\x1b[31m", "rows": [], "row": [{}], "pair": ((), "")})
@example({"rows": [["a", 1, "b"], ["a", "b"]], "mode": LinkMode.COPY, "big": 2**80})
def test_a_document_is_what_json_makes_of_it(document: dict[str, Any]) -> None:
    assert dumps(document) == json.dumps(document, indent=2)


@given(st.lists(VALUES))
def test_rows_that_are_made_as_they_are_printed_are_a_list(rows: list[Any]) -> None:
    expected = json.dumps({"rows": rows, "count": len(rows)}, indent=2)
    assert dumps({"rows": iter(rows), "count": len(rows)}) == expected


def test_rows_are_not_held_together() -> None:
    held = 0

    class Row(dict[str, int]):
        def __init__(self) -> None:
            nonlocal held
            held += 1
            super().__init__(number=held)

        def __del__(self) -> None:
            nonlocal held
            held -= 1

    from cacheadmin.text.json_pieces import pieces

    most = max(held for _ in pieces({"rows": (Row() for _ in range(1000))}))
    assert most <= 2
