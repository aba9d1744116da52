"""Point the CMake files of the ROS wheels at this interpreter's headers.

The wheels export the include directories of the machine that built them
(`/opt/python/cp3XX-cp3XX/...`). This replaces them, in every CMake file below the given prefix
(default: the running virtual environment), by those of the running Python and its NumPy. Running
it again changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

#: Where a manylinux image keeps its Pythons.
_BUILDER = r'/opt/python/cp3\d+-cp3\d+t?'
_PYTHON_HEADERS = re.compile(_BUILDER + r'/include/python3\.\d+t?')
_NUMPY_HEADERS = re.compile(
    _BUILDER + r'/lib/python3\.\d+t?/site-packages/numpy/_?core/include'
)


def fix(prefix: Path) -> int:
    """Rewrite the CMake files below `prefix`; returns how many changed."""
    changed = 0
    for path in sorted((prefix / 'share').rglob('*.cmake')):
        before = path.read_text(encoding='utf-8')
        after = _NUMPY_HEADERS.sub(lambda _: numpy.get_include(), before)
        after = _PYTHON_HEADERS.sub(lambda _: sysconfig.get_path('include'), after)
        if after != before:
            complete = path.with_suffix('.new')
            complete.write_text(after, encoding='utf-8')
            complete.replace(path)
            changed += 1
    return changed


if __name__ == '__main__':
    print('CMake files changed:', fix(Path(sys.argv[1] if len(sys.argv) > 1 else sys.prefix)))
