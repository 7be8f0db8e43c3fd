"""No sentence says `1 environments`: numbers get their nouns in one place."""

from __future__ import annotations

import re

from cacheadmin.text.numbers import format_count, verb
from tests.support.uv_releases import REPOSITORY

# A number put straight before a plural noun; what is above one by its meaning is left out.
_BARE = re.compile(
    r"\{(?:len\([^{}]*\)|[a-z_.]*(?:count|number|links|total|missing|foreign))\} links\b"
    r"|\{(?:len\([^{}]*\)|[a-z_.]*(?:count|number|total))\} runs\b"
    r"|\{(?![A-Z_.]+\})[^{}]*\} (?:more |large |running )?"
    r"(?:environments|entries|files|folders|archives|users|packages|roots|findings|trials|"
    r"lines|programs|hosts|processes|gaps|places)\b"
)
_MEANT = {
    "cacheadmin/evidence/collection.py": 'in {len(paths)} environments" if len(paths) > 1',
    # More than one is what the sentence is about.
    "cacheadmin/verify/findings.py": "it has {touched.links} links",
    "cacheadmin/audit/rules/registry_coverage.py": "{len(environments)} environments ({covered",
    "cacheadmin/policy/host_names.py": "is a range of {last - first + 1} hosts",
    # A limit, not a number of what is there.
    "cacheadmin/doctor/records.py": "more than {Work.ROWS.value} lines",
    "cacheadmin/evidence/registry.py": "more than {most} entries",
    "cacheadmin/report/overview/words.py": "{goal.goal:,} files",
    "cacheadmin/audit/rules/cache_size.py": "files of {max_files}",
}


def test_one_is_one_and_others_are_many() -> None:
    assert format_count(1, "entry", "entries") == "1 entry"
    assert format_count(0, "entry", "entries") == "0 entries"
    assert format_count(2, "link") == "2 links"
    assert (verb(1, "is", "are"), verb(2, "is", "are")) == ("is", "are")


def test_no_sentence_of_ours_puts_a_plural_behind_any_number() -> None:
    found = []
    for path in sorted((REPOSITORY / "cacheadmin").rglob("*.py")):
        name = str(path.relative_to(REPOSITORY))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if _BARE.search(line) and _MEANT.get(name, "\0") not in line:
                found.append(f"{name}:{number}: {line.strip()}")
    assert found == []
