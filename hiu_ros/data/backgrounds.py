"""Patches of the photo sets' training images without a labelled hand, (N, 160, 160, 3) uint8 BGR.

`python -m hiu_ros.data.backgrounds PHOTOS OUT.npy` writes backgrounds, well away from any hand.
With `--near` it writes what a finder mistakes for hands: squares of a hand's size right beside
labelled hands (arms, faces, clothes) and the faces that OpenCV's cascade finds. PyPI's OpenCV
brings that along, a distribution's has it in a package of its own, `opencv-data`.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.photos import PhotoFolder
from hiu_ros.data.sets.layout import DataSetError, map_array, replace_array
from hiu_ros.output_file import check_output

SIZE = 160
#: What to do about a file of patches that is damaged or none.
_REMAKE = 'make it anew with `python -m hiu_ros.data.backgrounds`'
#: A studio wall has nothing to show.
PLAIN_SETS = ('sign_digits',)
#: Where a second hand without a label is likely beside a labelled one.
TWO_HANDED_SETS = ('two_hand_signs', 'signer_small_hands', 'lab_gestures')
#: Of Debian's and Ubuntu's `opencv-data`.
_CASCADES = Path('/usr/share/opencv4/haarcascades')


def patches_of(image: np.ndarray, boxes: np.ndarray, rng: np.random.Generator,
               wanted: int = 2, tries: int = 12) -> list[np.ndarray]:
    """Up to `wanted` square patches that touch no box (N, 4: x0, y0, x1, y1)."""
    height, width = image.shape[:2]
    found = []
    for _ in range(tries):
        side = int(min(height, width) * rng.uniform(0.3, 0.8))
        x, y = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
        apart = ((boxes[:, 0] > x + side) | (boxes[:, 2] < x) | (boxes[:, 1] > y + side)
                 | (boxes[:, 3] < y))
        if side >= 40 and apart.all():
            way = cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR
            found.append(cv2.resize(image[y:y + side, x:x + side], (SIZE, SIZE),
                                    interpolation=way))
        if len(found) == wanted:
            break
    return found


def near_patches(image: np.ndarray, boxes: np.ndarray, faces: np.ndarray,
                 rng: np.random.Generator) -> list[np.ndarray]:
    """Squares beside hands, at their size, and around faces; none touches a joints' box.

    boxes: (N, 4) x0, y0, x1, y1 of the joints; faces: (M, 4) x, y, w, h.
    """
    height, width = image.shape[:2]
    wanted = [(x + w / 2, y + h / 2, w * rng.uniform(0.9, 1.6), 1) for x, y, w, h in faces]
    for x0, y0, x1, y1 in boxes:
        size = max(x1 - x0, y1 - y0)
        angle = rng.uniform(0, 2 * np.pi, 6)
        reach = size * rng.uniform(1.1, 2.2, 6)
        wanted += [((x0 + x1) / 2 + r * np.cos(a), (y0 + y1) / 2 + r * np.sin(a),
                    size * rng.uniform(0.9, 1.6), 0) for a, r in zip(angle, reach)]
    found, plain = [], 0
    for x, y, side, is_face in wanted:
        low = np.array([x, y]) - side / 2
        high = low + side
        inside = np.minimum(high, [width, height]) - np.maximum(low, 0)
        apart = ((boxes[:, 0] > high[0]) | (boxes[:, 2] < low[0]) | (boxes[:, 1] > high[1])
                 | (boxes[:, 3] < low[1]))
        if not apart.all() or (inside < 0.6 * side).any() or (plain > 1 and not is_face):
            continue
        plain += not is_face
        scale = SIZE / side
        matrix = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale]])
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        found.append(cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=way))
    return found


def open_patches(path: str | Path) -> np.ndarray:
    """(N, S, S, 3) uint8 patches of a file, mapped into memory; none where the path is empty.

    Raises DataSetError where it is damaged or holds something else.
    """
    if not path:
        return np.zeros((0, 8, 8, 3), np.uint8)
    patches = map_array(path, _REMAKE)
    square = patches.ndim == 4 and patches.shape[1] == patches.shape[2]
    if not square or patches.shape[3] != 3 or patches.dtype != np.uint8:
        raise DataSetError(f'{path} holds {patches.dtype} numbers of shape {patches.shape}, '
                           f'expected uint8 patches (N, S, S, 3); {_REMAKE}')
    return patches


def stacked(patches: list[np.ndarray]) -> np.ndarray:
    """(N, SIZE, SIZE, 3) uint8, also of none."""
    return np.stack(patches) if patches else np.zeros((0, SIZE, SIZE, 3), np.uint8)


def collect(folder: PhotoFolder, near: bool) -> np.ndarray:
    """(N, SIZE, SIZE, 3) patches of all training photographs that have a labelled hand."""
    rng = np.random.default_rng(0)
    cascade = _face_cascade() if near else None
    patches = []
    for photo in tqdm(folder.select('train'), unit='image'):
        if not photo.hands or photo.set in PLAIN_SETS or near and photo.set in TWO_HANDED_SETS:
            continue
        boxes = []
        for hand in photo.hands:
            low, high = hand.keypoints_px.min(0), hand.keypoints_px.max(0)
            margin = (0.08 if near else 0.45) * (high - low).max()
            boxes.append([*(low - margin), *(high + margin)])
        image = folder.read_image(photo)
        if cascade:
            faces = cascade.detectMultiScale(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), 1.2, 5)
            patches += near_patches(image, np.array(boxes), np.array(faces).reshape(-1, 4), rng)
        else:
            patches += patches_of(image, np.array(boxes), rng)
    return stacked(patches)


def _face_cascade() -> cv2.CascadeClassifier:
    own = [Path(cv2.data.haarcascades)] if hasattr(cv2, 'data') else []
    for folder in (*own, _CASCADES):
        path = folder / 'haarcascade_frontalface_default.xml'
        if path.is_file():
            return cv2.CascadeClassifier(str(path))
    raise DataSetError("OpenCV's cascade for faces is not there; install the package opencv-data, "
                       f'which puts it into {_CASCADES}')


def main(arguments: list[str] | None = None) -> None:
    """Collect patches from the command line."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.data.backgrounds',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--near', action='store_true', help='arms, faces and the like')
    options = parser.parse_args(arguments)
    with in_one_line(parser):
        check_output(options.out)
        patches = collect(PhotoFolder(options.photos), options.near)
        replace_array(options.out, patches)
    print(f'{len(patches)} patches in {options.out}')


if __name__ == '__main__':
    main()
