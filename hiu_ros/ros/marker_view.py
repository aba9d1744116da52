"""Draws the node's 3D messages as a viewer shows them, without one: markers, TF, the camera.

`MarkerView(...).draw(markers, transforms, picture, k)` gives a picture of the scene from the side.
Only what the messages hold is drawn.
"""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from geometry_msgs.msg import TransformStamped
from scipy.spatial.transform import Rotation
from visualization_msgs.msg import Marker, MarkerArray

from hiu_ros.geometry.rasteriser import rasterise

_BACKGROUND, _GRID, _FRUSTUM = (48, 48, 48), (88, 88, 88), (170, 170, 170)
#: Axes x, y, z in BGR: red, green, blue.
_AXES = ((60, 60, 235), (80, 200, 80), (235, 130, 60))
_AXIS = 0.05  #: length of a frame's axis, m
_PICTURE_AT = 0.22  #: where the camera's picture hangs, m in front of it
_FLOOR = 0.28  #: the grid lies so far below the camera, m
_NEAR = 0.02  #: what is nearer to the eye, or behind it, is not drawn, m


class MarkerView:
    """An eye that looks at `centre` (3,) m, camera optical frame, from `distance` m away.

    yaw turns it about the vertical, pitch lets it look down, rad; both 0 look along the camera.
    """

    def __init__(
        self, centre: Sequence[float], distance: float = 1.1, yaw: float = -0.75,
        pitch: float = 0.35, width: int = 640, height: int = 480,
    ) -> None:
        self.width, self.height = width, height
        self._focal = 1.1 * width
        self._centre = np.asarray(centre, float)
        self._distance = distance
        self._turn = Rotation.from_euler('YX', [yaw, -pitch]).as_matrix().T

    def see(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) m as x px, y px and depth m."""
        own = (np.asarray(points, float) - self._centre) @ self._turn.T + (0, 0, self._distance)
        depth = np.maximum(own[..., 2:], 1e-3)
        middle = ((self.width - 1) / 2, (self.height - 1) / 2)
        return np.concatenate([self._focal * own[..., :2] / depth + middle, own[..., 2:]], -1)

    def draw(
        self, markers: MarkerArray, transforms: Sequence[TransformStamped],
        picture: np.ndarray | None = None, k: np.ndarray | None = None,
    ) -> np.ndarray:
        """(height, width, 3) uint8 BGR. picture with K (3, 3): hung up in front of the camera."""
        canvas = np.full((self.height, self.width, 3), _BACKGROUND, np.uint8)
        self._grid(canvas)
        if picture is not None and k is not None:
            self._camera(canvas, picture, np.asarray(k))
        kinds = {Marker.LINE_LIST: self._lines, Marker.SPHERE_LIST: self._spheres}
        shown = [marker for marker in markers.markers if marker.action == Marker.ADD]
        for marker in shown:
            kinds.get(marker.type, lambda *_: None)(canvas, marker)
        for marker in shown:
            if marker.type == Marker.TRIANGLE_LIST:
                self._triangles(canvas, marker)
        for transform in transforms:
            self._frame(canvas, transform)
        return canvas

    def _segment(self, canvas, start, end, colour, width=1) -> None:
        ends = self.see(np.array([start, end]))
        if (ends[:, 2] > _NEAR).all():
            a, b = (tuple(int(v) for v in np.rint(16 * end[:2])) for end in ends)
            cv2.line(canvas, a, b, colour, width, cv2.LINE_AA, 4)

    def _grid(self, canvas: np.ndarray) -> None:
        for x in np.linspace(-0.6, 0.6, 13):
            self._segment(canvas, (x, _FLOOR, -0.1), (x, _FLOOR, 1.1), _GRID)
        for z in np.linspace(-0.1, 1.1, 13):
            self._segment(canvas, (-0.6, _FLOOR, z), (0.6, _FLOOR, z), _GRID)

    def _camera(self, canvas: np.ndarray, picture: np.ndarray, k: np.ndarray) -> None:
        """The picture at its place in space, and the pyramid from the camera to it."""
        height, width = picture.shape[:2]
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) - 0.5
        rays = np.concatenate([(corners - k[:2, 2]) / k[[0, 1], [0, 1]], np.ones((4, 1))], 1)
        places = _PICTURE_AT * rays
        seen = self.see(places)[:, :2].astype(np.float32)
        warp = cv2.getPerspectiveTransform(corners.astype(np.float32), seen)
        size = self.width, self.height
        hung = cv2.warpPerspective(picture, warp, size, flags=cv2.INTER_AREA)
        cover = cv2.warpPerspective(np.full((height, width), 225, np.uint8), warp, size)
        share = cover[..., None] / 255.0
        canvas[:] = (share * hung + (1 - share) * canvas).astype(np.uint8)
        for start, end in zip(places, np.roll(places, -1, 0)):
            self._segment(canvas, start, end, _FRUSTUM)
            self._segment(canvas, np.zeros(3), start, _FRUSTUM)

    def _lines(self, canvas: np.ndarray, marker: Marker) -> None:
        points = _places(marker)
        for start, end in zip(points[0::2], points[1::2]):
            depth = self.see(start)[2]
            width = max(1, round(self._focal * marker.scale.x / depth))
            self._segment(canvas, start, end, _colour(marker), width)

    def _spheres(self, canvas: np.ndarray, marker: Marker) -> None:
        seen = self.see(_places(marker))
        for x, y, depth in seen[seen[:, 2] > _NEAR]:
            radius = 0.5 * self._focal * marker.scale.x / depth
            cv2.circle(canvas, (round(16 * x), round(16 * y)), round(16 * radius),
                       _colour(marker), -1, cv2.LINE_AA, 4)

    def _triangles(self, canvas: np.ndarray, marker: Marker) -> None:
        """Lit from the eye, laid over what is there by the marker's own opacity."""
        points = _places(marker)
        n = 2  # samples a pixel and axis
        seen = self.see(points)
        seen[:, :2] = (seen[:, :2] + 0.5) * n - 0.5
        faces = torch.arange(len(points)).reshape(-1, 3)
        raster = rasterise(torch.from_numpy(seen[None]).float(), faces, self.height * n,
                           self.width * n)
        corners = points.reshape(-1, 3, 3)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        light = 0.25 + 0.75 * np.abs(normals @ self._turn[2])
        face, covered = raster.face[0].numpy(), raster.covered[0].numpy()
        colours = np.zeros((*covered.shape, 4), np.float32)
        colours[covered, :3] = light[face[covered]][:, None] * _colour(marker)
        colours[covered, 3] = marker.color.a
        colours[..., :3] *= covered[..., None]
        small = cv2.resize(colours, (self.width, self.height), interpolation=cv2.INTER_AREA)
        share = cv2.resize(covered.astype(np.float32), (self.width, self.height),
                           interpolation=cv2.INTER_AREA)[..., None] * marker.color.a
        canvas[:] = (small[..., :3] * marker.color.a + (1 - share) * canvas).astype(np.uint8)

    def _frame(self, canvas: np.ndarray, transform: TransformStamped) -> None:
        t, q = transform.transform.translation, transform.transform.rotation
        place = np.array([t.x, t.y, t.z])
        axes = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix().T
        for axis, colour in zip(axes, _AXES):
            self._segment(canvas, place, place + _AXIS * axis, colour, 3)
        x, y, depth = self.see(place)
        if depth <= _NEAR:
            return
        for colour, width in (((20, 20, 20), 3), ((245, 245, 245), 1)):
            cv2.putText(canvas, transform.child_frame_id, (round(x) + 8, round(y) + 22),
                        cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, width, cv2.LINE_AA)


def _places(marker: Marker) -> np.ndarray:
    return np.array([(point.x, point.y, point.z) for point in marker.points]).reshape(-1, 3)


def _colour(marker: Marker) -> tuple[float, float, float]:
    c = marker.color
    return tuple(255 * value for value in (c.b, c.g, c.r))
