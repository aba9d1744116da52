"""`hiu describe`: what a network is made of and what it costs."""

import argparse
from pathlib import Path


def add_describe(subparsers: argparse._SubParsersAction) -> None:
    """Register `hiu describe [NAME|WEIGHTS] [key=value ...]`."""
    parser = subparsers.add_parser(
        'describe', help='configuration, parameters and cost of a network',
        description='Print the configuration of a shipped network (or the finder) with some '
                    'numbers changed, or of a weights file; its parameters and '
                    'multiply-accumulates; and both for every module.',
        epilog='examples: hiu describe hiu_dmtl stages=1, hiu describe finder, '
               'hiu describe runs/lite_open/weights.safetensors')
    parser.add_argument('network', nargs='?', metavar='NAME|WEIGHTS',
                        help='left out: a table of all networks')
    parser.add_argument('changes', nargs='*', metavar='key=value',
                        help='options of the network, e.g. input_size=160')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print; raises ConfigError, CheckpointError or ValueError for what cannot be described."""
    from hiu_ros.network.config import PRESETS
    from hiu_ros.network.finder import FinderConfig

    if arguments.network is None:
        print(_overview([*PRESETS.values(), FinderConfig()]))
        return 0
    changes = _changes(arguments.changes)
    path = Path(arguments.network)
    if path.suffix == '.safetensors' or path.exists():
        if changes:
            raise ValueError(f'{path} is a weights file, whose configuration is fixed; '
                             f'leave out {" ".join(arguments.changes)}')
        config, notes, fitted = _of_file(path)
    else:
        config, notes, fitted = _of_name(arguments.network, changes), {}, ()
    print(description(config, notes, fitted))
    return 0


def description(config, notes: dict, fitted: tuple[str, ...] = ()) -> str:
    """All of one network as text; `notes` and `fitted` are those of its weights file."""
    from hiu_ros.network.cost import cost

    measured = cost(config, fitted=fitted)
    values = config.to_dict()
    width = max(map(len, values))
    lines = [f'{_name(config)}, input {measured.input_shape[1]} x {measured.input_shape[0]}', '']
    lines += [f'  {key:{width}}  {_plain(value)}' for key, value in values.items()]
    if notes:
        lines += ['', 'notes of the weights file']
        lines += [f'  {key}: {value}' for key, value in notes.items()]
    width = max(len(row.name) for row in measured.modules)
    lines += ['', f'  {"module":{width}}  {"parameters":>12}  {"MMAC":>10}  {"share":>6}']
    for row in measured.modules:
        share = row.macs / measured.macs
        lines.append(
            f'  {row.name:{width}}  {row.parameters:12,}  {row.macs / 1e6:10.2f}  {share:6.1%}')
    lines.append(
        f'  {"all":{width}}  {measured.parameters:12,}  {measured.macs / 1e6:10.2f}  {1:6.1%}')
    if measured.answer_macs != measured.macs:
        lines.append(f'  without the regressor of the stages before the last: '
                     f'{measured.answer_macs / 1e6:.2f} MMAC')
    return '\n'.join(lines)


def _overview(configs: list) -> str:
    from hiu_ros.network.cost import cost

    lines = [f'{"network":10}  {"input":>9}  {"parameters":>12}  {"GMAC":>8}']
    for config in configs:
        measured = cost(config)
        shape = f'{measured.input_shape[1]} x {measured.input_shape[0]}'
        lines.append(f'{_name(config):10}  {shape:>9}  {measured.parameters:12,}  '
                     f'{measured.macs / 1e9:8.3f}')
    return '\n'.join(lines)


def _of_name(name: str, changes: dict):
    from hiu_ros.network.config import PRESETS, ConfigError, preset
    from hiu_ros.network.finder import FinderConfig

    if name == 'finder':
        return FinderConfig.from_dict(changes)
    if name not in PRESETS:
        raise ConfigError(f'no network and no weights file {name!r}; networks are '
                          f'{", ".join([*PRESETS, "finder"])}')
    return preset(name, **changes)


def _of_file(path: Path):
    from hiu_ros.network.checkpoint import CheckpointError, read_header
    from hiu_ros.network.config import HIUConfig
    from hiu_ros.network.finder import FinderConfig

    header = read_header(path)
    kinds = {'hiu': HIUConfig, 'finder': FinderConfig}
    if header.kind not in kinds:
        raise CheckpointError(f'weights file {path} holds {header.kind!r}, expected one of '
                              f'{sorted(kinds)}')
    return kinds[header.kind].from_dict(header.config), header.notes, header.fitted


def _changes(texts: list[str]) -> dict:
    import yaml

    changes = {}
    for text in texts:
        key, equals, value = text.partition('=')
        if not equals:
            raise ValueError(f'{text!r} is no change, expected key=value')
        try:
            changes[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f'{text!r} is no change: {value!r} is no value as in YAML, such as '
                             '2, [32, 64] or a word') from error
    return changes


def _name(config) -> str:
    return getattr(config, 'name', 'finder')


def _plain(value) -> str:
    return ' '.join(map(str, value)) if isinstance(value, tuple) else str(value)
