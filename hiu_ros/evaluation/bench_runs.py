"""The runs of `hiu bench tracking`: videos through pipelines, figures out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from hiu_ros.evaluation.following import FollowingScores
from hiu_ros.evaluation.oracle import Faults, Oracle
from hiu_ros.evaluation.tracking import (
    PlacingScores,
    as_seen,
    at_rest,
    camera_of,
    follow,
    jitter,
    lag,
    length_of,
)
from hiu_ros.evaluation.video_cache import CachedSequence
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.smoothing import HandSmoother, Smoothing

#: Length of the videos of following, frames, whether all of them are used or not.
VIDEO_FRAMES: Final = 300
#: Metres at which placing is measured, and people at each, one hand and one video each; the hands
#: move by 0.08 m. Where the size is not known, a person's size is most of the error: it takes
#: several of them.
DISTANCES: Final = (0.4, 0.65, 0.9, 1.15, 1.4)
PEOPLE: Final = 3
#: Share of 1 m within which a hand counts as being there.
NEAR_ONE: Final = 0.2
WAYS: Final = ('size known', 'size unknown', 'size unknown, depth')
#: Hands at rest, frames of each, those at first that do not count, and frames of the moving hand.
REST_HANDS, REST_FRAMES, REST_FIRST, MOVING_FRAMES = 3, 75, 15, 40
_REST_AWAY, _REST_NOISE = 0.7, 2.0


@dataclass(frozen=True)
class Bench:
    """What all runs share. cache: folder of the rendered videos. tick: called after a frame."""

    cache: Path
    weights: Path | str | None = None
    finder_weights: Path | str | None = None
    device: str = 'auto'
    half: bool = False
    seed: int = 100
    tick: Callable[[], Any] = lambda: None

    def pipeline(self, **changes: Any) -> Pipeline:
        """A pipeline with nothing followed yet."""
        return Pipeline(PipelineOptions(
            weights=self.weights, finder_weights=self.finder_weights, device=self.device,
            half=self.half, **changes))

    def video(self, **settings: Any) -> CachedSequence:
        """A rendered video."""
        return CachedSequence(self.cache, settings)


def following(
    bench: Bench, hands: Sequence[int], frames: int, first: int = 0, oracle: Faults | None = None,
    writer: Callable[[str, Any], Any] = lambda name, video: None, every: int = 1,
    holding: bool = False,
) -> list[dict[str, Any]]:
    """Rows of scores: a video for each number of hands, then all of them.

    frames: of each video, from the `first`; of these one of so many, `every`. oracle: truth with
    these faults in place of the networks. writer: gives a function of (frame, hands) for a
    video's name, or None. holding: each hand holds a thing.
    """
    rows, total = [], FollowingScores()
    for count in hands:
        seed = bench.seed + count - 1
        video = bench.video(seed=seed, hands=count, frames=VIDEO_FRAMES,
                            **({'holding': True} if holding else {}))
        scores, pipeline, write = FollowingScores(), None, writer(f'hands_{count}_{seed}', video)
        guide = None
        if oracle is None:
            pipeline = bench.pipeline()
        else:
            guide = Oracle(camera_of(video), oracle, seed=seed)
            pipeline = guide.pipeline(PipelineOptions(device='cpu'))
        shown = _Part(video, range(first, min(first + frames, VIDEO_FRAMES), every), guide)
        for frame, hands_found in follow(pipeline, shown, str(seed), scores, tick=bench.tick):
            total.add(*as_seen(frame, hands_found, str(seed), video))
            if write is not None:
                write(frame, hands_found)
        rows.append({'name': f'{count} hands, seed {seed}', **scores.row()})
    return [*rows, {'name': 'all', **total.row()}]


class _Part:
    """Some frames of a video, read once and shown to an oracle if there is one."""

    def __init__(self, video: CachedSequence, numbers: range,
                 oracle: Oracle | None = None) -> None:
        self._video, self._range, self._oracle = video, numbers, oracle
        self.camera_matrix, self.width, self.height = (
            video.camera_matrix, video.width, video.height)

    def __iter__(self) -> Iterator[Any]:
        for index in self._range:
            frame = self._video.frame(index)
            if self._oracle is not None:
                self._oracle.show(frame)
            yield frame


def placing(bench: Bench, frames: int) -> dict[str, PlacingScores]:
    """Errors of place by way, over videos of one hand at several distances."""
    scores = {way: PlacingScores() for way in WAYS}
    for person, (number, distance) in product(range(PEOPLE), enumerate(DISTANCES)):
        video = bench.video(seed=bench.seed + 50 + number + 20 * person, hands=1, frames=frames,
                            rate=15.0, with_depth=True, distance=distance)
        length = length_of(video.frame(0).hands[0])
        for way in WAYS:
            pipeline = bench.pipeline(hand_length_m=length if way == 'size known' else None)
            for _ in follow(pipeline, video, way, FollowingScores(), scores[way],
                            1 if 'depth' in way else None, bench.tick):
                pass
    return scores


def at_one_metre(scores: PlacingScores) -> float:
    """Median distance error in mm of the hands that are about 1 m away."""
    away, error = np.array(scores.away), np.array(scores.distance) / 100 * np.array(scores.away)
    near = np.abs(away - 1.0) <= NEAR_ONE
    return float(np.median(1000 * error[near])) if near.any() else float('nan')


def rest(bench: Bench) -> dict[str, dict[str, float]]:
    """Jitter of hands that rest 0.7 m away, RMS over hands, and lag of a moving one.

    Smoothing of places looks at nothing but places, so it is applied to those of the raw run.
    """
    camera, squares = None, {'raw': [], 'smoothed': []}
    for number in range(REST_HANDS):
        video = bench.video(seed=bench.seed + 60 + number, hands=1, frames=1, noise=0.0,
                            distance=_REST_AWAY)
        camera, still = camera_of(video), video.frame(0)
        away = float(still.hands[0].translation[2])
        images = at_rest(still.image, camera, away, _REST_AWAY, REST_FRAMES, _REST_NOISE, number)
        raw = _places(bench, images, camera, 30.0)
        for name, path in (('raw', raw), ('smoothed', _smoothed(raw, 30.0))):
            good = np.array([p for p in path[REST_FIRST:] if p is not None]).reshape(-1, 3)
            if len(good) > REST_FRAMES // 3:
                squares[name].append(np.square(jitter(good)))
    video = bench.video(seed=bench.seed + 50, hands=1, frames=MOVING_FRAMES, rate=30.0,
                        distance=0.5)
    raw = _places(bench, (frame.image for frame in video), camera_of(video), 30.0)
    pairs = [(a, b) for a, b in zip(raw, _smoothed(raw, 30.0)) if a is not None and b is not None]
    late = float('nan')
    if len(pairs) > 30:
        late = lag(*(np.array(path) for path in zip(*pairs)), 30.0)
    result = {}
    for name, values in squares.items():
        sideways, depth = np.sqrt(np.mean(values, axis=0)) if values else (float('nan'),) * 2
        result[name] = {'sideways_mm': float(sideways), 'depth_mm': float(depth),
                        'lag_s': late if name == 'smoothed' else 0.0}
    return result


def _places(bench: Bench, images: Any, camera: Any, rate: float) -> list[np.ndarray | None]:
    pipeline = bench.pipeline()
    places = []
    for index, image in enumerate(images):
        hands = pipeline.process(image, camera, index / rate)
        places.append(hands.hands[0].translation_m if len(hands) else None)
        bench.tick()
    return places


def _smoothed(places: Sequence[np.ndarray | None], rate: float) -> list[np.ndarray | None]:
    smoother = HandSmoother(Smoothing.usual())
    return [None if place is None else smoother.place(place.astype(float), index / rate)
            for index, place in enumerate(places)]


def open_clip(path: Path) -> cv2.VideoCapture:
    """A video file; OSError where it is missing or OpenCV cannot read it."""
    if not path.is_file():
        raise FileNotFoundError(f'the video {path} does not exist')
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise OSError(f'OpenCV cannot read the video {path}')
    return video


def clip(bench: Bench, path: Path, frames: int | None = None) -> dict[str, float]:
    """Names that the hands of a clip of one hand had, and the share of frames with a hand.

    A frame with more than one hand counts as found all the same: its names tell.
    """
    video = open_clip(path)
    rate = video.get(cv2.CAP_PROP_FPS) or 30.0
    pipeline, names, found, count = bench.pipeline(), set(), 0, 0
    while frames is None or count < frames:
        good, image = video.read()
        if not good:
            break
        hands = pipeline.process(image, None, count / rate)
        names |= {hand.id for hand in hands}
        found, count = found + bool(len(hands)), count + 1
        bench.tick()
    video.release()
    return {'frames': count, 'names': len(names), 'found': found / max(count, 1),
            'who': sorted(names)}
