"""Training settings: one typed tree read from YAML, with `key.sub=value` changes."""

import math
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from hiu_ros.network.config import HIUConfig, preset
from hiu_ros.training.losses import LossWeights
from hiu_ros.training.mix_options import MixOptions
from hiu_ros.training.optimiser import OPTIMISERS
from hiu_ros.training.schedule import SCHEDULES
from hiu_ros.training.self_supervision import SelfSupervision
from hiu_ros.training.set_source import SetOptions

CONFIGURATIONS = Path(__file__).parent / 'configurations'


class SettingsError(ValueError):
    """A training configuration names something unknown or holds an illegal value."""


@dataclass(frozen=True)
class Validation:
    """What the loop measures while it trains."""

    photos: str = ''  #: photo cache; its `val` hands
    renders: str = ''  #: a render bank of its own
    training_renders: bool = False  #: instead, the one trained on: does it fit at all
    sets: tuple[SetOptions, ...] = ()  #: published data sets
    apart: tuple[str, ...] = ()  #: photo sets measured on their own, too
    hands: int = 256  #: at most this many of each

    def __post_init__(self) -> None:
        if self.hands < 1:
            raise SettingsError(f'validation.hands is {self.hands}, expected at least 1; to '
                                'validate with nothing, leave its photos, renders and sets out')


@dataclass(frozen=True)
class Settings:
    """All of a training. Directories are relative to where the command runs."""

    network: str = 'hiu_lite'  #: preset
    network_changes: dict = field(default_factory=dict)
    hand: str = ''  #: a MANO file (MANO_RIGHT.pkl) to train with; empty: the shipped hand
    run: str = 'runs/lite'  #: checkpoints and logs
    start_from: str = ''  #: weights that a new run begins with
    data: MixOptions = MixOptions()
    validation: Validation = Validation()
    loss: LossWeights = LossWeights()
    self_supervision: SelfSupervision = SelfSupervision()
    sigmas: tuple[float, ...] = (16 / 368,)  #: heat map sigma per stage, of the map's side
    sigma_factor: float = 1.0  #: how much wider heat maps are at first
    sigma_steps: int = 0  #: until they have their own width
    stage_weights: tuple[float, ...] = (1.0,)
    pof_variant: str = 'image'
    batch: int = 24  #: per process
    steps: int = 20000
    rate: float = 1e-3
    schedule: str = 'poly'  #: 'poly' (power 0.9) or 'cosine'
    warmup: int = 0  #: steps
    optimiser: str = 'adam'  #: 'adam', 'adamw' or 'muon'
    weight_decay: float = 1e-5
    clip: float = 10.0  #: gradient norm
    ema: float = 0.999  #: decay of the averaged weights; 0: off
    compiled: bool = False  #: torch.compile: minutes at first, then faster; for GPUs
    precision: str = 'float32'  #: or 'bfloat16', 'float16' (autocast; the latter on GPUs)
    seed: int = 2020
    workers: int = 0  #: loader processes per training process
    threads: int = 0  #: torch threads per process; 0: torch's choice
    log_every: int = 50
    validate_every: int = 1000
    save_every: int = 500
    tensorboard: bool = True  #: scalars and pictures, where it is installed
    pictures: int = 4  #: crops drawn at each validation

    def network_config(self) -> HIUConfig:
        """The network's own configuration."""
        return preset(self.network, **self.network_changes)

    def __post_init__(self) -> None:
        for name, choices in (('schedule', SCHEDULES), ('optimiser', OPTIMISERS),
                              ('precision', ('float32', 'bfloat16', 'float16')),
                              ('pof_variant', ('image', 'space'))):
            if getattr(self, name) not in choices:
                raise SettingsError(f'{name} is {getattr(self, name)!r}, expected one of '
                                    f'{choices}')
        # Batch norm over the attention's single numbers needs two of them.
        for name, least in (('batch', 2), ('steps', 1), ('log_every', 1), ('validate_every', 1),
                            ('save_every', 1), ('sigma_steps', 0), ('workers', 0),
                            ('warmup', 0), ('threads', 0), ('pictures', 0), ('seed', 0)):
            if getattr(self, name) < least:
                raise SettingsError(f'{name} is {getattr(self, name)}, expected at least {least}')
        for name in ('rate', 'clip'):
            if getattr(self, name) <= 0:
                raise SettingsError(f'{name} is {getattr(self, name)}, expected above 0')
        for name in ('sigmas', 'stage_weights'):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise SettingsError(f'{name} is {getattr(self, name)}, expected positive numbers')
        if self.validation.training_renders and not (self.data.renders or self.data.made_renders):
            raise SettingsError('validation.training_renders is asked for without renders to '
                                'train on; give data.renders or data.made_renders')
        if not self.run:
            raise SettingsError('run is empty, expected the folder of checkpoints and logs')
        if self.sigma_factor <= 0 or not 0 <= self.ema < 1:
            raise SettingsError(f'sigma_factor is {self.sigma_factor} and ema {self.ema}, '
                                'expected above 0, and 0 to below 1')


