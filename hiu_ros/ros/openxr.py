"""The 26 joints of XR_EXT_hand_tracking from our 21 keypoints, as one table.

Sixteen of them and the four knuckles are keypoints of ours. The palm and the bases of the four
finger metacarpals are not; they are put on the line from the wrist to the knuckle, at the share
that anatomy gives them on average, and are marked so in ESTIMATED.
"""

from typing import Final

import numpy as np

from hiu_ros.hand.skeleton import KEYPOINT_NAMES

#: Share of the way from the wrist to a knuckle at which the metacarpal begins.
METACARPAL_BASE: Final = 0.3
#: The palm joint is the middle of the middle finger's metacarpal.
PALM: Final = (1 + METACARPAL_BASE) / 2


def _table() -> dict[str, dict[str, float]]:
    def between(knuckle: str, share: float) -> dict[str, float]:
        return {'wrist': 1 - share, knuckle: share}

    table = {'palm': between('middle_mcp', PALM), 'wrist': {'wrist': 1.0}}
    for joint, keypoint in zip(
        ('metacarpal', 'proximal', 'distal', 'tip'), ('cmc', 'mcp', 'ip', 'tip')
    ):
        table[f'thumb_{joint}'] = {f'thumb_{keypoint}': 1.0}
    for finger, ours in (
        ('index', 'index'), ('middle', 'middle'), ('ring', 'ring'), ('little', 'pinky')
    ):
        table[f'{finger}_metacarpal'] = between(f'{ours}_mcp', METACARPAL_BASE)
        for joint, keypoint in zip(
            ('proximal', 'intermediate', 'distal', 'tip'), ('mcp', 'pip', 'dip', 'tip')
        ):
            table[f'{finger}_{joint}'] = {f'{ours}_{keypoint}': 1.0}
    return table


#: OpenXR joint -> {keypoint: weight}, in the order of XrHandJointEXT (0 palm .. 25 little_tip).
OPENXR_JOINTS: Final = _table()
OPENXR_NAMES: Final = tuple(OPENXR_JOINTS)
#: Joints that are placed by anatomy instead of seen.
ESTIMATED: Final = tuple(name for name, weights in OPENXR_JOINTS.items() if len(weights) > 1)
#: (26, 21) weights of the same table.
OPENXR_WEIGHTS: Final = np.array(
    [[weights.get(name, 0.0) for name in KEYPOINT_NAMES] for weights in OPENXR_JOINTS.values()],
    dtype=np.float32,
)
#: Turns camera optical axes (x right, y down, z forward) into OpenXR's (x right, y up, z back).
OPENXR_FROM_OPTICAL: Final = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


def to_openxr(points: np.ndarray, turn_axes: bool = False) -> np.ndarray:
    """Points (21, n) of our keypoints as (26, n) in the order of OPENXR_NAMES.

    With `turn_axes` the points, which are then (21, 3) in the camera optical frame, are expressed
    in the axes of OpenXR. Raises ValueError for another number of rows.
    """
    points = np.asarray(points, np.float32)
    if points.ndim != 2 or len(points) != len(KEYPOINT_NAMES):
        raise ValueError(f'points have shape {points.shape}, expected (21, n)')
    joints = OPENXR_WEIGHTS @ points
    return joints @ OPENXR_FROM_OPTICAL.T if turn_axes else joints


def docs_table() -> str:
    """The table as docs/ros.md shows it, in Markdown."""
    lines = ['| | OpenXR joint | our keypoint |', '| --- | --- | --- |']
    for number, (name, weights) in enumerate(OPENXR_JOINTS.items()):
        source = ' + '.join(f'{weight:.2f} `{keypoint}`' if len(weights) > 1 else f'`{keypoint}`'
                            for keypoint, weight in weights.items())
        lines.append(f'| {number} | {name} | {source} |')
    return '\n'.join(lines)
