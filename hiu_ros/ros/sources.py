"""Pictures to play: a video file, a camera, a folder of images or a bag, all read alike."""

import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hiu_ros.perception.picture_source import (
    USUAL_RATE,
    Picture,
    Source,
    SourceError,
    frames,
    open_images,
    open_video,
)
from hiu_ros.picture_file import SUFFIXES, pictures_in
from hiu_ros.ros.images import decode, decode_compressed

BAGS = ('.bag', '.db3', '.mcap')
#: Words in the names of image topics of a bag that are no camera's.
NOT_CAMERAS = ('depth', 'label', 'mask', 'annotated')
#: OpenCV takes no larger number for a camera's.
_LAST_CAMERA = 2**31 - 1
#: Pictures of a bag that its rate is measured on.
RATED = 60


def open_source(what: str) -> Source:
    """The source that a path or a camera number names; SourceError where there is none."""
    number = what.removeprefix('/dev/video')
    if number.isdecimal() and int(number) <= _LAST_CAMERA:
        return _camera(int(number))
    path = Path(os.path.expanduser(what))  # Path's own raises for a user who is not there
    if not path.exists():
        raise SourceError(f'{what} does not exist; expected a video file, a camera number, a '
                          'folder of images or a bag')
    if path.suffix in BAGS or (path / 'metadata.yaml').is_file():
        return _bag(path)
    if path.is_dir():
        return _folder(path)
    # OpenCV's videos know neither how a picture is turned nor its bits.
    return open_images(path, [path]) if path.suffix.lower() in SUFFIXES else open_video(path)


def camera_info(message: Any) -> dict[str, Any]:
    """The `info` of a CameraInfo of ROS 1 or 2, as a bag's reader gives it."""
    info: dict[str, Any] = {name: getattr(message, name) for name in (
        'width', 'height', 'distortion_model', 'binning_x', 'binning_y')}
    for name in 'dkrp':
        values = getattr(message, name if hasattr(message, name) else name.upper())
        info[name] = [float(value) for value in values]
    info['roi'] = {name: getattr(message.roi, name) for name in (
        'x_offset', 'y_offset', 'width', 'height', 'do_rectify')}
    return info


def _camera(number: int) -> Source:
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        raise SourceError(f'camera {number} cannot be opened; is /dev/video{number} there?')
    rate = capture.get(cv2.CAP_PROP_FPS)

    def pictures() -> Iterator[Picture]:
        yield from frames(capture, None)
        raise SourceError(f'camera {number} gives no more pictures; is it still plugged in?')

    return Source(f'camera {number}', pictures(),
                  rate if 1.0 <= rate <= 1000.0 else USUAL_RATE, live=True)


def _folder(path: Path) -> Source:
    files = pictures_in(path)
    bags = sorted(file for file in path.iterdir() if file.suffix in BAGS)
    if not files and bags:
        raise SourceError(f'{path} has no metadata.yaml, as where a recording was cut off; give '
                          f'{bags[0]}, or call `ros2 bag reindex {path}`')
    if not files:
        raise SourceError(f'{path} holds no images ({", ".join(SUFFIXES)}) and is no bag')
    return open_images(path, files)


def _bag(path: Path) -> Source:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise SourceError(f'{path} is a bag, and reading it takes: pip install rosbags') from None
    try:
        reader = AnyReader([path], default_typestore=get_typestore(Stores.LATEST))
        reader.open()
    except Exception as error:
        mcap = path.suffix == '.mcap' or path.is_dir() and any(path.glob('*.mcap'))
        cure = '; `mcap recover` mends a recording that was cut off' if mcap else ''
        raise SourceError(f'{path} is not a bag that can be read: {error}{cure}') from None
    kinds = {'sensor_msgs/msg/Image': decode, 'sensor_msgs/msg/CompressedImage': decode_compressed}
    of_images = [c for c in reader.connections if c.msgtype in kinds]
    colour = [c for c in of_images if not any(
        word in c.topic.lower() for word in NOT_CAMERAS)]
    if not colour:
        reader.close()
        others = ', '.join(sorted({c.topic for c in of_images}))
        but = (f' of a camera: the names of {others} tell of another kind '
               f'({", ".join(NOT_CAMERAS)})') if others else ''
        raise SourceError(f'{path} holds no topic of sensor_msgs/Image or CompressedImage{but}')
    # One that was recorded, and /camera/image_raw rather than what was made of it.
    chosen = min(colour, key=lambda c: (
        not c.msgcount, 'image' not in c.topic, len(c.topic), c.topic))
    # A driver that was started again has a connection of its own each time.
    images = [c for c in colour if (c.topic, c.msgtype) == (chosen.topic, chosen.msgtype)]
    space = chosen.topic.removesuffix('/compressed').rpartition('/')[0]
    infos = [c for c in reader.connections if c.topic == f'{space}/camera_info']

    source = Source(f'{path.name} {chosen.topic}', iter(()), _rate(reader, images),
                    sum(c.msgcount for c in images))

    def pictures() -> Iterator[Picture]:
        info, first = _first_info(reader, infos), None
        for connection, stamp, data in _messages(reader, [*images, *infos], path):
            try:
                message = reader.deserialize(data, connection.msgtype)
                if connection.topic != chosen.topic:
                    info = camera_info(message)
                    continue
                image = kinds[chosen.msgtype](message)
            except Exception as error:
                source.skip(error)
                continue
            first = stamp if first is None else first
            yield Picture(image, 1e-9 * (stamp - first), info)

    source.pictures = pictures()
    return source


def _first_info(reader: Any, connections: list[Any]) -> dict[str, Any] | None:
    """What pictures have that were recorded just before the first camera_info."""
    with suppress(Exception):  # a damage is told of where playing gets to it
        for connection, _, data in reader.messages(connections) if connections else ():
            return camera_info(reader.deserialize(data, connection.msgtype))
    return None


def _rate(reader: Any, connections: list[Any]) -> float:
    """How fast the first pictures follow each other, Hz."""
    stamps = []
    with suppress(Exception):  # a damage is told of where playing gets to it
        stamps += (stamp for _, stamp, _ in islice(reader.messages(connections), RATED))
    usual = 1e-9 * float(np.median(np.diff(stamps))) if len(stamps) > 1 else 0.0
    return min(max(1.0 / usual, 1.0), 120.0) if usual > 0 else USUAL_RATE


def _messages(reader: Any, connections: list[Any], path: Path) -> Iterator[tuple]:
    """The messages of a bag that is open; it is closed behind them."""
    try:
        yield from reader.messages(connections=connections)
    except Exception as error:
        # Of the storage: sqlite's, zstd's, mcap's.
        raise SourceError(f'{path} is damaged: {error}') from None
    finally:
        reader.close()
