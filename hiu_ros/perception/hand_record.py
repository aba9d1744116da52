"""What is written of hands by commands: plain values for JSON, masks, meshes and pictures."""

import argparse
import os
from typing import Any

import numpy as np

from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.drawing import draw
from hiu_ros.perception.masks import full_mask
from hiu_ros.perception.mesh_file import write_mesh
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.picture_file import write_picture


def hand_entries(
    hands: Hands, stem: str, options: argparse.Namespace, pipeline: Pipeline
) -> list[dict[str, Any]]:
    """The entries of an image's hands; their masks and meshes are written on the way.

    stem: what the names of those begin with. options: of `command_options.add_outputs`.
    """
    entries = []
    for hand in hands:
        mask = mesh = None
        if options.masks:
            mask = os.path.join(options.masks, f'{stem}_{hand.id}.png')
            write_picture(mask, full_mask(hand.mask, hand.mask_origin, hands.width, hands.height))
        if options.meshes:
            mesh = os.path.join(options.meshes, f'{stem}_{hand.id}.{options.mesh_format}')
            write_mesh(mesh, hand.vertices_m, pipeline.faces[hand.side])
        entries.append(hand_entry(hand, mask, mesh))
    return entries


def hand_entry(hand: Hand, mask: str | None = None, mesh: str | None = None) -> dict[str, Any]:
    """A `Hand` as plain values for JSON; the keys are what other people's scripts rely on."""
    place = hand.translation_m
    return {
        'id': hand.id,
        'side': hand.side,
        'side_score': round(float(hand.side_score), 4),
        'score': round(float(hand.score), 4),
        'box': _numbers(hand.box, 2),
        'keypoints_px': _numbers(hand.keypoints_px, 3),
        'keypoint_scores': _numbers(hand.keypoint_scores, 4),
        'keypoints_m': _numbers(hand.keypoints_m, 6),
        'translation_m': None if place is None else _numbers(place, 6),
        'pose': _numbers(hand.pose, 6),
        'shape': _numbers(hand.shape, 6),
        'mask': mask,
        'mesh': mesh,
    }


def drawn(
    image: np.ndarray, hands: Hands, camera: Camera | None, options: argparse.Namespace,
    pipeline: Pipeline,
) -> np.ndarray:
    """A copy of an image (H, W, 3) uint8 BGR with its hands, and their meshes if asked for."""
    return draw(image, hands, camera, pipeline.faces if options.draw_mesh else None)


def _numbers(values: Any, digits: int) -> list:
    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()
