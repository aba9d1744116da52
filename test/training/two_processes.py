"""What both processes of a training check; run by test_loop.py under torchrun."""

import json
import os
import sys

import torch
import torch.distributed as dist

from hiu_ros.training.loop import Trainer
from hiu_ros.training.settings import read_settings


def main() -> None:
    dist.init_process_group('gloo')
    trainer = Trainer(read_settings(sys.argv[1]))
    own = []
    original = trainer.train_step

    def spied(batch):
        own.append(batch.images.sum())
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
