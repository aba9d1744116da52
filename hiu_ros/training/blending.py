"""Weights between those that a training began with and those that it ended with.

`python -m hiu_ros.training.blending OLD NEW OUT --share 0.7 --half`. Two networks of which one was
trained on from the other lie in one valley, and points between them are often better on what
neither was trained on than either end (Wortsman et al. 2022, arXiv 2109.01903).
"""

import argparse

import torch

from hiu_ros.network import checkpoint
from hiu_ros.network.checkpoint import CheckpointError
from hiu_ros.network.hiu import HIU


def blend(old: HIU, new: HIU, share: float) -> HIU:
    """`new` with `share` of its weights and the rest of those of `old`, batch norms' statistics
    among them. Raises ValueError for a share beyond 0 to 1 and for networks of other sizes."""
    if not 0.0 <= share <= 1.0:
        raise ValueError(f'share is {share}, expected 0 (all of the old) to 1 (all of the new)')
    if old.config != new.config:
        raise ValueError(f'the networks differ: {old.config} and {new.config}')
    ours, theirs = new.state_dict(), old.state_dict()
    for name, tensor in ours.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.lerp(theirs[name].float(), tensor.float(), share))
    return new


def blend_files(old: str, new: str, out: str, share: float, half: bool = False) -> None:
    """Blend the weights of two files; `half` writes them in half precision, as they ship.

    The step noted in `out` is that of both: NEW counts its own. Raises CheckpointError and
    ValueError.
    """
    steps = [int(checkpoint.read_header(path).notes.get('step', 0)) for path in (old, new)]
    notes = {**checkpoint.read_header(new).notes, 'step': sum(steps), 'share': share}
    with torch.no_grad():
        mixed = blend(checkpoint.load(old), checkpoint.load(new), share)
    checkpoint.save(out, mixed, notes, half)


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
    a = parser.parse_args(arguments)
    try:
        blend_files(a.old, a.new, a.out, a.share, a.half)
    except (CheckpointError, ValueError) as error:
        parser.exit(2, f'{parser.prog}: {error}\n')


if __name__ == '__main__':
    main()
