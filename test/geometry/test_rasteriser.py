import pytest
import torch

from hiu_ros.geometry.rasteriser import (
    fragments,
    interpolate,
    mesh_edges,
    rasterise,
    signed_areas,
    soft_silhouette,
)

QUAD = torch.tensor([[0, 1, 2], [0, 2, 3]])


def square(left, top, right, bottom, depth=1.0):
    return torch.tensor([[[left, top, depth], [right, top, depth],
                          [right, bottom, depth], [left, bottom, depth]]])


def random_mesh(seed, count=60, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(1, count, 3, generator=generator) * torch.tensor([50., 40., 1.])
    points[..., :2] = (points[..., :2] - 20) * scale + 20
    points[..., 2] += 0.5
    faces = torch.randint(0, count, (80, 3), generator=generator)
    return points, faces


def test_a_square_covers_exactly_its_pixels_without_a_crack_along_the_diagonal():
    raster = rasterise(square(2.5, 3.5, 9.5, 7.5), QUAD, 12, 14)
    expected = torch.zeros(12, 14, dtype=torch.bool)
    expected[4:8, 3:10] = True
    assert torch.equal(raster.covered[0], expected)
    assert torch.isinf(raster.depth[0][~expected]).all()
    assert torch.allclose(raster.depth[0][expected], torch.tensor(1.0))
    weights = raster.barycentric[0]
    assert torch.allclose(weights.sum(-1), expected.float(), atol=1e-6)


def test_shapes_beyond_the_image_are_cut_at_its_border():
    raster = rasterise(square(-1e4, -1e4, 1e4, 1e4), QUAD, 5, 7)
    assert raster.covered.all()
    assert not rasterise(square(20, 1, 30, 5), QUAD, 8, 8).covered.any()


def test_the_nearer_triangle_wins_whatever_the_order():
    points = torch.cat([square(0, 0, 9, 9, 2.0), square(4, 4, 14, 14, 1.0)], 1)
    faces = torch.cat([QUAD, QUAD + 4])
    for table, near in ((faces, (2, 3)), (faces.flip(0), (0, 1))):
        raster = rasterise(points, table, 16, 16)
        assert set(raster.face[0, 4:10, 4:10].unique().tolist()) <= set(near)
        assert raster.depth[0, 2, 2] == 2 and raster.depth[0, 6, 6] == 1


def test_equal_depths_go_to_the_lower_face_index_always():
    points = square(0, 0, 9, 9)
    faces = torch.cat([QUAD, QUAD])
    assert rasterise(points, faces, 10, 10).face.max() < 2


def test_intersecting_faces_meet_where_their_depths_are_equal():
    tilted = square(0, 0, 20, 10)
    tilted[0, :, 2] = 1 / torch.tensor([1.0, 2.0, 2.0, 1.0])
    points = torch.cat([tilted, square(0, 0, 20, 10, 1 / 1.5)], 1)
    face = rasterise(points, torch.cat([QUAD, QUAD + 4]), 11, 21).face[0]
    assert (face[:, :10] >= 2).all() and (face[:, 11:] < 2).all()


def test_attributes_of_a_plane_are_perspective_correct():
    focal, centre = 40.0, 15.5
    corners = torch.tensor([[-1., -1., 2.], [1., -1., 4.], [1., 1., 4.], [-1., 1., 2.]])
    pixels = corners[:, :2] * focal / corners[:, 2:] + centre
    raster = rasterise(torch.cat([pixels, corners[:, 2:]], 1)[None], QUAD, 32, 32)
    image = interpolate(raster, QUAD, corners[None])[0]
    found = raster.covered[0]
    y, x = found.nonzero().unbind(1)
    again = image[found]
    assert torch.allclose(again[:, 0] * focal / again[:, 2] + centre, x.float(), atol=1e-2)
    assert torch.allclose(again[:, 1] * focal / again[:, 2] + centre, y.float(), atol=1e-2)
    assert torch.allclose(raster.depth[0][found], again[:, 2], atol=1e-3)
    assert torch.allclose(again[:, 2], again[:, 0] + 3, atol=1e-3)


def test_a_batch_gives_what_single_images_give():
    one, faces = random_mesh(1)
    two, _ = random_mesh(2)
    both = rasterise(torch.cat([one, two]), faces, 40, 50)
    for i, points in enumerate((one, two)):
        single = rasterise(points, faces, 40, 50)
        assert torch.equal(both.face[i], single.face[0])
        assert torch.equal(both.depth[i], single.depth[0])
        assert torch.equal(both.barycentric[i], single.barycentric[0])


@pytest.mark.parametrize('scale, least', [(1.0, 500), (0.2, 30), (10.0, 1500)])
def test_it_agrees_with_trying_every_face_at_every_pixel(scale, least):
    points, faces = random_mesh(3, scale=scale)
    raster = rasterise(points, faces, 40, 50)
    corner = points[0, faces].double()
    ys, xs = torch.meshgrid(torch.arange(40), torch.arange(50), indexing='ij')
    d = corner[:, None, None, :, :2] - torch.stack([xs, ys], -1)[None, :, :, None]
    a, b = d.roll(-1, 3), d.roll(-2, 3)
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    total = cross.sum(-1, keepdim=True)
    weights = cross / torch.where(total.abs() < 1e-9, torch.inf, total)
    depth = 1 / (weights / corner[:, None, None, :, 2]).sum(-1)
    depth = torch.where((weights > 1e-4).all(-1), depth, torch.inf).amin(0)
    solid = torch.isfinite(depth)
    assert solid.sum() > least
    agree = (raster.depth[0][solid].double() - depth[solid]).abs() < 1e-3
    assert agree.double().mean() > 0.995
    assert (raster.covered[0] & ~solid).sum() <= 0.005 * solid.sum()
    assert (raster.barycentric >= 0).all()


def test_thin_faces_reach_no_pixel_and_no_depth_beyond_their_corners():
    # Far from the picture's corner rounding of their edges' functions is coarse.
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1, 600, 3, generator=generator) * torch.tensor([30.0, 1e-3, 1.0])
    rows = torch.randint(900, 1000, (200,), generator=generator).repeat_interleave(3)
    points = points + torch.stack([torch.full((600,), 900.0), rows, torch.ones(600)], 1)
    found = fragments(points, torch.arange(600).view(-1, 3), 1000, 1000)
    corners = points[0].view(-1, 3, 3)[found.face]
    for axis, at in ((0, found.pixel % 1000), (1, found.pixel // 1000)):
        outside = torch.maximum(corners[..., axis].amin(1) - at, at - corners[..., axis].amax(1))
        assert outside.max() < 2e-3
    depths = corners[..., 2]
    assert torch.maximum(depths.amin(1) - found.depth, found.depth - depths.amax(1)).max() < 1e-6
    assert len(found.pixel) > 100


def test_attributes_are_those_of_the_images_own_vertices_or_shared_by_all():
    points = torch.cat([square(0, 0, 8, 8), square(2, 2, 10, 10)])
    raster = rasterise(points, QUAD, 12, 12)
    shared = torch.tensor([[0., 1], [8, 1], [8, 5], [0, 5]])
    image = interpolate(raster, QUAD, shared)
    for k, start in enumerate((0, 2)):
        assert torch.allclose(image[k, 5, start:start + 9, 0], torch.arange(9.0), atol=1e-5)
        assert image[k, 11, 11].abs().max() == 0
    own = torch.stack([shared, shared + 100])
    assert torch.allclose(interpolate(raster, QUAD, own)[1][raster.covered[1]],
                          image[1][raster.covered[1]] + 100, atol=1e-4)
    assert (interpolate(raster, QUAD, own, background=-1)[0, 11, 11] == -1).all()


def test_the_area_of_a_face_is_signed_by_the_way_its_corners_run():
    points = torch.tensor([[[3., 5, 1], [7, 5, 2], [3, 11, 3], [40, 50, 1]]])
    areas = signed_areas(points, torch.tensor([[0, 1, 2], [1, 2, 0], [2, 1, 0], [0, 1, 3]]))
    assert areas[0].tolist() == [24, 24, -24, 180]


def test_culling_drops_faces_seen_from_behind():
    points = square(0, 0, 9, 9)
    assert (signed_areas(points, QUAD) > 0).all()
    assert len(fragments(points, QUAD, 10, 10, cull=True).pixel) == 0
    assert len(fragments(points, QUAD.flip(1), 10, 10, cull=True).pixel) == 100


def test_faces_behind_the_camera_and_broken_ones_are_left_out():
    points = torch.cat([square(0, 0, 9, 9, -1.0), square(0, 0, 9, 9, float('nan')),
                        square(3, 3, 3, 3)], 1)
    faces = torch.cat([QUAD, QUAD + 4, QUAD + 8])
    assert not rasterise(points, faces, 10, 10).covered.any()


@pytest.mark.parametrize('axis, value', [
    (2, -1.0), (2, 0.0), (0, float('nan')), (1, float('inf')), (2, float('nan'))])
def test_a_face_with_one_bad_corner_is_left_out_whole(axis, value):
    points = square(0, 0, 9, 9)
    points[0, 3, axis] = value
    raster = rasterise(points, QUAD, 10, 10)
    assert raster.face.unique().tolist() == [-1, 0]
    assert torch.allclose(raster.depth[raster.covered], torch.tensor(1.0))


def test_no_meshes_and_meshes_without_faces_cover_nothing():
    assert rasterise(torch.zeros(0, 4, 3), QUAD, 5, 6).face.shape == (0, 5, 6)
    assert not rasterise(square(0, 0, 9, 9), QUAD[:0], 10, 10).covered.any()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r'\(4, 3\)'):
        rasterise(torch.zeros(4, 3), QUAD, 4, 4)
    with pytest.raises(ValueError, match='faces'):
        rasterise(torch.zeros(1, 4, 3), torch.zeros(2, 4, dtype=torch.long), 4, 4)


def test_mesh_edges_know_their_faces():
    edges, owners = mesh_edges(QUAD)
    table = {tuple(e): set(o) for e, o in zip(edges.tolist(), owners.tolist())}
    assert len(table) == 5
    assert table[(0, 2)] == {0, 1} and table[(0, 1)] == {0, -1}


def test_the_silhouette_is_the_hard_mask_away_from_the_outline():
    points = square(10.5, 10.5, 40.5, 40.5)
    soft = soft_silhouette(points, QUAD, 50, 50, sigma=1.0)[0]
    assert soft[25, 25] == 1 and soft[2, 2] == 0
    assert 0.5 < soft[25, 11] < 1 and 0 < soft[25, 10] < 0.5
    assert abs(soft.sum().item() - 900) < 15


@pytest.mark.parametrize('sigma', [1.0, 2.5])
def test_the_silhouette_is_soft_within_two_sigma_of_the_outline(sigma):
    soft = soft_silhouette(square(30, 30, 70, 70), QUAD, 100, 100, sigma)[0, 50]
    distance = torch.arange(100.0) - 30
    near = (distance.abs() < 2 * sigma) | ((distance - 40).abs() < 2 * sigma)
    assert torch.equal((soft > 0) & (soft < 1), near)
    assert torch.allclose(soft[30:51] + soft[10:31].flip(0), torch.ones(21))


def test_a_closed_mesh_has_the_silhouette_of_its_outline():
    flat = torch.cat([square(8.3, 9.2, 30.1, 28.4), square(4.6, 5.5, 20.2, 38.7)])
    tips = torch.stack([flat.mean(1) - torch.tensor([0, 0, 0.1]),
                        flat.mean(1) + torch.tensor([0, 0, 0.1])], dim=1)
    ring = [(0, 1), (1, 2), (2, 3), (3, 0)]
    faces = torch.tensor([(b, a, 4) for a, b in ring] + [(a, b, 5) for a, b in ring])
    solid = torch.cat([flat, tips], dim=1).requires_grad_()
    soft = soft_silhouette(solid, faces, 48, 48)
    assert torch.allclose(soft, soft_silhouette(flat, QUAD, 48, 48), atol=1e-5)
    again = soft_silhouette(solid, faces, 48, 48, edges=mesh_edges(faces))
    assert torch.equal(soft, again)
    soft.sum().backward()
    assert (solid.grad[:, 4:] == 0).all() and (solid.grad[:, [1, 2], 0] > 5).all()


@pytest.mark.parametrize('other', [
    square(12.2, 25.3, 27.4, 29.8, 0.5), square(12.2, 25.3, 60.4, 29.8, -1.0)],
    ids=['a finger before the palm', 'a face behind the camera'])
def test_what_is_no_outline_does_not_soften_the_silhouette(other):
    alone = square(8.3, 9.2, 40.1, 38.4)
    both = torch.cat([alone, other], dim=1)
    assert torch.equal(soft_silhouette(both, torch.cat([QUAD, QUAD + 4]), 48, 48),
                       soft_silhouette(alone, QUAD, 48, 48))


@pytest.mark.parametrize('left, top', [(0, 0), (18, 15), (45, 50), (58, 12), (70, 0)])
def test_the_silhouette_in_a_part_of_an_image_is_that_part_of_the_silhouette(left, top):
    points = torch.tensor([[[20.3, 22.1, 1], [60.4, 18.7, 1], [66.2, 61.5, 1], [24.8, 57.9, 1]]])
    whole = soft_silhouette(points, QUAD, 96, 96, 2.0)
    part = soft_silhouette(points - torch.tensor([left, top, 0]), QUAD, 40, 24, 2.0)
    assert torch.allclose(part, whole[:, top:top + 40, left:left + 24], atol=1e-4)


def test_the_silhouette_gradient_moves_and_scales_towards_the_target():
    target = soft_silhouette(square(14, 12, 34, 32), QUAD, 48, 48)
    points = square(12.2, 12, 32.2, 32).requires_grad_()
    ((soft_silhouette(points, QUAD, 48, 48) - target) ** 2).sum().backward()
    assert points.grad[0, :, 0].sum() < 0
    assert abs(points.grad[0, :, 1].sum()) < 0.2 * abs(points.grad[0, :, 0].sum())

    area = square(12.3, 12.4, 32.3, 32.4).requires_grad_()
    soft_silhouette(area, QUAD, 48, 48).sum().backward()
    assert (area.grad[0, [1, 2], 0] > 0).all() and (area.grad[0, [0, 3], 0] < 0).all()
    # Growing a 20 px edge by one pixel adds 20 pixels.
    assert area.grad[0, [1, 2], 0].sum().item() == pytest.approx(20, rel=0.15)


def test_descending_the_silhouette_loss_finds_the_square():
    target = soft_silhouette(square(15, 14, 33, 30), QUAD, 48, 48, 2.0)
    points = square(12.3, 12.4, 30.2, 33.1)
    for _ in range(100):
        points = points.detach().requires_grad_()
        ((soft_silhouette(points, QUAD, 48, 48, sigma=2.0) - target) ** 2).mean().backward()
        points = points - 400 * points.grad
    final = rasterise(points.detach(), QUAD, 48, 48).covered
    wanted = target > 0.5
    assert (final & wanted).sum() / (final | wanted).sum() > 0.95
