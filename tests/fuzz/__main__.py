"""``python -m tests.fuzz``: see the package."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

from tests.fuzz.fuzzing import Corpus, Parser, fuzz
from tests.property.evidence.test_what_others_write import ANY_BYTES, DOCUMENTS, JOURNAL, SEEDS
from tests.support.uv_releases import REPOSITORY

_CORPUS = REPOSITORY / ".proof" / "corpus"


def parsers() -> dict[str, tuple[Parser, list[bytes]]]:
    """Return every parser, with what its inputs begin with."""
    found: dict[str, tuple[Parser, list[bytes]]] = {
        name: (read, list(SEEDS)) for name, read in ANY_BYTES.items()
    }
    for name, (read, document) in DOCUMENTS.items():
        _, seeds = found.get(name, (read, []))
        found[name] = (read, [json.dumps(document).encode(), *seeds])
    read, seeds = found["journal"]
    found["journal"] = (read, [b"\n".join(json.dumps(one).encode() for one in JOURNAL), *seeds])
    return found


def main() -> int:
    """Fuzz them; 0 when no input failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", help="parsers; all by default")
    parser.add_argument("--seconds", type=float, default=600.0, help="so long for each")
    parser.add_argument("--seed", type=int, default=1, help="what chance does")
    parser.add_argument("--json", type=Path, help="write the figures here, too")
    options = parser.parse_args()
    figures = {}
    for name, (read, seeds) in parsers().items():
        if options.names and name not in options.names:
            continue
        corpus = Corpus(_CORPUS / name.replace(" ", "-"), seeds)
        found = fuzz(read, corpus, random.Random(options.seed), seconds=options.seconds)
        for one in found.failures:
            print(f"  FAILED {name}: {one}", flush=True)
        print(
            f"{name}: {found.tries} inputs, {len(corpus.inputs)} kept, {found.steps} steps, "
            f"{len(found.failures)} failures",
            flush=True,
        )
        figures[name] = {
            "inputs": found.tries,
            "kept": len(corpus.inputs),
            "seconds": options.seconds,
            "failures": found.failures,
        }
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if any(one["failures"] for one in figures.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
