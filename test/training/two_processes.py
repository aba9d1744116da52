"""What both processes of a training check; run by test_loop.py under torchrun."""

import json
import os
import sys

import torch
import torch.distributed as dist

from hiu_ros.training.loop import Trainer
from hiu_ros.training.muon import Muon, orthogonal
from hiu_ros.training.settings import read_settings


def check_muon() -> None:
    """Steps whose making is shared are those that each process would have made by itself."""
    generator = torch.Generator().manual_seed(4)
    weights = [torch.nn.Parameter(torch.randn(*shape, generator=generator))
               for shape in ((8, 3, 3, 3), (6, 20), (5, 9), (12, 4))]
    before = [weight.detach().clone() for weight in weights]
    for weight in weights:
        weight.grad = torch.randn(weight.shape, generator=generator)
    Muon([(f'{k}.weight', weight) for k, weight in enumerate(weights)], 0.1).step()
    for old, weight in zip(before, weights):
        matrix = weight.grad.flatten(1)
        length = 0.2 * max(matrix.shape) ** 0.5
        step = orthogonal(matrix * 1.95).view(old.shape) * length
        torch.testing.assert_close(weight.detach(), old - 0.1 * step)


def main() -> None:
    dist.init_process_group('gloo')
    check_muon()
    trainer = Trainer(read_settings(sys.argv[1]))
    own = []
    original = trainer.train_step

    def spied(batch):
        own.append(batch.images.float().mean())
        return original(batch)

    trainer.train_step = spied
    trainer.run()
    mine = torch.cat([p.detach().reshape(-1) for p in trainer.network.parameters()])
    both = [torch.zeros_like(mine) for _ in range(2)]
    dist.all_gather(both, mine)
    assert torch.equal(*both), 'the processes have different weights'
    seen = [torch.zeros(len(own)) for _ in range(2)]
    dist.all_gather(seen, torch.stack(own))
    assert not torch.isclose(*seen).any(), 'the processes saw the same crops'
    if trainer.rank == 0:
        with open(sys.argv[2], 'w') as file:
            json.dump({'steps': trainer.step, 'world': trainer.world}, file)
    dist.barrier()
    dist.destroy_process_group()
    # A thread of torch's that is still ending now and then aborts a process that exits in order
    # ('terminate called without an active exception'). All that is tested lies before this.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == '__main__':
    main()
