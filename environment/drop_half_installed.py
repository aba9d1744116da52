"""Forget packages whose installation was interrupted, so that pip installs them again.

pip writes a package's INSTALLER file after all of its other files. A `.dist-info` without one was
cut off, yet pip would take it for installed.
"""

import shutil
import sysconfig
from pathlib import Path


def drop_half_installed(site_packages: Path) -> list[str]:
    """Remove the metadata of packages installed only half; returns the names of its folders."""
    dropped = []
    for metadata in sorted(site_packages.glob('*.dist-info')):
        if not (metadata / 'INSTALLER').exists():
            shutil.rmtree(metadata)
            dropped.append(metadata.name)
    for leftover in site_packages.glob('~*'):
        shutil.rmtree(leftover, ignore_errors=True)
    return dropped


if __name__ == '__main__':
    for name in drop_half_installed(Path(sysconfig.get_path('purelib'))):
        print('installed only half, again:', name)
