"""Joints, certainty and mask read off synthetic maps."""

import pytest
import torch

from hiu_ros.network.hiu import StageOutput
from hiu_ros.network.readout import bone_fields, joint_positions, read
from hiu_ros.training.targets import heatmap_targets

SIGMA = 1.2


def output(heatmaps: torch.Tensor, mask: torch.Tensor | None = None) -> StageOutput:
    batch, _, size, _ = heatmaps.shape
    mask = torch.zeros(batch, 1, size, size) if mask is None else mask
    return StageOutput(
        heatmaps, torch.zeros(batch, 60, size, size), mask,
        torch.eye(3).expand(batch, 16, 3, 3), torch.zeros(batch, 10), torch.ones(batch, 3),
        torch.zeros(batch), torch.full((batch,), 4.0), torch.zeros(batch, 0),
        torch.zeros(batch, 0, size, size))


def peaks(places: torch.Tensor, size: int, kind: str, sigma: float = SIGMA) -> torch.Tensor:
    maps = heatmap_targets(places, size, sigma)
    return maps.clamp_min(1e-30).log() if kind == 'softargmax' else maps


@pytest.mark.parametrize('kind', ['softargmax', 'centre_of_mass'])
def test_peaks_are_read_where_they_are(kind):
    places = torch.rand(2, 21, 2, generator=torch.Generator().manual_seed(0)) * 18 + 7
    where, certainty, maps = joint_positions(peaks(places, 32, kind), kind)
    assert torch.allclose(where, places, atol=2e-2)
    assert (certainty > 0.84).all()
    assert torch.allclose(maps.sum((2, 3)), torch.ones(2, 21), atol=1e-4)


@pytest.mark.parametrize('kind', ['softargmax', 'centre_of_mass'])
def test_x_is_across_and_y_is_down(kind):
    where, _, _ = joint_positions(peaks(torch.tensor([[[20.0, 9.0]]]), 32, kind), kind)
    assert where[0, 0].tolist() == pytest.approx([20, 9], abs=0.02)


def test_certainty_falls_with_spread_and_with_a_second_peak():
    place = torch.tensor([[[16.0, 16.0]]])
    sharp, wide, flat = (
        joint_positions(peaks(place, 32, 'softargmax', s), 'softargmax')[1].item()
        for s in (1.2, 4.0, 100.0))
    assert sharp == pytest.approx(1.0, abs=0.01) and sharp > wide > flat
    two = heatmap_targets(torch.tensor([[[6.0, 16.0], [26.0, 16.0]]]), 32, 1.3)
    split = (two[:, :1] + two[:, 1:]).clamp_min(1e-30).log()
    certainty = joint_positions(split, 'softargmax')[1].item()
    assert certainty < 0.1
    above = joint_positions(split.transpose(2, 3), 'softargmax')[1].item()
    assert above == pytest.approx(certainty, rel=1e-3)


def test_certainty_of_a_low_map_is_its_height():
    maps = 0.3 * heatmap_targets(torch.tensor([[[16.0, 16.0]]]), 32, SIGMA)
    assert joint_positions(maps, 'centre_of_mass')[1].item() == pytest.approx(0.3)


def test_heights_beyond_zero_and_one_count_as_these():
    maps = torch.zeros(1, 1, 32, 32)
    maps[..., 10, 8], maps[..., 10, 16], maps[..., 3:5] = 1.0, 7.0, -2.0
    where, certainty, _ = joint_positions(maps, 'centre_of_mass')
    assert where.flatten().tolist() == pytest.approx([12.0, 10.0], abs=1e-4)
    assert certainty.item() == 1.0


def test_maps_of_height_are_not_sharpened():
    maps = torch.zeros(1, 21, 32, 32)
    maps[..., 10, 8], maps[..., 10, 16] = 1.0, 0.5
    reading = read(output(maps), 128, 'centre_of_mass')
    x = (8 + 16 * 0.5) / 1.5
    assert reading.keypoints_px[0, 0].tolist() == pytest.approx([4 * x + 1.5, 41.5], abs=1e-3)


def test_empty_maps_read_finite():
    where, certainty, _ = joint_positions(torch.full((1, 21, 8, 8), -1.0), 'centre_of_mass')
    assert torch.isfinite(where).all() and (certainty == 0).all()


