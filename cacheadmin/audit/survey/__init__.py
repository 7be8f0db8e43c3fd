"""The survey of a cache: one walk, what it counts, and what an entry is judged by."""
