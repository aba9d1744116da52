"""Fit the `Legibility` of a network: which of its readings are those of a hand.

`python -m hiu_ros.training.legibility_fit WEIGHTS OUT --photos DIR --keep FOLDER` collects
readings of which the truth is known (`training.readings`), holds every fifth video back to tell
what the fit is worth, fits to all of them, and writes the weights with it. Called again with what
it wrote, the same folder and more videos, it follows hands in these as they will be followed.

To be run for weights that will not change any more, rounded as they will ship: training and
blending leave it out.
"""

import argparse
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.photos import LABELS_NAME, PhotoFolder
from hiu_ros.data.sets.layout import replace_text
from hiu_ros.network import checkpoint
from hiu_ros.network.checkpoint import STORAGE
from hiu_ros.network.regressor import Legibility
from hiu_ros.output_file import check_output
from hiu_ros.perception.device import choose_device
from hiu_ros.perception.finder import HandFinder
from hiu_ros.perception.options import FINDER_WEIGHTS, hand_weights
from hiu_ros.training.readings import Reader, Readings, of_photos, of_video

#: First seed and number of the videos; none is one of the bench or of those that choices are made
#: on.
FIRST_SEED, VIDEOS = 5000, 200
#: The finder's threshold on photographs: more of what is no hand than it lets through otherwise.
_THRESHOLD = 0.12
#: What readings count of regions of followed hands, and of found ones, that are none of a hand,
#: next to one that is; and one of a photograph next to one of a video.
_FOLLOWED, _FOUND, _PHOTO = 6.0, 2.0, 2.0
#: Log odds that are added in the end: in following, a hand that is not believed costs more than
#: what is no hand and is believed in one frame.
_LENIENT = 0.5
#: Files in the folder of `--keep` that tell the weights, and those of the finder.
FINGERPRINT, FINDER_FINGERPRINT = 'weights.sha256', 'finder.sha256'
_EPOCHS, _BATCH, _RATE, _DECAY, _DROPPED = 30, 256, 2e-3, 1.0, (0.1, 0.3)
#: Every so many-th video is held back at first.
_HELD_BACK = 5


