"""What the network promises whatever its weights are."""

from dataclasses import replace

import pytest
import torch

from hiu_ros.network.attention import TaskAttention
from hiu_ros.network.blocks import Bottleneck, RepBlock, RepConv
from hiu_ros.network.hiu import HIU


def images(count: int, size: int = 64) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize('name', ['tiny', 'tiny_paper'])
def test_every_stage_answers_in_the_documented_shapes(name, request):
    config = request.getfixturevalue(name)
    outputs = HIU(config).eval()(images(2))
    assert len(outputs) == config.stages
    m = config.map_size
    for output in outputs:
        assert [tuple(t.shape) for t in output] == [
            (2, 21, m, m), (2, 60, m, m), (2, 1, m, m), (2, 16, 3, 3), (2, 10), (2, 3), (2,),
            (2,), (2, 0), (2, 0, m, m)]


def test_every_stage_tells_whether_its_joints_are_legible_once_that_is_fitted(tiny):
    network = HIU(tiny).eval()
    network.regressor.add_legibility()
    assert [tuple(output.legible.shape) for output in network(images(2))] == [(2, 1)] * 2


def test_every_map_has_the_resolution_of_its_own_head(tiny):
    torch.manual_seed(3)
    config = replace(tiny, head_strides=(2, 8, 4))
    model = HIU(config).train()
    outputs = model(images(2))
    for output in outputs:
        assert [t.shape[-1] for t in output[:3]] == [32, 8, 16]
    sum(t.square().sum() for output in outputs for t in output).backward()
    assert not [n for n, p in model.named_parameters() if p.grad is None]
    # Positions are read in crop pixels, whatever the map's grid.
    where = model.eval().predict(images(1)).keypoints_px
    assert (where > 16).all() and (where < 48).all()


@pytest.mark.parametrize('name', ['tiny', 'tiny_paper'])
def test_rotations_are_rotations_and_scale_is_positive(name, request):
    torch.manual_seed(5)
    model = HIU(request.getfixturevalue(name)).eval()
    torch.nn.init.normal_(model.regressor.parameters_head.weight)
    output = model(images(3))[-1]
    turned = output.rotations @ output.rotations.transpose(2, 3)
    assert torch.allclose(turned, torch.eye(3).expand_as(turned), atol=1e-4)
    assert torch.allclose(torch.linalg.det(output.rotations), torch.ones(3, 16), atol=1e-4)
    assert (output.camera[:, 0] > 0).all()


def test_untrained_hand_is_at_rest_and_fills_two_thirds_of_the_crop(network):
    torch.nn.init.zeros_(network.regressor.parameters_head.weight)
    output = network(images(1))[-1]
    assert torch.allclose(output.rotations, torch.eye(3).expand(1, 16, 3, 3), atol=1e-6)
    # A hand of 0.18 m spans 2 / 1.5 crop units.
    assert output.camera[0].tolist() == pytest.approx([2 / 1.5 / 0.18, 0, 0], rel=1e-5)


def test_last_only_is_the_last_stage(network):
    full, last = network(images(2)), network(images(2), last_only=True)
    assert len(last) == 1
    for one, other in zip(full[-1], last[0]):
        assert torch.equal(one, other)


def test_images_of_a_batch_do_not_meet(network):
    batch = images(3)
    together, alone = network(batch)[-1], network(batch[1:2])[-1]
    for one, other in zip(together, alone):
        assert torch.allclose(one[1:2], other, atol=1e-5)


def test_fused_network_gives_the_same_answer(network):
    batch = images(2)
    before = [[t.clone() for t in output] for output in network(batch)]
    convolutions = sum(isinstance(m, RepConv) for m in network.modules())
    assert convolutions > 0 and network.fuse() is network
    assert not any(m.training or isinstance(m.norm, torch.nn.BatchNorm2d)
                   for m in network.modules() if isinstance(m, RepConv))
    for one, other in zip(before, network(batch)):
        for a, b in zip(one, other):
            assert torch.allclose(a, b, atol=2e-4), (a - b).abs().max()
    assert torch.equal(network.fuse()(batch)[-1].mask, network(batch)[-1].mask)


def test_later_stages_see_the_image_and_the_stage_before(network):
    """F0 and the attention's feature: without either the second stage answers differently."""
    batch = images(1)
    usual = network(batch)[-1].mask
    network.stages[0].attention.forward = lambda features: features[0] * 0
    assert not torch.allclose(usual, network(batch)[-1].mask)


@pytest.mark.parametrize('shape', [(1, 3, 32, 32), (3, 64, 64), (1, 1, 64, 64)])
def test_wrong_images_are_refused(network, shape):
    with pytest.raises(ValueError, match=r'expected \(B, 3, 64, 64\)'):
        network(torch.zeros(shape))


def test_gradients_reach_every_parameter(tiny_paper):
    model = HIU(tiny_paper)
    total = sum(t.square().sum() for output in model(images(2)) for t in output)
    total.backward()
    missing = [n for n, p in model.named_parameters() if p.grad is None]
    assert not missing


def test_attention_weights_sum_to_one_over_the_tasks_for_each_channel(tiny):
    torch.manual_seed(2)
    attention = TaskAttention(3, tiny).eval()
    for layer in attention.perceptron[:-1]:
        torch.nn.init.ones_(layer[1].bias)
    torch.nn.init.normal_(attention.perceptron[-1].weight)
    features = [torch.randn(2, 8, 16, 16) for _ in range(3)]
    weights = attention.weights(features)
    assert weights.shape == (2, 3, 8) and (weights > 0).all()
    assert torch.allclose(weights.sum(1), torch.ones(2, 8))
    assert weights.std(1).max() > 0.05
    expected = sum(weights[:, t, :, None, None] * features[t] for t in range(3))
    assert torch.allclose(attention(features), expected, atol=1e-6)


def test_attention_of_equal_features_is_that_feature(tiny):
    feature = torch.randn(1, 8, 4, 4)
    assert torch.allclose(TaskAttention(3, tiny).eval()([feature] * 3), feature, atol=1e-6)


@pytest.mark.parametrize('stride', [1, 2])
def test_bottleneck_is_a_quarter_of_its_input_wide(stride):
    block = Bottleneck(384, 128, stride)
    assert block.body[0][0].out_channels == 96
    assert Bottleneck(64, 128).body[0][0].out_channels == 64
    assert block(torch.zeros(2, 384, 8, 8)).shape == (2, 128, 8 // stride, 8 // stride)


def test_blocks_of_one_shape_pass_their_input_on():
    x = torch.rand(2, 16, 4, 4)
    for block in (Bottleneck(16, 16), RepBlock(16, 16)):
        last = block.body[-1]
        norm = last.norm if isinstance(last, RepConv) else last[1]
        torch.nn.init.zeros_(norm.weight)
        assert torch.allclose(block.eval()(x), x)
