"""From what the network read in the image to a hand in metres.

Shape and size of the hand come from what is known of it over time, its place from the camera, and
its distance from a depth image where there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.crop import Crop
from hiu_ros.geometry.depth_surface import depth_behind_mesh
from hiu_ros.geometry.outline_fit import fit_outline, silhouette
from hiu_ros.geometry.placement import NEAREST_M, crop_to_camera, place
from hiu_ros.geometry.pose_fit import chain, fit_pose
from hiu_ros.hand.model import HandModel
from hiu_ros.hand.size import LENGTH_RANGE, hand_length, shape_for_length, shape_of_other
from hiu_ros.hand.template import HandTemplate
from hiu_ros.perception.hand_memory import LENGTH_NOISE, HandMemory
from hiu_ros.perception.masks import seen_mask
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.result import Hand, ScaleSource
from hiu_ros.perception.wrist_frame import wrist_rotation

#: Expected error of a seen joint: pixels at least, and as a share of the hand in the image.
_NOISE_PX, _NOISE_SHARE = 1.0, 0.04
#: Deviation, m, of a distance that a depth image tells, because the pose is not exact.
_POSE_DOUBT_M = 0.009
#: Predicted poses are flatter than true ones, which makes their meshes larger in the image by this
#: factor at the same distance: see docs/evaluation.md for how it was measured.
MESH_EXCESS = 1.016



@dataclass(frozen=True, eq=False)
class Sighting:
    """One hand of one frame, named and ready to be placed.

    camera: None where the intrinsics are not known. depth: (H, W) uint16 mm or float m, or None.
    image: (H, W, 3) uint8 BGR.
    """

    id: str
    side: str
    side_score: float
    score: float
    reading: Reading
    memory: HandMemory
    image: np.ndarray
    stamp: float
    camera: Camera | None = None
    depth: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the image."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(eq=False)
class _Draft:
    """The hand on its way: what the steps fill in."""

    shape: np.ndarray
    length_doubt: float
    rotations: np.ndarray
    camera: Camera
    mask: np.ndarray
    origin: tuple[int, int]
    translation: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))
    sigma: float = float('nan')
    source: ScaleSource = ScaleSource.ASSUMED_SIZE
    skinned: tuple | None = None  #: what was skinned last: rotations, shape, the result


class Lifter:
    """Makes `Hand`s of sightings, all hands of all cameras at once."""

    def __init__(self, template: HandTemplate, options: PipelineOptions,
                 learned: HandTemplate | None = None) -> None:
        """template: of the meshes. learned: the hand whose shapes are read, if another."""
        self.options, self._learned = options, learned
        self._models = {'right': HandModel(template), 'left': HandModel(template.mirrored())}

    @property
    def faces(self) -> dict[str, np.ndarray]:
        """(F, 3) triangles of the meshes, by side."""
        return {side: model.template.faces for side, model in self._models.items()}

    @torch.inference_mode()
    def lift(self, sightings: Sequence[Sighting]) -> list[Hand]:
        """Place, measure, smooth and skin the hands; the order is kept."""
        drafts = [self._start(sighting) for sighting in sightings]
        self._place(sightings, drafts)
        for sighting, draft in zip(sightings, drafts):
            if self.options.fit_outline:
                self._outline(sighting, draft)
            self._measure(sighting, draft)
        pixels = [self._smooth(s, d) for s, d in zip(sightings, drafts)]
        return [
            self._finish(sighting, draft, points)
            for sighting, draft, points in zip(sightings, drafts, pixels)
        ]

    def _start(self, sighting: Sighting) -> _Draft:
        """Shape by what is known of the hand, pose in the axes of the camera, and the mask."""
        reading, memory, options = sighting.reading, sighting.memory, self.options
        camera = sighting.camera or Camera.assumed(*sighting.size)
        shape = memory.see_shape(reading.shape, reading.quality + 1e-3)
        if self._learned is not None:
            shape = shape_of_other(self._learned, shape, self._template(sighting))
        length, doubt = options.hand_length_m, options.known_length_doubt
        if memory.length is not None:
            length = memory.length
            doubt = max(0.01, LENGTH_NOISE / np.sqrt(memory.length_weight))
        elif length is None:
            length = hand_length(self._template(sighting), shape)
            doubt = options.length_doubt
        length = float(np.clip(length, *LENGTH_RANGE))
        shape = shape_for_length(self._template(sighting), shape, length)
        rotations = reading.rotations.copy()
        ray = camera.rays(np.asarray(reading.crop.centre))
        if not np.isfinite(ray).all():
            ray = np.array([0.0, 0.0, 1.0])
        rotations[0] = crop_to_camera(ray, reading.crop.angle) @ rotations[0]
        mask, origin = seen_mask(
            reading.mask, reading.crop, sighting.image, options.mask_threshold)
        return _Draft(shape, doubt, rotations, camera, mask, origin)

    def _place(self, sightings: Sequence[Sighting], drafts: list[_Draft]) -> None:
        """Put the joints on their pixels, all hands in one system."""
        if not drafts:
            return
        joints, tips = self._rest(sightings, drafts)
        rotations = np.stack([draft.rotations for draft in drafts])
        rays = np.stack([
            d.camera.normalise(s.reading.keypoints_px) for s, d in zip(sightings, drafts)])
        weights = np.stack([s.reading.keypoint_scores ** 2 + 1e-3 for s in sightings])
        noise = np.array([
            max(_NOISE_PX, _NOISE_SHARE * s.reading.size) / d.camera.focal
            for s, d in zip(sightings, drafts)])
        points = chain(rotations, joints, tips)[0]
        placed = place(points, rays, weights, noise)
        good = np.flatnonzero(placed.valid)
        translation, variance = placed.translation.copy(), placed.covariance[:, 2, 2].copy()
        if self.options.fit_pose and len(good):
            fit = fit_pose(rotations[good], translation[good], joints[good], tips[good],
                           rays[good], weights[good], noise[good])
            rotations[good], translation[good] = fit.rotations, fit.translation
            variance[good] = fit.depth_variance
        for k, (sighting, draft) in enumerate(zip(sightings, drafts)):
            draft.rotations, draft.translation = rotations[k], translation[k]
            doubt = draft.length_doubt * translation[k, 2]
            draft.sigma = float(np.hypot(np.sqrt(max(variance[k], 0.0)), doubt))
            if sighting.camera is not None and placed.valid[k]:
                draft.source = ScaleSource.CAMERA_INFO

    def _outline(self, sighting: Sighting, draft: _Draft) -> None:
        """Move the hand so that the outline of its mesh lies on that of its mask."""
        if not np.isfinite(draft.translation).all():
            return
        reading, camera = sighting.reading, draft.camera
        crop, n = reading.crop, reading.crop.resolution
        vertices, joints = (part + draft.translation for part in self._skin(sighting, draft))
        pixels, joints = camera.project(vertices), camera.project(joints)
        if not (np.isfinite(pixels).all() and np.isfinite(joints).all()):
            return
        mesh = silhouette(crop.to_crop(pixels), self.faces[sighting.side], n, crop.mirrored)
        usable = _within(crop, *sighting.size) & _beyond_wrist(crop.to_crop(joints), n)
        fit = fit_outline(reading.mask >= self.options.mask_threshold, mesh, usable)
        if fit is None:
            return
        # Grown and moved in the picture is nearer and moved in space, as a whole.
        middle = vertices.mean(axis=0)
        seen = crop.to_crop(camera.project(middle[None]))[0]
        wanted = fit.centre + fit.scale * (seen - fit.centre) + fit.shift
        ray = camera.normalise(crop.to_image(wanted[None]))[0]
        moved = np.append(ray, 1.0) * middle[2] / (fit.scale * MESH_EXCESS)
        wrist = draft.translation + moved - middle
        # Of a hand at the lens that points away, the wrist could come to lie behind the camera.
        if np.isfinite(wrist).all() and wrist[2] > NEAREST_M:
            draft.translation = wrist

    def _measure(self, sighting: Sighting, draft: _Draft) -> None:
        """Move the hand to the distance that the depth image shows, and learn its length."""
        if sighting.depth is None or draft.source is not ScaleSource.CAMERA_INFO:
            return
        faces = self.faces[sighting.side]
        before, evidence = (draft.shape, draft.translation), None
        for _ in range(2):
            vertices = self._skin(sighting, draft)[0] + draft.translation
            found = depth_behind_mesh(vertices, faces, draft.camera, sighting.depth,
                                      draft.mask, draft.origin)
            if found is None:
                break
            evidence = found
            farther = (draft.translation[2] + found.shift) / draft.translation[2]
            length = float(hand_length(self._template(sighting), draft.shape)) * farther
            if not LENGTH_RANGE[0] < length < LENGTH_RANGE[1]:
                draft.shape, draft.translation = before
                return
            # The same picture, larger and farther: all that the image says stays true.
            draft.shape = shape_for_length(self._template(sighting), draft.shape, length)
            draft.translation = draft.translation * farther
        if evidence is None:
            return
        sighting.memory.see_length(float(hand_length(self._template(sighting), draft.shape)))
        draft.shape = shape_for_length(
            self._template(sighting), draft.shape,
            float(np.clip(sighting.memory.length, *LENGTH_RANGE)))
        draft.sigma = float(np.hypot(evidence.sigma, _POSE_DOUBT_M))
        draft.source = ScaleSource.DEPTH

    def _smooth(self, sighting: Sighting, draft: _Draft) -> np.ndarray:
        reading, smoother = sighting.reading, sighting.memory.smoother
        if smoother is None:
            return reading.keypoints_px
        draft.rotations = smoother.pose(draft.rotations, sighting.stamp)
        if np.isfinite(draft.translation).all():
            draft.translation = smoother.place(draft.translation, sighting.stamp)
        return smoother.image_points(reading.keypoints_px, reading.size, sighting.stamp)

    def _finish(self, sighting: Sighting, draft: _Draft, pixels: np.ndarray) -> Hand:
        vertices, keypoints = self._skin(sighting, draft)
        scores = sighting.reading.keypoint_scores
        placed = np.isfinite(draft.translation).all()
        residual = float('nan')
        if placed:
            away = draft.camera.project(keypoints + draft.translation) - pixels
            distance = np.linalg.norm(away, axis=1)
            weight = np.where(np.isfinite(distance), scores + 1e-3, 0.0)
            residual = float((np.nan_to_num(distance) * weight).sum() / max(weight.sum(), 1e-9))
        metric = placed and sighting.camera is not None
        pose = Rotation.from_matrix(draft.rotations).as_rotvec()
        low, high = _box(pixels, draft.mask, draft.origin)
        return Hand(
            id=sighting.id, side=sighting.side, side_score=sighting.side_score,
            score=sighting.score,
            box=np.array([*low, *(high - low)]),
            keypoints_px=pixels, keypoint_scores=scores,
            keypoints_valid=(scores >= self.options.valid_score) & _in_image(
                pixels, *sighting.size),
            keypoints_m=keypoints, vertices_m=vertices,
            pose=pose.reshape(-1), shape=draft.shape,
            wrist_rotation=wrist_rotation(keypoints, sighting.side),
            mask=draft.mask, mask_origin=draft.origin,
            translation_m=draft.translation if metric else None,
            scale_source=draft.source if metric else ScaleSource.ASSUMED_SIZE,
            depth_sigma_m=draft.sigma if metric else float('nan'),
            residual_px=residual,
        )

    def _template(self, sighting: Sighting) -> HandTemplate:
        return self._models[sighting.side].template

    def _rest(self, sightings: Sequence[Sighting], drafts: list[_Draft]):
        """Joints (B, 16, 3) and tips (B, 5, 3) at rest, by shape."""
        joints, tips = [], []
        for sighting, draft in zip(sightings, drafts):
            template = self._template(sighting)
            joints.append(template.joints + np.tensordot(draft.shape, template.joint_dirs, 1))
            tips.append(template.tips + np.tensordot(draft.shape, template.tip_dirs, 1))
        return np.stack(joints), np.stack(tips)

    def _skin(self, sighting: Sighting, draft: _Draft) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) and keypoints (21, 3), wrist at 0, camera axes."""
        if draft.skinned is not None:
            rotations, shape, result = draft.skinned
            if rotations is draft.rotations and shape is draft.shape:
                return result
        geometry = self._models[sighting.side](
            torch.from_numpy(draft.rotations[None]).float(),
            torch.from_numpy(draft.shape[None]).float())
        result = geometry.vertices[0].numpy().astype(float), geometry.keypoints[0].numpy()
        draft.skinned = draft.rotations, draft.shape, result
        return result


