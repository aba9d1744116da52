# Source this for an interactive shell: the virtual environment, the built package, and before it
# the modules of this work tree. A ROS distribution, where there is one, is sourced before.
if [ -z "${BASH_VERSION:-}" ]; then
    echo "environment/setup.bash is for bash and cannot be sourced here; call bash first" >&2
    return 1
fi
_hiu_root="$(CDPATH= cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
if [ -f "$_hiu_root/.venv/bin/activate" ]; then
    . "$_hiu_root/.venv/bin/activate"
    # The wheels put the resources of ROS into the environment itself.
    if [ -z "${ROS_DISTRO:-}" ] && [[ ":${AMENT_PREFIX_PATH:-}:" != *":$VIRTUAL_ENV:"* ]]; then
        export AMENT_PREFIX_PATH="$VIRTUAL_ENV${AMENT_PREFIX_PATH:+:$AMENT_PREFIX_PATH}"
    fi
fi
if [ -f "$_hiu_root/install/local_setup.bash" ]; then
    . "$_hiu_root/install/local_setup.bash"
fi
if [[ ":${PYTHONPATH:-}:" != *":$_hiu_root:"* ]]; then
    export PYTHONPATH="$_hiu_root${PYTHONPATH:+:$PYTHONPATH}"
fi
unset _hiu_root
