"""The second round of labels: the network labels what the teacher missed or got wrong.

`python -m hiu_ros.training.relabel PHOTOS CACHE OUT` looks at the training photographs. A hand
that the finder is sure of and no label explains is `missed`; a label that the network
contradicts, or that no hand fits, is `doubtful`. The network's own labels take their place only
where all views, the mirrored picture, the mask and a fitted mesh agree (`training.agreement`); a
doubtful label without such a one is dropped where the network is sure of itself, else kept.

    OUT/looked.jsonl     what was seen of each photograph; an interrupted run goes on after them
    OUT/looked_with.json which weights, finder and cache saw it: others need another folder
    OUT/labels.jsonl     the new labels; `python -m hiu_ros.data.photo_cache PHOTOS MORE --labels
                         OUT/labels.jsonl` makes a cache of them for `data.more_photos`
    OUT/dropped.npy      rows of CACHE that are not to be trained on, for `data.dropped`
    OUT/statistics.json  how many were kept, dropped and changed, and why
    OUT/*.jpg            some of each kind: green the label, red the network
"""

import argparse
import hashlib
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.photo_cache import check_cache, read_labels
from hiu_ros.data.photos import LabelledHand, Photo, PhotoFolder, label_line
from hiu_ros.data.sets.layout import replace_text
from hiu_ros.evaluation.photos import joint_box
from hiu_ros.geometry.crop import Crop
from hiu_ros.network import checkpoint
from hiu_ros.perception.association import overlap
from hiu_ros.perception.estimator import HandEstimator, Region
from hiu_ros.perception.finder import HandFinder
from hiu_ros.perception.options import FINDER_WEIGHTS, HIU_WEIGHTS, hand_weights
from hiu_ros.picture_file import write_picture
from hiu_ros.training.agreement import Witness, mesh_faults
from hiu_ros.training.pictures import skeleton
from hiu_ros.training.validation import UNSEEN, palm_px

#: Palm lengths between label and network from which a label is doubtful.
DOUBTFUL = 0.3
#: Trust in a label below which it is.
LEAST_TRUST = 0.4
#: Finder's score from which a find without a label is asked about. Among those of 0.3 to 0.5 that
#: the network then agreed on was an orange box on a door, as often as it was in the pictures.
LEAST_FOUND = 0.5
#: Faults of a mesh, not of the views.
MESH_FAULTS = ('fit', 'mask')
#: Share of a found box that may overlap a labelled hand's.
_APART = 0.05
_TILE = 150


def unexplained(photo: Photo, found: list[np.ndarray]) -> list[np.ndarray]:
    """Found boxes [x, y, w, h] that touch no labelled hand to speak of."""
    boxes = [joint_box(hand.keypoints_px) for hand in photo.hands]
    return [box for box in found if all(overlap(box, own) <= _APART for own in boxes)]


@dataclass(frozen=True, eq=False)
class Asked:
    """A hand that was asked about. photo: its number; row: of the label in the cache, -1 for a
    hand without one; the rest as in `Opinion`, with the mesh's fault."""

    photo: int
    row: int
    side: str
    side_score: float
    keypoints_px: np.ndarray
    keypoints_m: np.ndarray
    fault: str

    def values(self) -> dict:
        """Plain values for JSON."""
        return {**vars(self), 'keypoints_px': self.keypoints_px.tolist(),
                'keypoints_m': self.keypoints_m.tolist()}

    @classmethod
    def of(cls, values: dict) -> 'Asked':
        """Inverse of `values`."""
        return cls(**{name: np.array(value) if name.startswith('keypoints') else value
                      for name, value in values.items()})


