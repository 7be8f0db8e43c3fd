"""Other hosts that use the cache: what each tells of itself, and where that is kept."""
