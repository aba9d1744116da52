"""What a training tells while it runs: validation, and pictures and scalars in TensorBoard."""

import json
import time
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from hiu_ros.data.sets.layout import DataSetError
from hiu_ros.training.board import Board
from hiu_ros.training.loop import train


def test_validation_measures_photos_renders_and_sets(tiny_settings, cache, bank):
    settings = tiny_settings(
        'steps=2', f'validation.photos={cache}', f'validation.renders={bank}',
        'validation.apart=[street]', 'validation.hands=4',
        f'validation.sets=[{{name: renders, root: {bank}}}]')
    train(settings)
    log = (Path(settings.run) / 'log.jsonl').read_text().splitlines()
    (line,) = [line for line in map(json.loads, log) if line['kind'] == 'validation']
    for name in ('seen/2d_median', 'seen/mesh_2d_median', 'seen/mask_iou', 'seen/side',
                 'seen/mesh_gap_median', 'seen/pa_mpjpe_mm', 'apart/2d_mean',
                 'renders/pa_mpjpe_mm', 'renders/mask_iou', 'renders/2d_median'):
        assert 0 <= line[name] < 200


@pytest.mark.parametrize('change, message', [
    ('validation.photos=nowhere', 'photo_cache PHOTOS nowhere'),
    ('validation.renders=nowhere', 'nowhere does not exist.*renders.bank'),
    ('validation.sets=[{name: folder, root: PICTURES, options: {side: left}}]',
     'no hand with all joints labelled'),
    ('validation.apart=[street, strete]', "validation.apart names .'strete'.*'street'"),
])
def test_what_cannot_be_validated_is_told_before_the_first_step(
    tiny_settings, cache, tmp_path, change, message
):
    cv2.imwrite(str(tmp_path / 'hand.png'), np.zeros((64, 64, 3), np.uint8))
    settings = tiny_settings(f'validation.photos={cache}',
                             change.replace('PICTURES', str(tmp_path)))
    with pytest.raises((DataSetError, FileNotFoundError, ValueError), match=message):
        train(settings)
    assert not Path(settings.run).exists() or not list(Path(settings.run).iterdir())


def test_tensorboard_gets_scalars_and_pictures(tiny_settings):
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator')
    settings = tiny_settings('steps=2', 'tensorboard=true', 'pictures=2')
    train(settings)
    events = accumulator.EventAccumulator(str(Path(settings.run) / 'tensorboard'))
    events.Reload()
    assert 'train/total' in events.Tags()['scalars']
    (picture,) = events.Images('crops')
    assert (picture.width, picture.height) == (9 * 128, 2 * 128)


def test_tensorboard_has_every_point_of_a_run_that_went_on_and_none_twice(tmp_path, monkeypatch):
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator')
    now = time.time()  # the name of an event file
    for first, last in ((0, 4), (0, 8), (6, 10)):  # killed at 4, before a save, and saved at 6
        monkeypatch.setattr(time, 'time', partial(float, now + last))
        board = Board(tmp_path, first)
        for step in range(first + 2, last + 1, 2):
            board.scalars(step, 'train', {'total': step + last})
        board.close()
    events = accumulator.EventAccumulator(str(tmp_path / 'tensorboard'))
    events.Reload()
    points = [(one.step, one.value) for one in events.Scalars('train/total')]
    assert points == [(2, 10), (4, 12), (6, 14), (8, 18), (10, 20)]
