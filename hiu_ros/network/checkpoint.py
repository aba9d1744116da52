"""Checkpoints: safetensors with the configuration beside the tensors; nothing is unpickled."""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from hiu_ros.hand.template import DETAILS, HandTemplate, load_template
from hiu_ros.network.config import ConfigError, HIUConfig
from hiu_ros.network.hiu import HIU
from hiu_ros.network.packing import pack, packable, unpack

FORMAT = 'hiu_ros/1'
#: Of files with kernels in 8 bits, which older versions cannot read.
FORMAT_PACKED = 'hiu_ros/2'
#: How weights are kept: in 32 bits, in 16, or kernels in 8 (see `packing`) and the rest in 16.
STORAGE = ('full', 'half', 'bytes')
_SCALE = '.scale'
#: How names of tensors begin that are of the parts fitted after a training, to weights that must
#: not change any more.
_FITTED = {'legibility': 'regressor.legibility.', 'fine_mask': 'fine_mask.'}
#: Options of a network that no weight depends on.
_OF_NO_WEIGHT = ('name', 'input_size', 'head_strides')


class CheckpointError(RuntimeError):
    """A weights file is missing, damaged, or made for another network."""


def write(path: Path | str, module: nn.Module, kind: str, config: dict, notes: dict | None = None,
          storage: str = 'full') -> None:
    """Write `module` atomically; `kind` ('hiu' or 'finder') and `config` go into the header.

    storage: one of `STORAGE`, else ValueError; so, too, where a number is too large for it.
    """
    if storage not in STORAGE:
        raise ValueError(f'storage is {storage!r}, expected one of {", ".join(STORAGE)}')
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f'{path} is a folder; name the weights file to write')
    tensors = {}
    for name, tensor in module.state_dict().items():
        tensor = tensor.detach().cpu()
        if storage == 'bytes' and packable(tensor):
            tensor, tensors[name + _SCALE] = pack(tensor)
        elif (storage != 'full' and tensor.is_floating_point()
              and not name.endswith('running_var')):
            tensor = _halved(name, tensor)
        tensors[name] = tensor.contiguous().clone()
    header = {'format': FORMAT_PACKED if storage == 'bytes' else FORMAT, 'kind': kind,
              'config': json.dumps(config), 'notes': json.dumps(notes or {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, tensors, header)


def _halved(name: str, tensor: torch.Tensor) -> torch.Tensor:
    half = tensor.half()
    if bool((half.isinf() & tensor.isfinite()).any()):
        raise ValueError(f'{name} has numbers up to {tensor.abs().max():.3g}, more than half '
                         "precision can hold (65504); store the weights as 'full'")
    return half


def keep_inputs(out: Path | str, *inputs: Path | str) -> None:
    """CheckpointError where `out` is one of the files that it is to be made of."""
    for path in inputs:
        if Path(out).exists() and Path(path).exists() and Path(out).samefile(path):
            raise CheckpointError(f'{out} would replace the weights that it is made of; give '
                                  'another file to write')


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, str] | None
                  ) -> None:
    """Write a safetensors file by renaming a whole one. OSError where that fails, as on a full
    disk; what is there is then left as it was."""
    part = path.with_name(path.name + '.part')
    part.touch()
    mode = part.stat().st_mode
    try:
        save_file(tensors, part, metadata=header)
        part.chmod(mode)  # safetensors makes files that nobody else may read
        os.replace(part, path)
    except SafetensorError as error:
        raise OSError(f'{path} cannot be written: {error}') from error
    finally:
        part.unlink(missing_ok=True)


@dataclass(frozen=True)
class Header:
    """What a weights file says of itself."""

    kind: str  #: 'hiu' or 'finder'
    config: dict
    notes: dict
    fitted: tuple[str, ...] = ()  #: of 'legibility' and 'fine_mask' those that a 'hiu' has


def read_header(path: Path | str) -> Header:
    """The header of a file written by `write`, without its tensors; raises CheckpointError."""
    return _read(Path(path), tensors=False)[0]


def open_checkpoint(path: Path | str, kind: str) -> tuple[dict, dict, dict]:
    """Tensors (on the CPU, float32), configuration and notes of a file written by `write`."""
    header, tensors = _read(Path(path))
    if header.kind != kind:
        raise CheckpointError(f'weights file {path} holds {header.kind!r}, expected {kind!r}: '
                              'hand network and finder each have a file of their own')
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CheckpointError(f'weights file {path}: {name} has numbers that are not finite; '
                                  'take weights from before the training diverged')
    tensors = {k: v.float() if v.is_floating_point() else v
               for k, v in _unpacked(tensors, path).items()}
    return tensors, header.config, header.notes


def _unpacked(tensors: dict[str, torch.Tensor], path: Path | str) -> dict[str, torch.Tensor]:
    """Tensors with each int8 kernel times its scale; CheckpointError where that does not fit."""
    kernels = {name for name, tensor in tensors.items() if tensor.dtype == torch.int8}
    found = {}
    for name, tensor in tensors.items():
        if name.removesuffix(_SCALE) in kernels - {name}:
            continue
        if name in kernels:
            scale = tensors.get(name + _SCALE)
            if scale is None or tensor.shape[:1] != scale.shape:
                raise CheckpointError(
                    f'weights file {path}: the scales of {name} are '
                    f'{"missing" if scale is None else tuple(scale.shape)}, expected one for each '
                    f'of its {len(tensor)} outputs; copy the file again')
            tensor = unpack(tensor, scale)
        found[name] = tensor
    return found


