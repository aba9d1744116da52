"""`hiu pack`: the weights file that ships from one that was trained."""

import argparse
from pathlib import Path


def add_pack(subparsers: argparse._SubParsersAction) -> None:
    """Register `hiu pack TRAINED OUT [--half]`."""
    parser = subparsers.add_parser(
        'pack', help='write weights in fewer bytes, as they ship',
        description='Write the weights of a hand network or a finder with kernels in 8 bits and '
                    'all else in half precision: about a quarter of the size.')
    parser.add_argument('trained', type=Path, metavar='TRAINED', help='weights file')
    parser.add_argument('out', type=Path, metavar='OUT', help='file to write')
    parser.add_argument('--half', action='store_true', help='kernels in half precision, too')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Pack; raises CheckpointError for what cannot be read, or would be lost."""
    from hiu_ros.network import checkpoint
    from hiu_ros.network.finder import load_finder, save_finder

    checkpoint.keep_inputs(arguments.out, arguments.trained)
    header = checkpoint.read_header(arguments.trained)
    before = arguments.trained.stat().st_size / 1e6
    load, save = checkpoint.load, checkpoint.save
    if header.kind == 'finder':
        load, save = load_finder, save_finder
    save(arguments.out, load(arguments.trained), header.notes,
         'half' if arguments.half else 'bytes')
    after = arguments.out.stat().st_size / 1e6
    print(f'{arguments.out}: {after:.1f} MB ({arguments.trained}: {before:.1f} MB)')
    return 0
