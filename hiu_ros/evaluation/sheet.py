"""A picture of the best, the middling and the worst answers on a render bank."""

from pathlib import Path

import cv2
import numpy as np

from hiu_ros.evaluation.photos import CROP_PIXELS, CROP_SCALE, joint_box
from hiu_ros.output_file import check_output
from hiu_ros.perception.drawing import draw
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.picture_file import write_picture

_TILE, _TEXT = 160, 16


class Sheet:
    """Collects drawn answers with their 2D error; `write` lays out three rows of them.

    path: of the picture, .jpg or .png; ValueError or OSError where it cannot be written. Rows: the
    best, those about the median, the worst; of fewer columns where there are too few answers.
    Above each answer stands its mean 2D error in pixels of a 256 pixel crop, and the side where it
    is wrong. True joints are small white dots.
    """

    def __init__(self, path: Path, columns: int = 8) -> None:
        if path.suffix not in ('.jpg', '.png'):
            raise ValueError(f'{path} is no name for a sheet; it must end in .jpg or .png')
        check_output(path)
        self.path, self.columns = path, columns
        self._tiles: list[tuple[float, np.ndarray]] = []

    def add(self, image: np.ndarray, hand: Hand, keypoints: np.ndarray, side: str) -> None:
        """One answer: image (H, W, 3) uint8 BGR, true keypoints (21, 2) px and side."""
        height, width = image.shape[:2]
        picture = draw(image, Hands(width, height, (hand,)), labels=False)
        for x, y in np.rint(keypoints * 16).astype(int).tolist():
            cv2.circle(picture, (x, y), 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
        scale = CROP_PIXELS / CROP_SCALE / max(float(joint_box(keypoints)[2:].max()), 1e-6)
        error = float(np.linalg.norm(hand.keypoints_px - keypoints, axis=1).mean()) * scale
        tile = np.zeros((_TILE + _TEXT, _TILE, 3), np.uint8)
        tile[_TEXT:] = cv2.resize(picture, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
        words = f'{error:.1f} px' + ('' if hand.side == side else f'  {hand.side}?')
        cv2.putText(tile, words, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1,
                    cv2.LINE_AA)
        self._tiles.append((error, tile))

    def write(self) -> None:
        """Write the picture of the answers so far, at least one."""
        count = len(self._tiles)
        columns = max(1, min(self.columns, count // 3))
        tiles = [tile for _, tile in sorted(self._tiles, key=lambda pair: pair[0])]
        middle = (count - columns) // 2
        rows = [tiles[:columns], tiles[middle:middle + columns], tiles[-columns:]]
        write_picture(self.path, np.vstack([np.hstack(row) for row in rows]))
