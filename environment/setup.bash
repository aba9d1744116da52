# Source this for an interactive shell: the virtual environment, then the built package.
# A ROS distribution, where there is one, is sourced before.
_hiu_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
[ -f "$_hiu_root/.venv/bin/activate" ] && . "$_hiu_root/.venv/bin/activate"
[ -f "$_hiu_root/install/local_setup.bash" ] && . "$_hiu_root/install/local_setup.bash"
unset _hiu_root
