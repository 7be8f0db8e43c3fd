"""Environments that are broken already, and the command that repairs each.

`diagnosing.diagnose` is the way in: it looks at every file of every known
environment (`examining`), chooses commands (`repairs`, with `sources` and
`projects`), asks quarantine what it still holds (`quarantined`), and returns
findings. `scripts` and `script_files` turn repairs into one script a user.
"""
