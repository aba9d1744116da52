"""A finder in training is judged on photographs that it does not learn."""

import json

import cv2
import numpy as np
import pytest
import torch

from hiu_ros.network.finder import Finder, FinderConfig, FinderOutput
from hiu_ros.training.finder_validation import FinderValidation

WIDTH, HEIGHT = 128, 96


class Told(Finder):
    """Finds a hand of 32 px where a cell is white, and nothing in what is dark."""

    def forward(self, images):
        brightness = torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 8)[:, 0]
        centre = torch.where(brightness > 0.5, 3.0, -9.0)
        size = torch.full_like(centre, float(np.log(32 / WIDTH)))
        return FinderOutput(centre, torch.zeros(*centre.shape[:1], 2, *centre.shape[1:]), size,
                            torch.zeros_like(centre))


@pytest.fixture
def photos(tmp_path):
    """One photo a set; the hands of street are not white, and garden has a white spot more."""
    lines = []
    for name, split, spots in (('kitchen', 'val', [(28, 28)]), ('street', 'val', []),
                               ('garden', 'train', [(28, 28), (108, 76)]),
                               ('attic', 'train', [])):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for x, y in spots:
            image[y - 4:y + 4, x - 4:x + 4] = 255
        cv2.imwrite(str(tmp_path / f'{name}.png'), image)
        points = np.full((21, 2), 28.0)
        points[0], points[1] = (12, 12), (44, 44)
        lines.append(json.dumps({
            'set': name, 'file': f'{name}.png', 'width': WIDTH, 'height': HEIGHT, 'split': split,
            'licence': 'CC0', 'hands': [{
                'side': 'left', 'side_score': 1.0, 'keypoints_px': points.tolist(),
                'keypoints_m': np.zeros((21, 3)).tolist()}]}))
    (tmp_path / 'labels.jsonl').write_text('\n'.join(lines))
    return tmp_path


def test_found_and_false_hands_are_counted_apart(photos):
    validation = FinderValidation(photos, 10, unseen=('garden',))
    figures = validation(Told(FinderConfig(128, (8, 8, 8, 8, 8))))
    assert figures['seen_found_10'] == 0.5 and figures['unseen_found_30'] == 1
    assert figures['seen_false_10'] == 0


def test_training_photographs_are_left_alone(photos):
    assert len(FinderValidation(photos, 10).cases) == 2
    assert len(FinderValidation(photos, 1, unseen=('garden',)).cases) == 2


def test_hands_of_large_photographs_are_where_they_are_in_the_reduced_ones(photos):
    line = json.loads((photos / 'labels.jsonl').read_text().splitlines()[0])
    points = np.full((21, 2), 300.0)
    points[0], points[1] = (200, 260), (400, 340)
    line['hands'][0]['keypoints_px'] = points.tolist()
    (photos / 'labels.jsonl').write_text(json.dumps(line | {'width': 768, 'height': 576}))
    cv2.imwrite(str(photos / 'kitchen.png'), np.zeros((576, 768, 3), np.uint8))
    (case,) = FinderValidation(photos, 10).cases
    assert case.image.shape == (288, 384, 3)
    (square,) = case.squares
    assert square[:2] + square[2:] / 2 == pytest.approx([150, 150])
    assert square[2] == square[3] == pytest.approx(100)
