"""The pipeline on rendered videos with exact truth: following, placing, jitter and lag."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np

from hiu_ros.evaluation.following import FollowingScores, Seen
from hiu_ros.geometry.camera import Camera
from hiu_ros.hand.size import hand_length
from hiu_ros.hand.template import load_template
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.result import Hand, Hands

#: A true hand must be found from this visible share on.
VISIBLE = 0.4
#: Deviation (m, at 1 m; grows with the square) and share of holes of the simulated depth sensor.
DEPTH_NOISE, DEPTH_HOLES = 0.004, 0.1

FOLLOWING_COLUMNS: Final = {
    'name': ('video', 's'), 'hand_frames': ('hands', 'd'), 'recall': ('recall', '.4f'),
    'false': ('false', '.4f'), 'switches': ('switches', 'd'),
    'switches_per_1000': ('per 1000', '.2f'), 'side': ('side', '.4f'), 'mota': ('MOTA', '.4f'),
    'idf1': ('IDF1', '.4f'),
}
PLACING_COLUMNS: Final = {
    'name': ('placing', 's'), 'hands': ('hands', 'd'), 'distance': ('distance %', '.2f'),
    'distance_90': ('90th %', '.2f'), 'bias': ('bias %', '.2f'),
    'millimetres': ('error mm', '.1f'),
    'reprojection': ('mesh px', '.2f'), 'keypoints': ('joints px', '.2f'),
    'root_relative': ('pose mm', '.1f'), 'inside': ('within sigma', '.2f'),
}


@dataclass
class PlacingScores:
    """Errors of matched hands: place, mesh in the image, joints in the image, pose.

    away: true distance, m. distance: error of it, %; bias: the same with its sign.
    """

    away: list[float] = field(default_factory=list)
    distance: list[float] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    millimetres: list[float] = field(default_factory=list)
    reprojection: list[float] = field(default_factory=list)
    keypoints: list[float] = field(default_factory=list)
    root_relative: list[float] = field(default_factory=list)
    sigma: list[float] = field(default_factory=list)

    def add(self, true: Any, hand: Hand, camera: Camera) -> None:
        """Count one hand against its `HandTruth`."""
        seen = np.linalg.norm(hand.keypoints_px - true.keypoints_px, axis=1)
        self.keypoints.append(float(seen.mean()))
        relative = true.keypoints_m - true.keypoints_m[:1]
        self.root_relative.append(
            1000 * float(np.linalg.norm(hand.keypoints_m - relative, axis=1).mean()))
        if hand.translation_m is None:
            return
        away = float(np.linalg.norm(true.translation))
        farther = float(np.linalg.norm(hand.translation_m)) - away
        error = abs(farther)
        self.away.append(away)
        self.bias.append(100 * farther / away)
        self.distance.append(100 * error / away)
        self.millimetres.append(1000 * float(np.linalg.norm(
            hand.translation_m - true.translation)))
        self.sigma.append(error / max(hand.depth_sigma_m, 1e-6))
        mesh = camera.project(hand.keypoints_m + hand.translation_m)
        self.reprojection.append(float(np.linalg.norm(mesh - true.keypoints_px, axis=1).mean()))

    def row(self) -> dict[str, float]:
        """Medians; `inside` is the share of distances within one sigma."""
        def middle(values: list[float], share: float = 50) -> float:
            return float(np.percentile(values, share)) if values else float('nan')

        return {
            'hands': len(self.keypoints), 'distance': middle(self.distance),
            'distance_90': middle(self.distance, 90), 'bias': middle(self.bias),
            'millimetres': middle(self.millimetres),
            'reprojection': middle(self.reprojection), 'keypoints': middle(self.keypoints),
            'root_relative': middle(self.root_relative),
            'inside': float(np.mean(np.array(self.sigma) < 1)) if self.sigma else float('nan'),
        }


def camera_of(sequence: Any) -> Camera:
    """The camera of a `HandSequence`."""
    k = sequence.camera_matrix
    return Camera(k[0, 0], k[1, 1], k[0, 2], k[1, 2], sequence.width, sequence.height)


def length_of(true: Any) -> float:
    """Length of a true hand as `PipelineOptions.hand_length_m` means it."""
    return float(hand_length(load_template('fast'), true.shape))


def noisy_depth(depth: np.ndarray, rng: np.random.Generator, wall: float = 2.0) -> np.ndarray:
    """What a depth camera would measure: noise, holes, and background over the outlines.

    depth: (H, W) m, inf where nothing is. wall: distance of the background, m.
    """
    result = np.where(np.isfinite(depth), depth, wall).astype(np.float32)
    # The far surface wins for about a pixel along each outline.
    far = cv2.dilate(result, np.ones((3, 3), np.uint8))
    result = np.where(far - result > 0.03, far, result)
    result += rng.normal(0, DEPTH_NOISE, result.shape).astype(np.float32) * result ** 2
    result[rng.random(result.shape) < DEPTH_HOLES] = 0.0
    return result


def follow(
    pipeline: Pipeline, sequence: Iterable[Any], name: str, scores: FollowingScores,
    placing: PlacingScores | None = None, depth_seed: int | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Any, Hands]]:
    """Run a video through a pipeline and count; yields (frame, hands).

    depth_seed: give the frames' depth, made noisy, to the pipeline too.
    """
    camera = camera_of(sequence)
    rng = np.random.default_rng(depth_seed)
    for frame in sequence:
        depth = None
        if depth_seed is not None:
            depth = noisy_depth(frame.depth, rng)
        hands = pipeline.process(frame.image, camera, frame.time, depth)
        for i, j in scores.add(*as_seen(frame, hands, name, sequence)):
            if placing is not None:
                placing.add(frame.hands[i], hands.hands[j], camera)
        tick()
        yield frame, hands


def as_seen(
    frame: Any, hands: Hands, name: str, sequence: Any
) -> tuple[list[Seen], list[Seen]]:
    """True and found hands of a frame of a video, for `FollowingScores.add`."""
    size = [sequence.width, sequence.height]
    truth = [
        Seen((name, true.id), visible_box(true.keypoints_px, size), true.side,
             true.visible >= VISIBLE and bool(
                 (np.abs(true.keypoints_px.mean(0) / size - 0.5) < 0.5).all()))
        for true in frame.hands]
    return truth, [
        Seen((name, hand.id), visible_box(hand.keypoints_px, size), hand.side) for hand in hands]


def visible_box(points: np.ndarray, size: list[int]) -> np.ndarray:
    """[x, y, w, h] of joints, cut at the image: what is beyond is not seen."""
    low = np.clip(points.min(axis=0), 0, size)
    high = np.clip(points.max(axis=0), 0, size)
    return np.array([*low, *np.maximum(high - low, 1.0)])


def at_rest(
    image: np.ndarray, camera: Camera, distance: float, wanted: float, frames: int,
    noise: float, seed: int = 0,
) -> Iterator[np.ndarray]:
    """Images of a hand that does not move, with fresh pixel noise each.

    The image of a hand at `distance` m is shrunk about the principal point to look as from
    `wanted` metres.
    """
    scale = distance / wanted
    matrix = np.array([[scale, 0, camera.cx * (1 - scale)], [0, scale, camera.cy * (1 - scale)]])
    far = cv2.warpAffine(
        cv2.GaussianBlur(image, (0, 0), 0.4 / scale) if scale < 0.9 else image, matrix,
        (camera.width, camera.height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rng = np.random.default_rng(seed)
    for _ in range(frames):
        noisy = far + rng.normal(0, noise, far.shape)
        yield np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def jitter(places: np.ndarray) -> tuple[float, float]:
    """RMS in mm, sideways (the larger of x and y) and in depth, of places (N, 3) m at rest."""
    deviation = 1000 * np.std(places, axis=0)
    return float(deviation[:2].max()), float(deviation[2])


def lag(raw: np.ndarray, smooth: np.ndarray, rate: float, most: int = 6) -> float:
    """Seconds by which a smoothed path (N, C) is late: the delay of `raw` that fits it best."""
    errors = []
    steps = np.arange(0, most + 0.01, 0.1)
    index = np.arange(most, len(raw))
    for step in steps:
        whole, part = int(np.floor(step)), step - np.floor(step)
        early = raw[np.maximum(index - whole - 1, 0)]
        late = (1 - part) * raw[index - whole] + part * early
        errors.append(float(((late - smooth[index]) ** 2).sum()))
    return float(steps[int(np.argmin(errors))] / rate)
