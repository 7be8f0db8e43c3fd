"""Write the JSON Schemas of policies and documents: ``make schemas``."""

from __future__ import annotations

import os
import sys


def schema_files() -> dict[str, str]:
    """Return the text of each schema by the name it is installed under."""
    from cacheadmin.audit.schema import policy_schema
    from cacheadmin.report.documents import dumps

    return {"policy.schema.json": dumps(policy_schema()) + "\n"}


def _main() -> None:
    for name, text in schema_files().items():
        with open(os.path.join(sys.argv[1], name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    _main()
