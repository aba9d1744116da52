"""`hiu bench`: figures of the whole pipeline on rendered videos with exact truth."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

PARTS = ('following', 'placing', 'rest')


def add_bench(subparsers: argparse._SubParsersAction) -> None:
    """Add the subcommand to the parser of `hiu`."""
    parser = subparsers.add_parser(
        'bench', help='figures of the whole pipeline on rendered videos',
        description='Renders videos of moving hands, runs the pipeline on them, and prints how '
        'well hands were found, followed and placed.')
    kinds = parser.add_subparsers(dest='bench', metavar='WHAT', required=True)
    tracking = kinds.add_parser(
        'tracking', help='following and placing of 1 to 4 hands',
        description='Id switches, recall, false hands, sides, MOTA, IDF1, metric placement with '
        'known and unknown size and with depth, jitter at rest and lag, and a clip of one hand; '
        'then each figure against its bar.')
    tracking.add_argument('--weights', metavar='FILE', help='hand network (default: the shipped)')
    tracking.add_argument('--finder-weights', metavar='FILE', help='finder (default: the shipped)')
    tracking.add_argument('--device', default='auto', help='auto, cpu, cuda, ...')
    tracking.add_argument('--half', action='store_true', help='in half precision')
    tracking.add_argument('--parts', nargs='*', default=list(PARTS), choices=PARTS,
                          metavar='PART', help=f'which of {", ".join(PARTS)} (default: all)')
    tracking.add_argument('--hands', type=int, nargs='+', default=[1, 2, 3, 4], metavar='N',
                          help='a video for each number of hands, 1 to 4')
    tracking.add_argument('--frames', type=int, default=300,
                          help='of each video of 300 that are used')
    tracking.add_argument('--first', type=int, default=0, help='the first of them')
    tracking.add_argument('--every', type=int, default=1, metavar='N',
                          help='one of N frames of the followed videos, as a slower camera')
    tracking.add_argument('--holding', action='store_true',
                          help='each hand of the followed videos holds a thing')
    tracking.add_argument('--seed', type=int, default=100, help='of the first video')
    tracking.add_argument('--placing-frames', type=int, default=16,
                          help='of each of the 15 videos for placing')
    tracking.add_argument('--clip', type=Path, metavar='FILE',
                          help='a video of one hand that is in view throughout')
    tracking.add_argument('--clip-frames', type=int, help='of the clip that are used')
    tracking.add_argument('--cache', type=Path, default=cache_folder(), metavar='DIR',
                          help='rendered videos are kept there (default: %(default)s)')
    tracking.add_argument('--oracle', action='store_true',
                          help='follow what the truth says in place of the networks')
    tracking.add_argument('--video', type=Path, metavar='DIR',
                          help='write the videos of following with the hands drawn in')
    tracking.add_argument('--json', type=Path, metavar='OUT', help='write the figures there')
    tracking.set_defaults(run=run_tracking)
    placing = kinds.add_parser(
        'placing', help='placing of the hands of a render bank',
        description='Distance errors of hands of many poses and people, one image of each, with '
        'the length of the hand known, or not; in halves, to tell a bias from chance.')
    placing.add_argument('--bank', required=True, metavar='DIR', help='render bank')
    placing.add_argument('--count', type=int, default=240, help='hands, spread over the bank')
    placing.add_argument('--unknown', action='store_true', help='their lengths are not told')
    placing.add_argument('--weights', metavar='FILE', help='hand network (default: the shipped)')
    placing.add_argument('--device', default='auto', help='auto, cpu, cuda, ...')
    placing.set_defaults(run=run_placing)


def cache_folder() -> Path:
    """Where rendered videos are kept by default: the user's cache (XDG base directories)."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'hiu_ros' / 'bench'


