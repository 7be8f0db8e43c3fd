"""The fuzzer itself: it finds what lies behind a parser, and keeps what led there."""

from __future__ import annotations

import json
import random
from pathlib import Path

from cacheadmin.evidence.pins import NotAPin, parse_pin
from tests.fuzz.fuzzing import Corpus, fuzz


def behind_the_parser(content: bytes) -> None:
    """Fail where a pin is understood that has another reason than the first ones."""
    try:
        pin, _ = parse_pin(content, "file", 0)
    except NotAPin:
        return
    assert pin.reason in ("", "a reason"), "found"


def test_a_fault_behind_a_parser_is_found_and_what_led_there_is_kept(tmp_path: Path) -> None:
    document = {
        **{"format": 1, "cache": "/c", "inode": 1, "path": "archive-v0/a"},
        **{"reason": "a reason", "created_ns": 1},
    }
    corpus = Corpus(tmp_path, [json.dumps(document).encode()])
    found = fuzz(behind_the_parser, corpus, random.Random(1), tries=4000)
    assert len(found.failures) == 1
    assert "AssertionError" in found.failures[0]
    (failed,) = tmp_path.glob("failed-*")
    assert failed.name in found.failures[0]
    kept = len(list(tmp_path.glob("input-*")))
    assert kept > 5
    # The next time begins with them.
    assert len(Corpus(tmp_path, []).inputs) == kept
    assert fuzz(behind_the_parser, Corpus(tmp_path, []), random.Random(2), tries=kept).tries == kept