def _in_image(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(N,) bool: which of pixels (N, 2) lie in the image."""
    return ((pixels >= -0.5) & (pixels < [width - 0.5, height - 0.5])).all(axis=1)


def _within(crop: Crop, width: int, height: int) -> np.ndarray:
    """(n, n) bool: pixels of a crop that lie in the image, and not at its edge."""
    n = crop.resolution
    corners = crop.to_image(np.array([[0.0, 0.0], [n - 1.0, 0.0], [0.0, n - 1.0]]))
    rows, columns = np.mgrid[:n, :n] / (n - 1)
    edge = 1.5 * crop.size / n
    inside = np.ones((n, n), bool)
    for axis, size in enumerate((width, height)):
        place = corners[0, axis] + columns * (corners[1] - corners[0])[axis] + (
            rows * (corners[2] - corners[0])[axis])
        inside &= (place > edge) & (place < size - 1 - edge)
    return inside


def _beyond_wrist(joints: np.ndarray, n: int) -> np.ndarray:
    """(n, n) bool: pixels of a crop on the hand's side of the wrist.

    joints: (21, 2) px of the crop. Where a hand ends and its arm begins is anybody's choice, so
    the outline there tells nothing. All is True where the palm is seen end on.
    """
    axis, size = joints[9] - joints[0], float(np.ptp(joints, axis=0).max())
    length = float(np.linalg.norm(axis))
    if length < 0.2 * size:
        return np.ones((n, n), bool)
    rows, columns = np.mgrid[:n, :n]
    along = (columns - joints[0, 0]) * axis[0] + (rows - joints[0, 1]) * axis[1]
    return along > 0.1 * length ** 2


def _box(
    pixels: np.ndarray, mask: np.ndarray, origin: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the smallest box around joints and mask pixels."""
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    if mask.any():
        start = np.array(origin) - 0.5
        low, high = np.minimum(low, start), np.maximum(high, start + mask.shape[::-1])
    return low, high
