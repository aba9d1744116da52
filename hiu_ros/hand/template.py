"""The arrays of a skinned hand: rest mesh, joints, shape directions and what rendering needs."""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from hiu_ros.hand.skeleton import JOINT_COUNT, SHAPE_COUNT

ASSETS = Path(__file__).parent / 'assets'
DETAILS = ('fast', 'render', 'forearm')

_TIP_COUNT = 5
_FLIP_X = np.array([-1.0, 1.0, 1.0], dtype=np.float32)
_SIDES = ('left', 'right')


@dataclass(frozen=True, eq=False)
class HandTemplate:
    """A hand in its rest pose, flat with straight fingers; metres, wrist joint at the origin.

    Right hand: fingers along -x, palm towards -y, thumb on the +z side; a left hand is its mirror
    image in x. The rest axes of every joint are the axes of the frame, as in MANO.

    V vertices, F faces, 16 joints, 5 tips (thumb, index, middle, ring, pinky), 10 shapes.
    """

    vertices: np.ndarray  #: (V, 3)
    faces: np.ndarray  #: (F, 3) counter-clockwise seen from outside
    weights: np.ndarray  #: (V, 16) skinning weights, rows sum to 1
    joints: np.ndarray  #: (16, 3)
    tips: np.ndarray  #: (5, 3) move rigidly with the last joint of their finger
    shapedirs: np.ndarray  #: (10, V, 3) metres per standard deviation
    joint_dirs: np.ndarray  #: (10, 16, 3)
    tip_dirs: np.ndarray  #: (10, 5, 3)
    name: str
    side: str = 'right'
    uv: np.ndarray | None = None  #: (T, 2) v upwards, 0..1 in the skin picture of the face's part
    uv_faces: np.ndarray | None = None  #: (F, 3) rows of `uv`
    posedirs: np.ndarray | None = None  #: (135, V, 3) pose correctives (MANO only)
    tip_posedirs: np.ndarray | None = None  #: (135, 5, 3)
    pose_mean: np.ndarray | None = None  #: (45,) mean finger pose, for information (MANO only)
    face_part: np.ndarray | None = None  #: (F,) 0 hand, 1 forearm
    forearm_weight: np.ndarray | None = None  #: (V,) 0 hand .. 1 forearm
    nail: np.ndarray | None = None  #: (V,) 0..1
    palm: np.ndarray | None = None  #: (V,) 0..1, 1 on the palmar side

    def __post_init__(self) -> None:
        """Check the shapes against each other."""
        if self.side not in _SIDES:
            raise ValueError(f"side must be 'left' or 'right', got {self.side!r}")
        count, faces = len(self.vertices), len(self.faces)
        features = 9 * (JOINT_COUNT - 1)
        expected = {
            'vertices': (count, 3), 'faces': (faces, 3), 'weights': (count, JOINT_COUNT),
            'joints': (JOINT_COUNT, 3), 'tips': (_TIP_COUNT, 3),
            'shapedirs': (SHAPE_COUNT, count, 3), 'joint_dirs': (SHAPE_COUNT, JOINT_COUNT, 3),
            'tip_dirs': (SHAPE_COUNT, _TIP_COUNT, 3), 'uv_faces': (faces, 3),
            'posedirs': (features, count, 3), 'tip_posedirs': (features, _TIP_COUNT, 3),
            'face_part': (faces,), 'forearm_weight': (count,), 'nail': (count,),
            'palm': (count,),
        }
        for field, shape in expected.items():
            value = getattr(self, field)
            if value is not None and value.shape != shape:
                raise ValueError(
                    f'hand template {self.name}: {field} has shape {value.shape}, '
                    f'expected {shape}')

    def mirrored(self) -> 'HandTemplate':
        """Give the hand of the other side.

        Vertices and directions change the sign of x and faces turn round; a pose theta of the one
        side is the pose theta * (1, -1, -1), per joint, of the other.
        """
        flip = {
            field: _flip(getattr(self, field))
            for field in ('vertices', 'joints', 'tips', 'shapedirs', 'joint_dirs', 'tip_dirs')
        }
        for field in ('posedirs', 'tip_posedirs'):
            value = getattr(self, field)
            if value is not None:
                # The features are entries of R - I, which mirrors to S (R - I) S.
                signs = np.tile(np.outer(_FLIP_X, _FLIP_X).ravel(), JOINT_COUNT - 1)
                flip[field] = _flip(value) * signs[:, None, None]
        if self.pose_mean is not None:
            flip['pose_mean'] = (self.pose_mean.reshape(-1, 3) * [1, -1, -1]).reshape(-1)
        for field in ('faces', 'uv_faces'):
            value = getattr(self, field)
            flip[field] = None if value is None else np.ascontiguousarray(value[:, ::-1])
        return replace(self, side='left' if self.side == 'right' else 'right', **flip)


def read_template(path: Path | str, name: str | None = None) -> HandTemplate:
    """Read a right-hand template from an .npz file as `assets/build_assets.py` writes it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'hand template {path} does not exist; assets/build_assets.py makes it')
    with np.load(path, allow_pickle=False) as file:
        missing = [key for key in _KEYS if key not in file]
        if missing:
            raise ValueError(f'{path} is no hand template: it lacks {", ".join(missing)}')
        fields = {
            field: file[key]
            for key, field in {**_KEYS, **_OPTIONAL_KEYS}.items() if key in file
        }
    return HandTemplate(name=name or path.stem, **fields)


@cache
def load_template(detail: str = 'fast') -> HandTemplate:
    """Give the right hand that comes with the package.

    detail: 'fast' (about 777 vertices), 'render' (1609 vertices with UV) or 'forearm' (the render
    mesh continued to the middle of the forearm). All share joints, shapes and keypoints.
    """
    if detail not in DETAILS:
        raise ValueError(f'unknown detail {detail!r}; choose one of {", ".join(DETAILS)}')
    return read_template(ASSETS / f'hand_right_{detail}.npz')


_KEYS = {
    'v': 'vertices', 'f': 'faces', 'w': 'weights', 'J': 'joints', 'tips': 'tips',
    'shapedirs': 'shapedirs', 'Jdirs': 'joint_dirs', 'tdirs': 'tip_dirs',
}
_OPTIONAL_KEYS = {
    'uv': 'uv', 'fuv': 'uv_faces', 'part': 'face_part', 'forearm_weight': 'forearm_weight',
    'nail': 'nail', 'palm': 'palm',
}


def _flip(value: np.ndarray) -> np.ndarray:
    return value * _FLIP_X
