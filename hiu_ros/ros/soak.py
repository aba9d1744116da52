"""The soak: the real node on a camera at 30 Hz for as long as asked, and what it holds meanwhile.

`python -m hiu_ros.ros.soak --minutes 60 [--source CLIP] [--out out] [-p NAME:=VALUE]` starts the
node and the source node in processes of their own and reads every output. Every few seconds the
node's resident memory, threads and open files and the counts of images go to OUT/soak.csv. Exit
code 1 where the node ended, fell silent, or grew after the warm-up (the first five minutes, at
most the first third): more than 5 % in memory, or any thread or file more.
"""

import argparse
import csv
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from hiu_ros.perception.picture_source import SourceError
from hiu_ros.picture_file import check_folder
from hiu_ros.ros import children
from hiu_ros.ros.demo import NAMESPACE, check_heard, rendered_clip
from hiu_ros.ros.player import NodeEnded
from hiu_ros.ros.process import how_ended
from hiu_ros.ros.soak_reader import Reader

#: What may come on top of the state after the warm-up, share of the memory.
GROWTH = 0.05
#: Longest warm-up, s; and how long the node may take to its first answer.
WARM_UP, START_PATIENCE = 300.0, 180.0
#: A node that answers nothing for so long has failed, s.
SILENCE = 60.0
#: The lens of the clip is covered for so long, s, so that every hand is lost.
COVERED = 2.0
COLUMNS = ('seconds', 'rss_mib', 'threads', 'handles', 'sent', 'received', 'dropped', 'unusable',
           'answered', 'with_hands', 'inference_ms', 'age_median_ms', 'age_p95_ms')


def soak_clip(out: Path) -> Path:
    """A rendered clip in which hands come and go; in the end all of them are gone."""
    clip = out / 'soak_clip.mp4'
    if clip.is_file() and clip.with_suffix('.json').is_file():
        return clip
    rendered = rendered_clip(out)
    capture = cv2.VideoCapture(str(rendered))
    rate = capture.get(cv2.CAP_PROP_FPS)
    size = tuple(int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH,
                                                     cv2.CAP_PROP_FRAME_HEIGHT))
    part = clip.with_name('soak_clip_part.mp4')
    video = cv2.VideoWriter(str(part), cv2.VideoWriter_fourcc(*'mp4v'), rate, size)
    if not video.isOpened():
        raise SourceError(f'OpenCV cannot write the video {part}')
    while True:
        there, picture = capture.read()
        if not there:
            break
        video.write(picture)
    noise = np.random.default_rng(0)
    for _ in range(round(COVERED * rate)):
        video.write(noise.integers(10, 26, (size[1], size[0], 3)).astype(np.uint8))
    video.release()
    capture.release()
    shutil.copyfile(rendered.with_suffix('.json'), clip.with_suffix('.json'))
    part.replace(clip)
    return clip


def held(pid: int) -> tuple[float, int, int]:
    """Resident memory in MiB, threads and open files of a process, from /proc."""
    base = Path(f'/proc/{pid}')
    pages = int((base / 'statm').read_text().split()[1])
    return (pages * os.sysconf('SC_PAGE_SIZE') / 2**20, len(list((base / 'task').iterdir())),
            len(list((base / 'fd').iterdir())))


def start(source: Path, parameters: Sequence[str]) -> list[subprocess.Popen]:
    """The node, and the camera that plays the source again and again; the node comes first."""
    place = ['--ros-args', '-r', f'__ns:={NAMESPACE}']
    own = [word for parameter in parameters for word in ('-p', parameter)]
    camera = ['-p', f'source:={source}', '-p', 'loop:=true']
    return [
        children.start([sys.executable, '-m', f'hiu_ros.ros.{module}', *place, *arguments])
        for module, arguments in (('node', own), ('source_node', camera))
    ]


def ended(processes: Sequence[subprocess.Popen]) -> str:
    """Which of the processes has ended, and how; empty while all run."""
    return next((f'{process.args[2]} {how_ended(process.returncode)}' for process in processes
                 if process.poll() is not None), '')


def watch(
    processes: Sequence[subprocess.Popen], reader: Reader, seconds: float, path: Path
) -> list[dict]:
    """Sample the node until the time is over; each sample is a row of the file at once.

    NodeEnded where the node or the camera ended, or no answer came for SILENCE.
    """
    period = min(10.0, seconds / 12)
    rows: list[dict] = []
    with open(path, 'w', newline='', encoding='utf-8') as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            time.sleep(max(0.0, begin + (len(rows) + 1) * period - time.monotonic()))
            if gone := ended(processes):
                raise NodeEnded(gone)
            if reader.silence() > SILENCE:
                raise NodeEnded(f'the node answered nothing for {SILENCE:.0f} s')
            memory, threads, handles = held(processes[0].pid)
            row = {'seconds': round(time.monotonic() - begin, 1), 'rss_mib': round(memory, 1),
                   'threads': threads, 'handles': handles, **reader.sample()}
            rows.append(row)
            table.writerow(row)
            file.flush()
    return rows


