"""Readings of the hand network of which it is known whether they are right: what its `Legibility`
is fitted to.

Hands are followed in parts of rendered videos, so that regions are where a follower cuts them, and
looked for in photographs. What was read of each video is kept, so that long collecting can be
interrupted.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from hiu_ros.data.photos import Photo, PhotoFolder
from hiu_ros.data.renders.sequences import HandSequence
from hiu_ros.data.sets.layout import read_archive
from hiu_ros.evaluation.cut_photos import CutPhotos
from hiu_ros.evaluation.hidden_photos import HiddenPhotos
from hiu_ros.evaluation.photos import UNSEEN_SETS
from hiu_ros.evaluation.tracking import as_seen, camera_of, visible_box
from hiu_ros.geometry.crop import NETWORK_SCALE
from hiu_ros.network.hiu import HIU
from hiu_ros.perception.association import joint_box, overlap
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.finder import HandFinder
from hiu_ros.perception.options import PipelineOptions
from hiu_ros.perception.pipeline import Pipeline
from hiu_ros.perception.reading import Reading
from hiu_ros.perception.result import Hands
from hiu_ros.training.false_finds import labels_are_whole
from hiu_ros.training.harsh import harsh

#: Length of the videos, and of the part that is used, frames.
VIDEO_FRAMES, PART_FRAMES = 300, 75
#: Numbers of hands in the videos, drawn evenly: most faults are where many hands are.
HANDS = (2, 3, 4, 4)
#: Overlap of boxes from which on a reading shows a hand of a video, and a hand that is too hidden
#: to be asked for, so that the reading counts neither way.
_VIDEO, _DOUBTFUL = 0.5, 0.25
#: Videos that are spoilt, photographs that are shown once more spoilt; every so many-th photograph
#: is shown once more with this share of its joints beyond the image, the next one behind a thing.
HARSH_SHARE = 0.4
CUT_EVERY, CUT_SHARE, HIDDEN_SHARE = 2, 0.3, 0.3
#: The same of photographs, whose labels are less exact; and up to which a reading shows none.
_PHOTO, _APART = 0.4, 0.1


@dataclass(frozen=True, eq=False)
class Readings:
    """N readings. inputs: (N, C) of `Legibility`; hand: whether the joints are those of a hand;
    followed: whether the region was that of a followed hand; score: 0..1, what is said of it as
    yet."""

    inputs: np.ndarray
    hand: np.ndarray  #: (N,) bool
    followed: np.ndarray  #: (N,) bool
    score: np.ndarray  #: (N,)

    def __len__(self) -> int:
        return len(self.hand)

    def save(self, path: Path) -> None:
        """Write them by renaming a whole file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        rough = path.with_suffix(f'.{os.getpid()}.part')
        with rough.open('wb') as stream:
            np.savez(stream, **{part.name: getattr(self, part.name) for part in fields(self)})
        rough.replace(path)

    @classmethod
    def read(cls, path: Path) -> 'Readings':
        """What `save` wrote. DataSetError for a damaged file."""
        values = read_archive(path, 'remove it to have it read anew')
        return cls(**{part.name: values[part.name] for part in fields(cls)})

    @classmethod
    def joined(cls, several: Sequence['Readings']) -> 'Readings':
        """All of several; ValueError for none."""
        several = [one for one in several if len(one)]
        return cls(*(np.concatenate([getattr(one, part.name) for one in several])
                     for part in fields(cls)))


class Reader(HandEstimator):
    """An estimator that keeps its last regions and readings, and tells what the network's
    `Legibility` would get of them."""

    def __init__(self, network: HIU, device: torch.device) -> None:
        super().__init__(network, device)
        self.network = network
        self.regions: Sequence[Region] = ()
        self.last: Sequence[Reading] = ()

    def look(self, regions: Sequence[Region]) -> list[Reading]:
        """As `HandEstimator.look`."""
        self.regions, self.last = regions, super().look(regions)
        return self.last

    def inputs(self) -> np.ndarray:
        """(N, C) float16 of the last readings, from their (last) crops."""
        pixels = [replace(reading.crop, mirrored=reading.side == 'left').extract(region.image)
                  for reading, region in zip(self.last, self.regions)]
        kept: list[Tensor] = []
        hook = self.network.regressor.perceptron.register_forward_hook(
            lambda _, heard, said: kept.append(
                torch.cat([heard[0].flatten(1), said.flatten(1)], 1)))
        try:
            for start in range(0, len(pixels), self._largest_batch):
                self._run(np.stack(pixels[start:start + self._largest_batch]))
        finally:
            hook.remove()
        return torch.cat(kept).half().cpu().numpy()


