"""What packages are called and what their metadata says. Pure: bytes and texts in, values out."""
