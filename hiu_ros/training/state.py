"""The state of a training as one safetensors file: networks, optimiser moments, a few words.

Tensors are named PART.NAME, for an optimiser PART.INDEX.SLOT. Nothing is unpickled.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from hiu_ros.network.checkpoint import write_tensors


class StateError(RuntimeError):
    """A training's state is damaged or of another network."""


Parts = dict[str, dict[str, Tensor]]


def write_state(
    path: Path, parts: Mapping[str, nn.Module | torch.optim.Optimizer | Tensor],
    header: Mapping[str, str] | None = None,
) -> None:
    """Write modules, optimisers and single tensors by renaming a whole file; OSError if it cannot.
    """
    tensors = {}
    for part, content in parts.items():
        if isinstance(content, Tensor):
            tensors[part] = content
        elif isinstance(content, torch.optim.Optimizer):
            for index, slots in content.state_dict()['state'].items():
                tensors |= {f'{part}.{index}.{name}': slot for name, slot in slots.items()}
        else:
            tensors |= {f'{part}.{name}': value for name, value in content.state_dict().items()}
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
    write_tensors(path, tensors, dict(header) if header else None)


def read_state(path: Path) -> tuple[Parts, dict[str, str]]:
    """Tensors by part (a single tensor under the name '') and the header.

    Raises StateError for a damaged file.
    """
    parts: Parts = {}
    try:
        with safe_open(path, 'pt') as file:
            header = file.metadata() or {}
            for key in file.keys():
                part, _, name = key.partition('.')
                parts.setdefault(part, {})[name] = file.get_tensor(key)
    except (SafetensorError, OSError) as error:
        raise StateError(f'{path} is no whole training state ({error}); remove it to start '
                         'again') from error
    return parts, header


def check_optimiser(path: Path, header: Mapping[str, str], name: str) -> None:
    """StateError for the state of another optimiser, whose moments are of no use to this one.

    Older states do not name theirs.
    """
    own = header.get('optimiser', name)
    if own != name:
        raise StateError(f'{path} is a state of the optimiser {own!r}, not of {name!r}; go on '
                         f'with {own!r}, or begin another run folder with its weights')


def tell_changed(folder: Path, header: Mapping[str, str], **settings: int) -> None:
    """One line on stderr where a state was written with other `settings`, which choose the samples
    of a step. Older states do not name theirs."""
    changed = [f'{name} {value} instead of {header[name]}' for name, value in settings.items()
               if header.get(name, str(value)) != str(value)]
    if changed:
        print(f'{folder} goes on with {" and ".join(changed)}: from here on it sees other samples '
              'than it would have', file=sys.stderr)


def restore(target: nn.Module | torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put one part of `read_state` back into what it was written from.

    Raises StateError where it does not fit.
    """
    try:
        if isinstance(target, nn.Module):
            target.load_state_dict(dict(tensors))
            return
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            index, _, name = key.partition('.')
            slots.setdefault(int(index), {})[name] = tensor
        target.load_state_dict({**target.state_dict(), 'state': slots})
        # Fused optimisers go through memory in order: moments must lie as their weights do.
        for weight, slot in target.state.items():
            for name, moment in slot.items():
                if isinstance(moment, Tensor) and moment.shape == weight.shape:
                    slot[name] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)
    except (RuntimeError, ValueError) as error:
        raise StateError(f'the state does not fit this training: {error}') from error
