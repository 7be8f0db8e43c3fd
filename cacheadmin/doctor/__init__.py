"""Environments that are broken already, and the command that repairs each."""
