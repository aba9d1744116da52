"""What a finder takes for hands in training photographs, as examples of no hand.

`python -m hiu_ros.training.false_finds PHOTOS OUT.npy [--also NEAR.npy]` writes patches (N, 160,
160, 3) uint8 BGR for `data.near_misses` and `hiu train-finder --near-misses`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.backgrounds import SIZE, TWO_HANDED_SETS, open_patches, stacked
from hiu_ros.data.photos import Photo, PhotoFolder
from hiu_ros.data.sets.layout import replace_array
from hiu_ros.evaluation.photos import joint_box
from hiu_ros.geometry.crop import Crop
from hiu_ros.output_file import check_output
from hiu_ros.perception.finder import Detection, HandFinder

#: A patch shows a found square so much wider, more than training crops are of their hands: a
#: part of the patch is what is shown.
_SCALE = 1.8
#: Lower than the pipeline's, for more and harder examples.
_THRESHOLD = 0.12


def false_squares(photo: Photo, found: Sequence[Detection]) -> list[np.ndarray]:
    """Found boxes (4,) x, y, w, h whose patches touch no labelled hand."""
    boxes = np.array([joint_box(hand.keypoints_px) for hand in photo.hands])
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    kept = []
    for detection in found:
        margin = (_SCALE - 1) / 2 * detection.box[2:].max()
        start = detection.box[:2] - margin
        end = detection.box[:2] + detection.box[2:] + margin
        if ((end <= low).any(1) | (start >= high).any(1)).all():
            kept.append(detection.box)
    return kept


def labels_are_whole(photo: Photo) -> bool:
    """Whether every hand in a photograph is likely to have a label."""
    return bool(photo.hands) and (len(photo.hands) > 1 or photo.set not in TWO_HANDED_SETS)


def search(folder: PhotoFolder, finder: HandFinder) -> np.ndarray:
    """(N, SIZE, SIZE, 3) false finds of all training photographs whose hands all have labels."""
    patches = []
    photos = [photo for photo in folder.select('train') if labels_are_whole(photo)]
    for photo in tqdm(photos, unit='image', mininterval=5):
        image = folder.read_image(photo)
        for box in false_squares(photo, finder.find(image)):
            crop = Crop.around_box(box, _SCALE, SIZE)
            patches.append(crop.extract(image, 'replicate'))
    return stacked(patches)


def main(arguments: list[str] | None = None) -> None:
    """Search from the command line."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.training.false_finds',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('photos', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--finder', type=Path, help='weights; default: those that ship')
    parser.add_argument('--also', type=Path, help='.npy of patches that are written, too')
    options = parser.parse_args(arguments)
    with in_one_line(parser):
        check_output(options.out)
        also = [open_patches(options.also)] if options.also else []
        for patches in also:  # the search takes long
            if patches.shape[1] != SIZE:
                raise ValueError(f'--also {options.also} holds patches of {patches.shape[1]} '
                                 f'pixels, expected {SIZE}, as of `hiu_ros.data.backgrounds`')
        finder = HandFinder.from_file(options.finder, threshold=_THRESHOLD)
        found = search(PhotoFolder(options.photos), finder)
        every = np.concatenate([found, *also])
        replace_array(options.out, every)
    print(f'{len(found)} false finds, {len(every)} patches in {options.out}')


if __name__ == '__main__':
    main()
