"""CMakeLists.txt takes what the message generators of all distributions make."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ('ament_cmake', 'ament_cmake_python', 'rosidl_default_generators', 'geometry_msgs',
            'sensor_msgs', 'std_msgs')
#: Of the real generator that alone which CMakeLists.txt depends on: a library that another one
#: uses and that is exported.
GENERATOR = """
function(rosidl_generate_interfaces name)
  file(WRITE "${CMAKE_BINARY_DIR}/empty.c" "")
  set(library ${name}__rosidl_generator_py)
  add_library(${library} SHARED "${CMAKE_BINARY_DIR}/empty.c")
  %s
  add_library(extension SHARED "${CMAKE_BINARY_DIR}/empty.c")
  target_link_libraries(extension PRIVATE ${library})
  install(TARGETS ${library} EXPORT messages LIBRARY DESTINATION lib)
  install(EXPORT messages DESTINATION share)
endfunction()
function(ament_get_python_install_dir result)
  set(${result} python PARENT_SCOPE)
endfunction()
function(ament_export_dependencies)
endfunction()
function(ament_package)
endfunction()
"""


@pytest.mark.parametrize('headers', [
    # The wheels' generator; NumPy as `make env` has it.
    f'target_include_directories(${{library}} PUBLIC "{ROOT}/.venv/include")',
    # Humble's with the system's NumPy.
    '',
    # Jazzy's and later ones.
    f'target_include_directories(${{library}} PRIVATE "{ROOT}/.venv/include")',
], ids=['wheels', 'humble', 'jazzy'])
def test_configures_wherever_the_generator_has_its_headers(tmp_path, headers):
    if not shutil.which('cmake'):
        pytest.skip('there is no cmake')
    for name in PACKAGES:
        text = f'set({name}_FOUND TRUE)\n'
        text += GENERATOR % headers if name == 'rosidl_default_generators' else ''
        (tmp_path / f'Find{name}.cmake').write_text(text)
    run = subprocess.run(
        ['cmake', '-S', ROOT, '-B', tmp_path / 'build', f'-DCMAKE_MODULE_PATH={tmp_path}'],
        capture_output=True, text=True,
    )
    assert run.returncode == 0, run.stderr
