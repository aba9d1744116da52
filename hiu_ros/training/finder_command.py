"""`hiu train-finder`: train the network that finds hands in whole frames."""

import argparse
from pathlib import Path


def add_train_finder(subparsers: argparse._SubParsersAction) -> None:
    """Register `hiu train-finder`."""
    parser = subparsers.add_parser(
        'train-finder', help='train the hand finder',
        description='Train the finder on photographs and composed renders. Stops on Ctrl-C with '
                    'its state saved, and goes on from there when called again.')
    parser.add_argument('--folder', type=Path, required=True, help='checkpoints and log')
    parser.add_argument('--photos', default='', help='folder with labels.jsonl')
    parser.add_argument('--renders', nargs='*', default=[], help='render banks')
    parser.add_argument('--backgrounds', default='', help='.npy of background patches')
    parser.add_argument('--near-misses', default='', help='.npy of patches taken for hands')
    parser.add_argument('--pack', default='',
                        help='where the reduced photographs are kept (default: FOLDER/photos)')
    parser.add_argument('--start-from', default='',
                        help='weights that a new run begins with (default: random ones)')
    parser.add_argument('--leave-out', nargs='*', default=[], help='photo sets not trained on')
    parser.add_argument('--photo-share', type=float, default=0.72, metavar='SHARE',
                        help='frames that are photographs (default: %(default)s)')
    parser.add_argument('--crossing', type=float, default=0.45, metavar='SHARE',
                        help='rendered hands laid over or beside others (default: %(default)s)')
    parser.add_argument('--arms', type=float, default=0.0, metavar='SHARE',
                        help='frames with a bare arm over a hand (default: %(default)s)')
    parser.add_argument('--turned', type=float, default=0.08, metavar='SHARE',
                        help='photographs upside down or on their side (default: %(default)s)')
    parser.add_argument('--harsh', type=float, default=0.0, metavar='SHARE',
                        help='frames that are burnt out, noisy, badly sent or blurred '
                        '(default: %(default)s)')
    parser.add_argument('--gloves', type=float, default=0.0, metavar='SHARE',
                        help='rendered hands in the colour of a glove (default: %(default)s)')
    for name, default, what in (
            ('steps', 6000, 'of the whole run'), ('batch', 24, 'frames of a step'),
            ('rate', 1.5e-3, 'of learning, at most'),
            ('optimiser', 'adamw', 'adam, adamw or muon'),
            ('seed', 1, 'of frames and first weights'),
            ('threads', 0, '0: as many as PyTorch takes'),
            ('workers', 0, 'loader processes')):
        parser.add_argument(f'--{name}', type=type(default), default=default,
                            help=f'{what} (default: %(default)s)')
    parser.add_argument('--validate-every', type=int, default=1000, metavar='STEPS',
                        help='0: never; with photographs only (default: %(default)s)')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train until the last step or a signal."""
    from hiu_ros.training.finder_loop import FinderSettings, FinderTrainer
    from hiu_ros.training.finder_scenes import SceneOptions

    a = arguments
    scenes = SceneOptions(a.photos, tuple(a.renders), a.backgrounds, a.near_misses,
                          a.pack or str(a.folder / 'photos'), a.photo_share,
                          a.crossing, a.arms, a.turned, tuple(a.leave_out), a.harsh, a.gloves)
    FinderTrainer(FinderSettings(
        a.folder, scenes, a.steps, a.batch, a.rate, seed=a.seed, threads=a.threads,
        workers=a.workers, validate_every=a.validate_every, start_from=a.start_from,
        optimiser=a.optimiser,
    )).run()
    return 0
