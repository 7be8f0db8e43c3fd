"""The rows of a ``RECORD``: CSV that any user may have written. Pure.

Source: PEP 376 and the "Recording installed projects" page of the packaging
specifications.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator


def record_rows(content: bytes) -> Iterator[list[str] | None]:
    """Yield each row that is not empty; None for one that is no CSV.

    Never raises. Names keep their bytes: what is not UTF-8 becomes surrogate
    escapes. Only the ends of lines that CSV knows end one: a name may hold
    any other separator of Unicode.
    """
    # Decoded as it is read: one character may take four times its byte.
    text = io.TextIOWrapper(
        io.BytesIO(content),
        encoding=sys.getfilesystemencoding(),
        errors=sys.getfilesystemencodeerrors(),
        newline="",
    )
    reader = csv.reader(text)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield None
            continue
        if row:
            yield row
