"""The render bank: a directory of rendered tiles with all labels, for training and tests.

`bgra.npy` (N, S, S, 4) uint8, blue green red and straight alpha of everything rendered;
`mask.npy` (N, S, S) uint8, the visible hand alone; `labels.npz`: keypoints_px (N, 21, 2) tile
pixels, keypoints_m (N, 21, 3) camera axes in metres, K (N, 3, 3), pose (N, 16, 3) axis-angle with
the global rotation in row 0, shape (N, 10), visibility (N, 21) bool, seed (N,) tile numbers.
All hands are right hands. While a bank is being written `labels.npz` holds the tiles done so far,
so that its length says how many rows of the pictures are ready.
"""

import argparse
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from hiu_ros.command_errors import in_one_line
from hiu_ros.data.renders.appearance import SkinLibrary, skin_pictures
from hiu_ros.data.renders.renderer import Renderer, Tiles
from hiu_ros.data.renders.scenes import FRONT, GLOVES, HELD, SceneSampler
from hiu_ros.data.renders.stage import Stage
from hiu_ros.data.sets.layout import DataSetError, new_array, open_array, read_archive

#: Tiles rendered together. A tile's group never changes, so neither does its picture.
GROUP = 8
#: s without a group after which processes are looked for that are gone.
_PATIENCE_S = 5.0
#: Groups between two writes of the labels.
_SAVE_EVERY = 100

#: Shares that banks of before may not name, and what they were rendered with; they do not name
#: their skins either.
_SHARES = {'gloves': GLOVES, 'held': HELD, 'front': FRONT}

_LABELS = {'keypoints_px': ((21, 2), np.float32), 'keypoints_m': ((21, 3), np.float32),
           'K': ((3, 3), np.float32), 'pose': ((16, 3), np.float32), 'shape': ((10,), np.float32),
           'visibility': ((21,), np.bool_), 'seed': ((), np.int64)}


@dataclass(frozen=True)
class BankOptions:
    """What a bank's tiles depend on. `skins`: directory of skin pictures, None: procedural."""

    seed: int
    size: int = 160
    skins: str | None = None
    only: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    gloves: float = GLOVES  #: share of hands that wear one
    held: float = HELD  #: share of hands that hold something
    front: float = FRONT  #: share of hands behind something


class BankMaker:
    """Renders groups of tiles; group g holds the tiles g * GROUP and on."""

    def __init__(self, options: BankOptions) -> None:
        """Load model and skins. FileNotFoundError where the skins are missing."""
        self.options = options
        library = SkinLibrary(options.skins, list(options.only), list(options.leave_out))
        stage = Stage()
        self.sampler = SceneSampler(stage.model, library.brightness,
                                    **{name: getattr(options, name) for name in _SHARES})
        self.renderer = Renderer(stage, library)

    def group(self, number: int) -> Tiles:
        """Render the tiles of one group."""
        first = number * GROUP
        plans = [self.sampler.sample(np.random.default_rng([self.options.seed, index]))
                 for index in range(first, first + GROUP)]
        with torch.no_grad():
            return self.renderer.tiles(plans, self.options.size)


_maker: BankMaker | None = None


def _start(options: BankOptions) -> None:
    global _maker
    torch.set_num_threads(1)
    _maker = BankMaker(options)


