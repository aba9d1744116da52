"""`hiu evaluate`: the scores of a weights file on a data set."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

#: Data sets with an evaluation of their own, and those that are scored by the labels they have.
OWN = ('photos', 'renders', 'freihand', 'ho3d')
LABELLED = ('rhd', 'stb', 'dexter_object', 'panoptic', 'interhand', 'hiu_data', 'coco_wholebody')
_PHOTOS = ('photos', 'sets', 'split', 'unseen', 'masks', 'cut', 'hide')
_LOOKS = ('count', 'crop_scale', 'views', 'half', 'uncorrected')
#: The options of each kind of run, beside --dataset, --weights, --through, --device and --json.
#: `make eval` gives --masks to every run on photos.
_TAKES = {
    'photos': (*_PHOTOS, *_LOOKS, 'spoil', 'cache', 'min_trust', 'kinds', 'batch', 'mano'),
    'photos --find': (*_PHOTOS, *_LOOKS, 'spoil', 'find', 'draw', 'finder', 'turn',
                      'follow', 'mano'),
    'renders': (*_LOOKS, 'spoil', 'bank', 'backgrounds', 'sheet', 'kinds', 'batch', 'mano'),
    'freihand|ho3d': (*_LOOKS, 'root', 'predictions', 'batch', 'mano'),
    'freihand|ho3d --score': ('root', 'predictions', 'score'),
    '|'.join(LABELLED): (*_LOOKS, 'root', 'split', 'batch', 'mano'),
}


def add_evaluate(subparsers) -> None:
    """Add the `evaluate` subcommand."""
    parser = subparsers.add_parser(
        'evaluate', help='score weights on a data set',
        description='Score a weights file, and print its figures beside the published ones.',
    )
    parser.add_argument('--dataset', required=True, choices=OWN + LABELLED)
    parser.add_argument('--weights', type=Path, help='.safetensors file; the shipped one if '
                        'left out')
    parser.add_argument('--through', choices=('network', 'pipeline'), default='network',
                        help='the bare network, one look at each box, or all that the node does')
    parser.add_argument('--crop-scale', type=float, metavar='X',
                        help="side of a crop over the larger side of the joints' box; if left out "
                        'what the node takes')
    parser.add_argument('--views', type=int, default=1, metavar='N',
                        help='through the pipeline: crops of each hand whose readings are '
                        'averaged (`hiu predict` takes 4)')
    parser.add_argument('--half', action='store_true',
                        help='through the pipeline: in half precision')
    parser.add_argument('--uncorrected', action='store_true',
                        help='through the pipeline: poor light is not corrected')
    parser.add_argument('--spoil', '--light', metavar='KIND',
                        help='of photos and renders: as images come of poor light (dim, dark, '
                        'noisy, flat, tinted, burnt, grainy), sent small and badly compressed, '
                        'or moved while the shutter was open')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--batch', type=int, default=32, help='hands in one pass')
    parser.add_argument('--count', type=int, metavar='N',
                        help='only so many: the first hands of renders, freihand and ho3d; of '
                        'others every n-th photo or hand, N of them up to twice as many')
    parser.add_argument('--json', type=Path, metavar='OUT', help='write the figures there')
    parser.add_argument('--kinds', action='store_true',
                        help='of photos and renders: also by kind of hand (fist, edge-on, ...)')
    photos = parser.add_argument_group('--dataset photos')
    photos.add_argument('--photos', type=Path, help='folder with labels.jsonl')
    photos.add_argument('--sets', help='comma separated; all if left out')
    photos.add_argument('--split', help="train, val (if left out) or all; of others: a split's "
                        'name')
    photos.add_argument('--unseen', help='comma separated sets that the training left out')
    photos.add_argument('--cache', type=Path, help='photo cache: gives masks and trust')
    photos.add_argument('--masks', action='store_true',
                        help='without a cache: make the masks to compare with now (slow)')
    photos.add_argument('--min-trust', type=float, default=0.0, help='needs --cache')
    photos.add_argument('--cut', type=float, metavar='SHARE',
                        help='photos of one hand that the edge of the image cuts off, so that '
                        'this share of its joints is outside; 2D errors are of the others')
    photos.add_argument('--hide', type=float, metavar='SHARE',
                        help='photos of one hand with a thing drawn over it that hides this '
                        'share of its joints; 2D errors are of all')
    photos.add_argument('--find', action='store_true',
                        help='whole images: hands found, missed, and found where there is none')
    photos.add_argument('--follow', type=int, metavar='FRAMES',
                        help='with --find: each photo is a video of so many frames of a camera '
                        'that moves a little, in which hands are followed; what counts is found '
                        'in the last one')
    photos.add_argument('--draw', type=Path, metavar='DIR',
                        help='with --find: pictures of missed and false hands')
    photos.add_argument('--finder', type=Path, help='weights of the finder')
    photos.add_argument('--turn', type=int, choices=(0, 90, 180, 270), default=0,
                        help='with --find: degrees that the photos are turned anticlockwise')
    renders = parser.add_argument_group('--dataset renders')
    renders.add_argument('--bank', type=Path, help='folder of a render bank')
    renders.add_argument('--backgrounds', type=Path, metavar='DIR',
                         help='images to lay the renders over; patterns if left out')
    renders.add_argument('--sheet', type=Path, metavar='FILE',
                         help='a picture of the best, middling and worst answers')
    challenge = parser.add_argument_group('all others')
    challenge.add_argument('--root', type=Path, help='folder of the data set')
    challenge.add_argument('--predictions', type=Path, metavar='FILE',
                           help='of freihand or ho3d: written, or with --score read')
    challenge.add_argument('--score', action='store_true', help='no network: score --predictions')
    challenge.add_argument('--mano', type=Path, metavar='FILE',
                           help='your MANO_RIGHT.pkl, for weights that were trained with it')
    parser.set_defaults(run=run, default=parser.get_default)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; 0 where all went well. Raises ValueError for missing arguments."""
    from hiu_ros.evaluation.spoilt_images import KINDS
    from hiu_ros.geometry.crop import NETWORK_SCALE
    from hiu_ros.output_file import check_output, write_json
    from hiu_ros.perception.options import hand_weights
    from hiu_ros.perception.views import VIEWS

    _tell_ignored(arguments)
    if arguments.spoil and arguments.spoil not in KINDS:
        raise ValueError(f'--spoil must be one of {", ".join(KINDS)}, got {arguments.spoil!r}')
    for name in ('count', 'batch', 'follow'):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ValueError(f'--{name} must be 1 or more, got {value}')
    if not 1 <= arguments.views <= len(VIEWS):
        raise ValueError(f'--views must be 1 to {len(VIEWS)}, got {arguments.views}')
    if arguments.crop_scale is not None and not 1 <= arguments.crop_scale <= 4:
        raise ValueError(f'--crop-scale must be 1 to 4, got {arguments.crop_scale}')
    if arguments.json:
        check_output(arguments.json)
    arguments.weights = hand_weights(arguments.weights)
    if arguments.crop_scale is None:
        arguments.crop_scale = NETWORK_SCALE
    if arguments.dataset == 'photos':
        rows = _find(arguments) if arguments.find else _photos(arguments)
    elif arguments.dataset == 'renders':
        rows = _renders(arguments)
    elif arguments.dataset in LABELLED:
        rows = _labelled(arguments)
    else:
        from hiu_ros.evaluation.challenge import evaluate_challenge

        _need(arguments, 'root')
        rows = evaluate_challenge(arguments, None if arguments.score else _predictor(arguments))
    if arguments.json:
        write_json(arguments.json, rows)
    return 0


