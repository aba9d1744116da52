"""Background patches: parts of the photo sets' training images away from any labelled hand.

`python -m hiu_ros.data.backgrounds PHOTOS OUT.npy` writes (N, 160, 160, 3) uint8 BGR.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

SIZE = 160
#: A studio wall has nothing to show.
PLAIN_SETS = ('sign_digits',)


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


def main() -> None:
    """Collect patches of all training images that have a labelled hand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path)
    parser.add_argument('out', type=Path)
    arguments = parser.parse_args()
    with open(arguments.photos / 'labels.jsonl') as file:
        rows = [json.loads(line) for line in file]
    rng = np.random.default_rng(0)
    patches = []
    for row in tqdm(rows, unit='image'):
        if row['split'] != 'train' or not row['hands'] or row['set'] in PLAIN_SETS:
            continue
        boxes = []
        for hand in row['hands']:
            points = np.array(hand['keypoints_px'])
            low, high = points.min(0), points.max(0)
            margin = 0.45 * (high - low).max()
            boxes.append([*(low - margin), *(high + margin)])
        image = cv2.imread(str(arguments.photos / row['file']))
        patches += patches_of(image, np.array(boxes), rng)
    np.save(arguments.out, np.stack(patches))
    print(f'{len(patches)} patches in {arguments.out}')


if __name__ == '__main__':
    main()
