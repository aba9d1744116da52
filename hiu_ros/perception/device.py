"""Where the networks run, and whether half precision is the faster there."""

import torch


def choose_device(name: str) -> torch.device:
    """The device of a name; 'auto' is a GPU if there is one.

    ValueError for what is no name of a device, RuntimeError where it is not there.
    """
    if name == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError):
        raise ValueError(f"device {name!r} is none that PyTorch knows; expected 'auto', 'cpu', "
                         "'cuda', 'cuda:1', ...") from None
    if device.type == 'cuda':
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise RuntimeError(f'device {name} is not there: PyTorch sees {count} GPUs; '
                               "'auto' takes the CPU where there is none")
    return device


def fast_in_half(name: str) -> bool:
    """Whether the device of a name is a CPU with instructions for bfloat16.

    A GPU is left in full precision: for the few crops of a frame it is fast as it is.
    """
    if name != 'cpu' and (name != 'auto' or torch.cuda.is_available()):
        return False
    # Older releases of PyTorch do not tell.
    capabilities = getattr(torch.cpu, 'get_capabilities', dict)()
    return any(there is True and 'bf16' in each for each, there in capabilities.items())


def half_in_training(device: torch.device) -> bool:
    """Whether a training takes bfloat16 there: not on a CPU that has no instructions for it, where
    it takes ten times as long and more."""
    return device.type != 'cpu' or fast_in_half('cpu')
