"""Write the JSON Schemas of policies and documents: ``make schemas``."""

from __future__ import annotations

import os
import sys

from cacheadmin.audit.schema import policy_schema
from cacheadmin.report.document_schemas import document_schemas
from cacheadmin.text.documents import dumps


def schema_files() -> dict[str, str]:
    """Return the text of each schema by the name it is installed under."""
    schemas = {"policy.schema.json": policy_schema()}
    for name, schema in document_schemas().items():
        # `policy show` prints a document of the policy; the file is another thing.
        file = "policy-show" if name == "policy" else name
        schemas[f"{file}.schema.json"] = schema
    return {name: dumps(schema) + "\n" for name, schema in schemas.items()}


def _main() -> None:
    for name, text in schema_files().items():
        with open(os.path.join(sys.argv[1], name), "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    _main()
