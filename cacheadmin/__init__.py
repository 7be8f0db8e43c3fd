"""cacheadmin: a garbage collector for uv caches that many people share."""

__version__ = "0.1.0"
