"""The demo: the real node in a process of its own, pictures into it and hands out of it by DDS.

`python -m hiu_ros.ros.demo [--source FILE|CAMERA|FOLDER|BAG] [--out out]` plays every picture at
the node's own pace and keeps what comes back: out/annotated.mp4, out/contact_sheet.png and
out/hiu.mcap (every topic; images as JPEG). Then it plays the last pictures again at their own
rate, without waiting, and measures how old the answers are.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hiu_ros.perception.picture_source import Source, SourceError, Video
from hiu_ros.picture_file import check_folder
from hiu_ros.ros.children import run_with_children, start
from hiu_ros.ros.player import Player
from hiu_ros.ros.process import ROSArgumentsError
from hiu_ros.ros.recording import Bag, Sheet
from hiu_ros.ros.sources import open_source

NAMESPACE = '/hiu_demo'
#: Pictures that are played again, at their own rate.
REPLAY = 90
#: Parameters of the node with which it never hears what is played.
UNHEARD = ('autostart', 'cameras', 'compressed')
#: A camera is watched for so long unless told otherwise, s.
CAMERA_SECONDS = 20


def node_command(parameters: Sequence[str]) -> list[str]:
    """The command line of the node: the very one that `ros2 run` starts."""
    return [sys.executable, '-m', 'hiu_ros.ros.node', *ros_arguments(parameters)]


def check_heard(parameters: Sequence[str]) -> None:
    """ROSArgumentsError for one of UNHEARD."""
    for name in (parameter.partition(':=')[0] for parameter in parameters):
        if name in UNHEARD:
            raise ROSArgumentsError(f'-p {name}: here the node starts by itself, with one camera '
                                    'without a name and images that are not compressed')


def ros_arguments(parameters: Sequence[str]) -> list[str]:
    """Namespace, clock and parameters of the demo's node; ROSArgumentsError as `check_heard`."""
    check_heard(parameters)
    image = f'qos_overrides.{NAMESPACE}/image.subscription'
    own = [
        'use_sim_time:=true', 'marker_rate:=0.0', 'annotated_rate:=0.0',
        f'{image}.reliability:=reliable', *parameters,
    ]
    arguments = ['--ros-args', '-r', f'__ns:={NAMESPACE}', '-r', f'/clock:={NAMESPACE}/clock']
    return arguments + [word for parameter in own for word in ('-p', parameter)]


def rendered_clip(out: Path) -> Path:
    """The default source: a clip that the project renders, made once."""
    clip = out / 'clip.mp4'
    if not clip.is_file() or not clip.with_suffix('.json').is_file():
        print(f'Rendering a clip of moving hands to {clip} (once)', flush=True)
        out.mkdir(parents=True, exist_ok=True)
        part = out / 'clip_part.mp4'
        done = subprocess.run([
            sys.executable, '-W', 'ignore::UserWarning', '-m', 'hiu_ros.data.renders.sequences',
            str(part), '--frames', '150',
        ], stdout=subprocess.DEVNULL, start_new_session=True)  # Ctrl-C ends it by way of us
        if done.returncode:
            raise SourceError('the clip could not be rendered; see above')
        part.with_suffix('.json').replace(clip.with_suffix('.json'))
        part.replace(clip)
    return clip


class Tally:
    """What was seen, frame by frame; `damage` is where a source could not be read on."""

    def __init__(self) -> None:
        self.damage: SourceError | None = None
        self.frames = self.with_hands = self.lost = 0
        self.ids: Counter[str] = Counter()
        self.latencies: list[float] = []

    def add(self, ids: Sequence[str] | None, latency: float) -> None:
        """A frame's hands, or None where no answer came."""
        self.frames += 1
        if ids is None:
            self.lost += 1
            return
        self.with_hands += bool(ids)
        self.ids.update(ids)
        self.latencies.append(latency)


def play(source: Source, player: Player, out: Path, limit: int | None) -> tuple[Tally, deque]:
    """Every picture, each after the answer to the one before; the files are written meanwhile."""
    tally, again = Tally(), deque(maxlen=REPLAY)
    video, sheet = Video(out / 'annotated.mp4', source.rate), Sheet()
    count = min(source.count or limit or sys.maxsize, limit or sys.maxsize)
    pictures = islice(source.pictures, limit) if limit else source.pictures
    bar = tqdm(pictures, total=count if count < sys.maxsize else None, unit='frame',
               desc=source.name, mininterval=0.5 if sys.stderr.isatty() else 5.0)
    try:
        for picture in bar:
            answer = player.ask(picture)
            tally.add(answer.ids, answer.latency)
            shown = picture.image if answer.annotated is None else answer.annotated
            video.write(shown)
            sheet.offer(shown)
            again.append(picture)
            bar.set_postfix_str(f'{len(answer.ids or ())} hands, {1000 * answer.latency:.0f} ms',
                                refresh=False)
    except KeyboardInterrupt:
        print('\nInterrupted; what was played so far is kept.')
        again.clear()
    except SourceError as error:
        tally.damage = error
    finally:
        bar.close()
        video.close()
        sheet.save(out / 'contact_sheet.png')
    tally.video = video.path
    return tally, again


