"""Packages of the Python that an environment was made from, where it includes them.

With ``--system-site-packages`` an environment imports what is installed into its Python
(``uv pip install --system``), which may lie where no search goes, as in /opt.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cacheadmin.evidence.installed_packages import named_in_path_files
from cacheadmin.evidence.site_packages import PACKAGES, find_package_folders
from cacheadmin.evidence.targets import lies_in_another_root, root_of
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.resolution import resolve

if TYPE_CHECKING:
    from cacheadmin.evidence.sightings import Sightings
    from cacheadmin.uv.environment_config import EnvironmentConfig


def system_packages(config: EnvironmentConfig, path: str, sightings: Sightings) -> list[str]:
    """Return the package folders of its Python that an environment includes; none if it does not.

    What their path files name is returned, too.
    """
    if not config.system_prefixes:
        return []
    # What is installed there changes without this environment.
    sightings.unsettled = True
    prefixes = [f"{root_of(path)}{prefix}" for prefix in config.system_prefixes]
    if not lies_in_another_root(path):
        # Made by a link to its Python, `pyvenv.cfg` may name the place of that link alone.
        prefixes.append(os.path.dirname(os.path.dirname(resolve(f"{path}/bin/python"))))
    folders: list[str] = []
    for prefix in filter(may_be_folder, dict.fromkeys(prefixes)):
        found = find_package_folders(prefix, sightings.locator, target=False)
        sightings.problems += found.problems
        if found.vanished:
            sightings.note_gone()
        # A Python without any names its prefix, where there is nothing for it.
        folders += [one for one in found.paths if os.path.basename(one) in PACKAGES]
    named = [one for folder in folders for one in named_in_path_files(folder, sightings)]
    return [*folders, *named]
