"""`hiu data check`: what a data set on disk holds, and whether it can be read."""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hiu_ros.output_file import check_output
from hiu_ros.picture_file import check_folder, write_picture

#: Bones are drawn in a colour for each finger, BGR.
_COLOURS = ((80, 80, 255), (60, 200, 255), (80, 220, 80), (255, 180, 60), (255, 90, 200))
#: 2D and 3D labels that disagree by more than this under the camera matrix are told.
_MOST_DISAGREEMENT_PX = 2.0
#: Lengths, m, that 3D labels of hands are told beyond: half and twice what hands have.
_SHORTEST_M, _LONGEST_M = 0.04, 0.6
#: Keypoints from the wrist to the tip of the middle finger.
_LENGTHWISE = (0, 9, 10, 11, 12)
_TILE = 256


def add_data(subparsers) -> None:
    """Add the `data` subcommand with its own subcommand `check`."""
    parser = subparsers.add_parser('data', help='look at data sets')
    actions = parser.add_subparsers(dest='action', metavar='ACTION', required=True)
    check = actions.add_parser(
        'check', help='count samples and labels, read some, draw some',
        description='Check that a data set can be read; say in one sentence what is missing.',
    )
    check.add_argument('path', type=Path, metavar='PATH', help='root folder of the data set')
    check.add_argument('--dataset', metavar='NAME', help='which one; found out if left out')
    check.add_argument('--split', help='one split; all that are there if left out')
    check.add_argument('--read', type=int, default=50, metavar='N',
                       help='read the images and masks of so many samples')
    check.add_argument('--draw', type=Path, metavar='DIR',
                       help='draw the labels of the samples that are read, one picture each')
    check.add_argument('--json', type=Path, metavar='OUT', help='write the counts there')
    check.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand: 0 where there are samples and every part can be read, else 1."""
    from hiu_ros.data.sets.folder import ImageFolder
    from hiu_ros.data.sets.layout import DataSetError
    from hiu_ros.data.sets.registry import DATA_SETS, detect, open_data_set, splits

    if arguments.read < 0:
        raise ValueError(f'--read {arguments.read}: expected a number of samples')
    check_folder('draw', arguments.draw and str(arguments.draw))
    if arguments.json:
        check_output(arguments.json)
    name = arguments.dataset or detect(arguments.path)
    wanted = [arguments.split] if arguments.split else splits(name)
    reports, missing = [], []
    for split in wanted:
        try:
            data = open_data_set(name, arguments.path, split)
        except DataSetError as error:
            missing.append(str(error))
            continue
        draw = arguments.draw / split if arguments.draw else None
        report = check_split(data, arguments.read, draw)
        reports.append({'dataset': name, 'split': split, **report})
        _tell(reports[-1])
    if missing and not arguments.dataset and name == ImageFolder.name:
        missing = [f'{arguments.path} holds neither a data set that is known here '
                   f'({", ".join(one for one in DATA_SETS if one != name)}) nor an image; name '
                   'the root folder of one']
    for sentence in dict.fromkeys(missing):  # splits may lack the same file
        print(sentence)
    if arguments.json:
        arguments.json.write_text(json.dumps(
            {'splits': reports, 'missing': missing}, indent=1) + '\n')
    faults = any(report['faults'] for report in reports)
    found = any(report['samples'] for report in reports)
    if reports and not found:
        print(f'{arguments.path} has no samples in {", ".join(r["split"] for r in reports)}: its '
              'labels tell of nothing')
    return 0 if found and not faults and not (missing and arguments.split) else 1


def check_split(data: Sequence, read: int = 50, draw: Path | None = None) -> dict:
    """Counts of a data set's samples, labels and faults; `read` samples, evenly spread, in full.

    Labels and sides are counted over the samples that are read. disagreement_px: median distance
    of the 2D keypoints from the projected 3D ones, where both and the camera are labelled.
    """
    chosen = np.unique(np.linspace(0, len(data) - 1, min(read, len(data))).round().astype(int))
    labels, sides, sizes = Counter(), Counter(), Counter()
    faults, apart, lengths = [], [], []
    good = 0
    for index in chosen:
        try:
            sample = data[int(index)]
            image, mask = sample.read_image(), sample.read_mask()
            if mask is not None and mask.shape != image.shape[:2]:
                raise ValueError(f'{sample.source}: the mask is {mask.shape[::-1]} pixels, the '
                                 f'image {image.shape[1::-1]}')
        except (RuntimeError, ValueError, OSError) as error:
            faults.append(str(error))
            continue
        good += 1
        labels.update(sample.labels)
        sides[sample.side or 'unknown'] += 1
        sizes[f'{image.shape[1]} x {image.shape[0]}'] += 1
        distance = _disagreement(sample)
        if distance is not None:
            apart.append(distance)
        if sample.keypoints_m is not None and sample.valid_m[list(_LENGTHWISE)].all():
            bones = np.diff(sample.keypoints_m[list(_LENGTHWISE)], axis=0)
            lengths.append(np.linalg.norm(bones, axis=1).sum())
        if draw:
            _draw(sample, image, mask, draw / f'{index:06d}.png')
    report = {
        'samples': len(data), 'read': good, 'labels': dict(labels), 'sides': dict(sides),
        'sizes': dict(sizes.most_common(5)), 'faults': faults,
    }
    if apart:
        report['disagreement_px'] = float(np.median(apart))
        if report['disagreement_px'] > _MOST_DISAGREEMENT_PX:
            faults.append(f'2D and 3D keypoints disagree by {report["disagreement_px"]:.1f} px '
                          'under the camera matrix, in the median')
    if lengths and not _SHORTEST_M < np.median(lengths) < _LONGEST_M:
        faults.append(f'3D keypoints are not in metres: hands are {np.median(lengths):.3g} long '
                      'from wrist to middle fingertip, in the median')
    return report


def _disagreement(sample) -> float | None:
    if sample.camera is None or sample.keypoints_m is None or sample.keypoints_px is None:
        return None
    both = sample.labelled_px & sample.valid_m & (sample.keypoints_m[:, 2] > 0)
    if sample.root_relative or not both.any():
        return None
    image = sample.keypoints_m[both] @ sample.camera.T
    projected = image[:, :2] / image[:, 2:]
    return float(np.linalg.norm(projected - sample.keypoints_px[both], axis=1).mean())


def _draw(sample, image: np.ndarray, mask: np.ndarray | None, path: Path) -> None:
    """The hand's surroundings, enlarged, with bones, occluded joints hollow, mask and box."""
    import cv2

    from hiu_ros.geometry.crop import Crop
    from hiu_ros.hand.skeleton import BONES

    box = sample.box
    if sample.keypoints_px is not None and sample.labelled_px.sum() > 1:
        box = sample.joint_box()
    if box is None:
        height, width = image.shape[:2]
        box = np.array([0, 0, width, height]) / 1.5
        box[:2] = [width / 6, height / 6]
    crop = Crop.around_box(box, 1.5, 2 * _TILE)
    picture = crop.extract(image)
    if mask is not None:
        outline = crop.extract(mask, nearest=True)
        contours, _ = cv2.findContours(outline, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, contours, -1, (255, 255, 255), 1, cv2.LINE_AA)
    if sample.keypoints_px is not None:
        points = np.round(crop.to_crop(sample.keypoints_px)).astype(int)
        known = sample.labelled_px
        for number, (child, parent) in enumerate(BONES):
            if known[child] and known[parent]:
                cv2.line(picture, points[child].tolist(), points[parent].tolist(),
                         _COLOURS[number // 4], 2, cv2.LINE_AA)
        for point, code, there in zip(points, sample.visibility, known):
            if there:
                cv2.circle(picture, point.tolist(), 4, (255, 255, 255),
                           cv2.FILLED if code == 0 else 1, cv2.LINE_AA)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, picture)


def _tell(report: dict) -> None:
    read = report['read']
    print(f'{report["dataset"]} {report["split"]}: {report["samples"]} samples, {read} read')
    if read:
        names = [name if count == read else f'{name} ({count} of {read})'
                 for name, count in sorted(report['labels'].items())]
        print('  labels: ' + (', '.join(names) or 'none'))
        print('  sides: ' + _counts(report['sides']) + '; sizes: ' + _counts(report['sizes']))
    if 'disagreement_px' in report:
        print(f'  2D and projected 3D keypoints: {report["disagreement_px"]:.2f} px apart')
    for fault in report['faults'][:5]:
        print(f'  fault: {fault}')
    if len(report['faults']) > 5:
        print(f'  and {len(report["faults"]) - 5} more faults')


def _counts(counts: dict[str, int]) -> str:
    return ', '.join(f'{count} {name}' for name, count in counts.items())
