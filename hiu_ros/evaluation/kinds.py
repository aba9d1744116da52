"""Kinds of pictures of hands that are scored apart, told by their labels."""

import numpy as np

#: Name -> what it means; a hand may be of several kinds.
KINDS = {
    'open': 'four fingers at least 90 % as long from base to tip as their bones',
    'fist': 'four fingers at most 55 % as long from base to tip as their bones',
    'edge-on': "the palm's plane within 20 degrees of the direction of view",
    'back': 'the back of the hand towards the camera',
    'occluded': 'less than 70 % of the joints visible',
    'dark': 'the hand darker than 70 of 255 in the median: skin, light or both',
    'small': "the joints' box below 64 pixels",
}
_OPEN, _FIST = 0.9, 0.55
_EDGE_SINE = np.sin(np.radians(20.0))
_VISIBLE, _DARK, _SMALL_PX = 0.7, 70.0, 64.0
_FINGERS = ((5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))


def kinds_of(
    keypoints_px: np.ndarray,
    keypoints_m: np.ndarray,
    side: str,
    visible: np.ndarray | None = None,
    image: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> frozenset[str]:
    """Kinds of one hand.

    keypoints_px: (21, 2) image pixels; keypoints_m: (21, 3) camera axes, absolute or not; visible:
    (21,) bool; image (H, W, 3) BGR with mask (H, W), non-zero on the hand: both or none.
    """
    kinds = set()
    stretch = [
        np.linalg.norm(keypoints_m[f[3]] - keypoints_m[f[0]])
        / max(np.linalg.norm(np.diff(keypoints_m[list(f)], axis=0), axis=1).sum(), 1e-9)
        for f in _FINGERS
    ]
    if min(stretch) >= _OPEN:
        kinds.add('open')
    if max(stretch) <= _FIST:
        kinds.add('fist')
    normal = np.cross(keypoints_m[5] - keypoints_m[0], keypoints_m[17] - keypoints_m[0])
    normal = normal / max(np.linalg.norm(normal), 1e-9)
    if abs(normal[2]) < _EDGE_SINE:
        kinds.add('edge-on')
    # From the wrist, index base x pinky base comes out of the back of a left hand, and out of the
    # palm of a right one; z points away from the camera.
    elif (normal[2] < 0) == (side == 'left'):
        kinds.add('back')
    if visible is not None and np.mean(visible) < _VISIBLE:
        kinds.add('occluded')
    if image is not None and mask is not None and np.any(mask):
        if np.median(image[np.asarray(mask) > 0].mean(1)) < _DARK:
            kinds.add('dark')
    if np.ptp(keypoints_px, axis=0).max() < _SMALL_PX:
        kinds.add('small')
    return frozenset(kinds)
