"""What a site runs around a command: metrics, an audit trail, the system log, completion."""
