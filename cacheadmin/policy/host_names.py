"""Names of hosts in a policy: ``build1``, ranges such as ``node[001-200]``, files as ``@FILE``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from cacheadmin.fs.small_files import ReadFailure, read_file_and_status

# A fleet of so many hosts and no more: a typing error must not fill the memory.
MOST_HOSTS = 10_000
_MOST_BYTES = 1024 * 1024
_OTHERS_WRITE = 0o022

_PLAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?", re.ASCII)
_RANGE = re.compile(r"([^\[\]]*)\[(\d{1,9})-(\d{1,9})\]([^\[\]]*)", re.ASCII)


def name_problem(text: str) -> str:
    """Return what is wrong with one entry of ``hosts.expect``; empty for a good one.

    A clause that follows the entry: ``is no host name``. Files are not read here.
    """
    if text.startswith("@"):
        return "" if text[1:].startswith("/") else "names no absolute path after its @"
    found = _RANGE.fullmatch(text)
    if found is None:
        return "" if _PLAIN.fullmatch(text) else "is no host name, range (node[001-200]) or @FILE"
    first, last = int(found[2]), int(found[3])
    if last < first:
        return f"is a range that ends before it begins ({found[3]} is below {found[2]})"
    if last - first >= MOST_HOSTS:
        return f"is a range of {last - first + 1} hosts, more than {MOST_HOSTS}"
    one = f"{found[1]}{found[2]}{found[4]}"
    return "" if _PLAIN.fullmatch(one) else "is no host name, range (node[001-200]) or @FILE"


def named_hosts(text: str) -> tuple[str, ...]:
    """Return the host names that one entry without ``@`` stands for.

    Numbers keep the width of the first: ``node[08-10]`` is node08, node09, node10.
    """
    found = _RANGE.fullmatch(text)
    if found is None:
        return (text,)
    width = len(found[2])
    numbers = range(int(found[2]), int(found[3]) + 1)
    return tuple(f"{found[1]}{number:0{width}}{found[4]}" for number in numbers)


def expected_hosts(expect: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the hosts that a policy expects, each once, and what could not be read of them.

    The second are sentences, one a file or line that says nothing usable.
    """
    names: dict[str, None] = {}
    problems: list[str] = []
    for text in expect:
        lines = list(_lines_of(text[1:], problems)) if text.startswith("@") else [text]
        for line in lines:
            names.update(dict.fromkeys(named_hosts(line)))
            if len(names) > MOST_HOSTS:
                problems.append(f"hosts.expect names more than {MOST_HOSTS} hosts")
                return tuple(names)[:MOST_HOSTS], tuple(problems)
    if expect and not names and not problems:
        # No host named is no host known: an emptied file must not close a gap.
        problems.append(f"{', '.join(expect)} in hosts.expect names no host")
    return tuple(names), tuple(problems)


def _lines_of(path: str, problems: list[str]) -> Iterator[str]:
    found = read_file_and_status(path, _MOST_BYTES)
    if isinstance(found, ReadFailure):
        problems.append(f"{path}, which hosts.expect names, can't be read: {found.reason}")
        return
    content, status = found
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & _OTHERS_WRITE:
        # Who takes a name out has what that host uses count as unused.
        problems.append(f"{path}, which hosts.expect names, could be written by others")
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        problem = "names another file" if text.startswith("@") else name_problem(text)
        if problem:
            problems.append(f"{path}, line {number}: {text!r} {problem}")
        else:
            yield text
