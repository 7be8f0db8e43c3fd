"""How results look: tables, JSON documents, and names that cannot harm a terminal."""
