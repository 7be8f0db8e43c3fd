"""Is a shared cache kept as it should be? One rule a file, and what they found."""
