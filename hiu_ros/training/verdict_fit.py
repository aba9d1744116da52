"""The numbers of `perception.verdict`: fitted to readings of which the truth is known.

`python -m hiu_ros.training.verdict_fit --cache DIR --photos DIR` follows hands in rendered
videos and searches photographs of the sets that trainings see, keeps every reading of the network
with what it turned out to be, and fits a logistic regression. Of photographs it also tells how
many are believed with the finder's score and without. To be run again for new weights.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from tqdm import tqdm

from hiu_ros.data.photos import PhotoFolder
from hiu_ros.evaluation.bench_command import cache_folder
from hiu_ros.evaluation.bench_runs import VIDEO_FRAMES, Bench
from hiu_ros.evaluation.photos import UNSEEN_SETS
from hiu_ros.evaluation.tracking import as_seen, camera_of, visible_box
from hiu_ros.network import checkpoint
from hiu_ros.perception import verdict
from hiu_ros.perception.association import joint_box, overlap
from hiu_ros.perception.estimator import HandEstimator, Reading
from hiu_ros.perception.finder import Detection, HandFinder
from hiu_ros.perception.options import PipelineOptions, hand_weights
from hiu_ros.perception.pipeline import Pipeline, choose_device
from hiu_ros.perception.result import Hands
from hiu_ros.training.false_finds import labels_are_whole

#: Seeds of the videos; none is one of the bench or of the videos that choices are made on.
SEEDS = (600, 700, 800, 900, 1000)
#: The finder's threshold on photographs: more of what is no hand than it lets through otherwise.
_THRESHOLD = 0.12
#: Overlap of boxes from which on a reading shows a hand of a video, of a photograph (whose labels
#: are less exact), and up to which it shows none of a photograph.
_VIDEO, _PHOTO, _APART = 0.5, 0.4, 0.1
#: What a reading of a photograph counts, next to one of a video.
_PHOTO_WEIGHT = 2.0
#: Odds from which on a reading is to be believed: even ones would let too much through.
_WANTED = 1.5


class Recording(HandEstimator):
    """An estimator that keeps its last readings."""

    last: Sequence[Reading] = ()

    def look(self, regions) -> list[Reading]:
        """As `HandEstimator.look`."""
        self.last = super().look(regions)
        return self.last


class Listing(HandFinder):
    """A finder that keeps what it found last."""

    last: Sequence[Detection] = ()

    def find(self, image: np.ndarray) -> list[Detection]:
        """As `HandFinder.find`."""
        self.last = super().find(image)
        return self.last


@dataclass(frozen=True, eq=False)
class Readings:
    """values: (N, 3) as `verdict.evidence`; hand: (N,) bool, a hand is shown; weight: (N,)."""

    values: np.ndarray
    hand: np.ndarray
    weight: np.ndarray


def of_videos(bench: Bench, seeds: Sequence[int], estimator: Recording) -> Iterator[tuple]:
    """(values, hand, weight) of each reading of videos of three and four hands.

    Hands that are hidden for the most part count neither way.
    """
    for seed, count in [(seed, count) for seed in seeds for count in (3, 4)]:
        video = bench.video(seed=seed + count - 1, hands=count, frames=VIDEO_FRAMES)
        pipeline = Pipeline(PipelineOptions(
            device=bench.device, finder_weights=bench.finder_weights), estimator=estimator)
        camera, size = camera_of(video), [video.width, video.height]
        for frame in tqdm(video, f'video {seed}_{count}', VIDEO_FRAMES, mininterval=5):
            pipeline.process(frame.image, camera, frame.time)
            truth, _ = as_seen(frame, Hands(video.width, video.height, ()), 'video', video)
            for reading in estimator.last:
                box = visible_box(reading.keypoints_px, size)
                best = max(truth, key=lambda hand: overlap(hand.box, box), default=None)
                near = best is not None and overlap(best.box, box) >= _VIDEO
                if not near or best.counted:
                    yield _evidence(reading), near, 1.0


def of_photos(folder: PhotoFolder, count: int, finder: Listing, estimator: Recording,
              seed: int = 11) -> Iterator[tuple]:
    """(values, hand, weight, alone, found) of each reading of `count` photographs.

    As many of each set. alone: its `verdict.verdict_alone`; found: the finder's score of it.
    """
    pipeline = Pipeline(PipelineOptions(tracking=None), finder=finder, estimator=estimator)
    photos = [photo for photo in folder.select('train')
              if labels_are_whole(photo) and photo.set not in UNSEEN_SETS]
    names = sorted({photo.set for photo in photos})
    rng = np.random.default_rng(seed)
    chosen = []
    for name in names:
        ours = [photo for photo in photos if photo.set == name]
        rng.shuffle(ours)
        chosen += ours[:count // len(names)]
    for photo in tqdm(chosen, 'photos', mininterval=5):
        pipeline.process(folder.read_image(photo))
        for reading, detection in zip(estimator.last, finder.last):
            best = max(overlap(joint_box(hand.keypoints_px), joint_box(reading.keypoints_px))
                       for hand in photo.hands)
            if best >= _PHOTO or best < _APART:
                yield (_evidence(reading), best >= _PHOTO, _PHOTO_WEIGHT, reading.score_alone,
                       detection.score)


def _evidence(reading: Reading) -> np.ndarray:
    return verdict.evidence(reading.presence, reading.keypoint_scores, reading.right)


def fit(readings: Readings) -> np.ndarray:
    """(4,) weights of `verdict.evidence` and the rest, with even odds at 0."""
    inputs = np.column_stack([readings.values, np.ones(len(readings.hand))])
    sign = np.where(readings.hand, 1.0, -1.0)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        odds = sign * (inputs @ weights)
        value = (readings.weight * np.logaddexp(0, -odds)).sum() + 1e-3 * (weights ** 2).sum()
        slope = -readings.weight * sign / (1 + np.exp(np.clip(odds, -50, 50)))
        return value, inputs.T @ slope + 2e-3 * weights

    return minimize(loss, np.zeros(inputs.shape[1]), jac=True).x


def main(arguments: list[str] | None = None) -> None:
    """Print the numbers, and how well they and those of now tell hands from the rest."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.training.verdict_fit',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('--cache', type=Path, default=cache_folder(), help='rendered videos')
    parser.add_argument('--photos', type=Path, help='folder with labels.jsonl')
    parser.add_argument('--count', type=int, default=550, help='photographs')
    parser.add_argument('--seeds', type=int, nargs='+', default=list(SEEDS), help='of videos')
    parser.add_argument('--weights', help='hand network (default: the shipped)')
    parser.add_argument('--finder-weights', help='finder (default: the shipped)')
    parser.add_argument('--device', default='auto')
    a = parser.parse_args(arguments)
    bench = Bench(a.cache, a.weights, a.finder_weights, a.device)
    device = choose_device(a.device)
    estimator = Recording(checkpoint.load(hand_weights(a.weights), device).fuse(), device)
    rows = list(of_videos(bench, a.seeds, estimator))
    if a.photos:
        finder = Listing.from_file(a.finder_weights, device, threshold=_THRESHOLD)
        photos = list(of_photos(PhotoFolder(a.photos), a.count, finder, estimator))
        rows += [row[:3] for row in photos]
    readings = Readings(*map(np.array, zip(*rows)))
    weights = fit(readings)
    weights[-1] -= np.log(_WANTED)
    print(f'{len(rows)} readings, {readings.hand.mean():.3f} of them of hands')
    names = ('PRESENCE', 'SHARPNESS', 'SIDE', 'REST')
    now = np.array([getattr(verdict, name) for name in names])
    for title, numbers in (('fitted', weights), ('as it is', now)):
        said = readings.values @ numbers[:-1] + numbers[-1] > 0
        print(f'{title}: ' + ', '.join(f'{n} = {v:.2f}' for n, v in zip(names, numbers)),
              f'| {_believed(said, readings.hand)}')
    if a.photos:
        hand, alone, found = (np.array([row[k] for row in photos]) for k in (1, 3, 4))
        both = np.array([verdict.verdict_found(*scores) for scores in zip(alone, found)])
        print(f'photographs on their own, FOUND = {verdict.FOUND}, '
              f'FOUND_REST = {verdict.FOUND_REST}: {_believed(both > 0.5, hand)}')
        print(f'the same without the finder: {_believed(alone > 0.5, hand)}')


def _believed(said: np.ndarray, hand: np.ndarray) -> str:
    """How many of the hands (N,) bool, and of what is none, are said to be one."""
    return (f'hands believed {said[hand].mean():.4f} of {hand.sum()}, '
            f'other things {said[~hand].mean():.4f} of {(~hand).sum()}')


if __name__ == '__main__':
    main()