def fit(readings: Readings, weight: np.ndarray, seed: int = 0) -> Legibility:
    """The `Legibility` that tells right readings from others; weight: (N,) what each counts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = torch.from_numpy(readings.inputs).float()
        middle, spread = inputs.mean(0), inputs.std(0) + 1e-2
        inputs = (inputs - middle) / spread
        truth = torch.from_numpy(readings.hand).float()
        weights = torch.from_numpy(weight).float()
        head = Legibility(inputs.shape[1])
        first, bend, last = head
        network = nn.Sequential(nn.Dropout(_DROPPED[0]), first, bend, nn.Dropout(_DROPPED[1]),
                                last)
        optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=_DECAY)
        steps = _EPOCHS * -(-len(truth) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=steps)
        for _ in range(_EPOCHS):
            for some in torch.randperm(len(truth)).split(_BATCH):
                loss = binary_cross_entropy_with_logits(
                    network(inputs[some])[:, 0], truth[some], weights[some])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        # The scaling of the inputs becomes part of the first layer.
        with torch.no_grad():
            first.weight /= spread
            first.bias -= first.weight @ middle
            last.bias += _LENIENT
    return head.eval()


def judged(head: Legibility, readings: Readings) -> np.ndarray:
    """(N,) probability of each reading to be right."""
    with torch.inference_mode():
        return head(torch.from_numpy(readings.inputs).float())[:, 0].sigmoid().numpy()


def weigh(readings: Readings, each: float = 1.0) -> np.ndarray:
    """(N,) what readings count; those that are of no hand count more, as they are few."""
    return each * np.where(readings.hand, 1.0, np.where(readings.followed, _FOLLOWED, _FOUND))


def believed(said: np.ndarray, readings: Readings) -> str:
    """How many readings of hands, and of what is none, have a score (N,) of a half and more."""
    parts = []
    for name, which in (('followed', readings.followed), ('found', ~readings.followed)):
        hand, other = which & readings.hand, which & ~readings.hand
        if which.any():
            parts.append(f'{name}: {np.mean(said[hand] >= 0.5):.4f} of {hand.sum()} hands, '
                         f'{np.mean(said[other] >= 0.5):.4f} of {other.sum()} other things')
    return '; '.join(parts)


def main(arguments: list[str] | None = None) -> None:
    """Fit from the command line."""
    parser = argparse.ArgumentParser(prog='python -m hiu_ros.training.legibility_fit',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('weights', metavar='WEIGHTS', help="a file or 'hiu_lite'")
    parser.add_argument('out', type=Path, metavar='OUT', help='file to write')
    parser.add_argument('--keep', type=Path, required=True,
                        help='folder of what these weights read; others need another one')
    parser.add_argument('--photos', type=Path, help='folder with labels.jsonl')
    parser.add_argument('--count', type=int, default=1650, help='photographs')
    parser.add_argument('--first', type=int, default=FIRST_SEED, help='seed of the first video')
    parser.add_argument('--videos', type=int, default=VIDEOS)
    parser.add_argument('--finder-weights', help='finder (default: the shipped)')
    parser.add_argument('--storage', choices=STORAGE, default='bytes', help='of OUT')
    parser.add_argument('--device', default='auto')
    a = parser.parse_args(arguments)
    if a.videos < _HELD_BACK:
        parser.error(f'--videos is {a.videos}, expected {_HELD_BACK} or more: some are held back')
    with in_one_line(parser):
        run(a)


def run(a: argparse.Namespace) -> None:
    """Collect, fit, tell, write."""
    source = hand_weights(a.weights)
    checkpoint.keep_inputs(a.out, source)
    check_output(a.out)  # written after hours
    network = checkpoint.load(source, choose_device(a.device))
    keep_apart(a.keep, source, Path(a.finder_weights or FINDER_WEIGHTS))
    videos, photos = _collected(a, source)
    held = Readings.joined(videos[::_HELD_BACK])
    rest = [r for k, r in enumerate(videos) if k % _HELD_BACK]
    parts = [*rest, photos] if photos else rest
    head = fit(Readings.joined(parts), _weights(rest, photos))
    print(f'held-back videos, as it is: {believed(held.score, held)}')
    print(f'held-back videos, fitted: {believed(judged(head, held), held)}')
    if photos:
        print(f'photographs, as it is: {believed(photos.score, photos)}')
        print(f'photographs, fitted to them: {believed(judged(head, photos), photos)}')
    parts = [*videos, photos] if photos else videos
    network.regressor.add_legibility().load_state_dict(
        fit(Readings.joined(parts), _weights(videos, photos)).state_dict())
    notes = checkpoint.read_header(source).notes
    checkpoint.save(a.out, network, {**notes, 'readings': sum(map(len, parts))}, a.storage)
    print(f'{a.out}: fitted to {sum(map(len, parts))} readings')


def keep_apart(folder: Path, source: Path, finder: Path = FINDER_WEIGHTS) -> None:
    """Note in a folder of readings whose they are; ValueError where they are of other weights, or
    of regions that another finder found.

    A folder without a note is taken to be of these.
    """
    checkpoint.read_header(finder)  # tells in its words what is wrong with the file
    found = hashlib.sha256(finder.read_bytes()).hexdigest()
    notes = ((FINGERPRINT, checkpoint.fingerprint(source), f'what other weights than {source}'),
             (FINDER_FINGERPRINT, found, f'readings of what another finder than {finder}'))
    for (name, own, what), done in zip(notes, ('read', 'found')):
        note = folder / name
        if note.exists() and note.read_text().strip() != own:
            raise ValueError(f'{folder} holds {what} {done}; give another folder with --keep')
    folder.mkdir(parents=True, exist_ok=True)
    for name, own, _ in notes:
        replace_text(folder / name, f'{own}\n')


def _weights(videos: list[Readings], photos: Readings | None) -> np.ndarray:
    every = [weigh(readings) for readings in videos]
    return np.concatenate([*every, weigh(photos, _PHOTO)] if photos else every)


def _collected(a: argparse.Namespace, source: Path) -> tuple[list[Readings], Readings | None]:
    """Readings of each video, and of the photographs; those that are kept are not read again.

    Hands are followed with the `Legibility` that the weights may have.
    """
    folder = PhotoFolder(a.photos) if a.photos else None  # hours before it is needed
    device = choose_device(a.device)
    reader = Reader(checkpoint.load(source, device).fuse(), device)
    finder = HandFinder.from_file(a.finder_weights, device)
    videos = []
    for seed in tqdm(range(a.first, a.first + a.videos), 'videos', mininterval=5):
        path = a.keep / f'video_{seed}.npz'
        if not path.exists():
            of_video(reader, seed, finder).save(path)
        videos.append(Readings.read(path))
    if folder is None:
        return videos, None
    labels = (folder.path / LABELS_NAME).read_bytes()
    path = a.keep / f'photos_{a.count}_{hashlib.sha256(labels).hexdigest()[:12]}.npz'
    if not path.exists():
        finder = HandFinder.from_file(a.finder_weights, device, threshold=_THRESHOLD)
        of_photos(reader, folder, a.count, finder).save(path)
    return videos, Readings.read(path)


if __name__ == '__main__':
    main()
