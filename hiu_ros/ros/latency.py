"""How long hands take from an image: `python -m hiu_ros.ros.latency` prints the README's table.

The real node in a process of its own gets a rendered clip over DDS, each picture after the answer
to the one before, in several sizes, and every output has a reader. Time runs from publishing the
image to receiving `hands`. `--into README.md` also writes the table into that file.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from hiu_ros.perception.picture_source import Picture, SourceError, pinhole
from hiu_ros.ros.children import run_with_children, start
from hiu_ros.ros.demo import NAMESPACE, node_command, rendered_clip
from hiu_ros.ros.machine import machine
from hiu_ros.ros.player import Player
from hiu_ros.ros.sources import open_source

SIZES = ((640, 480), (1280, 720), (1920, 1080))
#: Answers before this one are warm-up.
WARM = 3
#: A row of the table needs so many answers.
ENOUGH = 5
#: A load from which the machine counts as busy with other things; the node makes some itself.
LOADED = 1.5 + 0.5 * len(os.sched_getaffinity(0))
#: The table stands between these lines.
MARKS = ('<!-- latency -->', '<!-- /latency -->')


def fitted(picture: Picture, width: int, height: int) -> Picture:
    """A picture cut and scaled to a size, with its K."""
    image = picture.image
    scale = max(width / image.shape[1], height / image.shape[0])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    y, x = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    info = picture.info
    if info is not None:
        k = np.diag((scale, scale, 1.0)) @ np.array(info['k']).reshape(3, 3)
        k[:2, 2] += 0.5 * (scale - 1) - np.array([x, y])
        info = pinhole(width, height, k)
    return Picture(np.ascontiguousarray(image[y:y + height, x:x + width]), picture.time, info)


def measure(player: Player, pictures: Sequence[Picture], offset: float) -> dict[int, list[float]]:
    """Hands in view -> seconds from image to hands; `offset` keeps stamps rising."""
    times: dict[int, list[float]] = {}
    for index, picture in enumerate(pictures):
        moved = Picture(picture.image, offset + picture.time, picture.info)
        answer = player.ask(moved)
        if answer.ids is not None and index >= WARM:
            times.setdefault(len(answer.ids), []).append(answer.latency)
    return times


def row(size: tuple[int, int], hands: int, times: Sequence[float]) -> str:
    """A line of the table."""
    ms = 1000 * np.array(times)
    return (f'| {size[0]} x {size[1]} | {hands} | {np.median(ms):.0f} | '
            f'{np.percentile(ms, 95):.0f} | {len(ms)} |')


def commit() -> str:
    """The commit that the figures belong to, with a mark where the tree differs from it."""
    if not shutil.which('git'):
        return 'no commit'
    done = subprocess.run(['git', 'describe', '--always', '--dirty'], text=True,
                          capture_output=True, cwd=Path(__file__).parent)
    return done.stdout.strip() or 'no commit'


def around_table(path: Path) -> tuple[str, str]:
    """A text file up to its first mark and from its second on; ValueError where they are missing.

    OSError where it cannot be read or written.
    """
    with path.open('r+', encoding='utf-8') as stream:
        text = stream.read()
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise ValueError(f'{path} has no lines {MARKS[0]} and {MARKS[1]}')
    return before + begin, end + after


def write_into(path: Path, table: str) -> None:
    """Put the table between the marks of a text file; errors as of `around_table`."""
    before, after = around_table(path)
    path.write_text(f'{before}\n{table}\n{after}', encoding='utf-8')


def run(options: argparse.Namespace, process: list[subprocess.Popen]) -> int:
    """Measure and print; SourceError where that gives no row, and nothing is written then."""
    if options.into:
        around_table(Path(options.into))
    clip = options.clip or str(rendered_clip(Path('out')))
    pictures = list(islice(open_source(clip).pictures, options.frames))
    if len(pictures) < WARM + ENOUGH:
        raise SourceError(f'{clip} has {len(pictures)} pictures, expected {WARM + ENOUGH} at '
                          f'least: the first {WARM} are warm-up, and a row needs {ENOUGH}')
    process.append(start(node_command(options.param)))
    rows = []
    with Player(NAMESPACE, process[0], lambda *message: None) as player:
        player.wait_until_ready()
        for number, size in enumerate(SIZES):
            times = measure(player, [fitted(p, *size) for p in pictures], 100.0 * (number + 1))
            rows += [row(size, hands, times[hands]) for hands in sorted(times)
                     if len(times[hands]) >= ENOUGH]
    if not rows:
        raise SourceError(f'of no number of hands in view came {ENOUGH} answers, as a row needs; '
                          'give a longer clip, or more --frames')
    table = '\n'.join([
        f'{machine()}; commit {commit()}; {len(pictures)} pictures a size', '',
        '| image | hands in view | median, ms | 95 %, ms | frames |',
        '| --- | --- | --- | --- | --- |', *rows])
    load = os.getloadavg()[0]
    if load > LOADED:
        table += (f'\n\nThe machine did other things meanwhile (load {load:.1f}): these figures '
                  'are too high.')
    print(table)
    if options.into:
        write_into(Path(options.into), table)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the latency table."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.ros.latency', description='From image to hands, in milliseconds.')
    parser.add_argument('--frames', type=int, default=150, help='pictures a size')
    parser.add_argument('--clip', metavar='FILE', help='default: out/clip.mp4, rendered once')
    parser.add_argument('--into', metavar='FILE', help='a text to write the table into')
    parser.add_argument('-p', '--param', action='append', default=[], metavar='NAME:=VALUE',
                        help='parameter of the node')
    options = parser.parse_args(arguments)
    if options.frames < WARM + ENOUGH:
        parser.error(f'--frames must be at least {WARM + ENOUGH}, got {options.frames}: the first '
                     f'{WARM} are warm-up, and a row needs {ENOUGH}')
    return run_with_children('latency', lambda processes: run(options, processes), (ValueError,))


if __name__ == '__main__':
    sys.exit(main())
