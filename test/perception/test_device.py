"""Where networks run by the name of a device, and in what precision."""

import pytest
import torch

from hiu_ros.perception.device import choose_device, fast_in_half, half_in_training


@pytest.fixture
def machine(monkeypatch):
    """Pretend a number of GPUs and what the CPU knows."""
    def pretend(gpus=0, **capabilities):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
        monkeypatch.setattr(torch.cpu, 'get_capabilities', lambda: capabilities, raising=False)
    return pretend


def test_a_gpu_is_taken_where_there_is_one(machine):
    machine(gpus=1)
    assert choose_device('auto').type == 'cuda' and choose_device('cpu').type == 'cpu'
    assert choose_device('cuda:0').index == 0
    with pytest.raises(RuntimeError, match=r'cuda:1 is not there: PyTorch sees 1 GPUs'):
        choose_device('cuda:1')
    machine()
    assert choose_device('auto').type == 'cpu'
    with pytest.raises(RuntimeError, match=r'cuda is not there: PyTorch sees 0 GPUs'):
        choose_device('cuda')
    for name in ('tpu9', None):
        with pytest.raises(ValueError, match=f'device {name!r} is none that PyTorch knows'):
            choose_device(name)


@pytest.mark.parametrize('name', ['avx512_bf16', 'amx_bf16', 'arm_bf16'])
def test_half_precision_is_fast_on_a_cpu_with_bfloat16(machine, name):
    machine(cpu_name='some with bf16', avx512_f=True, **{name: True})
    assert fast_in_half('cpu') and fast_in_half('auto')
    machine(avx512_f=True, **{name: False})
    assert not fast_in_half('cpu')


def test_half_precision_is_not_chosen_for_a_gpu(machine):
    machine(gpus=1, avx512_bf16=True)
    assert not fast_in_half('auto') and not fast_in_half('cuda') and fast_in_half('cpu')


def test_a_pytorch_that_does_not_tell_is_taken_for_slow(machine, monkeypatch):
    machine(avx512_bf16=True)
    monkeypatch.delattr(torch.cpu, 'get_capabilities')
    assert not fast_in_half('cpu')


def test_trainings_take_half_precision_but_on_a_cpu_without_it(machine):
    cpu, gpu = torch.device('cpu'), torch.device('cuda')
    machine(avx512_bf16=True)
    assert half_in_training(cpu)
    machine(gpus=1, avx2=True)
    assert not half_in_training(cpu) and half_in_training(gpu)
