"""The text format of Prometheus, as node_exporter's textfile collector reads it.

A family is a metric with its help; HELP and TYPE come once, before all of its
samples. All of ours are gauges: a cron job keeps no counter between runs.
Label values are any text, so names of caches are escaped twice: what could
harm a terminal as everywhere, then quotes and backslashes for the format.

Source: prometheus.io, "Text-based format", version 0.0.4.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field

from cacheadmin.text.escapes import printable
from cacheadmin.values import frozen

_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')


@frozen
class Sample:
    """One value of a metric."""

    metric: str
    """The metric's name (``cacheadmin_last_run_outcome``)."""
    value: float
    """The value, in the unit that the metric's name says."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Its labels, in the order in which they are printed."""


def exposition(samples: Iterable[Sample], helps: Mapping[str, str]) -> str:
    """Return samples as text, by family in the order of ``helps``.

    ``helps`` has every metric that a sample may be of.
    """
    # By their labels: one series twice, and the whole file would be thrown away.
    families: dict[str, dict[str, str]] = {metric: {} for metric in helps}
    for sample in samples:
        labels = _labels(sample.labels)
        families[sample.metric][labels] = f"{sample.metric}{{{labels}}} {_number(sample.value)}"
    lines: list[str] = []
    for metric, members in families.items():
        if members:
            lines.append(f"# HELP {metric} {_help(helps[metric])}")
            lines.append(f"# TYPE {metric} gauge")
            lines += members.values()
    return "\n".join(lines) + "\n"


def samples_of(text: str, metric: str) -> Iterator[Sample]:
    """Yield the samples of one metric in a text that ``exposition`` made.

    The text may have been changed by any user: lines that are not of that
    shape are passed over.
    """
    for line in text.splitlines():
        name, brace, rest = line.partition("{")
        labels, closing, value = rest.rpartition("} ")
        if name != metric or not brace or not closing:
            continue
        pairs = _LABEL.findall(labels)
        if ",".join(f'{key}="{text}"' for key, text in pairs) != labels:
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        if math.isfinite(number):
            yield Sample(metric, number, {key: _unescaped(text) for key, text in pairs})


def _labels(labels: Mapping[str, str]) -> str:
    return ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _escaped(text: str) -> str:
    return printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return re.sub(r'\\(["\\n])', lambda match: {"n": "\n"}.get(match[1], match[1]), text)
