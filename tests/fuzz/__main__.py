"""``python -m tests.fuzz``: see the package."""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.fuzzing import Corpus, Parser, fuzz
from tests.property.evidence.test_what_others_write import ANY_BYTES, DOCUMENTS, JOURNAL, SEEDS
from tests.support.long_runs import FiguresOfRun
from tests.support.uv_releases import REPOSITORY

_CORPUS = REPOSITORY / ".proof" / "corpus"
_EMPTY = {"inputs": 0, "kept": 0, "seconds": 0.0, "rounds": 0}
_A_MOMENT = 0.5


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
    parser.add_argument("--seconds", type=float, default=600.0, help="of a processor, for each")
    parser.add_argument("--round", type=float, default=60.0, help="so many of them, then the next")
    parser.add_argument("--seed", type=int, default=1, help="what chance does")
    parser.add_argument("--json", type=Path, help="keep the figures here, and go on from them")
    options = parser.parse_args()
    every = parsers()
    if unknown := set(options.names) - set(every):
        parser.error(f"no such parser: {', '.join(sorted(unknown))}")
    figures = FiguresOfRun(options.json)
    waiting = list(options.names or every)
    while waiting:
        for name in tuple(waiting):
            one = figures.of(name, {**_EMPTY, "failures": []})
            seconds = min(options.round, options.seconds - one["seconds"])
            if seconds > _A_MOMENT:
                _round(name, *every[name], one, seconds, options.seed)
                figures.write()
            else:
                waiting.remove(name)
    return 1 if any(one["failures"] for one in figures.all.values()) else 0


def _round(
    name: str, read: Parser, seeds: list[bytes], one: dict[str, Any], seconds: float, seed: int
) -> None:
    """Fuzz one parser for a while, with another chance than the rounds before."""
    corpus = Corpus(_CORPUS / name.replace(" ", "-"), list(seeds))
    chance = random.Random(f"{seed} {one['rounds']}")
    found = fuzz(read, corpus, chance, seconds=seconds)
    one["rounds"] += 1
    one["inputs"] += found.tries
    one["kept"] = len(corpus.inputs)
    one["seconds"] += found.seconds
    one["failures"] += [words for words in found.failures if words not in one["failures"]]
    for words in found.failures:
        print(f"  FAILED {name}: {words}", flush=True)
    print(
        f"{name}: {one['inputs']} inputs in {one['seconds']:.0f} s, {one['kept']} kept, "
        f"{found.steps} steps, {len(one['failures'])} failures",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
