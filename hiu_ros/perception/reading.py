"""What the hand network says of one region of an image."""

from dataclasses import dataclass, field

import numpy as np

from hiu_ros.geometry.crop import Crop
from hiu_ros.perception.colour import UNKNOWN
from hiu_ros.perception.verdict import verdict, verdict_alone


@dataclass(frozen=True, eq=False)
class Reading:
    """One region as the network sees it, in pixels of the image and as the hand really is.

    rotations: (16, 3, 3), MANO order, of a hand of `side`; row 0 in the virtual camera of the crop
    (see `geometry.placement.crop_to_camera`). mask: (n, n) probability in pixels of the crop.
    clarity: of the mask, see `verdict.clarity`. right: log odds that the hand in the image is a
    right one.
    colour: L*a*b* under the mask, see `colour.colour_of`.
    other: the same region read as a hand of the other side, where both were tried.
    """

    crop: Crop
    side: str
    keypoints_px: np.ndarray  #: (21, 2) image pixels
    keypoint_scores: np.ndarray  #: (21,) 0..1
    mask: np.ndarray
    rotations: np.ndarray
    shape: np.ndarray  #: (10,)
    presence: float  #: 0..1
    clarity: float  #: 0.5..1, 0 for an empty mask
    right: float
    colour: np.ndarray = field(default_factory=UNKNOWN.copy)  #: (3,)
    legible: float | None = None  #: 0..1, that the keypoints are one hand's, if the network tells
    other: 'Reading | None' = field(default=None, repr=False)

    @property
    def score(self) -> float:
        """0..1, whether this is a hand that can be followed: what the network says of that
        itself, or `verdict.verdict`."""
        if self.legible is not None:
            return self.legible
        return verdict(self.presence, self.keypoint_scores, self.right)

    @property
    def score_alone(self) -> float:
        """0..1, whether this is a hand, in an image on its own (`verdict.verdict_alone`)."""
        return verdict_alone(self.score, self.presence, self.clarity)

    @property
    def quality(self) -> float:
        """0..1, how much a hand this is and how sharply its joints are seen."""
        return float(self.presence * self.keypoint_scores.mean())

    @property
    def size(self) -> float:
        """Larger side of the joints' box, pixels."""
        return float(np.ptp(self.keypoints_px, axis=0).max())

    def as_side(self, side: str) -> 'Reading':
        """This region read as a hand of a side, where that was tried; else as it is."""
        return self.other if self.other is not None and self.other.side == side else self
