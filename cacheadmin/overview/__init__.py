"""One cache at a glance: sizes, who holds what, what was found; for people who decide."""
