"""What the loaders share: the error that says what is missing, and readers of small files."""

import errno
import json
import os
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.lib.format import open_memmap

from hiu_ros.command_errors import named
from hiu_ros.perception.image_file import read_image

#: What numpy raises for a file that is empty, cut off or of something else.
_DAMAGED = (ValueError, EOFError, zipfile.BadZipFile)
#: How .npy and .npz files begin.
_MAGIC = (b'\x93NUMPY', b'PK\x03\x04', b'PK\x05\x06')
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DataSetError(RuntimeError):
    """A data set is missing, incomplete or of another layout; the message says what to get."""


class Layout:
    """The root folder of a published data set, and where its parts come from."""

    def __init__(self, name: str, root: str | Path, origin: str) -> None:
        """`origin` ends the sentence '... is missing; get it from'."""
        self.name = name
        self.root = Path(root)
        self.origin = origin
        if not self.root.is_dir():
            raise DataSetError(f'{name}: {no_folder(self.root)}; get {name} from {origin}')

    def path(self, relative: str, what: str) -> Path:
        """An existing file or folder below the root, else an error that says what it is for."""
        path = self.root / relative
        if not path.exists():
            raise DataSetError(
                f'{self.name}: {what} ({relative}) is missing in {self.root}; '
                f'get it from {self.origin}')
        return path

    def first(self, relatives: Iterable[str], what: str) -> Path:
        """The first of several places that exists."""
        relatives = list(relatives)
        for relative in relatives:
            if (self.root / relative).exists():
                return self.root / relative
        raise DataSetError(
            f'{self.name}: {what} ({" or ".join(relatives)}) is missing in {self.root}; '
            f'get it from {self.origin}')

    def json(self, relative: str, what: str) -> Any:
        """Contents of a JSON file."""
        path = self.path(relative, what)
        try:
            with path.open(encoding='utf-8') as file:
                return json.load(file)
        except ValueError as error:
            raise DataSetError(
                f'{self.name}: {path} is not whole JSON ({error}); copy it again') from error

    def wrong(self, what: str) -> DataSetError:
        """An error about contents rather than absence."""
        return DataSetError(f'{self.name}: {what} in {self.root}')


def no_folder(path: Path) -> str:
    """What is wrong with a path that is no folder: a file is there, or nothing."""
    return (f'{path} is a file, expected a folder' if path.exists()
            else f'the folder {path} does not exist')


def read_archive(path: str | Path, remedy: str) -> dict[str, np.ndarray]:
    """All arrays of an .npz file. DataSetError, which ends in the remedy, for a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except _DAMAGED as error:
        raise DataSetError(f'{path} is damaged ({error}); {remedy}') from error


def map_array(path: str | Path, remedy: str) -> np.ndarray:
    """The array of an .npy file, mapped into memory, so that many processes can read one file.

    DataSetError as `read_archive`, and for a missing one.
    """
    if not Path(path).is_file():
        raise DataSetError(f'{path} is missing; {remedy}')
    with Path(path).open('rb') as file:
        magic = file.read(len(_MAGIC[0]))
    if magic and not any(one.startswith(magic[:len(one)]) for one in _MAGIC):
        # NumPy takes any other file for a pickle, and advises to load it unsafely.
        raise DataSetError(f'{path} is no .npy file; {remedy}')
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except _DAMAGED as error:
        raise DataSetError(f'{path} is damaged ({error}); {remedy}') from error
    if not isinstance(array, np.ndarray):
        raise DataSetError(f'{path} is an archive of several arrays, expected one; {remedy}')
    return array


def open_array(path: str | Path, shape: tuple[int, ...], remedy: str) -> np.memmap:
    """The array of an .npy file, mapped into memory to be filled further.

    DataSetError as `map_array`, and for another shape. NumPy alone would fill up what is missing
    of one that was cut off, with zeros and without a word.
    """
    found = map_array(path, remedy).shape
    if found != shape:
        raise DataSetError(f'{path} has shape {found}, expected {shape}; {remedy}')
    return open_memmap(path, 'r+')


def replace_array(path: str | Path, array: np.ndarray) -> None:
    """Write an .npy file of just this name by renaming a whole one, so that a program that has the
    old one mapped goes on with it. OSError where that fails; what is there is left as it was."""
    part = Path(f'{path}.part')
    try:
        with named(path):
            with part.open('wb') as file:
                np.save(file, array)
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text by renaming a whole one. OSError where that fails, as on a full
    disk; what is there is left as it was."""
    part = path.with_name(f'{path.name}.part')
    try:
        with named(path):
            part.write_text(text, encoding='utf-8')
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def new_array(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new .npy file of uint8 zeros, mapped into memory to be filled.

    OSError where the disk has no room for all of it. That is found out at once: a mapped file that
    outgrows the disk while it is filled ends the process by a signal, without a word.
    """
    array = open_memmap(path, 'w+', np.uint8, shape)
    size = path.stat().st_size
    with path.open('r+b') as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in _NO_ROOM:
                path.unlink()
                raise OSError(error.errno, f'{error.strerror} for the {size / 1e6:.0f} MB of',
                              str(path)) from error
            # Some file systems cannot tell beforehand.
    return array


def image_reader(path: Path) -> Callable[[], np.ndarray]:
    """A function that reads a colour picture, BGR uint8."""

    def read() -> np.ndarray:
        image = read_image(path)
        if image is None:
            raise DataSetError(f'cannot read the image {path}; it is missing or damaged')
        return image

    return read


def mask_reader(path: Path, inside: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """A function that reads a picture without change and gives 255 where `inside` is true."""

    def read() -> np.ndarray:
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None:
            raise DataSetError(f'cannot read the mask {path}; it is missing or damaged')
        return inside(picture).astype(np.uint8) * 255

    return read


def project(points: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of camera frame points (..., 3) under an intrinsic matrix K."""
    image = np.asarray(points, np.float64) @ np.asarray(camera, np.float64).T
    return image[..., :2] / image[..., 2:]
