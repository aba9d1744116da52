"""Pictures and scalars for TensorBoard; nothing but one line without it."""

import sys

import numpy as np
import pytest
import torch

from hiu_ros.training import pictures
from hiu_ros.training.board import Board


def test_sheet_has_a_row_a_crop_and_all_maps_of_every_stage(hand, perfect, network):
    batch, _ = perfect()
    sheet = pictures.sheet(network.eval(), hand, batch, count=2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 * pictures.TILE, (1 + 4 * 2) * pictures.TILE, 3)


def test_mask_tints_and_mesh_covers_the_hand(hand, perfect):
    batch, output = perfect(size=128)
    one = type(output)(*(value[:1] for value in output))
    grey = np.full((128, 128, 3), 90, np.uint8)
    silhouette = np.kron(batch.masks[0].numpy() > 0.5, np.ones((2, 2))) > 0
    for picture in (pictures.mask(grey, one), pictures.mesh(grey, one, hand)):
        changed = np.abs(picture.astype(int) - grey).max(2) > 15
        assert (changed & silhouette).sum() / (changed | silhouette).sum() > 0.75


def test_joints_are_drawn_where_the_maps_are(perfect):
    batch, output = perfect(size=128)
    one = type(output)(*(value[:1] for value in output))
    black = np.zeros((128, 128, 3), np.uint8)
    drawn = pictures.joints(black, one, 'centre_of_mass').max(2)
    x, y = batch.keypoints[0].round().long().clamp(0, 127).unbind(1)
    assert drawn[y, x].mean() > 3 * drawn.mean()


def test_field_is_dark_where_there_is_none(perfect):
    _, output = perfect()
    one = type(output)(*(value[:1] for value in output))
    picture = pictures.field(one)
    assert picture.max() > 200 and (picture.max(2) == 0).any()


def test_picture_is_the_crop_again(perfect):
    batch, _ = perfect()
    picture = pictures.to_picture(batch.images[0])
    back = torch.from_numpy(picture).permute(2, 0, 1) / 127.5 - 1
    assert torch.allclose(back, batch.images[0], atol=0.005)


def test_board_writes_where_tensorboard_is(tmp_path):
    pytest.importorskip('tensorboard')
    board = Board(tmp_path)
    board.scalars(3, 'train', {'total': 1.5})
    board.picture(3, 'crops', np.zeros((8, 8, 3), np.uint8))
    board.close()
    assert board.on and list((tmp_path / 'tensorboard').glob('events*'))


def test_board_says_one_line_where_it_is_not(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'torch.utils.tensorboard', None)
    board = Board(tmp_path)
    board.scalars(3, 'train', {'total': 1.5})
    board.picture(3, 'crops', np.zeros((8, 8, 3), np.uint8))
    board.close()
    assert not board.on and not (tmp_path / 'tensorboard').exists()
    assert capsys.readouterr().out.count('\n') == 1