def run_tracking(options: argparse.Namespace) -> int:
    """Print the tables; 0."""
    from tqdm import tqdm

    from hiu_ros.evaluation import bars, bench_runs
    from hiu_ros.evaluation.oracle import Faults
    from hiu_ros.evaluation.tables import table
    from hiu_ros.evaluation.tracking import FOLLOWING_COLUMNS, PLACING_COLUMNS
    from hiu_ros.output_file import check_output, write_json
    from hiu_ros.picture_file import check_folder

    if not options.parts and options.clip is None:
        raise ValueError(f'nothing to measure: give --parts of {", ".join(PARTS)}, or --clip')
    if min(options.hands) < 1 or max(options.hands) > 4:
        raise ValueError(f'--hands must be 1 to 4 each, got {options.hands}')
    if not 0 <= options.first < bench_runs.VIDEO_FRAMES or options.frames < 1:
        raise ValueError(f'--first must be 0 to {bench_runs.VIDEO_FRAMES - 1} and --frames above '
                         f'0, got {options.first} and {options.frames}')
    if options.every < 1:
        raise ValueError(f'--every must be above 0, got {options.every}')
    if options.placing_frames < 1:
        raise ValueError(f'--placing-frames must be above 0, got {options.placing_frames}')
    if options.clip_frames is not None and options.clip_frames < 1:
        raise ValueError(f'--clip-frames must be above 0, got {options.clip_frames}')
    if options.seed < 0:
        raise ValueError(f'--seed must be 0 or more, got {options.seed}')
    if options.clip is not None:
        bench_runs.open_clip(options.clip).release()
    check_folder('cache', str(options.cache))
    check_folder('video', options.video and str(options.video))
    if options.json:
        check_output(options.json)
    figures: dict[str, Any] = {}
    values: dict[str, float] = {}
    with tqdm(unit='frame', file=sys.stderr, disable=None) as progress:
        bench = bench_runs.Bench(
            options.cache, options.weights, options.finder_weights, options.device, options.half,
            options.seed, progress.update)
        bench.pipeline()  # weights that cannot be read are told before a video is rendered
        if 'following' in options.parts:
            rows = bench_runs.following(
                bench, options.hands, options.frames, options.first,
                Faults() if options.oracle else None,
                lambda *video: _writer(options.video, 30 / options.every, *video), options.every,
                options.holding)
            figures['following'] = rows
            values |= {name: rows[-1][name]
                       for name in ('switches_per_1000', 'recall', 'false', 'side')}
            shown = min(options.frames, bench_runs.VIDEO_FRAMES - options.first)
            title = f'Following, {shown} frames a video'
            if options.holding:
                title += ', hands that hold things'
            if options.every > 1:
                title += f', one of {options.every} shown'
            print(table(rows, FOLLOWING_COLUMNS, title))
        if 'placing' in options.parts:
            scores = bench_runs.placing(bench, options.placing_frames)
            rows = [{'name': name, **score.row()} for name, score in scores.items()]
            figures['placing'] = rows
            known, unknown, depth = (scores[way] for way in bench_runs.WAYS)
            values |= {
                'distance_known': known.row()['distance'],
                'distance_unknown': unknown.row()['distance'],
                'distance_depth_mm': bench_runs.at_one_metre(depth),
                'reprojection_px': known.row()['reprojection']}
            print('\n' + table(rows, PLACING_COLUMNS, 'Placing, 0.3 to 1.5 m, medians'))
        if 'rest' in options.parts:
            figures['rest'] = rest = bench_runs.rest(bench)
            smooth = rest['smoothed']
            values |= {'jitter_sideways_mm': smooth['sideways_mm'],
                       'jitter_depth_mm': smooth['depth_mm'], 'lag_frames': 30 * smooth['lag_s']}
            print()
            for name, row in rest.items():
                print(f'{name}: jitter {row["sideways_mm"]:.2f} mm sideways, '
                      f'{row["depth_mm"]:.2f} mm in depth; lag {1000 * row["lag_s"]:.0f} ms')
        if options.clip is not None:
            figures['clip'] = seen = bench_runs.clip(bench, options.clip, options.clip_frames)
            values |= {'clip_names': seen['names'], 'clip_found': seen['found']}
            print(f'\nclip, {seen["frames"]} frames: found in {100 * seen["found"]:.1f} %, '
                  f'names {", ".join(seen["who"]) or "none"}')
    figures['bars'] = verdict = bars.verdicts(values)
    print('\n' + table(verdict, bars.COLUMNS, 'Against the bars'))
    if options.json:
        write_json(options.json, figures)
    return 0


def run_placing(options: argparse.Namespace) -> int:
    """Print the table; 0."""
    from tqdm import tqdm

    from hiu_ros.data.sets.renders import RenderBank
    from hiu_ros.evaluation.bench_bank import placing_on_bank
    from hiu_ros.evaluation.tables import table
    from hiu_ros.evaluation.tracking import PLACING_COLUMNS
    from hiu_ros.perception.options import PipelineOptions

    if options.count < 2:
        raise ValueError(f'--count must be 2 or more, got {options.count}')
    with tqdm(unit='hand', file=sys.stderr, disable=None) as progress:
        rows = placing_on_bank(
            RenderBank(options.bank),
            PipelineOptions(weights=options.weights, device=options.device), options.count,
            not options.unknown, tick=progress.update)
    print(table(rows, PLACING_COLUMNS, 'Placing, medians'))
    return 0


def _writer(folder: Path | None, rate: float, name: str, sequence: Any) -> Any:
    """A function that draws the hands into a frame and appends it to a video of a rate, 1/s; None
    for None."""
    if folder is None:
        return None
    import cv2

    from hiu_ros.perception.drawing import draw

    folder.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(folder / f'{name}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), rate,
                            (sequence.width, sequence.height))
    return lambda frame, hands: video.write(draw(frame.image, hands))
