"""Weights between those that a training began with and those that it ended with.

`python -m hiu_ros.training.blending OLD NEW OUT --share 0.7 --half`. Two networks of which one was
trained on from the other lie in one valley, and points between them are often better on what
neither was trained on than either end (Wortsman et al. 2022, arXiv 2109.01903).
"""

import argparse
from dataclasses import asdict
from functools import partial

from hiu_ros.command_errors import in_one_line
from hiu_ros.network import checkpoint
from hiu_ros.network.finder import load_finder, save_finder
from hiu_ros.training.averaging import move


def blend_files(old: str, new: str, out: str, share: float, half: bool = False,
                keep_fitted: bool = False) -> None:
    """Write the weights that lie `share` (0..1) of the way from those of `old` to those of `new`,
    two hand networks or two finders.

    half: in half precision, as they ship. keep_fitted: with the `Legibility` and `FineMask` of
    `old` as they are. The step noted in `out` is that of both: NEW counts its own. Raises
    CheckpointError, and ValueError for another share or networks that differ.
    """
    if not 0.0 <= share <= 1.0:
        raise ValueError(f'share is {share}, expected 0 (all of the old) to 1 (all of the new)')
    checkpoint.keep_inputs(out, old, new)
    load, save = partial(checkpoint.load, fitted=False), checkpoint.save
    if checkpoint.read_header(old).kind == 'finder':
        if keep_fitted:
            raise ValueError('nothing is fitted to a finder afterwards; leave --keep-fitted out')
        load, save = load_finder, save_finder
    mixed, target = load(old), load(new)
    if mixed.config != target.config:
        one, other = asdict(mixed.config), asdict(target.config)
        parts = [f'{key} {one.get(key)} and {value}' for key, value in other.items()
                 if one.get(key) != value]
        raise ValueError(f'the networks differ, so there is nothing between them: '
                         f'{"; ".join(parts)}')
    move(mixed, target, share)
    before, after = (checkpoint.read_header(path).notes for path in (old, new))
    notes = {**after, 'step': int(before.get('step', 0)) + int(after.get('step', 0)),
             'share': share}
    if keep_fitted:
        whole = checkpoint.load(old)
        whole.load_state_dict(mixed.state_dict(), strict=False)
        mixed, notes = whole, {**before, **notes}
    save(out, mixed, notes, 'half' if half else 'full')


def main(arguments: list[str] | None = None) -> None:
    """Command line of the blend."""
    parser = argparse.ArgumentParser(
        prog='python -m hiu_ros.training.blending',
        description='Weights between OLD and NEW, a training that began with OLD.')
    parser.add_argument('old', metavar='OLD')
    parser.add_argument('new', metavar='NEW')
    parser.add_argument('out', metavar='OUT')
    parser.add_argument('--share', type=float, required=True, help='of NEW, 0 to 1')
    parser.add_argument('--half', action='store_true', help='write half precision')
    parser.add_argument('--keep-fitted', action='store_true',
                        help='what was fitted to OLD afterwards (its Legibility and FineMask) '
                        'goes along, for short trainings that change little of what it reads')
    a = parser.parse_args(arguments)
    with in_one_line(parser):
        blend_files(a.old, a.new, a.out, a.share, a.half, a.keep_fitted)


if __name__ == '__main__':
    main()