def build(kind: type, values: Any, where: str = '') -> Any:
    """A (nested) dataclass from plain values; lists become tuples, unknown keys are errors."""
    if not isinstance(values, dict):
        raise SettingsError(f'{where} is {values!r}, expected key: value pairs')
    known = {f.name: f for f in fields(kind)}
    unknown = sorted(set(values) - set(known), key=str)
    if unknown:
        raise SettingsError(f'unknown {where or "setting"} {unknown}; known are {sorted(known)}')
    hints = get_type_hints(kind)
    ready = {name: _value(hints[name], value, f'{where}.{name}' if where else name)
             for name, value in values.items()}
    try:
        return kind(**ready)
    except SettingsError:
        raise
    except ValueError as error:
        raise SettingsError(f'{where}: {error}') from error


def _value(kind: Any, value: Any, name: str) -> Any:
    """One value as a field's type wants it; `key=` without a value is an empty text or nothing."""
    if is_dataclass(kind):
        return build(kind, {} if value is None else value, name)
    if get_origin(kind) is tuple:
        return _tuple(get_args(kind), value, name)
    if kind is str and value is None:
        return ''
    if kind is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return _number(value, name)
    if not isinstance(value, get_origin(kind) or kind) or (
            isinstance(value, bool) and kind is not bool):
        raise SettingsError(f'{name} is {value!r}, expected {kind.__name__}')
    return value


def _tuple(kinds: tuple, values: Any, name: str) -> tuple:
    if not isinstance(values, (list, tuple)):
        raise SettingsError(f'{name} is {values!r}, expected a list, such as {name}=[{values}]')
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    if len(kinds) != len(values):
        raise SettingsError(f'{name} is {values!r}, expected a list of {len(kinds)}')
    return tuple(_value(kind, value, f'{name}.{number}')
                 for number, (kind, value) in enumerate(zip(kinds, values)))


def _number(value: Any, name: str) -> float:
    try:
        number = float(value)
    except ValueError as error:
        raise SettingsError(f'{name} is {value!r}, expected a number') from error
    if not math.isfinite(number):
        raise SettingsError(f'{name} is {value!r}, expected a finite number')
    return number


def read_settings(source: str, changes: list[str] | tuple[str, ...] = ()) -> Settings:
    """Settings from a YAML file or the name of a shipped one, with `key=value` changes."""
    path = Path(source)
    if not path.suffix:
        path = CONFIGURATIONS / f'{source}.yaml'
    if not path.is_file():
        shipped = sorted(p.stem for p in CONFIGURATIONS.glob('*.yaml'))
        raise SettingsError(f'no training configuration {source!r}; shipped are {shipped}')
    values = _yaml(path.read_bytes(), str(path)) or {}
    if not isinstance(values, dict):
        raise SettingsError(f'{path} holds a {type(values).__name__}, expected key: value lines')
    for change in changes:
        key, equals, text = change.partition('=')
        if not equals:
            raise SettingsError(f'{change!r} is no change, expected key=value or key.sub=value')
        _change(values, key.split('.'), _yaml(text, repr(change)), change)
    return build(Settings, values)


def _yaml(text: str | bytes, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        words = ' '.join(str(error).split())
        raise SettingsError(f'{where} is no YAML ({words}); correct it there') from error


def _change(values: dict, path: list[str], value: Any, text: str) -> None:
    """Set one value of the tree; a number in the path counts the entries of a list."""
    level: Any = values
    try:
        for key, below in zip(path, [*path[1:], None]):
            key = int(key) if isinstance(level, list) else key
            if below is None:
                level[key] = value
            else:
                level = level[key] if isinstance(level, list) else level.setdefault(key, {})
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise SettingsError(f'{text!r} leads nowhere ({error})') from error


def as_yaml(settings: Settings) -> str:
    """Settings as YAML that `read_settings` reads back."""
    plain = yaml.safe_load(yaml.safe_dump(_plain(asdict(settings))))
    return yaml.safe_dump(plain, sort_keys=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
