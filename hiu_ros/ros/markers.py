"""Skeletons and meshes for RViz and Foxglove, cheap enough to build in the worker.

A TRIANGLE_LIST repeats every vertex about six times as a geometry_msgs/Point, and making those
objects costs more than everything else a frame needs. So each hand keeps one Point a vertex and
lists of references to them; a frame only rewrites the numbers in place. A message of this module
is therefore valid until the next call: publish it first.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from hiu_ros.geometry.camera import Camera
from hiu_ros.hand.skeleton import BONES, KEYPOINT_COUNT
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.ros.messages import colour, placed

#: One namespace a kind, so that each can be switched off in the viewer.
NAMESPACES = ('mesh', 'bones', 'joints', 'names')


def assumed_translation(
    hand: Hand, width: int, height: int, mirrored: bool = False
) -> np.ndarray:
    """A place (3,) to draw a hand of unknown distance at, m: as seen by `Camera.assumed`.

    The t that minimises |(X + t) - ray (Z + t_z)| over the keypoints, linear in t. For the eye
    only: messages with numbers keep saying that the distance is unknown. mirrored: the pixels are
    of a mirrored image, while metres are always of the world.
    """
    pixels = hand.keypoints_px * (-1, 1) + (width - 1, 0) if mirrored else hand.keypoints_px
    rays = Camera.assumed(width, height).normalise(pixels)
    x = hand.keypoints_m.astype(np.float64)
    a = np.zeros((2 * KEYPOINT_COUNT, 3))
    a[0::2, 0] = a[1::2, 1] = 1
    a[:, 2] = -rays.ravel()
    b = (rays * x[:, 2:] - x[:, :2]).ravel()
    solution = np.linalg.lstsq(a, b, rcond=None)[0]
    return solution if solution[2] > 0 else np.array([0.0, 0.0, 0.5])


@dataclass
class _Parts:
    """The markers of one hand and the Points that they share."""

    vertices: list[Point]
    keypoints: list[Point]
    markers: list[Marker]
    meshed: bool = False  #: whether a viewer was sent the mesh


class HandMarkers:
    """Builds the `markers` topic of one camera.

    `triangles` (F, 3) are the right hand's; `lifetime` s after which a viewer forgets a marker
    that is no longer sent; `alpha` of the mesh, where 0 leaves the mesh away; `mirrored`: whether
    the images are.
    """

    def __init__(self, triangles: np.ndarray, lifetime: float = 0.5, alpha: float = 0.6) -> None:
        self._triangles = np.asarray(triangles)
        self.lifetime = lifetime
        self.alpha = alpha
        self.mirrored = False
        self._hands: dict[str, _Parts] = {}

    def build(self, hands: Hands, header: Header, left: Iterable[int] = ()) -> MarkerArray:
        """All markers of a frame, whose ids are the numbers of the hands.

        left: numbers of hands that left, which get DELETE. A frame with nothing to show or delete
        is one DELETEALL, so that the array is never empty and a viewer that missed a DELETE
        catches up.
        """
        result = []
        for number in sorted(left):
            result += [
                Marker(header=header, ns=ns, id=number, action=Marker.DELETE) for ns in NAMESPACES
            ]
        for id_ in self._hands.keys() - {hand.id for hand in hands}:
            del self._hands[id_]
        for hand in hands:
            if hand.id not in self._hands:
                self._hands[hand.id] = self._parts(hand)
            parts = self._hands[hand.id]
            self._refresh(parts, hand, hands, header)
            mesh, *others = parts.markers
            result += parts.markers if self.alpha > 0 else others
            if parts.meshed and self.alpha <= 0:
                result.append(Marker(header=header, ns=mesh.ns, id=mesh.id, action=Marker.DELETE))
            parts.meshed = self.alpha > 0
        return MarkerArray(markers=result) if result else self.clear(header)

    def clear(self, header: Header) -> MarkerArray:
        """One DELETEALL, and every hand is forgotten."""
        self._hands.clear()
        return MarkerArray(markers=[Marker(header=header, ns='mesh', action=Marker.DELETEALL)])

    def _parts(self, hand: Hand) -> _Parts:
        vertices = [Point() for _ in hand.vertices_m]
        keypoints = [Point() for _ in range(KEYPOINT_COUNT)]
        triangles = self._triangles[:, ::-1] if hand.side == 'left' else self._triangles
        red, green, blue = colour(hand.number)

        def marker(ns: str, kind: int, scale: tuple[float, float, float], tint: float) -> Marker:
            shade = ColorRGBA(
                r=red + (1 - red) * tint, g=green + (1 - green) * tint,
                b=blue + (1 - blue) * tint, a=1.0,
            )
            result = Marker(ns=ns, id=hand.number, type=kind, action=Marker.ADD, color=shade)
            result.scale.x, result.scale.y, result.scale.z = scale
            return result

        mesh = marker('mesh', Marker.TRIANGLE_LIST, (1.0, 1.0, 1.0), 0.35)
        mesh.points = [vertices[v] for v in triangles.ravel().tolist()]
        bones = marker('bones', Marker.LINE_LIST, (0.004, 0.0, 0.0), 0.0)
        bones.points = [keypoints[k] for bone in BONES for k in bone]
        joints = marker('joints', Marker.SPHERE_LIST, (0.009, 0.009, 0.009), 0.6)
        joints.points = keypoints
        name = marker('names', Marker.TEXT_VIEW_FACING, (0.0, 0.0, 0.025), 0.6)
        return _Parts(vertices, keypoints, [mesh, bones, joints, name])

    def _refresh(self, parts: _Parts, hand: Hand, hands: Hands, header: Header) -> None:
        known = hand.translation_m is not None
        shift = 0.0 if known else assumed_translation(
            hand, hands.width, hands.height, self.mirrored)
        _write(parts.vertices, placed(hand, hand.vertices_m) + shift)
        keypoints = placed(hand, hand.keypoints_m) + shift
        _write(parts.keypoints, keypoints)
        seconds = int(self.lifetime)
        lifetime = Duration(sec=seconds, nanosec=int((self.lifetime - seconds) * 1e9))
        for marker in parts.markers:
            marker.header = header
            marker.lifetime = lifetime
        mesh, _, _, name = parts.markers
        mesh.color.a = float(self.alpha)
        name.text = hand.id if known else f'{hand.id} (distance assumed)'
        x, y, z = (float(value) for value in keypoints[0])
        name.pose.position.x, name.pose.position.y, name.pose.position.z = x, y + 0.03, z


def _write(points: list[Point], positions: np.ndarray) -> None:
    for point, (x, y, z) in zip(points, positions.tolist()):
        point.x, point.y, point.z = x, y, z
