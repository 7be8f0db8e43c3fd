"""``python -m tests.proof``: see the package."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.uv_releases import REPOSITORY

_FIGURES = REPOSITORY / ".proof"
_PAGE = REPOSITORY / "docs" / "reliability.md"
_HEAD = "| what | how often | wrong | until | again with |"
_BEGIN, _END = "<!-- figures: begin -->", "<!-- figures: end -->"


@dataclass(frozen=True)
class Proof:
    """One of them."""

    what: str
    """What is tried, for the page."""

    command: tuple[str, ...]
    """Arguments of Python, without the file for its figures."""

    shown: str
    """The command that makes it again."""

    tell: Callable[[dict[str, Any]], tuple[str, str]]
    """How often, and what was wrong, of its figures."""


def main() -> int:
    """Run them; 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.proof", description=__doc__)
    parser.add_argument("names", nargs="*", help="which; all by default")
    parser.add_argument("--write", action="store_true", help="run nothing, write the page")
    options = parser.parse_args()
    _FIGURES.mkdir(exist_ok=True)
    failed = [] if options.write else [one for one in options.names or PROOFS if not _run(one)]
    _write_page()
    for name in failed:
        print(f"failed: {name}: {PROOFS[name].shown}")
    return 1 if failed else 0


def _run(name: str) -> bool:
    proof = PROOFS[name]
    print(f"== {proof.what}", flush=True)
    command = [sys.executable, *proof.command, "--json", str(_FIGURES / f"{name}.json")]
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0


def _write_page() -> None:
    """Write the table; what was not run here keeps its row."""
    text = _PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(_BEGIN)
    table, _, after = rest.partition(_END)
    known = {row.split(" | ")[0]: row for row in table.strip().splitlines()[2:]}
    rows = [_HEAD, "|---|---|---|---|---|"]
    for name, proof in PROOFS.items():
        file = _FIGURES / f"{name}.json"
        if file.exists():
            figures = json.loads(file.read_text())
            often, wrong = proof.tell(figures)
            until = _until(figures)
            rows.append(f"| {proof.what} | {often} | {wrong} | {until} | `{proof.shown}` |")
        elif row := known.get(f"| {proof.what}"):
            rows.append(row)
    table = "\n".join(rows)
    _PAGE.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}", encoding="utf-8")


def _until(figures: dict[str, Any]) -> str:
    """Return the day of the figures: the latest of all parts."""
    days = [one["until"] for one in figures.values() if isinstance(one, dict) and "until" in one]
    return str(max(days, default=figures.get("until", "")))


def _wrong(figures: dict[str, Any]) -> str:
    wrong = sum(len(one["wrong"]) for one in figures.values())
    once = sum(len(one.get("once", ())) for one in figures.values())
    return f"{wrong}; {once} wrong once, and well when tried again alone" if once else str(wrong)


def _of_soak(figures: dict[str, Any]) -> tuple[str, str]:
    jumps = figures.get("commands whose clock had jumped", 0)
    often = (
        f"{figures['uv commands']:,} uv commands, {figures['own prunes and cleans of users']} "
        f"prunes and cleans of users, {figures['prunes']} of ours, "
        f"{figures['looks of the oracle']:,} looks of the oracle, {jumps} commands with another "
        f"clock, {figures.get('times that the disk was full', 0)} times a full disk"
    )
    wrong = len(figures["failures"]) + len(figures["leftovers"])
    wrong += sum(not holds for holds in figures["claims"].values())
    share = figures["reclaimed share"]
    return often, f"{wrong}; {share:.0%} of what no user has was reclaimed"


def _of_faults(figures: dict[str, Any]) -> tuple[str, str]:
    calls = sum(one["calls"] for one in figures.values())
    faults = sum(one["faults"] for one in figures.values())
    every = sum(one["of"] for one in figures.values())
    shares = ", ".join(f"{name} {one['faults']} of {one['of']}" for name, one in figures.items())
    often = f"{faults:,} of {every:,} faults, {calls:,} calls and places: {shares}"
    return often, _wrong(figures)


def _of_power_cuts(figures: dict[str, Any]) -> tuple[str, str]:
    cuts = sum(one["cuts"] for one in figures.values())
    tried = sum(one["tried"] for one in figures.values())
    names = {name.partition(" on ")[0] for name in figures}
    kinds = sorted({name.partition(" on ")[2] for name in figures})
    return f"{tried:,} of {cuts:,} cuts, {len(names)} commands, on {' and '.join(kinds)}", _wrong(
        figures
    )


def _of_stories(figures: dict[str, Any]) -> tuple[str, str]:
    stories = sum(one["stories"] for one in figures.values())
    steps = sum(one["steps"] for one in figures.values())
    return f"{stories:,} stories, {steps:,} steps", _wrong(figures)


def _of_fuzz(figures: dict[str, Any]) -> tuple[str, str]:
    inputs = sum(one["inputs"] for one in figures.values())
    kept = sum(one["kept"] for one in figures.values())
    seconds = [one["seconds"] for one in figures.values()]
    wrong = sum(len(one["failures"]) for one in figures.values())
    each = f"{min(seconds):.0f} to {max(seconds):.0f} s of a processor each"
    return f"{len(figures)} parsers, {each}: {inputs:,} inputs, {kept:,} kept", str(wrong)


def _of_mutation(figures: dict[str, Any]) -> tuple[str, str]:
    places = ", ".join(f"{one['tried']} of {one['of']:,} {name}" for name, one in figures.items())
    survivors = sum(len(one["survivors"]) for one in figures.values())
    endless = sum(len(one["endless"]) for one in figures.values())
    return f"mutants: {places}", f"{survivors} survived, {endless} never ended"


PROOFS = {
    "soak": Proof(
        "Soak: six users, four uv releases, their prunes, a guard, jumping clocks, a full disk",
        ("-m", "tests.soak"),
        "make soak",
        _of_soak,
    ),
    "faults": Proof(
        "Faults: each system call of each command fails or is the last; each place can't be read",
        ("-m", "tests.faults"),
        "make faults",
        _of_faults,
    ),
    "power-cuts": Proof(
        "Power cut: at each flush of the disk, and with any part of what was written since",
        ("-m", "tests.power_cuts"),
        "make power-cuts",
        _of_power_cuts,
    ),
    "properties": Proof(
        "Stories: a site over time, by chance, on a real disk",
        ("-m", "tests.stories"),
        "make stories",
        _of_stories,
    ),
    "fuzz": Proof(
        "Fuzz: every parser of what others write, led by the lines that it runs",
        ("-m", "tests.fuzz"),
        "make fuzz",
        _of_fuzz,
    ),
    "mutation": Proof(
        "Mutation: one change in planner, trial or transaction; some test must notice",
        ("-m", "tests.mutation"),
        "make mutation",
        _of_mutation,
    ),
}

if __name__ == "__main__":
    sys.exit(main())