@pytest.mark.parametrize('kind', ['softargmax', 'centre_of_mass'])
def test_positions_carry_gradients_to_the_maps(kind):
    heatmaps = (peaks(torch.full((1, 21, 2), 15.3), 32, kind) * 0.9).requires_grad_()
    joint_positions(heatmaps, kind)[0].sum().backward()
    assert torch.isfinite(heatmaps.grad).all() and heatmaps.grad.abs().max() > 0


def test_reading_is_in_crop_pixels():
    """Map pixel m covers crop pixels 4 m to 4 m + 3: its centre is 4 m + 1.5."""
    places = torch.full((1, 21, 2), 10.0)
    reading = read(output(peaks(places, 32, 'softargmax')), 128, 'softargmax')
    assert torch.allclose(reading.keypoints_px, torch.full((1, 21, 2), 41.5), atol=0.05)
    assert reading.side.item() == pytest.approx(torch.tensor(4.0).sigmoid().item())
    assert reading.presence.item() == 0.5


@pytest.mark.parametrize('kind', ['softargmax', 'centre_of_mass'])
def test_maps_of_half_precision_are_read_in_full(kind):
    places = torch.rand(2, 21, 2, generator=torch.Generator().manual_seed(0)) * 18 + 7
    half = output(peaks(places, 32, kind).bfloat16())
    reading, full = (read(maps, 128, kind) for maps in (
        half, half._replace(heatmaps=half.heatmaps.float())))
    assert torch.equal(reading.keypoints_px, full.keypoints_px)
    assert torch.equal(reading.keypoint_scores, full.keypoint_scores)


def test_reading_draws_joints_less_to_the_middle_than_the_plain_soft_argmax():
    """A peak over a floor of doubt: the read-out is nearer to the peak."""
    maps = heatmap_targets(torch.full((1, 21, 2), 6.0), 32, SIGMA)
    doubtful = (maps + 1e-3).log()
    plain = joint_positions(doubtful, 'softargmax')[0]
    reading = read(output(doubtful), 128, 'softargmax')
    assert (plain > 6.5).all()
    assert ((reading.keypoints_px - 25.5).abs() < 0.3 * 4 * (plain - 6)).all()


def test_mask_lies_where_the_logits_lie():
    line = torch.arange(32.0)
    places = torch.stack(torch.meshgrid(line, line, indexing='xy'), -1)
    mask = torch.where((places[..., 0] < 16) & (places[..., 1] < 8), 8.0, -8.0)[None, None]
    reading = read(output(torch.zeros(1, 21, 32, 32), mask), 128, 'softargmax')
    assert reading.mask.shape == (1, 128, 128)
    assert (reading.mask >= 0).all() and (reading.mask <= 1).all()
    assert (reading.mask[0, :28, :60] > 0.9).all()
    assert (reading.mask[0, 36:] < 0.1).all() and (reading.mask[0, :, 68:] < 0.1).all()
    assert reading.mask[0, 10, 63] > 0.5 > reading.mask[0, 10, 64]
    assert reading.mask[0, 31, 10] > 0.5 > reading.mask[0, 32, 10]


def test_predict_is_the_reading_of_the_last_stage(network):
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    reading = network.predict(images)
    expected = read(network(images)[-1], 64, 'softargmax')
    for one, other in zip(reading, expected):
        assert torch.allclose(one, other)


@pytest.mark.parametrize('size', [32, 16, 64])
def test_field_of_a_bone_is_read_under_its_joints_on_any_grid(size):
    """All joints at one place, where the fields hold what they hold nowhere else."""
    place = torch.full((1, 21, 2), 11.5)
    _, _, maps = joint_positions(peaks(place, 32, 'softargmax', 1.0), 'softargmax')
    fields = torch.randn(1, 60, generator=torch.Generator().manual_seed(6))
    pof = torch.zeros(1, 60, size, size)
    middle = round((11.5 + 0.5) * size / 32)
    near = slice(middle - size // 4, middle + size // 4)
    pof[..., near, near] = fields[..., None, None]
    read = bone_fields(maps, pof)
    assert read.shape == (1, 20, 3)
    assert torch.allclose(read.flatten(), fields.flatten(), atol=0.02)


@pytest.mark.parametrize('size', [8, 16, 64])
def test_a_joint_of_one_pixel_counts_in_full_on_any_grid(size):
    maps = torch.zeros(1, 21, 32, 32)
    maps[..., 10, 13] = 1.0
    assert torch.allclose(bone_fields(maps, torch.ones(1, 60, size, size)), torch.ones(1, 20, 3))
