#!/usr/bin/env bash
# Build the package into build/ and install/ with the environment that prepare.bash made ($1).
# A build that was interrupted is continued, and started over if it cannot be.
set -eo pipefail
trap 'exit 130' INT  # or a Ctrl-C that colcon answers would count as a failed build
CDPATH= cd "$(dirname "$0")/.."
source "${1:-.venv}/bin/activate"
if [ -z "${ROS_DISTRO:-}" ]; then
    export AMENT_PREFIX_PATH=$VIRTUAL_ENV CMAKE_PREFIX_PATH=$VIRTUAL_ENV
fi

# Without a number of jobs colcon would also have make wait for a low load.
export MAKEFLAGS=-j$(nproc)
build() {
    colcon build --base-paths . --cmake-args -DBUILD_TESTING=OFF >build/output.txt 2>&1
}
purpose="$PWD ${ROS_DISTRO:-wheels} $(python -c 'import sys; print(sys.version_info[:2])')"
if [ "$(cat build/.purpose 2>/dev/null)" != "$purpose" ]; then
    rm -rf build install
    mkdir -p build
    echo "$purpose" >build/.purpose
fi
echo 'Building messages and package'
continued=false
[ -e build/.unfinished ] && continued=true
touch build/.unfinished
if ! build && { [ $continued = false ] || { rm -rf build/hiu_ros install && ! build; }; }; then
    tail -n 80 build/output.txt
    echo 'hiu_ros: the build failed; all of its output is in build/output.txt' >&2
    exit 1
fi
rm build/.unfinished