def _tell_ignored(arguments: argparse.Namespace) -> None:
    """Say on stderr which options this kind of run does not look at."""
    kind = next(kind for kind in _TAKES if arguments.dataset in kind.split('|'))
    for flag in ('find', 'score'):
        if getattr(arguments, flag) and f'{kind} --{flag}' in _TAKES:
            kind = f'{kind} --{flag}'
    for name in dict.fromkeys(name for names in _TAKES.values() for name in names):
        if name not in _TAKES[kind] and getattr(arguments, name) != arguments.default(name):
            uses = ', '.join(other for other, names in _TAKES.items() if name in names)
            this = kind.replace(kind.split()[0], arguments.dataset)
            print(f'hiu evaluate: --{name.replace("_", "-")} does nothing with --dataset {this}, '
                  f'it is for {uses}', file=sys.stderr)


def _template(arguments: argparse.Namespace):
    """The hand that --mano names, None for the shipped one."""
    from hiu_ros.hand.mano_file import load_mano

    if not arguments.mano:
        return None
    template = load_mano(arguments.mano)
    if template.side == 'left':
        raise ValueError(f'--mano {arguments.mano} is a left hand; give MANO_RIGHT.pkl, as the '
                         'network was trained with a right one')
    return template


def _predictor(arguments: argparse.Namespace):
    from hiu_ros.evaluation.predictor import CropPredictor, PipelinePredictor
    from hiu_ros.perception.device import choose_device

    template = _template(arguments)
    if arguments.through == 'pipeline':
        return PipelinePredictor(arguments.weights, device=arguments.device, template=template,
                                 crop_scale=arguments.crop_scale, views=arguments.views,
                                 half=arguments.half,
                                 correct_light=not arguments.uncorrected)
    if arguments.views != 1 or arguments.half or arguments.uncorrected:
        raise ValueError('--views, --half and --uncorrected need --through pipeline: the bare '
                         'network takes one look, in full precision, at images as they are')
    # FreiHAND and HO3D hold right hands only, and every published method is told so.
    side = 'right' if arguments.dataset in ('freihand', 'ho3d') else None
    return CropPredictor.from_file(
        arguments.weights, choose_device(arguments.device), template=template, side=side,
        crop_scale=arguments.crop_scale)


