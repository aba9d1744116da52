"""The paper's configuration takes a training step on a CPU."""

import os
import resource

import pytest
import torch

from hiu_ros.training.loop import Trainer
from hiu_ros.training.settings import read_settings


def one_step(bank, tmp_path, *changes: str) -> dict:
    settings = read_settings('paper_freihand', [
        'network_changes.stages=1', 'hand=', 'data.sets=[]', f'data.renders=[{bank}]', 'batch=2',
        'validation.sets=[]', 'workers=0', f'run={tmp_path / "run"}', 'tensorboard=false',
        *changes])
    trainer = Trainer(settings)
    before = [p.detach().clone() for p in trainer.network.parameters()]
    terms = trainer.train_step(next(iter(trainer.batches())).to('cpu'))
    moved = [not torch.equal(a, b) for a, b in zip(before, trainer.network.parameters())]
    assert torch.isfinite(terms['total'])
    # What decides about presence has no term of its own in the paper.
    assert sum(moved) >= len(moved) - 2
    return terms


def test_step_of_the_full_width_on_small_crops(bank, tmp_path):
    terms = one_step(bank, tmp_path, 'network_changes.input_size=64')
    assert {'heatmap', 'pof', 'mask', 'keypoints_2d', 'bones_3d', 'silhouette', 'shape_prior',
            'pose_angles'} <= set(terms)


@pytest.mark.skipif(not os.environ.get('HIU_SLOW_TESTS'),
                    reason='half a minute on two cores; HIU_SLOW_TESTS=1 runs it')
def test_step_of_one_stage_fits_into_24_gigabytes(bank, tmp_path):
    one_step(bank, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 24e9
