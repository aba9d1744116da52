"""`hiu train`: train a network as a configuration says."""

import argparse


def add_train(subparsers: argparse._SubParsersAction) -> None:
    """Register `hiu train CONFIG [key=value ...]`."""
    parser = subparsers.add_parser(
        'train', help='train a network',
        description='Train as CONFIG says: the name of a shipped configuration or a YAML file. '
                    'A run that was stopped goes on where it was. Several processes: '
                    'torchrun --nproc-per-node N -m hiu_ros.cli train CONFIG.')
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('changes', nargs='*', default=[], metavar='key=value',
                        help='e.g. steps=2000 data.photos=cache loss.pof=50')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train; 0 when done or stopped on request, 2 for settings that cannot be."""
    import sys

    from hiu_ros.network.config import ConfigError
    from hiu_ros.training.loop import train
    from hiu_ros.training.settings import SettingsError, read_settings

    try:
        settings = read_settings(arguments.config, arguments.changes)
        settings.network_config()
    except (SettingsError, ConfigError) as error:
        print(f'hiu train: {error}', file=sys.stderr)
        return 2
    train(settings)
    return 0