def _spoilt(predict, kind: str | None):
    from hiu_ros.evaluation.spoilt_images import predict_in

    return predict_in(kind, predict) if kind else predict


def _chosen(arguments: argparse.Namespace):
    from hiu_ros.data.photos import PhotoFolder
    from hiu_ros.evaluation.cut_photos import CutPhotos
    from hiu_ros.evaluation.hidden_photos import HiddenPhotos
    from hiu_ros.evaluation.photos import UNSEEN_SETS

    _need(arguments, 'photos')
    folder = PhotoFolder(arguments.photos)
    unseen = _names(arguments.unseen)
    folder.check_sets(unseen or ())
    split = arguments.split or 'val'
    photos = folder.select(None if split == 'all' else split, _names(arguments.sets))
    chosen = _spread(photos, arguments.count)
    if not any(photo.hands for photo in chosen):
        raise ValueError(f'no labelled hand in the {len(chosen)} photos of --split {split} and '
                         f'--sets {arguments.sets or ",".join(folder.sets)}; choose others')
    if arguments.cut is not None and arguments.hide is not None:
        raise ValueError('--cut and --hide do not go together; give one of them')
    for name, changed in (('cut', CutPhotos), ('hide', HiddenPhotos)):
        share = getattr(arguments, name)
        if share is None:
            continue
        folder = changed(folder, chosen, share)
        chosen = folder.photos
        if not chosen:
            raise ValueError(f'--{name} needs photos of one labelled hand, none of those chosen '
                             'is; choose others, or more of them')
    return folder, chosen, unseen or UNSEEN_SETS


def _photos(arguments: argparse.Namespace) -> list[dict]:
    from hiu_ros.evaluation import photos
    from hiu_ros.evaluation.photo_truth import PhotoCacheTruth, grabcut
    from hiu_ros.evaluation.tables import table

    folder, chosen, unseen = _chosen(arguments)
    truth = PhotoCacheTruth(arguments.cache) if arguments.cache else None
    if arguments.min_trust > 0 and truth is None:
        raise ValueError('--min-trust needs --cache DIR, a photo cache')
    mask = truth.mask if truth else grabcut if arguments.masks else None
    # Of a photo that is cut, a mask made now is of what is left already.
    if mask and (arguments.hide is not None or (arguments.cut is not None and truth)):
        mask = folder.truth(mask)
    scores = photos.evaluate(
        folder, chosen, _spoilt(_predictor(arguments), arguments.spoil),
        truth_mask=mask,
        inside=arguments.cut is not None,
        keep=truth.trusted(arguments.min_trust) if arguments.min_trust > 0 else None,
        batch=arguments.batch,
    )
    if not scores:
        raise ValueError(f'no hand of the photos has a trust of {arguments.min_trust}; choose a '
                         'lower --min-trust, up to 1')
    rows = photos.summary_rows(scores, unseen)
    if arguments.kinds:
        rows += photos.kind_rows(scores)
    print(table(rows, photos.COLUMNS,
                f'{arguments.weights} on photos, boxes given, {arguments.through}'))
    return rows


