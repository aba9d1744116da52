"""`Hands` of one image to the messages of the package: pure functions, no node, no clock.

Every function takes the image's header and puts that very header on its result. Numbers travel
as `array.array` or NumPy buffers: rosidl checks a list element by element, a buffer not at all.
"""

import array
from collections.abc import Mapping
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Header

from hiu_ros.hand.skeleton import BONES, JOINT_NAMES, JOINT_PARENTS, KEYPOINT_NAMES
from hiu_ros.msg import (
    HandKeypoints,
    HandKeypointsArray,
    HandMask,
    HandMaskArray,
    HandMesh,
    HandMeshArray,
    HandTopology,
)
from hiu_ros.perception.result import Hand, Hands

SIDES = {'left': HandKeypoints.LEFT, 'right': HandKeypoints.RIGHT}
#: Hues of the hands in markers, points and clouds, RGB 0..1, taken in turn.
PALETTE = (
    (0.20, 0.60, 0.95), (0.98, 0.60, 0.20), (0.35, 0.78, 0.40), (0.90, 0.35, 0.55),
    (0.60, 0.45, 0.90), (0.25, 0.80, 0.80), (0.85, 0.80, 0.25), (0.65, 0.45, 0.30),
)
#: A point of the `points` cloud: metres, number of the hand, colour as RViz packs it.
POINT = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('id', '<u4'), ('rgb', '<u4')])


def floats(values: np.ndarray) -> array.array:
    """A NumPy array of any shape as the flat float32 sequence that rosidl takes unchecked."""
    result = array.array('f')
    result.frombytes(np.ascontiguousarray(values, np.float32).tobytes())
    return result


def octets(values: np.ndarray) -> array.array:
    """A uint8 NumPy array of any shape as the flat sequence that rosidl takes unchecked."""
    result = array.array('B')
    result.frombytes(np.ascontiguousarray(values, np.uint8).data)
    return result


def image(header: Header, pixels: np.ndarray, encoding: str) -> Image:
    """A (h, w) or (h, w, c) uint8 array as sensor_msgs/Image of the given encoding."""
    height, width = pixels.shape[:2]
    return Image(
        header=header, height=height, width=width, encoding=encoding,
        step=width * (pixels.shape[2] if pixels.ndim == 3 else 1), data=octets(pixels),
    )


def camera_info(header: Header, info: Mapping[str, Any]) -> CameraInfo:
    """sensor_msgs/CameraInfo of its fields but for the header; `roi` is a mapping, too."""
    roi = RegionOfInterest(**info.get('roi', {}))
    return CameraInfo(header=header, **{**info, 'roi': roi})


def quaternion(rotation: np.ndarray) -> Quaternion:
    """A (3, 3) rotation matrix as a unit quaternion with w >= 0."""
    r = np.asarray(rotation, np.float64)
    # Each row of this table is 4 q_i q: the largest one divides best (Shepperd 1978).
    table = np.array([
        [1 + r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]],
        [r[0, 1] + r[1, 0], 1 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]],
        [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], 1 - r[0, 0] - r[1, 1] + r[2, 2], r[1, 0] - r[0, 1]],
        [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], 1 + r[0, 0] + r[1, 1] + r[2, 2]],
    ])
    q = table[np.argmax(np.diag(table))]
    q = q / np.linalg.norm(q)
    x, y, z, w = (float(value) for value in (q if q[3] >= 0 else -q))
    return Quaternion(x=x, y=y, z=z, w=w)


def point(position: np.ndarray | None) -> Point:
    """A (3,) position as a message; NaN for None, an unknown one."""
    if position is None:
        return Point(x=float('nan'), y=float('nan'), z=float('nan'))
    x, y, z = (float(value) for value in position)
    return Point(x=x, y=y, z=z)


def placed(hand: Hand, points: np.ndarray) -> np.ndarray:
    """Points with the wrist at the origin moved to the hand's place, where that is known."""
    return points if hand.translation_m is None else points + hand.translation_m


def keypoints(hands: Hands, header: Header) -> HandKeypointsArray:
    """The `hands` topic: keypoints, side, scores and wrist pose of every hand."""
    return HandKeypointsArray(
        header=header, image_width=hands.width, image_height=hands.height,
        hands=[_keypoints(hand) for hand in hands],
    )


