"""A service of the system runs no user's environment; what users run is in none of these."""

from __future__ import annotations

import pytest

from cacheadmin.trial.blindness import system_unit


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/firewalld.service\n", "firewalld.service"),
        ("0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service"),
        ("0::/system.slice/firewalld.service/inner\n", "firewalld.service"),
        ("3:cpu:/\n1:name=systemd:/system.slice/udisks2.service\n", "udisks2.service"),
        # All that a user's own manager runs, whatever the user calls it.
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/polkit.service\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/system.slice/x.service\n", None),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_only_what_systemd_itself_put_there_counts(cgroups: str, unit: str | None) -> None:
    assert system_unit(cgroups) == unit