class Relabelling:
    """Looks at photographs, one at a time."""

    def __init__(self, folder: PhotoFolder, labels: dict[str, np.ndarray],
                 estimator: HandEstimator, finder: HandFinder) -> None:
        self.folder, self.labels = folder, labels
        self._estimator, self._finder, self._witness = estimator, finder, Witness(estimator)
        self._rows: dict[int, list[int]] = {}
        for row, photo in enumerate(labels['photo']):
            self._rows.setdefault(int(photo), []).append(row)

    def look_at(self, index: int) -> list[Asked]:
        """Ask about the hands of one photograph that call for it."""
        photo = self.folder.photos[index]
        image = self.folder.read_image(photo)
        boxes = [detection.box for detection in self._finder.find(image)
                 if detection.score >= LEAST_FOUND]
        asked = [(-1, self._witness.opinion(image, box)) for box in unexplained(photo, boxes)]
        rows = self._rows.get(index, [])
        for row, distance in zip(rows, self._distances(photo, image, rows)):
            if distance > DOUBTFUL or self.labels['trust'][row] < LEAST_TRUST:
                box = joint_box(photo.hands[self.labels['hand'][row]].keypoints_px)
                asked.append((row, self._witness.opinion(image, box)))
        agreed = [k for k, (_, one) in enumerate(asked) if not one.fault]
        faults = dict(zip(agreed, mesh_faults([asked[k][1] for k in agreed])))
        return [Asked(index, row, one.side, one.side_score, one.keypoints_px, one.keypoints_m,
                      one.fault or faults[k]) for k, (row, one) in enumerate(asked)]

    def _distances(self, photo: Photo, image: np.ndarray, rows: list[int]) -> np.ndarray:
        if not rows:
            return np.zeros(0)
        points = np.stack([photo.hands[self.labels['hand'][row]].keypoints_px for row in rows])
        regions = [Region(image, self._estimator.crop_around(p), 'right' if side else 'left')
                   for p, side in zip(points, self.labels['side'][rows])]
        seen = np.stack([reading.keypoints_px for reading in self._estimator.look(regions)])
        return np.linalg.norm(seen - points, axis=-1).mean(axis=1) / np.maximum(
            palm_px(points), 1.0)


def verdict(photo: Photo, one: Asked, labels: dict[str, np.ndarray]) -> str:
    """What becomes of it: 'added' or 'refused FAULT' for a missed hand; 'changed', 'dropped',
    'confirmed' or 'kept FAULT' for a doubtful label."""
    if one.row < 0:
        return f'refused {one.fault}' if one.fault else 'added'
    own = photo.hands[labels['hand'][one.row]].keypoints_px
    away = np.linalg.norm(one.keypoints_px - own, axis=1).mean() / max(
        float(palm_px(own[None])[0]), 1.0)
    if away <= DOUBTFUL and labels['trust'][one.row] >= LEAST_TRUST:
        return 'confirmed'
    if not one.fault:
        return 'changed'
    # The network is sure of itself, but not as a mesh: neither is to be learned from.
    return 'dropped' if one.fault in MESH_FAULTS else f'kept {one.fault}'


def picture(image: np.ndarray, one: Asked, label: np.ndarray | None, words: str) -> np.ndarray:
    """A tile with both hands drawn in."""
    crop = Crop.around_keypoints(one.keypoints_px if label is None else label, 1.8, _TILE)
    tile = crop.extract(image)
    for points, colour in ((label, (0, 220, 0)), (one.keypoints_px, (0, 0, 255))):
        if points is not None:
            tile = skeleton(tile, crop.to_crop(points), colours=[colour] * 5)
    cv2.putText(tile, words, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1, cv2.LINE_AA)
    return tile


def write_sheets(out: Path, folder: PhotoFolder, labels: dict[str, np.ndarray],
                 asked: list[Asked], what: list[str]) -> None:
    """A contact sheet of up to 40 of each kind."""
    for kind in sorted({word.split()[0] for word in what}):
        chosen = [k for k, word in enumerate(what) if word.split()[0] == kind]
        chosen = np.random.default_rng(0).permutation(chosen)[:40]
        tiles = []
        for k in chosen:
            one = asked[k]
            photo = folder.photos[one.photo]
            label = None if one.row < 0 else photo.hands[labels['hand'][one.row]].keypoints_px
            tiles.append(picture(folder.read_image(photo), one, label, what[k]))
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 10)
        rows = [np.hstack(tiles[i:i + 10]) for i in range(0, len(tiles), 10)]
        write_picture(out / f'{kind}.jpg', np.vstack(rows))


