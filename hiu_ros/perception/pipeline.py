"""Images in, hands out: finder, network, placement and tracking, for one camera or many."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from hiu_ros.geometry.camera import Camera
from hiu_ros.geometry.crop import Crop
from hiu_ros.hand.template import HandTemplate, load_template
from hiu_ros.network import checkpoint
from hiu_ros.perception.association import joint_box, overlap, without_duplicates
from hiu_ros.perception.device import choose_device
from hiu_ros.perception.estimator import HandEstimator, Network, Region
from hiu_ros.perception.finder import Detection, Finder, HandFinder
from hiu_ros.perception.frame import Frame, check_frame
from hiu_ros.perception.hand_memory import HandMemory
from hiu_ros.perception.lifting import Lifter, Sighting
from hiu_ros.perception.mirrored import mirrored_back, mirrored_frame
from hiu_ros.perception.options import PipelineOptions, hand_weights
from hiu_ros.perception.poor_light import in_good_light
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.result import Hand, Hands
from hiu_ros.perception.smoothing import HandSmoother
from hiu_ros.perception.square_pixels import squared_back, squared_frame
from hiu_ros.perception.tracker import Tracker
from hiu_ros.perception.verdict import verdict_found

#: From here the finder's side is taken, below it both are tried.
_TRUSTED_SIDE = 0.9
#: What the finder scores below this is doubted: much of it is no hand, and looks at it take time
#: from those that are. It gets a second one only if the first scores so much.
_DOUBTED, _HOPEFUL = 0.3, 0.04
#: A followed hand that was missed in more frames than this is left to the finder.
_LOOKED = 20


@dataclass(eq=False)
class _Turn:
    """A frame on its way through the pipeline."""

    frame: Frame
    tracker: Tracker | None
    stamp: float
    lost: float = 0.0  #: see `poor_light.Corrected`
    regions: list[Region] = field(default_factory=list)
    askers: list[int | None] = field(default_factory=list)
    found: list[float] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)

    def ask(self, region: Region, asker: int | None, found: float = 0.0) -> None:
        """Have a region looked at, for a followed hand or because something was found there."""
        self.regions.append(region)
        self.askers.append(asker)
        self.found.append(found)


class Pipeline:
    """Finds, follows and places hands. One copy of the weights, any number of cameras.

    Followed hands are kept by `Frame.key`. Not safe to be called by two threads at once.
    """

    def __init__(
        self, options: PipelineOptions | None = None, network: Network | None = None,
        finder: Finder | None = None, template: HandTemplate | None = None,
        estimator: HandEstimator | None = None,
    ) -> None:
        """Load what is not given (an estimator brings its own network); raises CheckpointError
        where weights are missing or damaged, and as `hand_weights`."""
        self.options = options or PipelineOptions()
        self.device = choose_device(self.options.device)
        template, learned = template or load_template(self.options.detail), None
        if network is None and estimator is None:
            weights = hand_weights(self.options.weights)
            network = checkpoint.load(weights, self.device).fuse()
            learned = checkpoint.learned_hand(weights, template)
        self._finder = finder
        self.load_finder(self.options)
        self._estimator = estimator or HandEstimator(
            network, self.device, self.options.crop_scale, self.options.half)
        self._lifter = Lifter(template, self.options, learned)
        self._trackers: dict[Hashable, Tracker] = {}
        self.seconds: dict[str, float] = {}  #: of the steps of the last call

    @property
    def faces(self) -> dict[str, np.ndarray]:
        """(F, 3) triangles of the meshes, by side, counter-clockwise seen from outside."""
        return self._lifter.faces

    def reconfigure(self, options: PipelineOptions) -> None:
        """Change options between frames. What was loaded cannot change.

        Followed hands stay, unless images are mirrored from now on, or no longer: they would be
        of the other side.
        """
        for name in ('weights', 'finder_weights', 'device', 'half', 'detail', 'crop_scale'):
            if getattr(options, name) != getattr(self.options, name):
                raise ValueError(f'PipelineOptions.{name} cannot change in a running pipeline')
        self.load_finder(options)
        if isinstance(self._finder, HandFinder):
            vars(self._finder).update(_thoroughness(options))
        if options.mirrored_input != self.options.mirrored_input:
            self.reset()
        if options.smoothing != self.options.smoothing:
            for tracker in self._trackers.values():
                for track in tracker.tracks:
                    track.memory.smoother = _smoother(options)
        self.options = self._lifter.options = options
        for key, tracker in list(self._trackers.items()):
            if options.tracking is None:
                del self._trackers[key]
            else:
                tracker.options, tracker.max_hands = options.tracking, options.max_hands
                tracker.min_score, tracker.new_memory = options.min_score, _new_memory(options)

    def load_finder(self, options: PipelineOptions) -> None:
        """Load the finder, where the options need one and there is none; changes nothing else.

        `reconfigure` does it by itself; before it, and by any thread, it tells early what fails.
        """
        if options.regions == 'finder' and self._finder is None:
            self._finder = _load_finder(options, self.device)

    def reset(self) -> None:
        """Forget the followed hands of all cameras; their names are not used again."""
        for tracker in self._trackers.values():
            tracker.reset()

    @property
    def named(self) -> dict[Hashable, int]:
        """How many hands of each camera (key) were named so far: the last one's number."""
        return {key: tracker.named for key, tracker in self._trackers.items()}

    def name_on(self, named: dict[Hashable, int]) -> None:
        """Use no name again of a pipeline in whose place this one is; see `named`."""
        for key, number in named.items():
            self._tracker(key).named = number

    def warm_up(self, height: int = 480, width: int = 640) -> None:
        """Run both networks, so that the first image does not pay for it."""
        self._estimator.warm_up()
        if self._finder is not None:
            self._finder.find(np.zeros((height, width, 3), np.uint8))

    def process(
        self, image: np.ndarray, camera: Camera | None = None, stamp: float | None = None,
        depth: np.ndarray | None = None, boxes: Sequence[Sequence[float]] | None = None,
        key: Hashable = None,
    ) -> Hands:
        """Hands of one image; arguments as in `Frame`."""
        return self.process_many([Frame(image, camera, stamp, depth, boxes, key)])[0]

    def process_many(self, frames: Sequence[Frame]) -> list[Hands]:
        """Hands of each frame; the crops of all go through the network together.

        Frames of one camera (key) must come in order, one a call, unless tracking is off. Raises
        ValueError (CameraError for intrinsics) before anything is changed.
        """
        frames = list(frames)
        for frame in frames:
            check_frame(frame)
        keys = [frame.key for frame in frames]
        if self.options.tracking is not None and len(set(keys)) != len(keys):
            raise ValueError(f'frames of one call must be of different cameras, got keys {keys}')
        start = time.perf_counter()
        turns = [self._begin(squared_frame(frame)) for frame in frames]
        found = time.perf_counter()
        readings = self._estimator.look([region for turn in turns for region in turn.regions])
        looked = time.perf_counter()
        for turn in turns:
            turn.readings = readings[:len(turn.regions)]
            readings = readings[len(turn.regions):]
        results = [squared_back(hands, *frame.image.shape[1::-1])
                   for hands, frame in zip(self._end(turns), frames)]
        self.seconds = {'find': found - start, 'look': looked - found,
                        'place': time.perf_counter() - looked}
        return results

    def _begin(self, frame: Frame) -> _Turn:
        """Where to look in a frame: at followed hands, and at found ones that are none of them."""
        options = self.options
        if options.mirrored_input:
            frame = mirrored_frame(frame)
        lost = 0.0
        if options.correct_light:
            light = in_good_light(frame.image)
            frame, lost = replace(frame, image=light.image), light.lost
        if options.tracking is None:
            turn = _Turn(frame, None, frame.stamp or 0.0, lost)
            for detection in self._detections(frame):
                turn.ask(self._region(frame.image, detection), None, detection.score)
            return turn
        tracker = self._tracker(frame.key)
        height, width = frame.image.shape[:2]
        turn = _Turn(
            frame, tracker, tracker.begin(frame.stamp, (width, height), frame.view), lost)
        expected = tracker.expected()
        sure = {k: points for k, (track, points) in enumerate(zip(tracker.tracks, expected))
                if track.sure}
        for index, (track, points) in enumerate(zip(tracker.tracks, expected)):
            crowded = any(overlap(joint_box(points), joint_box(other)) > 0
                          for k, other in sure.items() if k != index)
            crop = self._estimator.crop_around(points, track.margin(crowded))
            if track.misses <= _LOOKED and _in_view(crop, frame.image):
                turn.ask(Region(frame.image, crop, track.side_to_try, views=self.options.views),
                         index)
        if frame.boxes is not None or tracker.wants_search():
            detections = self._detections(frame)
            for k in tracker.unexplained([d.box for d in detections],
                                         [d.score for d in detections]):
                turn.ask(self._region(frame.image, detections[k]), None, detections[k].score)
        return turn

    def _tracker(self, key: Hashable) -> Tracker:
        """The hands followed by a camera; none at first."""
        options = self.options
        if key not in self._trackers:
            self._trackers[key] = Tracker(
                options.tracking, options.max_hands, options.min_score, _new_memory(options))
        return self._trackers[key]

    def _detections(self, frame: Frame) -> list[Detection]:
        if frame.boxes is not None:
            return [Detection(_near_image(box, frame.image)) for box in frame.boxes]
        height, width = frame.image.shape[:2]
        if self.options.regions == 'whole':
            scale = self.options.box_scale
            # The crop then holds the whole image and no more.
            size = np.array([width, height]) / scale
            middle = np.array([width - 1, height - 1]) / 2
            return [Detection(np.array([*(middle - size / 2), *size]))]
        if self.options.regions == 'boxes' or self._finder is None:
            return []
        return list(self._finder.find(frame.image))[:self.options.max_hands * 2]

    def _region(self, image: np.ndarray, detection: Detection) -> Region:
        crop = Crop.around_box(detection.box, self.options.box_scale, self._estimator.resolution)
        side = detection.side if detection.side_score >= _TRUSTED_SIDE else None
        least = _HOPEFUL if detection.score < _DOUBTED else 0.0
        return Region(image, crop, side, self.options.refine_passes, self.options.views, least)

    def _end(self, turns: Sequence[_Turn]) -> list[Hands]:
        """Name the hands, and place those of all frames together."""
        sightings: list[Sighting] = []
        owners: list[int] = []
        for k, turn in enumerate(turns):
            new = self._single(turn) if turn.tracker is None else self._followed(turn)
            sightings += new
            owners += [k] * len(new)
        hands: list[list[Hand]] = [[] for _ in turns]
        for k, hand in zip(owners, self._lifter.lift(sightings)):
            hands[k].append(hand)
        results = []
        for turn, those in zip(turns, hands):
            height, width = turn.frame.image.shape[:2]
            if self.options.mirrored_input:
                those = [mirrored_back(hand, width) for hand in those]
            results.append(Hands(width, height, tuple(those)))
        return results

    def _followed(self, turn: _Turn) -> list[Sighting]:
        return [
            self._sighting(turn, track.name, track.side, track.side_score, reading.score, reading,
                           track.memory)
            for track, reading in turn.tracker.update(
                turn.readings, turn.askers, turn.found, turn.lost)
        ]

    def _single(self, turn: _Turn) -> list[Sighting]:
        """Hands of an image on its own. Each box that was given has one, whatever is in it."""
        scored = [(reading, reading.score_alone) for reading in turn.readings]
        if turn.frame.boxes is None:
            if self.options.regions == 'finder':
                scored = [(reading, verdict_found(score, found, turn.lost))
                          for (reading, score), found in zip(scored, turn.found)]
            scored = [(r, score) for r, score in scored if score >= self.options.min_score]
            groups = without_duplicates([reading for reading, _ in scored])
            scored = [scored[group[0]] for group in groups[:self.options.max_hands]]
        count = {'left': 0, 'right': 0}
        sightings = []
        for reading, sure in scored:
            side = reading.side
            count[side] += 1
            right = 1 / (1 + np.exp(-reading.right))
            score = float(right if side == 'right' else 1 - right)
            sightings.append(self._sighting(
                turn, f'{side}_{count[side]}', side, score, sure, reading, HandMemory()))
        return sightings

    def _sighting(self, turn: _Turn, name: str, side: str, side_score: float, score: float,
                  reading: Reading, memory: HandMemory) -> Sighting:
        frame = turn.frame
        return Sighting(
            id=name, side=side, side_score=side_score, score=score, reading=reading, memory=memory,
            image=frame.image, stamp=turn.stamp, camera=frame.camera, depth=frame.depth)


