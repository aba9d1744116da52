"""`hiu predict`: hands of image files as JSON, masks, meshes and pictures; no ROS needed."""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hiu_ros.command_errors import named
from hiu_ros.perception.boxes_file import in_image, read_boxes
from hiu_ros.picture_file import SUFFIXES, check_folder, pictures_in, write_picture

#: Images that go through the networks together.
_BATCH = 8
#: Bytes of an image's name that go into the names of its masks and pictures.
_LONGEST_STEM = 200
_VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


def add_predict(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser of `hiu`."""
    parser = subparsers.add_parser(
        'predict', help='hands of image files, without ROS',
        description='Finds the hands of images, each on its own, and writes keypoints, masks and '
        'meshes. Pixels are those of the full image, upright by its EXIF orientation, with '
        'centres at integers. Metres have the axes of the camera optical frame (x right, y down, '
        'z forward) and the wrist at the origin; translation_m is the wrist from the camera, '
        'null without --intrinsics.')
    parser.add_argument('images', nargs='+', metavar='IMAGE',
                        help='image files, or folders whose images are taken, sorted')
    parser.add_argument('--json', metavar='OUT', help="results; '-' for standard output")
    parser.add_argument('--boxes', metavar='BOXES.json',
                        help='{"file": [[x, y, w, h], ...], ...}: look there, find nothing else')
    parser.add_argument('--masks', metavar='DIR', help='write a full-size PNG (0 / 255) a hand')
    parser.add_argument('--meshes', metavar='DIR', help='write a mesh a hand')
    parser.add_argument('--mesh-format', default='npz', choices=('npz', 'obj'),
                        help='of --meshes: npz (arrays vertices, faces) for programs, obj for '
                        'mesh viewers')
    parser.add_argument('--draw', metavar='DIR', help='write the images with the hands drawn in')
    parser.add_argument('--draw-mesh', action='store_true', help='draw the meshes, too')
    parser.add_argument('--intrinsics', nargs=4, type=float, metavar=('FX', 'FY', 'CX', 'CY'),
                        help='pinhole camera of all images, pixels: hands get a place in metres')
    parser.add_argument('--hand-length', type=float, metavar='M',
                        help='wrist to middle finger tip along the bones, if it is known')
    parser.add_argument('--weights', metavar='FILE', help='hand network, or hiu_lite, the smaller '
                        'and faster one that ships (default: the larger one)')
    parser.add_argument('--finder-weights', metavar='FILE', help='finder (default: the shipped)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda, cuda:1, ...')
    parser.add_argument('--views', type=int, default=4, metavar='N',
                        help='looks at each hand that are averaged, 1 to 6 (default: '
                        '%(default)s); 1 is fastest')
    parser.add_argument('--detail', default='fast', choices=('fast', 'render'),
                        help='mesh of about 777 or of 1609 vertices')
    parser.add_argument('--max-hands', type=int, default=8, metavar='N',
                        help='hands of an image at most (default: %(default)s)')
    parser.add_argument('--min-score', type=float, default=0.5, metavar='P',
                        help='score from which a region counts as a hand (default: %(default)s)')
    parser.add_argument('--small-hands', action='store_true',
                        help='search parts of the image, too; slower')
    parser.add_argument('--mirrored', action='store_true',
                        help='the images are mirrored (selfie cameras)')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict; 0, or 1 where an image could not be read (the others are done all the same)."""
    if not (options.json or options.masks or options.meshes or options.draw):
        raise ValueError('nothing to write: give --json OUT, --masks, --meshes or --draw')
    if options.draw_mesh and options.mirrored:
        raise ValueError('--draw-mesh cannot go with --mirrored: meshes are of the world, and the '
                         'picture is of the mirror')
    if options.draw_mesh and not options.draw:
        raise ValueError('--draw-mesh needs --draw DIR, which names the folder of the pictures')
    if options.mesh_format != 'npz' and not options.meshes:
        raise ValueError('--mesh-format needs --meshes DIR, which names the folder of the meshes')
    files = image_files(options.images)
    if options.json:
        _check_json(options.json, options.boxes, files)
    for option in ('masks', 'meshes', 'draw'):
        check_folder(option, getattr(options, option))
    boxes = None if options.boxes is None else read_boxes(options.boxes, files)

    from tqdm import tqdm

    from hiu_ros.perception.options import PipelineOptions
    from hiu_ros.perception.pipeline import Pipeline

    names = _Names()
    if options.draw:
        _keep_images(files, [os.path.join(options.draw, f'{names.stem(file)}.jpg')
                             for file in files])
    with _as_given():
        chosen = PipelineOptions(
            weights=options.weights, finder_weights=options.finder_weights, device=options.device,
            regions='finder' if boxes is None else 'boxes', tracking=None,
            max_hands=options.max_hands, min_score=options.min_score, detail=options.detail,
            hand_length_m=options.hand_length, small_hands=options.small_hands,
            mirrored_input=options.mirrored, views=options.views)
    pipeline = Pipeline(chosen)
    folders = [options.masks, options.meshes, options.draw]
    if options.json and not _is_stream(options.json):
        folders.append(os.path.dirname(os.path.realpath(options.json)))
    for folder in folders:
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                raise PermissionError(f'no permission to write into {folder}; name another folder')
    entries, unreadable, doubts = [], [], set()
    with tqdm(total=len(files), unit='image', disable=None if len(files) > 3 else True) as bar:
        for start in range(0, len(files), _BATCH):
            part = files[start:start + _BATCH]
            for file, image, hands in _hands(pipeline, part, boxes, options.intrinsics, doubts):
                if image is None:
                    unreadable.append(file)
                    entries.append({'file': file, 'width': 0, 'height': 0, 'hands': []})
                    cure = ('; the hands of a video are followed by `make demo SOURCE=VIDEO`'
                            if file.lower().endswith(_VIDEOS) else '')
                    tqdm.write(f'hiu predict: {file} is no image that can be read{cure}',
                               file=sys.stderr)
                else:
                    entries.append(_written(file, image, hands, pipeline, options, names))
            bar.update(len(part))
    if options.json:
        _write_json({'images': entries}, options.json)
    if unreadable:
        print(f'hiu predict: {len(unreadable)} of {len(files)} images could not be read',
              file=sys.stderr)
    return 1 if unreadable else 0


@contextmanager
def _as_given() -> Iterator[None]:
    """Name an option of the pipeline in an error as it is on the command line."""
    try:
        yield
    except ValueError as error:
        words = re.sub(r'PipelineOptions\.(\w+?)(_m)? is',
                       lambda name: f'--{name[1].replace("_", "-")} is', str(error))
        raise ValueError(words.removesuffix(' or None')) from error


def image_files(paths: Sequence[str]) -> list[str]:
    """The image files of paths as given; folders give the images below them, sorted.

    Raises FileNotFoundError for what is not there and ValueError for a folder without images.
    """
    files: list[str] = []
    for path in paths:
        if os.path.isdir(path):
            found = [str(file) for file in pictures_in(path, below=True)]
            if not found:
                raise ValueError(f'folder {path} holds no image ({", ".join(SUFFIXES)})')
            files += found
        elif os.path.isfile(path):
            files.append(path)
        else:
            raise FileNotFoundError(f'image {path} does not exist')
    return files


def _hands(
    pipeline: Any, files: Sequence[str], boxes: dict | None, intrinsics: Sequence[float] | None,
    doubts: set[str],
) -> Iterator[tuple[str, Any, Any]]:
    """File, image (None if it cannot be read) and hands, from one batch.

    doubts: what was said on standard error of the intrinsics; each is said once.
    """
    from hiu_ros.geometry.camera import Camera
    from hiu_ros.perception.frame import Frame
    from hiu_ros.perception.image_file import read_image

    images = [read_image(file) for file in files]
    for file, image in zip(files, images):
        for box in [] if boxes is None or image is None else boxes[file]:
            if not in_image(box, image):
                print(f'hiu predict: box {box} of {file} holds no pixel of the {image.shape[1]} x '
                      f'{image.shape[0]} image; boxes are [x, y, w, h] in pixels', file=sys.stderr)
    frames = []
    for file, image in zip(files, images):
        if image is None:
            continue
        camera = None
        if intrinsics is not None:
            camera = Camera(*intrinsics, image.shape[1], image.shape[0])
            doubt = camera.doubt()
            if doubt and doubt not in doubts:
                doubts.add(doubt)
                print(f'hiu predict: --intrinsics are hardly those of {file}: {doubt}'
                      f'{_other_order(camera)}', file=sys.stderr)
        frames.append(Frame(image, camera, boxes=None if boxes is None else boxes[file]))
    hands = iter(pipeline.process_many(frames))
    for file, image in zip(files, images):
        yield file, image, None if image is None else next(hands)


def _other_order(camera: Any) -> str:
    """What to say of doubtful intrinsics that would fit in another usual order."""
    fx, fy, cx, cy = given = (camera.fx, camera.fy, camera.cx, camera.cy)
    for order, read in (('CX CY FX FY', (cx, cy, fx, fy)), ('FX CX FY CY', (fx, cx, fy, cy))):
        if min(read) > 0 and not type(camera)(*read, camera.width, camera.height).doubt():
            numbers = ' '.join(f'{value:g}' for value in given)
            return f'; they go FX FY CX CY, and {numbers} looks like {order}'
    return ''


class _Names:
    """File names that are used once: images of different folders may share a name."""

    def __init__(self) -> None:
        self._stems: dict[str, str] = {}

    def stem(self, file: str) -> str:
        """The image's own stem, with a number behind it where it is taken by another image.

        No longer than leaves room for what is added to it in the name of a file.
        """
        stem, count = os.fsdecode(os.fsencode(Path(file).stem)[:_LONGEST_STEM]), 1
        while self._stems.setdefault(name := stem + (f'-{count}' if count > 1 else ''),
                                     file) != file:
            count += 1
        return name


def _keep_images(files: Sequence[str], pictures: Sequence[str]) -> None:
    """ValueError where a picture that will be written is one of the images that are read."""
    read = {os.path.realpath(file): file for file in files}
    for picture in pictures:
        if os.path.realpath(picture) in read:
            raise ValueError(f'--draw would write over the image '
                             f'{read[os.path.realpath(picture)]}; name another folder')


def _check_json(path: str, boxes: str | None, files: Sequence[str]) -> None:
    """OSError or ValueError where results would replace a folder, an image or the boxes."""
    if os.path.isdir(path):
        raise IsADirectoryError(f'--json {path} is a folder; name a file')
    if path.lower().endswith(SUFFIXES) or os.path.realpath(path) in map(
            os.path.realpath, [*files, *([boxes] if boxes else [])]):
        raise ValueError(f'--json {path} names an image or the boxes; behind --json goes the file '
                         'to write the results to, such as hands.json')


def _written(file, image, hands, pipeline, options, names: _Names) -> dict[str, Any]:
    """The entry of an image; its masks, meshes and picture are written on the way."""
    from hiu_ros.perception.drawing import draw
    from hiu_ros.perception.masks import full_mask
    from hiu_ros.perception.mesh_file import write_mesh

    stem = names.stem(file)
    entry = {'file': file, 'width': hands.width, 'height': hands.height, 'hands': []}
    for hand in hands:
        mask = mesh = None
        if options.masks:
            mask = os.path.join(options.masks, f'{stem}_{hand.id}.png')
            write_picture(mask, full_mask(hand.mask, hand.mask_origin, hands.width, hands.height))
        if options.meshes:
            mesh = os.path.join(options.meshes, f'{stem}_{hand.id}.{options.mesh_format}')
            write_mesh(mesh, hand.vertices_m, pipeline.faces[hand.side])
        entry['hands'].append(hand_entry(hand, mask, mesh))
    if options.draw:
        camera = None
        if options.intrinsics:
            from hiu_ros.geometry.camera import Camera
            camera = Camera(*options.intrinsics, hands.width, hands.height)
        shown = draw(image, hands, camera,
                     pipeline.faces if options.draw_mesh else None)
        write_picture(os.path.join(options.draw, f'{stem}.jpg'), shown)
    return entry


def hand_entry(hand: Any, mask: str | None = None, mesh: str | None = None) -> dict[str, Any]:
    """A `Hand` as plain values for JSON; the keys are what other people's scripts rely on."""
    place = hand.translation_m
    return {
        'id': hand.id,
        'side': hand.side,
        'side_score': round(float(hand.side_score), 4),
        'score': round(float(hand.score), 4),
        'box': _numbers(hand.box, 2),
        'keypoints_px': _numbers(hand.keypoints_px, 3),
        'keypoint_scores': _numbers(hand.keypoint_scores, 4),
        'keypoints_m': _numbers(hand.keypoints_m, 6),
        'translation_m': None if place is None else _numbers(place, 6),
        'pose': _numbers(hand.pose, 6),
        'shape': _numbers(hand.shape, 6),
        'mask': mask,
        'mesh': mesh,
    }


def _numbers(values: Any, digits: int) -> list:
    import numpy as np

    return np.round(np.asarray(values, dtype=np.float64), digits).tolist()


def _write_json(result: dict[str, Any], path: str) -> None:
    text = json.dumps(result, allow_nan=False)
    if path == '-':
        print(text)
    elif _is_stream(path):
        with named(path):
            Path(path).write_text(text + '\n', encoding='utf-8')
    else:
        target = Path(os.path.realpath(path))
        part = target.with_name(target.name + '.part')
        try:
            with named(path):
                part.write_text(text + '\n', encoding='utf-8')
                os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)


def _is_stream(path: str) -> bool:
    """Whether a path is '-', a pipe or a device: what is written to and cannot be replaced."""
    return path == '-' or os.path.exists(path) and not os.path.isfile(path)