def report(tally: Tally, free: dict, seconds: float, out: Path, bag: Bag) -> dict:
    """Print what was seen; the same numbers go to out/summary.json."""
    answered = max(tally.frames - tally.lost, 1)
    latency = 1000 * np.array(tally.latencies or [np.nan])
    summary = {
        'frames': tally.frames, 'frames_with_hands': tally.with_hands, 'unanswered': tally.lost,
        'hands': dict(tally.ids), 'frames_per_second': round(answered / max(seconds, 1e-6), 2),
        'latency_median_ms': round(float(np.median(latency)), 1),
        'latency_p95_ms': round(float(np.percentile(latency, 95)), 1), 'free_running': free,
        'topics': bag.counts,
    }
    (out / 'summary.json').write_text(json.dumps(summary, indent=1))
    share = 100 * tally.with_hands / answered
    print(f'\nFrames       {tally.frames}, hands in {tally.with_hands} of them ({share:.1f} %)'
          + (f', {tally.lost} without an answer' if tally.lost else ''))
    for name, count in tally.ids.most_common(12):
        print(f'             {name} in {count} frames')
    print(f'Rate         {summary["frames_per_second"]} frames/s, one after the other')
    print(f'Latency      {summary["latency_median_ms"]} ms median, {summary["latency_p95_ms"]} ms '
          '95 %, image published to hands received')
    if free:
        print(f'At {free["rate"]:.0f} Hz     {free["answered"]} of {free["sent"]} images used ('
              f'always the newest), {free["latency_median_ms"]} ms median, '
              f'{free["latency_p95_ms"]} ms 95 %')
    print(f'Video        {tally.video}\nPictures     {out / "contact_sheet.png"}\n'
          f'Bag          {out / "hiu.mcap"} ({len(bag.counts)} topics; open it in Foxglove)')
    return summary


def run(
    options: argparse.Namespace, command: Sequence[str], process: list[subprocess.Popen]
) -> int:
    """The demo against the node that `command` starts."""
    check_folder('out', options.out)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    source = open_source(options.source or str(rendered_clip(out)))
    limit = options.frames
    if source.live and not limit:
        limit = round(CAMERA_SECONDS * source.rate)
    bag = Bag(out / 'hiu.mcap')
    print('Starting the node', flush=True)
    process.append(start(command))
    try:
        with Player(NAMESPACE, process[0], bag.write) as player:
            player.wait_until_ready()
            begin = time.monotonic()
            tally, again = play(source, player, out, limit)
            seconds, free = time.monotonic() - begin, {}
            with suppress(KeyboardInterrupt):  # all is played; the report follows
                # Diagnostics come once a second: a clip shorter than that waits for one.
                while '/diagnostics' not in bag.counts and time.monotonic() - begin < 3.0:
                    time.sleep(0.05)
                free = player.free_run(again, source.rate) if again else {}
    finally:
        bag.close()
    if not tally.frames:
        raise tally.damage or SourceError(
            f'{source.name} has no pictures' + (f': {source.skipped}' if source.skipped else ''))
    if source.skipped:
        print(f'\n{source.skipped}')
    report(tally, free, seconds, out, bag)
    if tally.damage:
        raise tally.damage
    return 0 if tally.lost < tally.frames else 1


def main(
    arguments: Sequence[str] | None = None, command: Sequence[str] | None = None
) -> int:
    """Command line of the demo; `command` starts another node than the real one (tests)."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.ros.demo',
        description='Hands in a clip, through the real node and a real ROS graph.')
    parser.add_argument('--source', default='', metavar='WHAT',
                        help='video file, camera number, folder of images or bag (default: a '
                             'rendered clip)')
    parser.add_argument('--out', default='out', metavar='DIR', help='where the results go')
    parser.add_argument('--frames', type=int, metavar='N', help='at most so many pictures')
    parser.add_argument('-p', '--param', action='append', default=[], metavar='NAME:=VALUE',
                        help='parameter of the node')
    options = parser.parse_args(arguments)
    if options.frames is not None and options.frames < 1:
        parser.error(f'--frames must be at least 1, got {options.frames}')
    return run_with_children('demo', lambda processes: run(
        options, command or node_command(options.param), processes))


if __name__ == '__main__':
    sys.exit(main())
