"""The machine that figures were measured on, in one line."""

import os
from pathlib import Path


def machine() -> str:
    """Processor, cores that this process may use, GPU where torch finds one, release of torch."""
    import torch

    cores = len(os.sched_getaffinity(0))
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'no GPU'
    return f'{_processor()}, {cores} cores, {gpu}, torch {torch.__version__}'


def _processor() -> str:
    try:
        for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
            if line.startswith('model name'):
                return ' '.join(line.partition(':')[2].split())
    except OSError:
        pass
    return os.uname().machine
