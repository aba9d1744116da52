"""`hiu bench`: figures of the whole pipeline on rendered videos with exact truth."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


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
        'known and unknown size and with depth, jitter at rest and lag.')
    tracking.add_argument('--weights', metavar='FILE', help='hand network (default: the shipped)')
    tracking.add_argument('--finder-weights', metavar='FILE', help='finder (default: the shipped)')
    tracking.add_argument('--device', default='auto', help='auto, cpu, cuda, ...')
    tracking.add_argument('--hands', type=int, nargs='+', default=[1, 2, 3, 4], metavar='N',
                          help='a video for each number of hands, 1 to 4')
    tracking.add_argument('--frames', type=int, default=300, help='of each video')
    tracking.add_argument('--seed', type=int, default=100, help='of the first video')
    tracking.add_argument('--placing-frames', type=int, default=150,
                          help='of the videos for placement; 0: none')
    tracking.add_argument('--video', type=Path, metavar='DIR',
                          help='write the videos with the hands drawn in')
    tracking.add_argument('--json', type=Path, metavar='OUT', help='write the figures there')
    tracking.set_defaults(run=run_tracking)


def run_tracking(options: argparse.Namespace) -> int:
    """Print the tables; 0."""
    from hiu_ros.evaluation.tables import table
    from hiu_ros.evaluation.tracking import FOLLOWING_COLUMNS, PLACING_COLUMNS

    if min(options.hands) < 1 or max(options.hands) > 4:
        raise ValueError(f'--hands must be 1 to 4 each, got {options.hands}')
    following = _following(options)
    print(table(following, FOLLOWING_COLUMNS, f'Following, {options.frames} frames a video'))
    figures: dict[str, Any] = {'following': following}
    if options.placing_frames:
        figures['placing'] = _placing(options)
        print()
        print(table(figures['placing'], PLACING_COLUMNS, 'Placing, medians'))
        figures['rest'] = _rest(options)
        print()
        for name, row in figures['rest'].items():
            print(f'{name}: jitter {row["sideways_mm"]:.2f} mm sideways, {row["depth_mm"]:.2f} mm '
                  f'in depth; lag {1000 * row["lag_s"]:.0f} ms')
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + '\n', encoding='utf-8')
    return 0


def _pipeline(options: argparse.Namespace, **changes: Any) -> Any:
    from hiu_ros.perception.options import PipelineOptions
    from hiu_ros.perception.pipeline import Pipeline

    return Pipeline(PipelineOptions(
        weights=options.weights, finder_weights=options.finder_weights, device=options.device,
        **changes))


def _following(options: argparse.Namespace) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from hiu_ros.data.renders.sequences import HandSequence
    from hiu_ros.evaluation.following import FollowingScores
    from hiu_ros.evaluation.tracking import as_seen, follow

    rows, total = [], FollowingScores()
    with tqdm(total=len(options.hands) * options.frames, unit='frame', file=sys.stderr,
              disable=None) as bar:
        for number, count in enumerate(options.hands):
            sequence = HandSequence(options.seed + number, count, frames=options.frames)
            scores, pipeline = FollowingScores(), _pipeline(options)
            writer = _writer(options.video, f'hands_{count}_{options.seed + number}', sequence)
            for frame, hands in follow(pipeline, sequence, f'{number}', scores, tick=bar.update):
                total.add(*as_seen(frame, hands, f'{number}', sequence))
                if writer is not None:
                    writer(frame, hands)
            rows.append({'name': f'{count} hands, seed {options.seed + number}', **scores.row()})
    rows.append({'name': 'all', **total.row()})
    return rows


def _placing(options: argparse.Namespace) -> list[dict[str, Any]]:
    from tqdm import tqdm

    from hiu_ros.data.renders.sequences import HandSequence
    from hiu_ros.evaluation.following import FollowingScores
    from hiu_ros.evaluation.tracking import PlacingScores, follow, length_of

    ways = {'size unknown': {}, 'size known': {'known': True}, 'size unknown, depth': {'depth': 1}}
    scores = {name: PlacingScores() for name in ways}
    videos = [HandSequence(options.seed + 50 + k, 2, frames=options.placing_frames,
                           with_depth=True) for k in range(2)]
    with tqdm(total=len(videos) * options.placing_frames, unit='frame', file=sys.stderr,
              disable=None) as bar:
        for video in videos:
            # Each frame is rendered once and seen by all three.
            length = length_of(video.frame(0).hands[0])
            pipelines = {
                name: _pipeline(options, hand_length_m=length if way.get('known') else None)
                for name, way in ways.items()}
            once = _Shared(video)
            runs = [
                follow(pipelines[name], once, name, FollowingScores(), scores[name],
                       way.get('depth'))
                for name, way in ways.items()]
            for _ in zip(*runs):
                bar.update()
    return [{'name': name, **score.row()} for name, score in scores.items()]


class _Shared:
    """A video whose frames several readers, in step with each other, render only once."""

    def __init__(self, video: Any) -> None:
        self._video, self._index, self._frame = video, -1, None
        self.camera_matrix, self.width, self.height = (
            video.camera_matrix, video.width, video.height)

    def __iter__(self) -> Any:
        for index in range(len(self._video)):
            if index != self._index:
                self._index, self._frame = index, self._video.frame(index)
            yield self._frame


def _rest(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Jitter of a hand at rest 0.7 m away, and lag of a moving one, rough and smoothed."""
    import numpy as np

    from hiu_ros.data.renders.sequences import HandSequence
    from hiu_ros.evaluation.tracking import at_rest, camera_of, jitter, lag
    from hiu_ros.perception.smoothing import Smoothing

    sequence = HandSequence(options.seed + 60, 1, frames=options.placing_frames, noise=0.0)
    camera, still = camera_of(sequence), sequence.frame(0)
    away = float(still.hands[0].translation[2])
    images = list(at_rest(still.image, camera, away, 0.7, 90, 2.0))
    moving = [frame.image for frame in sequence]
    paths, result = {}, {}
    for name, smoothing in (('raw', Smoothing()), ('smoothed', Smoothing.usual())):
        pipeline = _pipeline(options, smoothing=smoothing)
        places = [_place(pipeline.process(image, camera, k / 30))
                  for k, image in enumerate(images)]
        good = np.array([p for p in places[30:] if p is not None]).reshape(-1, 3)
        pipeline.reset()
        paths[name] = [_place(pipeline.process(image, camera, k / 30))
                       for k, image in enumerate(moving)]
        sideways, depth = jitter(good) if len(good) > 10 else (float('nan'),) * 2
        result[name] = {'sideways_mm': sideways, 'depth_mm': depth, 'lag_s': 0.0}
    both = [(a, b) for a, b in zip(paths['raw'], paths['smoothed'])
            if a is not None and b is not None]
    if len(both) > 30:
        raw, smooth = (np.array(path) for path in zip(*both))
        result['smoothed']['lag_s'] = lag(raw, smooth, 30.0)
    return result


def _place(hands: Any) -> Any:
    return hands.hands[0].translation_m if len(hands) else None


def _writer(folder: Path | None, name: str, sequence: Any) -> Any:
    """A function that draws the hands into a frame and appends it to a video; None for None."""
    if folder is None:
        return None
    import cv2

    from hiu_ros.perception.drawing import draw

    folder.mkdir(parents=True, exist_ok=True)
    video = cv2.VideoWriter(str(folder / f'{name}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 30.0,
                            (sequence.width, sequence.height))
    return lambda frame, hands: video.write(draw(frame.image, hands))
