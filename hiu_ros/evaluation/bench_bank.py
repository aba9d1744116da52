"""Placing on a render bank: many poses and people, one image of each, boxes given."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from hiu_ros.data.sets.renders import RenderBank
from hiu_ros.evaluation.photos import joint_box
from hiu_ros.evaluation.renders import backdrop
from hiu_ros.evaluation.tracking import PlacingScores, length_of
from hiu_ros.geometry.camera import Camera
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline


def placing_on_bank(
    bank: RenderBank, options: PipelineOptions, count: int, known: bool = True, seed: int = 0,
    tick: Callable[[], Any] = lambda: None,
) -> list[dict[str, Any]]:
    """Rows of scores of `count` hands spread over a bank: of either half of them, and of all.

    known: each hand's length is told. Two halves that agree tell that a bias is one.
    """
    pipeline = Pipeline(replace(options, tracking=None, regions='boxes'))
    rows = np.linspace(0, len(bank) - 1, min(count, len(bank))).astype(int)
    halves, both = (PlacingScores(), PlacingScores()), PlacingScores()
    for number, row in enumerate(rows):
        rng = np.random.default_rng([seed, int(row)])
        image, _, points = bank.compose(row, backdrop(bank.size, rng))
        matrix = bank.camera[row]
        camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2],
                        bank.size, bank.size)
        true = SimpleNamespace(keypoints_px=points, keypoints_m=bank.keypoints_m[row],
                               translation=bank.keypoints_m[row][0], shape=bank.shape[row])
        pipeline.reconfigure(replace(
            pipeline.options, hand_length_m=length_of(true) if known else None))
        hand, = pipeline.process(image, camera, boxes=[joint_box(points)])
        if hand.side == 'right':
            halves[number % 2].add(true, hand, camera)
            both.add(true, hand, camera)
        tick()
    return [{'name': name, **scores.row()} for name, scores in
            (('first half', halves[0]), ('second half', halves[1]), ('all', both))]