def look(work: Relabelling, photos: list[int], path: Path) -> list[Asked]:
    """Look at all photographs (by number) that `path` does not tell of, and note them there."""
    seen: dict[int, list[Asked]] = {}
    if path.exists():
        text = path.read_text(encoding='utf-8')
        whole = text.rpartition('\n')[0]
        if not text.endswith('\n'):  # killed within a line
            replace_text(path, whole + '\n' if whole else '')
        for text in whole.splitlines():
            note = json.loads(text)
            seen[note['photo']] = [Asked.of(values) for values in note['asked']]
    todo = [index for index in photos if index not in seen]
    with path.open('a', encoding='utf-8') as notes:
        for index in tqdm(todo, unit='image', mininterval=5):
            seen[index] = work.look_at(index)
            notes.write(json.dumps({'photo': index, 'asked': [
                one.values() for one in seen[index]]}) + '\n')
            notes.flush()
    return [one for index in photos for one in seen[index]]


def keep_apart(out: Path, weights: Path, finder: Path, labels: dict[str, np.ndarray]) -> None:
    """Note in a folder what its photographs are looked at with; ValueError where it holds what was
    seen with other weights, another finder or another cache.

    A folder without a note is taken to be of these.
    """
    rows = hashlib.sha256()
    for name in ('files', 'photo', 'hand', 'trust'):
        rows.update(np.asarray(labels[name]).tobytes())
    own = {'weights': hashlib.sha256(weights.read_bytes()).hexdigest(),
           'finder': hashlib.sha256(finder.read_bytes()).hexdigest(), 'cache': rows.hexdigest()}
    note = out / 'looked_with.json'
    if note.exists():
        try:
            before = dict(json.loads(note.read_text()))
        except (TypeError, ValueError):
            before = {}
        others = [name for name, value in own.items() if before.get(name) != value]
        if others:
            told = ', another '.join(others)
            raise ValueError(f'{out} holds what was seen with another {told}; remove it, or give '
                             'another folder')
    out.mkdir(parents=True, exist_ok=True)
    replace_text(note, json.dumps(own, indent=1) + '\n')


def main(arguments: list[str] | None = None) -> None:
    """Relabel from the command line."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.training.relabel',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path)
    parser.add_argument('cache', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--weights', type=Path, default=HIU_WEIGHTS)
    parser.add_argument('--finder', type=Path, help='weights; default: those that ship')
    parser.add_argument('--threads', type=int, default=0)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with in_one_line(parser):
        counts = relabel(options)
    print(json.dumps(counts, indent=1))


def relabel(arguments: argparse.Namespace) -> dict[str, int]:
    """Look at all training photographs and write what came of it; returns how many of each."""
    folder, labels = PhotoFolder(arguments.photos), read_labels(arguments.cache)
    check_cache(arguments.cache, folder)
    weights = hand_weights(arguments.weights)
    estimator = HandEstimator(checkpoint.load(weights).fuse())
    work = Relabelling(folder, labels, estimator, HandFinder.from_file(arguments.finder))
    some = [index for index, photo in enumerate(folder)
            if photo.split == 'train' and photo.set not in UNSEEN]
    keep_apart(arguments.out, weights, arguments.finder or FINDER_WEIGHTS, labels)
    asked = look(work, some, arguments.out / 'looked.jsonl')
    what = [verdict(folder.photos[one.photo], one, labels) for one in asked]
    new: dict[int, list[LabelledHand]] = {}
    for one, word in zip(asked, what):
        if word in ('added', 'changed'):
            new.setdefault(one.photo, []).append(LabelledHand(
                one.side, one.side_score, one.keypoints_px, one.keypoints_m))
    text = ''.join(label_line(replace(folder.photos[index], hands=tuple(hands))) + '\n'
                   for index, hands in new.items())
    (arguments.out / 'labels.jsonl').write_text(text, encoding='utf-8')
    gone = [one.row for one, word in zip(asked, what) if word in ('changed', 'dropped')]
    np.save(arguments.out / 'dropped.npy', np.array(gone, np.int64))
    counts = {'photographs': len(some), 'labels': int((labels['split'] == 0).sum()),
              **dict(sorted(Counter(what).items()))}
    (arguments.out / 'statistics.json').write_text(json.dumps(counts, indent=1) + '\n')
    write_sheets(arguments.out, folder, labels, asked, what)
    return counts


if __name__ == '__main__':
    main()
