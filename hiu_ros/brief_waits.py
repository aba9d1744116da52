"""What keeps the networks going on a processor that other programs use, too."""

import os

#: How often a thread of GNU OpenMP looks whether it has to go on before it sleeps.
_LOOKS = 1000


def wait_briefly() -> None:
    """Have threads that wait for each other sleep soon. To be called before torch is imported.

    PyTorch's threads meet after every layer of a network, and GNU OpenMP has those that are early
    look for their next work some 300 000 times. Where other programs take the processor, that
    keeps the late ones from getting there (`docs/ros.md`, "A busy computer"). What the environment
    says of it (OMP_WAIT_POLICY, GOMP_SPINCOUNT) stays as it is.
    """
    if not {'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'} & os.environ.keys():
        os.environ['GOMP_SPINCOUNT'] = str(_LOOKS)
