"""package.xml, CMakeLists.txt, setup.py and the modules agree with one another."""

import ast
import filecmp
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path

import pytest

import hiu_ros

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'hiu_ros'
#: pip's or Python's name of a module -> its rosdep key.
ROSDEP = {
    'cv2': 'python3-opencv',
    'numpy': 'python3-numpy',
    'scipy': 'python3-scipy',
    'tqdm': 'python3-tqdm',
    'yaml': 'python3-yaml',
}
#: Modules from pip whose pip name differs.
PIP = {'cv2': 'opencv-python-headless', 'yaml': 'pyyaml'}
#: Without a rosdep key on every platform: named in README.md.
PIP_ONLY = {'rosbags', 'safetensors', 'torch'}
#: Used by commands and options for developers only, which say so where they are missing.
DEVELOPMENT = {'anny', 'fast_simplification', 'tensorboard'}


@pytest.fixture(scope='module')
def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def imports(path: Path) -> set[str]:
    """Top-level names of a file's imports, also inside functions, but for files beside it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split('.')[0])
    neighbours = {p.stem for p in path.parent.glob('*.py')}
    return names - neighbours - set(sys.stdlib_module_names) - {'hiu_ros'}


def all_imports(*folders: Path) -> set[str]:
    return set().union(*(imports(p) for folder in folders for p in folder.rglob('*.py')))


def dependencies(manifest: ElementTree.Element) -> set[str]:
    return {element.text for element in manifest if element.tag.endswith('depend')}


def test_manifest_names_package_licence_and_version(manifest):
    assert manifest.get('format') == '3'
    assert manifest.findtext('name') == PACKAGE.name
    assert manifest.findtext('version') == hiu_ros.__version__
    assert manifest.findtext('license') == 'Apache-2.0'
    assert 'Apache License' in (ROOT / manifest.find('license').get('file')).read_text()
    assert manifest.findtext('export/build_type') == 'ament_cmake'
    assert manifest.findtext('member_of_group') == 'rosidl_interface_packages'


def test_every_message_and_service_is_generated():
    text = (ROOT / 'CMakeLists.txt').read_text()
    listed = set(re.findall(r'"((?:msg|srv)/\w+\.(?:msg|srv))"', text))
    present = {f'{p.parent.name}/{p.name}' for p in [*ROOT.glob('msg/*'), *ROOT.glob('srv/*')]}
    assert listed == present


def test_types_in_messages_come_from_declared_packages(manifest):
    text = ''.join(p.read_text() for p in [*ROOT.glob('msg/*'), *ROOT.glob('srv/*')])
    packages = set(re.findall(r'^(\w+)/\w+', text, re.M))
    assert packages <= {element.text for element in manifest.findall('depend')}


def test_cmake_leaves_the_python_package_to_the_message_generator():
    """A second ament_python_install_package of the same name is a target clash up to Kilted."""
    text = (ROOT / 'CMakeLists.txt').read_text()
    assert 'ament_python_install_package(' not in text
    assert not (PACKAGE / 'msg').exists() and not (PACKAGE / 'msg.py').exists()
    assert not (PACKAGE / 'srv').exists() and not (PACKAGE / 'srv.py').exists()


def test_every_import_is_declared_in_the_manifest(manifest):
    used = all_imports(PACKAGE, ROOT / 'launch') - PIP_ONLY - DEVELOPMENT
    declared = dependencies(manifest)
    undeclared = {name for name in used if ROSDEP.get(name, name) not in declared}
    assert not undeclared, f'imported, but not in package.xml: {sorted(undeclared)}'


def test_every_import_of_the_ros_free_part_is_a_requirement():
    text = (ROOT / 'requirements.txt').read_text()
    required = set(re.findall(r'^([a-z][\w-]*)', text, re.M))
    folders = [p for p in PACKAGE.iterdir() if p.is_dir() and p.name != 'ros']
    used = all_imports(*folders) - DEVELOPMENT
    missing = {name for name in used if PIP.get(name, name) not in required}
    assert not missing, f'imported, but not in requirements.txt: {sorted(missing)}'


def test_numpy_is_called_as_its_oldest_release_can_be():
    """np.nanmax and its like take `initial` and `where` from NumPy 1.22 on; Humble has 1.21."""
    assert 'numpy>=1.21,' in (ROOT / 'requirements.txt').read_text()
    newer = [
        f'{path.relative_to(ROOT)}:{node.lineno}' for path in PACKAGE.rglob('*.py')
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        and node.func.attr.startswith('nan')
        and {'initial', 'where'} & {word.arg for word in node.keywords}
    ]
    assert not newer


def test_pip_only_modules_are_explained_in_the_readme():
    text = (ROOT / 'README.md').read_text()
    assert all(name in text for name in PIP_ONLY)


def test_pip_takes_every_module_and_every_data_file_along():
    patterns = re.findall(r"'([\w/]+)/\*'", (ROOT / 'setup.py').read_text())
    data_folders = {PACKAGE / pattern for pattern in patterns}
    for path in PACKAGE.rglob('*'):
        if path.is_file() and '__pycache__' not in path.parts:
            module = path.suffix == '.py' and (path.parent / '__init__.py').exists()
            assert module or path.parent in data_folders, f'setup.py leaves out {path}'


def test_installed_requirements_are_in_the_ranges_that_were_tried():
    requirements = pytest.importorskip('packaging.requirements')
    lines = (ROOT / 'requirements.txt').read_text().splitlines()
    for line in (line for line in lines if line and not line.startswith('#')):
        requirement = requirements.Requirement(line)
        try:
            installed = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # a distribution's package without Python metadata, such as OpenCV
        assert requirement.specifier.contains(installed.split('+')[0]), f'{line}: {installed}'


def test_installed_copy_is_the_work_tree():
    """After a build the modules and data in install/ are those of hiu_ros/."""
    messages = pytest.importorskip('hiu_ros.msg')
    installed = Path(messages.__file__).parents[1]
    assert installed != PACKAGE
    paths = [p for p in PACKAGE.rglob('*') if p.is_file() and '__pycache__' not in p.parts]
    stamps = list((ROOT / 'build').glob('.ready-*'))
    if not stamps or max(p.stat().st_mtime for p in paths) > stamps[0].stat().st_mtime:
        pytest.skip('the work tree is newer than the build')
    files = [p.relative_to(PACKAGE) for p in paths]
    _, different, missing = filecmp.cmpfiles(PACKAGE, installed, files, shallow=False)
    assert not different and not missing, 'make clean build, and look at CMakeLists.txt'
