"""The software bill of materials of a wheel, as CycloneDX 1.6 in JSON.

In it are the wheel, with its hash, and every distribution that it needs at run time, with
all extras, in the versions of the environment that runs this: those that the tests of the
release ran with. What only develops cacheadmin is not in it. The same build gives the same
bytes: there is no time in it, and its serial number is that of the wheel's hash.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

_EXTRAS = ("notify", "postgresql")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "cacheadmin")


def sbom(wheel: Path, version: str) -> dict[str, Any]:
    """Return the bill of a wheel of cacheadmin."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    needs = dict(_graph())
    required = frozenset(name for name, _ in _graph(()))
    components = [_component(name, required) for name in sorted(needs) if name != "cacheadmin"]
    ours = {
        **_component("cacheadmin", required),
        "type": "application",
        "version": version,
        "purl": _purl("cacheadmin", version),
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    ours.pop("scope", None)
    references = {one["name"]: one["bom-ref"] for one in (ours, *components)}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_NAMESPACE, digest)}",
        "version": 1,
        "metadata": {"lifecycles": [{"phase": "build"}], "component": ours},
        "components": components,
        "dependencies": [
            {"ref": references[name], "dependsOn": sorted(references[one] for one in needs[name])}
            for name in sorted(needs)
        ],
    }


def as_text(document: dict[str, Any]) -> str:
    """Return a bill as the file has it."""
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _graph(extras: tuple[str, ...] = _EXTRAS) -> Iterator[tuple[str, frozenset[str]]]:
    """Yield each distribution that is needed at run time, and what it needs itself."""
    waiting = [("cacheadmin", frozenset(extras))]
    seen: dict[str, frozenset[str]] = {}
    found: dict[str, set[str]] = {}
    while waiting:
        name, wanted = waiting.pop()
        if name in seen and wanted <= seen[name]:
            continue
        seen[name] = wanted | seen.get(name, frozenset())
        for requirement in _requirements(name, seen[name]):
            other = normalized(requirement.name)
            found.setdefault(name, set()).add(other)
            waiting.append((other, frozenset(requirement.extras)))
    for name in seen:
        yield name, frozenset(found.get(name, ())) - {name}


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for line in importlib.metadata.requires(name) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        environments = [{"extra": extra} for extra in ("", *sorted(extras))]
        if marker is None or any(marker.evaluate(one) for one in environments):
            yield requirement


def _component(name: str, required: frozenset[str]) -> dict[str, Any]:
    metadata = importlib.metadata.metadata(name)
    version = metadata["Version"]
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _purl(name, version),
        "name": name,
        "version": version,
        "purl": _purl(name, version),
        "scope": "required" if name in required else "optional",
    }
    expression = metadata.get("License-Expression")
    named = _license_name(metadata)
    if expression:
        component["licenses"] = [{"expression": expression}]
    elif named:
        component["licenses"] = [{"license": {"name": named}}]
    return component


def _license_name(metadata: importlib.metadata.PackageMetadata) -> str:
    prefix = "License :: OSI Approved :: "
    classifiers = metadata.get_all("Classifier") or []
    found = [one.removeprefix(prefix) for one in classifiers if one.startswith(prefix)]
    text: str = metadata.get("License") or ""
    # Some put the whole text there.
    return " OR ".join(found) or (text if text and len(text) < 60 and "\n" not in text else "")


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def normalized(name: str) -> str:
    """Return a distribution's name as PEP 503 writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()
