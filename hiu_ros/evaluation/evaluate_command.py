"""`hiu evaluate`: the scores of a weights file on a data set."""

import argparse
import json
from pathlib import Path

DATASETS = ('photos', 'renders')


def add_evaluate(subparsers) -> None:
    """Add the `evaluate` subcommand."""
    parser = subparsers.add_parser(
        'evaluate', help='score weights on a data set',
        description='Score a weights file, and print its figures.',
    )
    parser.add_argument('--dataset', required=True, choices=DATASETS)
    parser.add_argument('--weights', type=Path, required=True, help='.safetensors file')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch', type=int, default=32, help='hands in one pass')
    parser.add_argument('--count', type=int, help='stop after so many hands or images')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write the figures there')
    photos = parser.add_argument_group('--dataset photos')
    photos.add_argument('--photos', type=Path, help='folder with labels.jsonl')
    photos.add_argument('--sets', help='comma separated; all if left out')
    photos.add_argument('--split', default='val', choices=('train', 'val', 'all'))
    photos.add_argument('--unseen', help='comma separated sets that the training left out',
                        default=None)
    photos.add_argument('--cache', type=Path, help='photo cache: gives masks and trust')
    photos.add_argument('--masks', action='store_true',
                        help='without a cache: make the masks to compare with now (slow)')
    photos.add_argument('--min-trust', type=float, default=0.0, help='needs --cache')
    renders = parser.add_argument_group('--dataset renders')
    renders.add_argument('--bank', type=Path, help='folder of a render bank')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; 0 where all went well."""
    from hiu_ros.evaluation.predictor import CropPredictor

    predict = CropPredictor.from_file(arguments.weights, arguments.device)
    rows = {'photos': _photos, 'renders': _renders}[arguments.dataset](arguments, predict)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=1) + '\n')
    return 0


def _photos(arguments: argparse.Namespace, predict) -> list[dict]:
    from hiu_ros.data.photos import PhotoFolder
    from hiu_ros.evaluation import photos
    from hiu_ros.evaluation.photo_truth import PhotoCacheTruth, grabcut
    from hiu_ros.evaluation.tables import table

    if arguments.photos is None:
        raise ValueError('--dataset photos needs --photos DIR')
    folder = PhotoFolder(arguments.photos)
    chosen = folder.select(
        None if arguments.split == 'all' else arguments.split,
        tuple(arguments.sets.split(',')) if arguments.sets else None,
    )
    if arguments.count:
        chosen = chosen[::max(1, len(chosen) // arguments.count)]
    truth = PhotoCacheTruth(arguments.cache) if arguments.cache else None
    if arguments.min_trust > 0 and truth is None:
        raise ValueError('--min-trust needs --cache DIR, a photo cache')
    scores = photos.evaluate(
        folder, chosen, predict,
        truth_mask=truth.mask if truth else grabcut if arguments.masks else None,
        keep=truth.trusted(arguments.min_trust) if arguments.min_trust > 0 else None,
        batch=arguments.batch,
    )
    unseen = arguments.unseen.split(',') if arguments.unseen else photos.UNSEEN_SETS
    rows = photos.summary_rows(scores, unseen)
    print(table(rows, photos.COLUMNS, f'{arguments.weights} on photos, boxes given'))
    return rows


def _renders(arguments: argparse.Namespace, predict) -> list[dict]:
    from hiu_ros.data.sets.renders import RenderBank
    from hiu_ros.evaluation import renders
    from hiu_ros.evaluation.tables import table

    if arguments.bank is None:
        raise ValueError('--dataset renders needs --bank DIR')
    bank = RenderBank(arguments.bank)
    row = {'set': arguments.bank.name,
           **renders.evaluate(bank, predict, arguments.count, arguments.batch)}
    print(table([row], renders.COLUMNS, f'{arguments.weights} on renders, boxes given'))
    return [row]