def of_video(reader: Reader, seed: int, finder: HandFinder | None = None) -> Readings:
    """Readings of `PART_FRAMES` frames, anywhere in the video of a seed.

    Hands that are hidden for the most part count neither way. finder: None for the shipped one.
    Some videos are as bad as `training.harsh` makes pictures, from the first frame to the last.
    """
    rng = np.random.default_rng(seed)
    video = HandSequence(seed=seed, hands=int(rng.choice(HANDS)), frames=VIDEO_FRAMES)
    start = int(rng.integers(0, VIDEO_FRAMES - PART_FRAMES))
    spoilt = rng.random() < HARSH_SHARE
    pipeline = Pipeline(PipelineOptions(), estimator=reader, finder=finder)
    camera, size = camera_of(video), [video.width, video.height]
    rows: list[tuple] = []
    for index in range(start, start + PART_FRAMES):
        frame = video.frame(index)
        image = _harsh_frame(frame.image, seed) if spoilt else frame.image
        pipeline.process(image, camera, frame.time)
        truth, _ = as_seen(frame, Hands(video.width, video.height, ()), '', video)
        told: list[tuple] = []
        for reading, region in zip(reader.last, reader.regions):
            box = visible_box(reading.keypoints_px, size)
            best = max(truth, key=lambda hand: overlap(hand.box, box), default=None)
            near = 0.0 if best is None else overlap(best.box, box)
            counts = near < _DOUBTFUL or best.counted
            told.append((near >= _VIDEO, region.passes == 0, reading.score, counts))
        rows += _with_inputs(reader, told)
    return _readings(rows)


def of_photos(reader: Reader, folder: PhotoFolder, count: int, finder: HandFinder,
              seed: int = 21, sets: Sequence[str] | None = None) -> Readings:
    """Readings of about `count` photographs, as many of each set; of the finder's boxes.

    sets: None for those that trainings see and in which every hand is likely to have a label.
    What lies partly on a label counts neither way. Some are shown once more as bad as
    `training.harsh` makes them, and some of one hand cut through by the image's edge or hidden in
    part by a thing.
    """
    pipeline = Pipeline(PipelineOptions(tracking=None), finder=finder, estimator=reader)
    photos, rng = chosen(folder, count, seed, sets), np.random.default_rng(seed)
    changed = (CutPhotos(folder, photos[::CUT_EVERY], CUT_SHARE),
               HiddenPhotos(folder, photos[1::CUT_EVERY], HIDDEN_SHARE))
    rows: list[tuple] = []
    for photo in tqdm(photos, 'photographs', mininterval=5):
        image, boxes = folder.read_image(photo), _boxes(photo)
        rows += _of_image(pipeline, reader, image, boxes)
        if rng.random() < HARSH_SHARE:
            side = NETWORK_SCALE * max(box[2:].max() for box in boxes)
            rows += _of_image(pipeline, reader, harsh(image, rng, side), boxes)
    for some in changed:
        for photo in tqdm(some.photos, 'photographs of hands in part', mininterval=5):
            rows += _of_image(pipeline, reader, some.read_image(photo), _boxes(photo))
    return _readings(rows)


def _boxes(photo: Photo) -> list[np.ndarray]:
    return [joint_box(hand.keypoints_px) for hand in photo.hands]


def _of_image(pipeline: Pipeline, reader: Reader, image: np.ndarray,
              boxes: Sequence[np.ndarray]) -> list[tuple]:
    pipeline.process(image)
    told = []
    for reading in reader.last:
        best = max(overlap(box, joint_box(reading.keypoints_px)) for box in boxes)
        told.append((best >= _PHOTO, False, reading.score, best >= _PHOTO or best < _APART))
    return _with_inputs(reader, told)


def _harsh_frame(image: np.ndarray, seed: int) -> np.ndarray:
    """A frame of a video that is spoilt in one way all along, at the size its hands have."""
    return harsh(image, np.random.default_rng(seed), len(image) / 3)


def chosen(folder: PhotoFolder, count: int, seed: int,
           sets: Sequence[str] | None = None) -> list[Photo]:
    """About `count` photographs for `of_photos`."""
    photos = [photo for photo in folder.select('train') if labels_are_whole(photo)
              and (photo.set not in UNSEEN_SETS if sets is None else photo.set in sets)]
    names = sorted({photo.set for photo in photos})
    rng = np.random.default_rng(seed)
    result = []
    for name in names:
        ours = [photo for photo in photos if photo.set == name]
        rng.shuffle(ours)
        result += ours[:count // len(names)]
    return result


def _with_inputs(reader: Reader, told: Sequence[tuple]) -> list[tuple]:
    """Rows of `Readings` of the last look; told: (hand, followed, score, whether it counts)."""
    if not told:
        return []
    return [(inputs, *row[:3]) for inputs, row in zip(reader.inputs(), told) if row[3]]


def _readings(rows: Sequence[tuple]) -> Readings:
    columns = list(zip(*rows)) or [(), (), (), ()]
    return Readings(np.array(columns[0], np.float16), np.array(columns[1], bool),
                    np.array(columns[2], bool), np.array(columns[3], np.float32))
