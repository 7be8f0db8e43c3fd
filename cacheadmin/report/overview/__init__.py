"""The terminal report and its document: many caches at one glance (``overview`` gathers them)."""
