"""Words that every room may need: nothing here knows a cache."""
