"""What the mix of training crops is made of: sources, shares and chances."""

from dataclasses import dataclass

import numpy as np

from hiu_ros.training.set_source import SetOptions

#: Shares of the stream, which count in proportion to each other; all others are chances.
_OF_THE_MIX = ('photo_share', 'render_share', 'negative_share', 'unlabelled_share')


@dataclass(frozen=True)
class MixOptions:
    """Where crops come from and how they are turned; shares need not add up to one."""

    photos: str = ''  #: photo cache directory
    more_photos: tuple[str, ...] = ()  #: further caches, see `training.relabel`
    dropped: str = ''  #: .npy of rows of `photos` that are not trained on
    renders: tuple[str, ...] = ()  #: render bank directories
    made_renders: int = 0  #: without a bank: so many tiles are rendered into the run's folder
    sets: tuple[SetOptions, ...] = ()  #: published data sets
    unlabelled: str = ''  #: photo cache directory whose labels are not used
    backgrounds: str = ''  #: .npy of background patches
    near_misses: str = ''  #: .npy of patches that are mistaken for hands
    photo_share: float = 0.6
    render_share: float = 0.36
    negative_share: float = 0.09
    unlabelled_share: float = 0.2
    leave_out: tuple[str, ...] = ()  #: photo sets that are not trained on
    unlabelled_sets: tuple[str, ...] = ()  #: photo sets used without labels; empty: all
    least_trust: float = 0.4  #: photo labels trusted less are left out
    wrong_side_share: float = 0.25
    occluder_share: float = 0.15
    thing_share: float = 0.0  #: larger things before hands, that hide up to half of the joints
    cutout_share: float = 0.3  #: of the photographs with a mask: shown before another background
    recolour_share: float = 0.0  #: of the same photographs: hand lit or tanned differently
    glove_share: float = 0.0  #: of the same photographs: hand in the colour of a glove
    other_hand_share: float = 0.15  #: another hand beside, behind or before the one asked for
    one_skin_share: float = 0.0  #: of those: in the colour of the one asked for
    arm_share: float = 0.0  #: hands crossed by an arm of the same skin
    aside_share: float = 0.0  #: of the crops without a hand: one too far aside to be asked for
    edge_share: float = 0.0  #: crops that their image's edge runs through, black beyond it
    wild_share: float = 0.03  #: crops turned by any angle
    angle_deg: float = 20.0
    upright_share: float = 0.5  #: crops that are turned so that the fingers point up,
    upright_deg: float = 12.0  #: but for an error of this deviation, as a follower makes them
    scale: tuple[float, float] = (1.15, 1.65)  #: crop side over the joints' box
    shift: float = 0.1  #: of the crop's side
    photometric: bool = True  #: light, blur, noise, compression
    harsh_share: float = 0.0  #: crops that are much worse: burnt out, noisy, badly sent, blurred
    grey: bool = False  #: renders stand before plain grey
    photo_3d_weight: float = 0.3
    photo_parameter_weight: float = 0.3

    def __post_init__(self) -> None:
        if self.made_renders < 0:
            raise ValueError(f'made_renders is {self.made_renders}, expected at least 0')
        for name, value in vars(self).items():
            if name.endswith('_share') and value < 0:
                raise ValueError(f'{name} is {value}, expected at least 0')
            if name.endswith('_share') and name not in _OF_THE_MIX and value > 1:
                raise ValueError(f'{name} is {value}, expected at most 1')
        for name, source in (('more_photos', 'photos'), ('dropped', 'photos'),
                             ('unlabelled_sets', 'unlabelled')):
            if getattr(self, name) and not getattr(self, source):
                raise ValueError(f'{name} is given, but {source}, which it belongs to, is not')
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f'scale is {self.scale}, expected two numbers above 0, the smaller '
                             'one first')

    @property
    def usual_scale(self) -> float:
        """Crop side over the joints' box in the middle of what is drawn."""
        return float(np.sqrt(self.scale[0] * self.scale[1]))
