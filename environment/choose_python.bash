#!/usr/bin/env bash
# Print the path of the Python that the virtual environment is made from, or one line that says
# what is missing. First choice: $1, if given; then python3; then python3.13 down to python3.10.
# With a ROS distribution sourced it has to be the one that imports the distribution's rclpy.
set -eo pipefail

# What is wrong with interpreter $1; prints nothing where all is well.
complaint() {
    command -v "$1" >/dev/null || { echo "there is no $1"; return; }
    "$1" - "${ROS_DISTRO:-}" 2>/dev/null <<'PYTHON' || echo "$1 does not run"
import importlib.util as search
import os
import sys
import sysconfig

version = '%d.%d' % sys.version_info[:2]
headers = os.path.join(sysconfig.get_paths()['include'], 'Python.h')
if not (3, 10) <= sys.version_info[:2] <= (3, 13):
    print('%s is Python %s, not 3.10 to 3.13' % (sys.executable, version))
elif sys.argv[1] and not search.find_spec('rclpy'):
    print('%s finds no rclpy although ROS_DISTRO is %s: source its setup.bash, or unset ROS_DISTRO'
          % (sys.executable, sys.argv[1]))
elif not search.find_spec('venv') or not search.find_spec('ensurepip'):
    print('%s has no venv module: sudo apt install python%s-venv' % (sys.executable, version))
elif not os.path.exists(headers):
    print('%s has no headers (%s): sudo apt install python%s-dev'
          % (sys.executable, headers, version))
PYTHON
}

candidates=(python3 python3.13 python3.12 python3.11 python3.10)
[ -n "$1" ] && candidates=("$1")
first=''
for candidate in "${candidates[@]}"; do
    reason=$(complaint "$candidate")
    if [ -z "$reason" ]; then
        "$candidate" -c 'import sys; print(sys.executable)'
        exit
    fi
    first=${first:-$reason}
done
echo "hiu_ros needs Python 3.10 to 3.13 with venv and headers: $first (or name one: make PYTHON=/path/to/python3)" >&2
exit 1