def _read(path: Path, tensors: bool = True) -> tuple[Header, dict[str, torch.Tensor]]:
    if path.is_dir():
        raise CheckpointError(f'weights file {path} is a folder; name the file in it, as '
                              f'{path / "weights.safetensors"}')
    if not path.is_file():
        raise CheckpointError(f'weights file {path} does not exist; give the path of a '
                              f'.safetensors file written by `hiu train`')
    found = {}
    try:
        with safe_open(path, framework='pt', device='cpu') as file:
            values, names = file.metadata() or {}, file.keys()
            if tensors:
                found = {key: file.get_tensor(key) for key in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f'weights file {path} is not a whole safetensors file ({error}); copy it again'
        ) from error
    if values.get('format') not in (FORMAT, FORMAT_PACKED):
        raise CheckpointError(f"weights file {path} has format {values.get('format')!r}, "
                              f'expected {FORMAT!r} or {FORMAT_PACKED!r}: it was not written '
                              f'by `hiu train` or `hiu pack`')
    config, notes = (_table(values, name, path) for name in ('config', 'notes'))
    return Header(values.get('kind', ''), config, notes, _fitted(names)), found


def _table(values: dict[str, str], name: str, path: Path) -> dict:
    try:
        table = json.loads(values.get(name, ''))
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise CheckpointError(f'weights file {path} has no legible {name} in its header; write it '
                              f'again by `hiu train` or `hiu pack`')
    return table


def fill(module: nn.Module, tensors: dict[str, torch.Tensor], path: Path | str) -> None:
    """Load strictly: missing, surplus and misshapen tensors are one error that names them."""
    want = module.state_dict()
    faults = [f'missing {k}' for k in want if k not in tensors]
    faults += [f'surplus {k}' for k in tensors if k not in want]
    faults += [
        f'{k} is {tuple(tensors[k].shape)}, expected {tuple(v.shape)}'
        for k, v in want.items() if k in tensors and tensors[k].shape != v.shape
    ]
    if faults:
        shown = '; '.join(faults[:4]) + (f' and {len(faults) - 4} more' if len(faults) > 4 else '')
        raise CheckpointError(f'weights file {path} does not fit its configuration: {shown}')
    module.load_state_dict(tensors)


def save(path: Path | str, model: HIU, notes: dict | None = None,
         storage: str = 'full') -> None:
    """Write a HIU network (not fused); arguments as of `write`."""
    write(path, model, 'hiu', model.config.to_dict(), notes, storage)


def load(path: Path | str, device: str | torch.device = 'cpu', fitted: bool = True) -> HIU:
    """Read a HIU network, in evaluation mode, on `device` whatever it was saved on.

    fitted: with the `Legibility` and `FineMask` that the file may have; not, where the weights
    are to be changed.
    """
    tensors, config, _ = open_checkpoint(path, 'hiu')
    try:
        model = HIU(HIUConfig.from_dict(config))
    except ConfigError as error:
        raise CheckpointError(f'weights file {path}: {error}') from error
    if not fitted:
        tensors = _as_trained(tensors)
    model.add_fitted(_fitted(tensors))
    fill(model, tensors, path)
    return model.to(device).eval()


def learned_hand(path: Path | str, template: HandTemplate) -> HandTemplate | None:
    """The shipped hand, where a network has learned its shapes and the template is another hand.

    CheckpointError where it has learned another hand, and the template is the shipped one.
    """
    name = read_header(path).notes.get('hand')
    shipped = {load_template(detail).name for detail in DETAILS}
    if template.name not in shipped:
        return load_template('fast') if name in shipped else None
    if name is not None and name not in shipped:
        raise CheckpointError(
            f'weights file {path} has learned poses and shapes of the hand {name}, which are '
            'wrong for the hand that ships; give the MANO file that it was trained with, by '
            '--mano FILE, to the node by its parameter mano')
    return None


def fingerprint(path: Path | str) -> str:
    """sha256 of the configuration and trained tensors of a network's file.

    What was fitted afterwards and how the numbers are stored make no difference.
    """
    tensors, config, _ = open_checkpoint(path, 'hiu')
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(_as_trained(tensors).items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def load_into(model: HIU, path: Path | str) -> None:
    """Fill a network that is there already, as for training it on.

    Crops and maps may have another size, since convolutions do not mind; a `Legibility` and a
    `FineMask` are left out. Raises CheckpointError where the file is of another network, with the
    options that differ.
    """
    tensors, config, _ = open_checkpoint(path, 'hiu')
    try:
        theirs = HIUConfig.from_dict(config).to_dict()
    except ConfigError as error:
        raise CheckpointError(f'weights file {path}: {error}') from error
    differing = [f'{key} is {theirs[key]}, expected {value}'
                 for key, value in model.config.to_dict().items()
                 if key not in _OF_NO_WEIGHT and theirs[key] != value]
    if differing:
        raise CheckpointError(
            f'weights file {path} is of another network, {theirs["name"]} (which network= chooses '
            f'for a training): {"; ".join(differing)}')
    fill(model, _as_trained(tensors), path)


def _fitted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(part for part, start in _FITTED.items()
                 if any(name.startswith(start) for name in names))


def _as_trained(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in tensors.items()
            if not name.startswith(tuple(_FITTED.values()))}