def _find(arguments: argparse.Namespace) -> list[dict]:
    from hiu_ros.evaluation import finding
    from hiu_ros.evaluation.moved_images import FollowInMoved
    from hiu_ros.evaluation.predictor import PipelinePredictor
    from hiu_ros.evaluation.spoilt_images import find_in
    from hiu_ros.evaluation.tables import table
    from hiu_ros.perception.options import TrackingOptions

    folder, chosen, unseen = _chosen(arguments)
    predictor = PipelinePredictor(
        arguments.weights, arguments.finder, arguments.device, boxes=False,
        template=_template(arguments), crop_scale=arguments.crop_scale, views=arguments.views,
        half=arguments.half, correct_light=not arguments.uncorrected)
    find = predictor.find
    if arguments.follow is not None:
        predictor.pipeline.reconfigure(replace(
            predictor.pipeline.options, tracking=TrackingOptions()))
        find = FollowInMoved(predictor.pipeline, arguments.follow)
    if arguments.spoil:
        find = find_in(arguments.spoil, find)
    show = finding.draw_mistakes(arguments.draw) if arguments.draw else None
    images, regions = finding.evaluate(
        folder, chosen, find, show=show, quarters=arguments.turn // 90,
        inside=arguments.cut is not None)
    rows = finding.summary_rows(images, regions, unseen)
    print(table(rows, finding.COLUMNS, f'{arguments.weights} with the finder on whole photos'))
    return rows


def _renders(arguments: argparse.Namespace) -> list[dict]:
    import cv2

    from hiu_ros.data.sets.folder import ImageFolder
    from hiu_ros.data.sets.renders import RenderBank
    from hiu_ros.evaluation import renders
    from hiu_ros.evaluation.sheet import Sheet
    from hiu_ros.evaluation.tables import table

    _need(arguments, 'bank')
    bank = RenderBank(arguments.bank)
    pictures = []
    if arguments.backgrounds:
        files = _spread(ImageFolder(arguments.backgrounds).files, 200)
        pictures = [p for p in (cv2.imread(str(file)) for file in files) if p is not None]
    sheet = Sheet(arguments.sheet) if arguments.sheet else None
    scores = renders.evaluate(
        bank, _spoilt(_predictor(arguments), arguments.spoil), arguments.count, arguments.batch,
        pictures, sheet=sheet)
    rows = [{'set': arguments.bank.name, **renders.summarise(scores)}]
    if arguments.kinds:
        rows += renders.kind_rows(scores)
    print(table(rows, renders.COLUMNS,
                f'{arguments.weights} on renders, boxes given, {arguments.through}'))
    if sheet is not None:
        sheet.write()
    return rows


def _labelled(arguments: argparse.Namespace) -> list[dict]:
    from hiu_ros.data.sets.registry import open_data_set, splits
    from hiu_ros.evaluation import labelled
    from hiu_ros.evaluation.tables import table

    _need(arguments, 'root')
    split = arguments.split or splits(arguments.dataset)[-1]
    data = open_data_set(arguments.dataset, arguments.root, split)
    chosen = _spread(range(len(data)), arguments.count)
    figures = labelled.evaluate(data, _predictor(arguments), chosen, arguments.batch)
    row = {'set': f'{arguments.dataset} {split}', **figures}
    print(table([row], labelled.COLUMNS, f'{arguments.weights}, boxes given'))
    return [row]


def _need(arguments: argparse.Namespace, name: str) -> None:
    if getattr(arguments, name) is None:
        raise ValueError(f'--dataset {arguments.dataset} needs --{name} DIR')


def _names(text: str | None) -> tuple[str, ...] | None:
    return tuple(text.split(',')) if text else None


def _spread(items: Sequence, count: int | None) -> Sequence:
    """Every n-th item: `count` of them up to twice as many."""
    return items[::max(1, len(items) // count)] if count else items
