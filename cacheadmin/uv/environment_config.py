"""What ``pyvenv.cfg`` says: which uv made an environment, what it extends or includes. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

from cacheadmin.values import frozen

# uv writes about 200 bytes.
MAX_BYTES = 64 * 1024


@frozen
class EnvironmentConfig:
    """The keys of ``pyvenv.cfg`` that matter here."""

    uv_version: str | None = None
    """The release that created the environment (since 0.1.38); later ones do not update it.

    None without the key, and where its value is no version: the owner can write there.
    """
    extends_environment: str | None = None
    """Path of the parent of a `uv run --with` overlay (since 0.7.9); None without the key."""
    system_prefixes: tuple[str, ...] = ()
    """Where the Python lies whose own packages are included (``--system-site-packages``).

    Absolute paths of what may be its prefix: none where these packages are not included.
    """


def config_values(content: bytes) -> dict[str, str]:
    """Return every ``key = value`` line; bytes that are not UTF-8 are kept as escapes."""
    values: dict[str, str] = {}
    for line in content.decode("utf-8", "surrogateescape").splitlines():
        key, separator, value = line.partition("=")
        if separator:
            values.setdefault(key.strip().lower(), value.strip())
    return values


def parse_environment_config(content: bytes) -> EnvironmentConfig:
    """Return the keys that matter here, as `config_values` reads them."""
    values = config_values(content)
    return EnvironmentConfig(
        uv_version=_version(values.get("uv", "")),
        extends_environment=values.get("extends-environment") or None,
        system_prefixes=tuple(dict.fromkeys(_system_prefixes(values))),
    )


def _system_prefixes(values: Mapping[str, str]) -> Iterator[str]:
    """Yield what may be the prefix of the Python that an environment was made from.

    uv writes ``home`` alone, `venv` of the standard library ``executable`` too, virtualenv all.
    """
    if values.get("include-system-site-packages", "").lower() != "true":
        return
    programs = (values.get("executable", ""), values.get("base-executable", ""))
    folders = (values.get("home", ""), *map(posixpath.dirname, programs))
    for prefix in (values.get("base-prefix", ""), *map(posixpath.dirname, folders)):
        if prefix.startswith("/") and "\0" not in prefix:
            yield prefix


def _version(text: str) -> str | None:
    plausible = text.isascii() and len(text) <= 64 and text.replace("+", ".").replace("-", ".")
    return text if plausible and plausible.replace(".", "").isalnum() else None
