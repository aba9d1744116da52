"""`hiu predict`: hands of image files as JSON, masks, meshes and pictures; no ROS needed."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hiu_ros.command_errors import named
from hiu_ros.perception.boxes_file import in_image, read_boxes
from hiu_ros.perception.command_options import (
    Cameras,
    add_outputs,
    add_pipeline,
    check_outputs,
    hand_template,
    is_stream,
    make_folders,
    pipeline_options,
    short_stem,
)
from hiu_ros.picture_file import SUFFIXES, check_folder, pictures_in, write_picture

#: Images that go through the networks together.
_BATCH = 8
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
    parser.add_argument('--draw', metavar='DIR', help='write the images with the hands drawn in')
    add_outputs(parser)
    add_pipeline(parser, views=4, max_hands=8)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Predict; 0, or 1 where an image could not be read (the others are done all the same)."""
    check_outputs(options)
    check_folder('draw', options.draw)
    files = image_files(options.images)
    if options.json:
        _check_json(options.json, options.boxes, files)
    boxes = None if options.boxes is None else read_boxes(options.boxes, files)

    from tqdm import tqdm

    from hiu_ros.perception.pipeline import Pipeline

    names = _Names()
    if options.draw:
        _keep_images(files, [os.path.join(options.draw, f'{names.stem(file)}.jpg')
                             for file in files])
    pipeline = Pipeline(pipeline_options(
        options, regions='finder' if boxes is None else 'boxes', tracking=None),
        template=hand_template(options))
    folders = [options.masks, options.meshes, options.draw]
    if options.json and not is_stream(options.json):
        folders.append(os.path.dirname(os.path.realpath(options.json)))
    make_folders(folders)
    entries, unreadable = [], []
    cameras = Cameras('predict', options.intrinsics)
    with tqdm(total=len(files), unit='image', disable=None if len(files) > 3 else True) as bar:
        for start in range(0, len(files), _BATCH):
            part = files[start:start + _BATCH]
            for file, image, hands in _hands(pipeline, part, boxes, cameras):
                if image is None:
                    unreadable.append(file)
                    entries.append({'file': file, 'width': 0, 'height': 0, 'hands': []})
                    cure = ('; the hands of a video are followed by `hiu follow VIDEO`'
                            if file.lower().endswith(_VIDEOS) else '')
                    tqdm.write(f'hiu predict: {file} is no image that can be read{cure}',
                               file=sys.stderr)
                else:
                    entries.append(_written(file, image, hands, cameras, pipeline, options, names))
            bar.update(len(part))
    if options.json:
        _write_json({'images': entries}, options.json)
    if unreadable:
        print(f'hiu predict: {len(unreadable)} of {len(files)} images could not be read',
              file=sys.stderr)
    return 1 if unreadable else 0


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
    pipeline: Any, files: Sequence[str], boxes: dict | None, cameras: Cameras
) -> Iterator[tuple[str, Any, Any]]:
    """File, image (None if it cannot be read) and hands, from one batch."""
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
        camera = cameras.of(file, image.shape[1], image.shape[0])
        frames.append(Frame(image, camera, boxes=None if boxes is None else boxes[file]))
    hands = iter(pipeline.process_many(frames))
    for file, image in zip(files, images):
        yield file, image, None if image is None else next(hands)


class _Names:
    """File names that are used once: images of different folders may share a name."""

    def __init__(self) -> None:
        self._stems: dict[str, str] = {}

    def stem(self, file: str) -> str:
        """The image's own stem, with a number behind it where it is taken by another image.

        No longer than leaves room for what is added to it in the name of a file.
        """
        stem, count = short_stem(file), 1
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


def _written(file, image, hands, cameras, pipeline, options, names: _Names) -> dict[str, Any]:
    """The entry of an image; its masks, meshes and picture are written on the way."""
    from hiu_ros.perception.hand_record import drawn, hand_entries

    stem = names.stem(file)
    entry = {'file': file, 'width': hands.width, 'height': hands.height,
             'hands': hand_entries(hands, stem, options, pipeline)}
    if options.draw:
        camera = cameras.of(file, hands.width, hands.height)
        write_picture(os.path.join(options.draw, f'{stem}.jpg'),
                      drawn(image, hands, camera, options, pipeline))
    return entry


def _write_json(result: dict[str, Any], path: str) -> None:
    text = json.dumps(result, allow_nan=False)
    if path == '-':
        print(text)
    elif is_stream(path):
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