def _load_finder(options: PipelineOptions, device: torch.device) -> Finder:
    return HandFinder.from_file(options.finder_weights, device, **_thoroughness(options))


def _thoroughness(options: PipelineOptions) -> dict[str, bool]:
    """What the options say of how a `HandFinder` searches."""
    return {'small_hands': options.small_hands, 'both_ways': options.views > 1}


def _new_memory(options: PipelineOptions) -> Callable[[], HandMemory]:
    """Makes memories of hands; knows no pipeline, which would then only end with the next search
    for garbage, and its networks with it."""
    return lambda: HandMemory(_smoother(options))


def _smoother(options: PipelineOptions) -> HandSmoother | None:
    return HandSmoother(options.smoothing) if options.smoothing.any else None


def _near_image(box: Sequence[float], image: np.ndarray) -> np.ndarray:
    """The part of a box [x, y, w, h] in the image or up to half of its size beyond it."""
    size = np.array(image.shape[1::-1], dtype=np.float64)
    values = np.asarray(box, dtype=np.float64)
    low = np.clip(values[:2], -0.5 * size, 1.5 * size - 1)
    high = np.clip(values[:2] + values[2:], low + 1, 1.5 * size)
    return np.array([*low, *(high - low)])


def _in_view(crop: Crop, image: np.ndarray) -> bool:
    """Whether a crop and the image share a quarter at least of the area of the smaller of both."""
    size = np.array(image.shape[1::-1], dtype=np.float64)
    low = np.maximum(np.array(crop.centre) - crop.size / 2, 0)
    high = np.minimum(np.array(crop.centre) + crop.size / 2, size)
    return float(np.prod(np.clip(high - low, 0, None))) > 0.25 * min(crop.size ** 2, np.prod(size))
