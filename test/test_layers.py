"""Who may import whom: ros -> perception -> network, geometry -> hand; the rest stands beside."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'hiu_ros'
#: Layer -> the other layers it may import.
ALLOWED = {
    'hand': set(),
    'geometry': {'hand'},
    'network': {'hand', 'geometry'},
    'perception': {'hand', 'geometry', 'network'},
    'ros': {'hand', 'geometry', 'network', 'perception'},
    'data': {'hand', 'geometry', 'network', 'perception'},
    'training': {'hand', 'geometry', 'network', 'perception', 'data', 'evaluation'},
    'evaluation': {'hand', 'geometry', 'network', 'perception', 'data'},
}
ROS = {'rclpy', 'launch', 'launch_ros', 'tf2_msgs', 'cv_bridge', 'rosidl_runtime_py', 'rosbag2_py'}
FILES = sorted(p for layer in ALLOWED for p in (PACKAGE / layer).rglob('*.py'))


def modules(path: Path) -> set[str]:
    """Dotted names of everything that a file imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path}: relative import'
            names |= {f'{node.module}.{alias.name}' for alias in node.names}
    return names


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def test_every_folder_is_a_known_layer():
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and list(p.glob('*.py'))}
    assert folders == set(ALLOWED)


@pytest.mark.parametrize('path', FILES, ids=name)
def test_imports_go_down_only(path):
    own = layer(path)
    others = {name.split('.')[1] for name in modules(path) if name.startswith('hiu_ros.')}
    forbidden = others & set(ALLOWED) - ALLOWED[own] - {own}
    assert not forbidden, f'{own} may not import {sorted(forbidden)}'


@pytest.mark.parametrize('path', [p for p in FILES if layer(p) != 'ros'], ids=name)
def test_only_the_ros_layer_imports_ros(path):
    names = modules(path)
    ros = {name for name in names if name.split('.')[0] in ROS or '_msgs.' in name}
    ros |= {name for name in names if name.startswith(('hiu_ros.msg', 'hiu_ros.srv'))}
    assert not ros


def test_no_imports_go_in_a_circle():
    files = {str(path.relative_to(PACKAGE.parent).with_suffix('')).replace('/', '.'): path
             for path in FILES}
    imports = {own: {part for name in modules(path) for part in (name, name.rpartition('.')[0])
                     if part in files} for own, path in files.items()}
    TopologicalSorter(imports).prepare()  # CycleError names the circle
