#!/usr/bin/env bash
# Make or complete the virtual environment $1. Whatever is there already and fits is kept, so a call
# after an interruption goes on where the last one stopped.
#   PYTHON       the interpreter to use (default: see choose_python.bash)
#   TORCH        the torch requirement (default: the release that was tried)
#   TORCH_INDEX  address of a package index to take torch from, such as PyTorch's own CPU builds
set -eo pipefail
trap 'exit 130' INT  # or a Ctrl-C that pip answers would count as a failed installation
CDPATH= cd "$(dirname "$0")/.."
venv=$PWD/${1:-.venv}
torch=${TORCH:-torch==2.13.0}
system_site=false
[ -n "${ROS_DISTRO:-}" ] && system_site=true

fail() { echo "hiu_ros: $*" >&2; exit 1; }
# The generators of messages, colcon's scripts and the linker's paths stumble over anything else.
if (LC_ALL=C; [[ $PWD == *[!A-Za-z0-9/._~@=+-]* ]]); then
    fail "$PWD: ROS builds only below folders named with A-Z a-z 0-9 . _ ~ @ = + -; move this one"
fi
cc=(${CC:-cc}) cxx=(${CXX:-c++})  # each may have arguments: CC='ccache gcc'
command -v git >/dev/null || fail 'there is no git: sudo apt install git'
command -v "${cc[0]}" >/dev/null || fail 'there is no C compiler: sudo apt install gcc'
command -v "${cxx[0]}" >/dev/null || fail 'there is no C++ compiler: sudo apt install g++'

# An environment is kept if its pip runs and it was made here, for this purpose and this Python.
minor='import sys; print(sys.version_info[:2])'
fits() {
    [ -x "$venv/bin/python" ] &&
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        [ "$(. "$venv/bin/activate" && echo "$VIRTUAL_ENV")" -ef "$venv" ] &&
        grep -q "include-system-site-packages = $system_site" "$venv/pyvenv.cfg" &&
        bash environment/choose_python.bash "$venv/bin/python" >/dev/null 2>&1 || return 1
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c "$minor")" = "$("$venv/bin/python" -c "$minor")" ]
}
if ! fits; then
    python=$(bash environment/choose_python.bash "${PYTHON:-}")
    echo "Making $venv with $python"
    rm -rf "$venv"
    if [ $system_site = true ]; then
        "$python" -m venv --system-site-packages "$venv"
    else
        "$python" -m venv "$venv"
    fi
fi
source "$venv/bin/activate"
python environment/drop_half_installed.py
export PIP_DISABLE_PIP_VERSION_CHECK=1

# A distribution's compiled modules, cv_bridge above all, want the distribution's NumPy and OpenCV.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp requirements.txt "$scratch/requirements.txt"
touch "$scratch/constraints.txt"
if [ $system_site = true ]; then
    python -c 'import numpy; print(f"numpy=={numpy.__version__}")' >"$scratch/constraints.txt"
    if python -c 'import cv2' 2>/dev/null; then
        sed -i '/^opencv/d' "$scratch/requirements.txt"
    fi
fi
install() { python -m pip install --quiet -c "$scratch/constraints.txt" "$@"; }

there='import torch; print(torch.__version__)'
fitting='import sys; from pip._vendor.packaging.requirements import Requirement
sys.exit(sys.argv[1] not in Requirement(sys.argv[2]).specifier)'
if version=$(python -c "$there" 2>/dev/null) &&
    { [ -z "${TORCH:-}" ] || python -c "$fitting" "$version" "$TORCH" 2>/dev/null; }; then
    [ -z "${TORCH_INDEX:-}" ] ||
        echo "torch $version is there and stays; to take another build of it, make distclean first"
else
    echo "Installing ${TORCH:-torch}"
    if [ -n "${TORCH_INDEX:-}" ]; then
        PIP_INDEX_URL=$TORCH_INDEX install "$torch"
    elif compgen -G '/dev/nvidia[0-9]*' >/dev/null || [ -e /dev/dxg ]; then
        install "$torch"
    elif ! install "$torch+cpu" 2>/dev/null; then
        echo 'There is no NVIDIA GPU here, but pip knows only the CUDA build, which is 3 GB. To take'
        echo "PyTorch's CPU build instead, interrupt, and see TORCH_INDEX in README.md."
        install "$torch"
    fi
fi

echo 'Installing the other requirements'
wanted=(-r "$scratch/requirements.txt" -r environment/development.txt)
if [ $system_site = false ]; then
    install "${wanted[@]}" -r environment/ros.txt -r environment/colcon.txt
    python environment/fix_cmake_paths.py
elif command -v colcon >/dev/null; then
    install "${wanted[@]}"
else
    install "${wanted[@]}" -r environment/colcon.txt
fi
command -v cmake >/dev/null || install 'cmake>=3.22,<5'
