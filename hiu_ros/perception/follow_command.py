"""`hiu follow`: hands of a video, followed, as lines of JSON and drawn in; no ROS needed."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hiu_ros.command_errors import named
from hiu_ros.interrupts import terminated_as_interrupted
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
from hiu_ros.picture_file import SUFFIXES, pictures_in

if TYPE_CHECKING:
    from hiu_ros.perception.picture_source import Picture, Source


def add_follow(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser of `hiu`."""
    parser = subparsers.add_parser(
        'follow', help='hands of a video, without ROS',
        description='Follows the hands of a video, as the node does, and writes keypoints, masks '
        'and meshes: every picture is taken, however long it takes. A hand keeps its id. '
        'Pixels and metres are as `hiu predict` has them.')
    parser.add_argument('video', metavar='VIDEO',
                        help='a video file, or a folder of its pictures, taken in the order of '
                        'their numbers')
    parser.add_argument('--rate', type=float, metavar='HZ',
                        help='pictures a second (default: what the video says, 30 of a folder)')
    parser.add_argument('--json', metavar='OUT',
                        help="results, a line of JSON a picture; '-' for standard output")
    parser.add_argument('--draw', metavar='OUT.mp4',
                        help='write the video with the hands drawn in')
    add_outputs(parser)
    add_pipeline(parser, views=1, max_hands=4)
    parser.add_argument('--smooth', action='store_true',
                        help='one-euro smoothing of keypoints, pose and place')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Follow; 0, or 1 where a part of the video could not be read (the rest is done all the same).

    Interrupted, or ended by SIGTERM, what was written up to then stays.
    """
    check_outputs(options)
    _check_files(options)
    source = _open(options.video)
    if options.rate is not None and not 1 <= options.rate <= 1000:
        raise ValueError(f'--rate is {options.rate:g}, expected 1 to 1000 pictures a second')
    rate = options.rate or source.rate

    from tqdm import tqdm

    from hiu_ros.perception.hand_record import drawn, hand_entries
    from hiu_ros.perception.picture_source import Video
    from hiu_ros.perception.pipeline import Pipeline
    from hiu_ros.perception.smoothing import Smoothing

    pipeline = Pipeline(pipeline_options(
        options, smoothing=Smoothing.usual() if options.smooth else Smoothing()),
        template=hand_template(options))
    make_folders([options.masks, options.meshes, *(
        os.path.dirname(os.path.realpath(path)) for path in (options.json, options.draw)
        if path and not is_stream(path))])
    stem, picture = short_stem(os.path.realpath(options.video)), None
    cameras = Cameras('follow', options.intrinsics)
    video = Video(Path(options.draw), rate) if options.draw else None
    shown, before = None, -1
    try:
        with terminated_as_interrupted(), _lines(options.json) as lines:
            for picture in tqdm(source.pictures, unit='picture', total=source.count, disable=None):
                number = round(picture.time * source.rate)
                height, width = picture.image.shape[:2]
                camera = cameras.of(options.video, width, height, _intrinsics(picture))
                hands = pipeline.process(picture.image, camera, number / rate)
                entry = {'frame': number, 'time': round(number / rate, 6), 'width': width,
                         'height': height,
                         'hands': hand_entries(hands, f'{stem}_{number:06d}', options, pipeline)}
                if lines is not None:
                    with named(options.json):
                        print(json.dumps(entry, allow_nan=False), file=lines, flush=True)
                if video is not None:
                    now = drawn(picture.image, hands, camera, options, pipeline)
                    # In place of what could not be read: all others keep their times.
                    for _ in range(number - before - 1):
                        video.write(now if shown is None else shown)
                    video.write(now)
                    shown, before = now, number
    finally:
        if video is not None:
            video.close()
    if video is not None and video.path != Path(options.draw):
        print(f'hiu follow: OpenCV writes no mp4 here; the video is {video.path}',
              file=sys.stderr)
    if picture is None and not source.skipped:
        raise ValueError(f'{options.video} has no pictures')
    if source.skipped:
        print(f'hiu follow: {source.skipped}', file=sys.stderr)
    return 1 if source.skipped else 0


def _open(video: str) -> 'Source':
    """The pictures of a video; FileNotFoundError or ValueError where it is none."""
    from hiu_ros.perception.picture_source import open_images, open_video

    path = Path(video)
    if path.is_dir():
        files = pictures_in(path)
        if not files:
            raise ValueError(f'folder {path} holds no image ({", ".join(SUFFIXES)})')
        return open_images(path, files)
    if not path.is_file():
        raise FileNotFoundError(f'video {path} does not exist')
    if path.suffix.lower() in SUFFIXES:
        raise ValueError(f'{path} is an image, expected a video or a folder of its pictures; '
                         'the hands of images are found by `hiu predict IMAGE...`')
    return open_video(path)


def _check_files(options: argparse.Namespace) -> None:
    """OSError or ValueError where results would replace a folder or the video, or each other."""
    taken = {os.path.realpath(options.video): 'the video that is read'}
    for option in ('json', 'draw'):
        path = getattr(options, option)
        if not path or is_stream(path) and not os.path.isdir(path):
            continue
        if os.path.isdir(path):
            raise IsADirectoryError(f'--{option} {path} is a folder; name a file')
        if option == 'draw' and not path.endswith('.mp4'):
            raise ValueError(f'--draw {path} names no video; expected a name that ends in .mp4')
        real = os.path.realpath(path)
        if real in taken:
            raise ValueError(f'--{option} {path} would write over {taken[real]}; name another '
                             'file')
        taken[real] = f'what --{option} writes'


def _intrinsics(picture: 'Picture') -> tuple[float, ...] | None:
    """(fx, fy, cx, cy) of a picture whose file brings them along."""
    if picture.info is None:
        return None
    k = picture.info['k']
    return k[0], k[4], k[2], k[5]


@contextmanager
def _lines(path: str | None) -> Iterator[TextIO | None]:
    """What lines are printed to: a file begun anew, standard output, or nothing."""
    if path is None or path == '-':
        yield sys.stdout if path else None
        return
    with named(path):
        file = open(path, 'w', encoding='utf-8')
    with file:
        yield file
