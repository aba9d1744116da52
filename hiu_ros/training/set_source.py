"""Training crops from the published data sets, read and cut as they are drawn."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from hiu_ros.data.sample import Sample, Visibility
from hiu_ros.data.sets.registry import open_data_set
from hiu_ros.hand.template import HandTemplate
from hiu_ros.training.sources import Rng, Tile, corners, no_keypoints

#: A picture without a box is taken to show one hand that fills this part of its shorter side.
_FOLDER_SHARE = 1 / 1.5
#: Pose of the left hand from the right hand's, per joint, and the other way round.
_MIRROR = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class SetOptions:
    """One data set of a training mix and what its labels count."""

    name: str = ''  #: as in `hiu data check`: freihand, ho3d, rhd, ..., folder
    root: str = ''
    split: str = ''  #: empty: the first, which is the one to train on
    share: float = 1.0  #: of the mix; shares need not add up to one
    options: Mapping = field(default_factory=dict)  #: of the loader, e.g. backgrounds
    weight_2d: float = 1.0
    weight_3d: float = 1.0
    parameter_weight: float = 1.0
    masks: bool = True  #: whether its masks count
    self_supervised: bool = False  #: in the terms without labels, too

    def __post_init__(self) -> None:
        if not self.name or not self.root:
            raise ValueError(f'a data set needs name and root, got {self.name!r}, {self.root!r}')
        if self.share < 0:
            raise ValueError(f'the share of {self.name} is {self.share}, expected at least 0')


class SetSource:
    """A data set. Where it is all of the mix, each epoch draws every sample once.

    Shapes, poses and vertices count only where they are of the hand model that is trained.
    """

    def __init__(self, options: SetOptions, template: HandTemplate, mano: bool, seed: int):
        """`mano`: whether the template is a MANO hand, whose mean pose FreiHAND needs."""
        self.options, self.mano, self.seed = options, mano, seed
        extra = dict(options.options)
        if options.name == 'freihand' and mano:
            extra['mano_mean'] = template.pose_mean
        if 'backgrounds' in extra:
            extra['backgrounds'] = tuple(extra['backgrounds'])
        self.data = open_data_set(options.name, options.root, options.split or None, **extra)
        if not len(self.data):
            raise ValueError(f'data set {options.name} in {options.root} is empty')
        self._epoch, self._order = -1, np.zeros(0, np.int64)

    def check_labels(self) -> None:
        """ValueError for pictures of which so little is known that no term counts them."""
        if not self.data[0].labels:
            raise ValueError(f'the pictures of {self.options.root} have no label, not even the '
                             'side of their hand, so nothing can be learned of them; give the '
                             'set options: {side: right}, or left')

    def draw(self, rng: Rng, number: int) -> Tile:
        """The tile of sample `number` of the stream: its place in a shuffled epoch."""
        epoch, place = divmod(number, len(self.data))
        if epoch != self._epoch:
            self._order = np.random.default_rng((self.seed, 31, epoch)).permutation(
                len(self.data))
            self._epoch = epoch
        return self.tile(self.data[int(self._order[place])])

    def tile(self, sample: Sample) -> Tile:
        """The picture and labels of a sample as the mix wants them."""
        o = self.options
        image = sample.read_image()
        keypoints = no_keypoints()
        if sample.keypoints_px is not None:
            seen = sample.visibility <= Visibility.OUTSIDE
            keypoints = np.where(seen[:, None], sample.keypoints_px, np.nan).astype(np.float32)
        whole = sample.keypoints_m is not None and sample.valid_m.all()
        right = None if sample.side is None else sample.side == 'right'
        ours = sample.model == ('mano' if self.mano else 'hiu')
        pose = sample.pose if ours else None
        if pose is not None:
            pose = pose.reshape(-1, 3) * (1 if right else _MIRROR)
        labelled = bool(np.isfinite(keypoints).any())
        return Tile(
            image, self._outline(sample, keypoints, image), right,
            mask=sample.read_mask() if o.masks else None,
            keypoints=keypoints, weight_2d=o.weight_2d,
            keypoints_m=sample.keypoints_m if whole else None, weight_3d=o.weight_3d,
            vertices_m=sample.vertices_m if ours and whole else None,
            pose=pose, shape=sample.shape if ours else None,
            parameter_weight=o.parameter_weight, camera=sample.camera,
            side_known=right is not None, presence_known=labelled,
            self_supervised=o.self_supervised or not labelled,
        )

    @staticmethod
    def _outline(sample: Sample, keypoints: np.ndarray, image: np.ndarray) -> np.ndarray:
        if np.isfinite(keypoints).all(1).sum() >= 2:
            return keypoints
        if sample.box is not None:
            return np.stack([sample.box[:2], sample.box[:2] + sample.box[2:]])
        size = np.array(image.shape[1::-1], float)
        return corners((size - 1) / 2, size.min() * _FOLDER_SHARE)


def to_crop_axes(rotation: np.ndarray, pose: np.ndarray, mirrored: bool) -> np.ndarray:
    """Matrices (16, 3, 3) of a pose (16, 3) whose whole hand is also turned by `rotation`.

    rotation: (3, 3) from the camera's axes to the crop's, as the crop is without mirroring. pose:
    of the right hand shown; of a mirrored crop the rotation acts on the mirrored picture.
    """
    if mirrored:
        flip = np.diag([-1.0, 1.0, 1.0])
        rotation = flip @ rotation @ flip
    matrices = Rotation.from_rotvec(pose).as_matrix()
    matrices[0] = rotation @ matrices[0]
    return matrices

