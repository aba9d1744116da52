"""Mesh files: arrays for programs, or what mesh viewers open."""

from pathlib import Path

import numpy as np

from hiu_ros.command_errors import named

_HEAD = ('# a hand of hiu_ros: metres, axes of the camera optical frame '
         '(x right, y down, z forward), wrist at the origin\n')


def write_mesh(path: str | Path, vertices: np.ndarray, faces: np.ndarray) -> None:
    """Write a mesh in the format of the name's ending, .npz or .obj (Wavefront, text).

    vertices: (V, 3) metres; faces: (F, 3) indices of them, from 0. An .npz holds both under these
    names. Raises OSError where the file cannot be written, ValueError for another ending.
    """
    ending = Path(path).suffix.lower()
    if ending not in ('.npz', '.obj'):
        raise ValueError(f'{path} has the ending {ending!r}, expected .npz or .obj')
    with named(path):
        if ending == '.npz':
            np.savez_compressed(path, vertices=vertices, faces=np.asarray(faces, np.int32))
            return
        with Path(path).open('w') as file:
            file.write(_HEAD)
            np.savetxt(file, vertices, 'v %.6f %.6f %.6f')
            np.savetxt(file, np.asarray(faces) + 1, 'f %d %d %d')