def _start_beside(options: BankOptions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends what Ctrl-C is to end
    _start(options)


def _render(number: int) -> tuple[int, Tiles]:
    return number, _maker.group(number)


def _groups(options: BankOptions, numbers: range, workers: int
            ) -> Iterator[tuple[int, Tiles]]:
    if workers <= 1:
        threads = torch.get_num_threads()
        _start(options)
        try:
            yield from map(_render, numbers)
        finally:
            torch.set_num_threads(threads)
        return
    # A process that cannot start is started for ever: what it may miss is looked for here.
    SkinLibrary(options.skins, list(options.only), list(options.leave_out))
    context = multiprocessing.get_context('spawn')
    others = set(multiprocessing.active_children())
    with context.Pool(workers, _start_beside, (options,)) as pool:
        crew = set(multiprocessing.active_children()) - others
        groups = pool.imap(_render, numbers)
        while True:
            try:
                group = groups.next(_PATIENCE_S)
            except StopIteration:
                return
            except multiprocessing.TimeoutError:
                # The pool replaces a process that was killed, but not the group it had.
                if crew <= set(multiprocessing.active_children()):
                    continue
                raise RuntimeError('a rendering process was killed, perhaps for want of memory; '
                                   'call again to go on, with fewer --workers') from None
            yield group


def _replace(path: Path, write) -> None:
    """Write a file beside and move it into place, so that a reader never sees half of it."""
    part = path.with_name(f'part.{path.name}')
    write(part)
    os.replace(part, path)


class _Bank:
    """The files of a bank, opened to be filled or filled further."""

    def __init__(self, out: Path, count: int, options: BankOptions) -> None:
        self.out, self.count = out, count
        facts = {'count': count, **asdict(options)}
        facts['skins'] = [path.stem for path in skin_pictures(
            options.skins, options.only, options.leave_out)]
        facts = json.loads(json.dumps(facts))
        about, again = out / 'bank.json', f'remove {out} and render it again'
        out.mkdir(parents=True, exist_ok=True)
        if about.is_file():
            try:
                old = {**_SHARES, 'skins': facts['skins'], **json.loads(about.read_text())}
            except (TypeError, ValueError) as error:
                raise DataSetError(f'{about} is damaged ({error}); {again}') from error
            if old != facts:
                apart = [f'{name} {old.get(name)}, wanted {facts.get(name)}'
                         for name in {**facts, **old} if old.get(name) != facts.get(name)]
                raise ValueError(f'{out} holds another bank ({"; ".join(apart)}); choose another '
                                 'directory or remove it')
        pictures = {'bgra': (options.size, options.size, 4), 'mask': (options.size,) * 2}
        self.pictures = {}
        for name, shape in pictures.items():
            path = out / f'{name}.npy'
            shape = (count, *shape)
            begun = about.is_file() and (path.is_file() or (out / 'labels.npz').is_file())
            self.pictures[name] = (open_array(path, shape, again) if begun
                                   else new_array(path, shape))
        self.labels = {name: np.zeros((count, *shape), dtype)
                       for name, (shape, dtype) in _LABELS.items()}
        self.done = 0
        if about.is_file() and (out / 'labels.npz').is_file():
            old = read_archive(out / 'labels.npz', again)
            self.done = len(old['seed'])
            for name in _LABELS:
                self.labels[name][:self.done] = old[name]
        _replace(about, lambda path: path.write_text(json.dumps(facts, indent=1) + '\n'))

    def put(self, number: int, tiles: Tiles, seed: int) -> int:
        first = number * GROUP
        stop = min(first + GROUP, self.count)
        rows, some = slice(first, stop), slice(0, stop - first)
        self.pictures['bgra'][rows] = tiles.bgra[some]
        self.pictures['mask'][rows] = tiles.mask[some]
        for name, values in (
                ('keypoints_px', tiles.keypoints_px), ('keypoints_m', tiles.keypoints_m),
                ('K', tiles.camera), ('pose', tiles.pose), ('shape', tiles.shape),
                ('visibility', tiles.visibility)):
            self.labels[name][rows] = values[some]
        self.labels['seed'][rows] = np.arange(first, stop)
        gained = stop - self.done
        self.done = stop
        return gained

    def save(self) -> None:
        for picture in self.pictures.values():
            picture.flush()
        rows = {name: values[:self.done] for name, values in self.labels.items()}
        _replace(self.out / 'labels.npz', lambda path: np.savez(path, **rows))


def write_bank(out: str | Path, count: int, options: BankOptions, workers: int = 1,
               quiet: bool = False) -> None:
    """Write a bank of `count` tiles, or go on with one that was interrupted.

    ValueError where `out` holds a bank of other options and for numbers that cannot be,
    DataSetError where it is damaged.
    """
    for name, value, least in (('count', count, 1), ('size', options.size, 16),
                               ('seed', options.seed, 0)):
        if value < least:
            raise ValueError(f'{name} is {value}, expected at least {least}')
    for name in _SHARES:
        if not 0 <= getattr(options, name) <= 1:
            raise ValueError(f'{name} is {getattr(options, name)}, expected a share from 0 to 1')
    bank = _Bank(Path(out), count, options)
    if bank.done == count:
        return
    numbers = range(bank.done // GROUP, -(-count // GROUP))
    with tqdm(total=count, initial=bank.done, unit='tile', disable=quiet, mininterval=2) as bar:
        try:
            for number, tiles in _groups(options, numbers, workers):
                bar.update(bank.put(number, tiles, options.seed))
                if number % _SAVE_EVERY == _SAVE_EVERY - 1:
                    bank.save()
        finally:
            if bank.done:
                bank.save()


def main(arguments: list[str] | None = None) -> None:
    """Command line of the render bank."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.data.renders.bank',
        description='Render a bank of hand tiles with labels; an interrupted run goes on.')
    parser.add_argument('out', help='directory of the bank')
    for name, default, what in (('count', 20000, 'tiles'), ('seed', 1, 'of what they show'),
                                ('size', 160, 'side of a tile, pixels')):
        parser.add_argument(f'--{name}', type=int, default=default,
                            help=f'{what} (default: %(default)s)')
    parser.add_argument('--skins', help='directory of skin pictures; without: procedural skin')
    parser.add_argument('--only', nargs='*', default=[], metavar='PATTERN',
                        help='use only skins whose file stem matches, e.g. "young_*hand3"')
    parser.add_argument('--leave-out', nargs='*', default=[], metavar='PATTERN')
    parser.add_argument('--gloves', type=float, default=GLOVES, metavar='SHARE',
                        help='hands that wear a glove, 0 to 1 (default: %(default)s)')
    parser.add_argument('--held', type=float, default=HELD, metavar='SHARE',
                        help='hands that hold something, 0 to 1 (default: %(default)s)')
    parser.add_argument('--front', type=float, default=FRONT, metavar='SHARE',
                        help='hands behind something, 0 to 1 (default: %(default)s)')
    parser.add_argument('--workers', type=int, default=1)
    options = parser.parse_args(arguments)
    with in_one_line(parser):
        write_bank(options.out, options.count,
                   BankOptions(options.seed, options.size, options.skins, tuple(options.only),
                               tuple(options.leave_out), options.gloves, options.held,
                               options.front), options.workers)


if __name__ == '__main__':
    main()
