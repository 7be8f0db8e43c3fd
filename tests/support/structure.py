"""Measure how the code hangs together: ``python -m tests.support.structure [CHECKOUT]``.

Prints modules, their median length, imports that point up the layers of that
checkout's own ``pyproject.toml`` (imports for type hints too), circles of modules,
and class names that occur more than once. ``docs/architecture.md`` shows the figures.
"""

from __future__ import annotations

import ast
import os
import re
import statistics
import sys
import tomllib
from collections import Counter
from pathlib import Path


def rank_of_rooms(checkout: Path) -> dict[str, int]:
    """Return the layer of each room of ``cacheadmin``, 0 the uppermost."""
    settings = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    return {
        room.strip().removeprefix("cacheadmin."): rank
        for rank, layer in enumerate(layers)
        for room in re.split(r"[|:]", layer)
    }


def room_of(module: str) -> str:
    """Return the room of a module: the second part of its name."""
    return module.partition(".")[2].partition(".")[0]


def measure(checkout: Path) -> dict[str, float]:
    """Return the figures of a checkout, which must be the first place of ``sys.path``."""
    import grimp

    graph = grimp.build_graph("cacheadmin", exclude_type_checking_imports=False, cache_dir=None)
    imports = [
        (module, imported)
        for module in sorted(graph.modules)
        for imported in sorted(graph.find_modules_directly_imported_by(module))
    ]
    rank = rank_of_rooms(checkout)
    up = [
        (importer, imported)
        for importer, imported in imports
        if rank.get(room_of(importer), -1) > rank.get(room_of(imported), len(rank))
    ]
    circles: list[set[str]] = []
    for importer, imported in imports:
        if graph.find_shortest_chain(imported, importer):
            members = {importer, imported}
            met = [circle for circle in circles if circle & members]
            circles = [one for one in circles if one not in met] + [members.union(*met)]
    files = list((checkout / "cacheadmin").rglob("*.py"))
    names: Counter[str] = Counter()
    lengths = []
    for path in files:
        text = path.read_text(encoding="utf-8")
        lengths.append(text.count("\n"))
        body = ast.parse(text).body
        names.update(node.name for node in body if isinstance(node, ast.ClassDef))
    return {
        "modules": len(files),
        "median lines of a module": statistics.median(lengths),
        "imports that point up": len(up),
        "circles of modules": len(circles),
        "class names that occur twice": sum(count > 1 for count in names.values()),
    }


if __name__ == "__main__":
    place = Path(sys.argv[1] if len(sys.argv) > 1 else os.curdir).resolve()
    sys.path.insert(0, str(place))
    for what, figure in measure(place).items():
        print(f"{what}: {figure:g}")