def _keypoints(hand: Hand) -> HandKeypoints:
    known = hand.translation_m is not None
    return HandKeypoints(
        id=hand.id,
        side=SIDES[hand.side],
        side_confidence=float(hand.side_score),
        score=float(hand.score),
        box=np.array(hand.box, np.float32),
        image_points=hand.keypoints_px.ravel(),
        points=placed(hand, hand.keypoints_m).ravel(),
        confidence=hand.keypoint_scores,
        valid=hand.keypoints_valid.tolist(),
        translation=point(hand.translation_m),
        wrist_pose=Pose(
            position=point(hand.translation_m), orientation=quaternion(hand.wrist_rotation)
        ),
        scale_source=hand.scale_source.value,
        depth_stddev=float(hand.depth_sigma_m) if known else float('nan'),
        residual_px=float(hand.residual_px),
    )


def _visible_mask(hand: Hand, width: int, height: int) -> tuple[int, int, np.ndarray]:
    """The hand's mask cut to the image: x, y of its first pixel, and its pixels."""
    x, y = hand.mask_origin
    left, top = max(0, -x), max(0, -y)
    pixels = hand.mask[top : max(top, height - y), left : max(left, width - x)]
    return max(0, x), max(0, y), pixels


def masks(hands: Hands, header: Header) -> HandMaskArray:
    """The `masks` topic: a mono8 image of each hand's own region."""
    entries = []
    for hand in hands:
        x, y, pixels = _visible_mask(hand, hands.width, hands.height)
        region = RegionOfInterest(
            x_offset=x, y_offset=y, width=pixels.shape[1], height=pixels.shape[0]
        )
        entries.append(HandMask(
            id=hand.id, side=SIDES[hand.side], region=region, mask=image(header, pixels, 'mono8')
        ))
    return HandMaskArray(
        header=header, image_width=hands.width, image_height=hands.height, hands=entries
    )


def labels(hands: Hands, header: Header) -> Image:
    """The `labels` topic: mono8 of the image's size, 0 none, n the n-th hand; the first wins."""
    pixels = np.zeros((hands.height, hands.width), np.uint8)
    for number, hand in reversed(list(enumerate(hands, 1))):
        x, y, mask = _visible_mask(hand, hands.width, hands.height)
        pixels[y : y + mask.shape[0], x : x + mask.shape[1]][mask >= 128] = number
    return image(header, pixels, 'mono8')


def meshes(hands: Hands, header: Header, model: str) -> HandMeshArray:
    """The `meshes` topic; `model` is the name in the topology message."""
    return HandMeshArray(header=header, hands=[
        HandMesh(
            id=hand.id, side=SIDES[hand.side], model=model,
            vertices=floats(placed(hand, hand.vertices_m)), translation=point(hand.translation_m),
            pose=hand.pose, shape=hand.shape, scale_source=hand.scale_source.value,
        )
        for hand in hands
    ])


def topology(model: str, vertex_count: int, triangles: np.ndarray) -> HandTopology:
    """The latched `topology` topic; `triangles` (F, 3) are those of the right hand."""

    def indices(values: np.ndarray) -> array.array:
        return array.array('I', np.ascontiguousarray(values, np.uint32).tobytes())

    return HandTopology(
        model=model, vertex_count=vertex_count,
        triangles_right=indices(triangles), triangles_left=indices(triangles[:, ::-1]),
        joint_names=list(JOINT_NAMES), joint_parents=np.array(JOINT_PARENTS, np.int8),
        keypoint_names=list(KEYPOINT_NAMES), bones=np.array(BONES, np.uint8).ravel(),
    )


def points(hands: Hands, header: Header) -> PointCloud2:
    """The `points` topic: mesh vertices of every hand whose place is known.

    The number of the hand is in the field `id` and picks the colour.
    """
    clouds = []
    for hand in hands:
        if hand.translation_m is None:
            continue
        cloud = np.empty(len(hand.vertices_m), POINT)
        vertices = placed(hand, hand.vertices_m)
        cloud['x'], cloud['y'], cloud['z'] = vertices.T
        cloud['id'] = hand.number
        red, green, blue = (round(255 * c) for c in colour(hand.number))
        cloud['rgb'] = red << 16 | green << 8 | blue
        clouds.append(cloud)
    cloud = np.concatenate(clouds) if clouds else np.empty(0, POINT)
    kinds = {'<f4': PointField.FLOAT32, '<u4': PointField.UINT32}
    fields = [
        PointField(name=name, offset=offset, datatype=kinds[kind.str], count=1)
        for name, (kind, offset) in POINT.fields.items()
    ]
    return PointCloud2(
        header=header, height=1, width=len(cloud), fields=fields, is_bigendian=False,
        point_step=POINT.itemsize, row_step=cloud.nbytes, is_dense=True,
        data=octets(cloud.view(np.uint8)),
    )


def colour(number: int) -> tuple[float, float, float]:
    """The colour of a hand, RGB 0..1; the same number has the same colour everywhere."""
    return PALETTE[(number - 1) % len(PALETTE)]
