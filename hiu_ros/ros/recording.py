"""What the demo leaves behind: a bag of every topic, an annotated video and a contact sheet."""

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hiu_ros.picture_file import write_picture

#: Pictures of a contact sheet: columns, rows, and the width of one, px.
SHEET = (4, 4, 480)


class Bag:
    """An MCAP file of serialised messages, with their definitions, as Foxglove wants it."""

    def __init__(self, path: Path) -> None:
        """Replace what is at `path`, a file name that ends in .mcap."""
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        self._path = path
        # The writer makes a folder; its one file is moved to `path` in the end.
        self._folder = path.parent / f'.{path.stem}.part' / path.stem
        _remove(self._folder.parent)
        self._folder.parent.mkdir(parents=True)
        distribution = f'ROS2_{os.environ.get("ROS_DISTRO", "kilted").upper()}'
        self._types = get_typestore(getattr(Stores, distribution, Stores.LATEST))
        for name, text in _definitions().items():
            self._types.register(get_types_from_msg(text, name))
        self._writer = Writer(self._folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Any] = {}
        self.counts: dict[str, int] = {}

    def write(self, topic: str, kind: str, nanoseconds: int, data: bytes) -> None:
        """Append a message of a type like 'sensor_msgs/msg/Image'."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._types
            )
        self._writer.write(self._connections[topic], nanoseconds, data)
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def close(self) -> None:
        """Finish the file; where nothing was written, what was there before stays."""
        self._writer.close()
        if self.counts:
            next(self._folder.glob('*.mcap')).replace(self._path)
        _remove(self._folder.parent)


def _definitions() -> dict[str, str]:
    """Type name -> definition of our own messages, as they were built."""
    from ament_index_python.packages import get_package_share_directory

    folder = Path(get_package_share_directory('hiu_ros')) / 'msg'
    return {f'hiu_ros/msg/{file.stem}': file.read_text(encoding='utf-8')
            for file in sorted(folder.glob('*.msg'))}


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.exists():
        folder.rmdir()


class Sheet:
    """A contact sheet: pictures spread evenly over all that were offered, each with its number."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, np.ndarray]] = []
        self._step, self._offered = 1, 0

    def offer(self, picture: np.ndarray) -> None:
        """Keep the picture if its turn has come; never more than twice what fits is kept."""
        if self._offered % self._step == 0:
            # One as high as a strip would make every row of the sheet so.
            scale = min(SHEET[2] / picture.shape[1], 2 * SHEET[2] / picture.shape[0])
            size = tuple(max(1, round(scale * side)) for side in picture.shape[1::-1])
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            self._kept.append((self._offered, small))
            if len(self._kept) >= 2 * SHEET[0] * SHEET[1]:
                self._kept, self._step = self._kept[::2], 2 * self._step
        self._offered += 1

    def save(self, path: Path) -> None:
        """Write the sheet, if anything was offered."""
        if not self._kept:
            return
        columns, rows, width = SHEET
        chosen = np.unique(
            np.linspace(0, len(self._kept) - 1, min(columns * rows, len(self._kept))).round()
        ).astype(int)
        height = max(self._kept[k][1].shape[0] for k in chosen)
        lines = -(-len(chosen) // columns)
        sheet = np.zeros((lines * height, columns * width, 3), np.uint8)
        for place, k in enumerate(chosen):
            number, picture = self._kept[k]
            y, x = place // columns * height, place % columns * width
            sheet[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
            cv2.putText(sheet, str(number), (x + 6, y + height - 8), cv2.FONT_HERSHEY_SIMPLEX,
                        0.5, (255, 255, 255), 1, cv2.LINE_AA)
        write_picture(path, sheet)