def judge(rows: Sequence[dict]) -> dict:
    """Growth since the warm-up; `faults` names what is more than it may be."""
    seconds = np.array([row['seconds'] for row in rows])
    after = seconds >= min(WARM_UP, seconds[-1] / 3)
    settled = [row for row, late in zip(rows, after) if late]
    memory = np.array([row['rss_mib'] for row in settled])
    slope = np.polyfit(seconds[after] / 3600, memory, 1)[0] if len(settled) > 2 else float('nan')
    first, last = settled[0], settled[-1]
    # The level before and after, not two single samples: memory breathes with every frame.
    level = max(1, len(memory) // 10)
    grown = float(np.median(memory[-level:]) / np.median(memory[:level]) - 1)
    sent = [row['sent'] for row in rows if row['sent'] is not None]
    faults = []
    if grown > GROWTH:
        faults.append(f'memory grew by {grown:.1%}, {GROWTH:.0%} are allowed')
    for what in ('threads', 'handles'):
        if last[what] > first[what]:
            faults.append(f'{what} went from {first[what]} to {last[what]}')
    return {
        'seconds': float(seconds[-1]), 'warm_up_s': float(first['seconds']),
        'rss_start_mib': rows[0]['rss_mib'], 'rss_settled_mib': first['rss_mib'],
        'rss_end_mib': last['rss_mib'], 'rss_max_mib': max(row['rss_mib'] for row in rows),
        'growth': round(grown, 4), 'slope_mib_per_hour': round(float(slope), 2),
        'threads': [first['threads'], last['threads']],
        'handles': [first['handles'], last['handles']],
        'sent': sum(sent) if sent else None,
        **{name: sum(row[name] for row in rows) for name in (
            'received', 'dropped', 'unusable', 'answered', 'with_hands')},
        'inference_ms': round(float(np.nanmedian([r['inference_ms'] for r in rows])), 1),
        'age_median_ms': round(float(np.nanmedian([r['age_median_ms'] for r in rows])), 1),
        'age_p95_worst_ms': round(float(np.nanmax([r['age_p95_ms'] for r in rows])), 1),
        'faults': faults,
    }


def report(result: dict) -> None:
    """Print what `judge` found."""
    sent = 'of a camera without camera_info, ' if result['sent'] is None else (
        f'{result["sent"]} sent, ')
    print(f'\n{result["seconds"] / 60:.1f} minutes, warm-up {result["warm_up_s"] / 60:.1f}\n'
          f'Memory       {result["rss_settled_mib"]} MiB after the warm-up, '
          f'{result["rss_end_mib"]} at the end, {result["rss_max_mib"]} at most; '
          f'{result["growth"]:+.2%}, {result["slope_mib_per_hour"]:+.1f} MiB an hour\n'
          f'Threads      {result["threads"][0]} -> {result["threads"][1]}\n'
          f'Open files   {result["handles"][0]} -> {result["handles"][1]}\n'
          f'Images       {sent}{result["received"]} received by the node, '
          f'{result["dropped"]} of them replaced by newer ones, {result["unusable"]} unusable\n'
          f'Answers      {result["answered"]}, {result["with_hands"]} with hands; '
          f'{result["age_median_ms"]} ms old when published, in the worst sample 95 % below '
          f'{result["age_p95_worst_ms"]} ms; inference {result["inference_ms"]} ms')
    for fault in result['faults']:
        print(f'FAULT        {fault}')


def run(options: argparse.Namespace, processes: list[subprocess.Popen]) -> int:
    """The soak; `processes` is filled with what the caller has to end."""
    check_heard(options.param)
    check_folder('out', options.out)
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    source = Path(options.source) if options.source else soak_clip(out)
    processes += start(source.absolute(), options.param)
    with Reader(NAMESPACE) as reader:
        if not reader.wait(START_PATIENCE, lambda: not ended(processes)):
            gone = ended(processes)
            raise NodeEnded(f'the node gave no answer{": " if gone else ""}{gone}')
        rows = watch(processes, reader, 60.0 * options.minutes, out / 'soak.csv')
    code = children.end(processes)
    result = judge(rows)
    if code:
        result['faults'].append(f'the node {how_ended(code)}')
    (out / 'soak.json').write_text(json.dumps(result, indent=1), encoding='utf-8')
    report(result)
    return 1 if result['faults'] else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the soak."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.ros.soak', description='The node under watch, for a long time.')
    parser.add_argument('--minutes', type=float, default=60.0)
    parser.add_argument('--source', default='', metavar='FILE',
                        help='what the camera shows (default: a rendered clip)')
    parser.add_argument('--out', default='out', metavar='DIR', help='where the samples go')
    parser.add_argument('-p', '--param', action='append', default=[], metavar='NAME:=VALUE',
                        help='parameter of the node')
    options = parser.parse_args(arguments)
    if not 0 < options.minutes < math.inf:
        parser.error(f'--minutes must be a finite number above 0, got {options.minutes}')
    return children.run_with_children('soak', lambda processes: run(options, processes))


if __name__ == '__main__':
    sys.exit(main())
