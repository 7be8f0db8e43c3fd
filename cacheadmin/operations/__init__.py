"""What a site runs around cacheadmin: metrics, logs, and a trail of what was changed."""
