"""`pip install .`: everything that needs no ROS. With ROS, CMakeLists.txt builds and installs."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def requirements() -> list[str]:
    """The lines of requirements.txt that are not comments."""
    lines = (ROOT / 'requirements.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def version() -> str:
    """The version in package.xml."""
    return re.search('<version>(.*?)</version>', (ROOT / 'package.xml').read_text())[1]


setup(
    name='hiu_ros',
    version=version(),
    description='Hand image understanding: keypoints, masks and meshes of hands in images',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.10,<3.14',
    install_requires=requirements(),
    packages=find_packages(include=['hiu_ros', 'hiu_ros.*']),
    package_data={'hiu_ros': [
        'hand/assets/*',
        'weights/*',
        'training/configurations/*',
    ]},
    entry_points={'console_scripts': ['hiu = hiu_ros.cli:main']},
)
