"""The training loop: learns, stops and goes on as if nothing had been, alone and in company."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hiu_ros import cli
from hiu_ros.network import checkpoint
from hiu_ros.training.loop import Trainer, train
from hiu_ros.training.settings import as_yaml, read_settings
from hiu_ros.training.state import StateError
from hiu_ros.training.step_loop import Share

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def figures(run: str) -> list[dict]:
    """Lines of the log without what depends on the machine's pace."""
    lines = (Path(run) / 'log.jsonl').read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != 'samples_per_s'}
            for line in lines]


def same_ending(one: str, other: str) -> None:
    """Both runs have the same loss curve and the same state."""
    assert figures(one) == figures(other)
    states = [load_file(Path(run) / 'state.safetensors') for run in (one, other)]
    assert states[0].keys() == states[1].keys()
    different = [k for k in states[0] if not torch.equal(states[0][k], states[1][k])]
    assert not different


def python(*arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess:
    environment = os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.run([sys.executable, '-W', 'ignore', *map(str, arguments)], cwd=ROOT,
                          env=environment, capture_output=True, text=True, timeout=timeout)


def interrupted_by(number: int, step: int) -> type[Trainer]:
    """A trainer that gets a signal in the middle of a step."""

    class Interrupted(Trainer):
        def train_step(self, batch):
            if self.step == step:
                os.kill(os.getpid(), number)
            return super().train_step(batch)

    return Interrupted


def test_run_leaves_weights_settings_and_log(uninterrupted):
    run = Path(uninterrupted.run)
    assert checkpoint.load(run / 'weights.safetensors').config == uninterrupted.network_config()
    assert checkpoint.read_header(run / 'weights.safetensors').notes == {
        'step': 12, 'hand': 'hand_right_fast'}
    assert read_settings(str(run / 'settings.yaml')) == uninterrupted
    lines = figures(run)
    assert [line['step'] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert {'heatmap', 'pof', 'mask', 'total', 'rate'} <= set(lines[0])
    assert lines[-1]['rate'] == 0 and not list(run.glob('*.part'))
    before = (run / 'state.safetensors').stat().st_mtime_ns
    train(uninterrupted)
    assert (run / 'state.safetensors').stat().st_mtime_ns == before


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_goes_on_exactly(uninterrupted, tiny_settings, number):
    settings = tiny_settings()
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    # Step 5 lies between two saves and between two lines of the log.
    interrupted_by(number, 4)(settings).run()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert Trainer(settings).step == 5
    train(settings)
    same_ending(uninterrupted.run, settings.run)


def test_killed_it_goes_on_from_the_last_save_exactly(uninterrupted, tiny_settings, tmp_path):
    settings = tiny_settings()
    path = tmp_path / 'killed.yaml'
    path.write_text(as_yaml(settings))
    done = python(HERE / 'killed_run.py', path, 7)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert [line['step'] for line in figures(settings.run)] == [2, 4, 6]
    trainer = Trainer(settings)
    assert trainer.step == 4
    trainer.run()
    same_ending(uninterrupted.run, settings.run)


def test_two_processes_share_the_work_and_stay_equal(tiny_settings, tmp_path):
    settings = tiny_settings('steps=3', 'log_every=1', 'save_every=2', 'optimiser=muon')
    path = tmp_path / 'both.yaml'
    path.write_text(as_yaml(settings))
    done = python('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
                  HERE / 'two_processes.py', path, tmp_path / 'report.json')
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / 'report.json').read_text()) == {'steps': 3, 'world': 2}
    assert [line['step'] for line in figures(settings.run)] == [1, 2, 3]


def test_processes_that_do_not_see_one_state_are_refused(tiny_settings, tmp_path, monkeypatch):
    settings = tiny_settings('steps=2', 'save_every=2')
    train(settings)

    def other_process_is_at(step):
        def all_reduce(ends, operation):
            ends.copy_(torch.maximum(ends, torch.tensor([step, -step])))

        return all_reduce

    trainer = Trainer(settings)
    trainer.world = 2
    monkeypatch.setattr(torch.distributed, 'all_reduce', other_process_is_at(2))
    trainer.check_company()
    for name, value in (('is_initialized', True), ('get_rank', 0), ('get_world_size', 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    for step in (0, 4):
        monkeypatch.setattr(torch.distributed, 'all_reduce', other_process_is_at(step))
        with pytest.raises(StateError, match=f'at step {max(step, 2)} and others at step '
                           f'{min(step, 2)}.*shared disk'):
            Trainer(settings)


def test_command_under_torchrun_trains_and_ends_in_order(tiny_settings, tmp_path):
    settings = tiny_settings('steps=2', 'log_every=1')
    path = tmp_path / 'both.yaml'
    path.write_text(as_yaml(settings))
    done = python('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
                  '-m', 'hiu_ros.cli', 'train', path)
    assert done.returncode == 0, done.stderr
    weights = Path(settings.run) / 'weights.safetensors'
    assert checkpoint.read_header(weights).notes['step'] == 2
    assert [line['step'] for line in figures(settings.run)] == [1, 2]


def test_processes_divide_the_stream_of_one():
    whole = list(Share(2, 5, 6, 0, 1))
    halves = [list(Share(2, 5, 3, rank, 2)) for rank in (0, 1)]
    assert [halves[0][k:k + 3] + halves[1][k:k + 3] for k in (0, 3, 6)] == [
        whole[k:k + 6] for k in (0, 6, 12)]
    assert len(Share(2, 5, 6, 0, 1)) == 18 and whole[0] == 12


def test_workers_see_the_same_stream(tiny_settings):
    trainer = Trainer(tiny_settings('steps=3'))
    alone = list(trainer.batches())
    helped = list(Trainer(tiny_settings('steps=3', 'workers=2')).batches())
    assert len(alone) == len(helped) == 3
    assert all(torch.equal(a.images, b.images) for a, b in zip(alone, helped))


@pytest.mark.parametrize('clip, clipped', [(0.01, True), (1e9, False)])
def test_gradients_are_clipped_before_the_step(tiny_settings, clip, clipped):
    trainer = Trainer(tiny_settings(f'clip={clip}'))
    trainer.train_step(next(iter(trainer.batches())).to('cpu'))
    norm = torch.stack([p.grad.norm() for p in trainer.network.parameters()]).norm().item()
    assert norm == pytest.approx(clip, rel=1e-3) if clipped else norm > 0.1


def test_network_and_its_input_have_their_channels_last(tiny_settings):
    trainer = Trainer(tiny_settings())
    seen = []
    trainer.network.stem.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    trainer.train_step(next(iter(trainer.batches())).to('cpu'))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert all(p.is_contiguous(memory_format=torch.channels_last)
               for p in trainer.network.parameters() if p.ndim == 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason='of machines without a GPU')
def test_compiled_it_learns_the_same(uninterrupted, tiny_settings, monkeypatch):
    # What is compiled is traced as for a GPU, but run by PyTorch's own kernels.
    parts = []

    def compiled(part, **options):
        parts.append(getattr(part, '__name__', type(part).__name__))
        return compile_(part, backend='eager', fullgraph=True, **options)

    compile_ = torch.compile
    monkeypatch.setattr(torch, 'compile', compiled)
    settings = tiny_settings('compiled=true')
    train(settings)
    assert parts == ['HIU', 'pose', 'map_terms', 'hand_terms']
    for line, wanted in zip(figures(settings.run), figures(uninterrupted.run), strict=True):
        assert line.pop('kind') == wanted['kind']
        assert line == pytest.approx({k: v for k, v in wanted.items() if k != 'kind'}, rel=1e-3)


def test_half_floats_with_loss_scaling_are_for_gpus(tiny_settings):
    with pytest.raises(ValueError, match="'float16' needs a GPU"):
        Trainer(tiny_settings('precision=float16'))


def test_loss_that_is_not_finite_stops_the_run(tiny_settings):
    trainer = Trainer(tiny_settings())
    with torch.no_grad():
        next(trainer.network.parameters()).fill_(float('nan'))
    with pytest.raises(FloatingPointError, match='loss is nan at step 0 .heatmap nan, .*rate'):
        trainer.run()
    assert not (trainer.folder / 'state.safetensors').exists()


@pytest.mark.parametrize('changes', [
    ('precision=bfloat16', 'optimiser=adamw', 'ema=0'),
    ('precision=bfloat16', 'optimiser=muon'),
    ('network=hiu_dmtl', 'pof_variant=space', 'sigma_factor=2', 'sigma_steps=3',
     'loss.silhouette=0.01', 'loss.vertices=1'),
])
def test_other_settings_train_too(tiny_settings, cache, changes):
    settings = tiny_settings(
        'steps=2', 'log_every=2', f'data.photos={cache}', f'data.unlabelled={cache}',
        'data.unlabelled_share=0.5', 'self_supervision.keypoints_2d=10', 'batch=4',
        'self_supervision.silhouette=1', 'self_supervision.pof=1', 'self_supervision.ramp=1',
        'self_supervision.least_certainty=0', *changes)
    train(settings)
    (line,) = figures(settings.run)
    assert line['self_share'] > 0 and all(map(torch.isfinite, map(torch.tensor, (
        v for v in line.values() if not isinstance(v, str)))))


def test_own_training_of_the_documents_needs_a_photo_cache_alone(cache, tmp_path, monkeypatch):
    commands = set()
    for document in ('README.md', 'docs/training.md'):
        text = ' '.join((ROOT / document).read_text().replace('\\\n', ' ').split())
        commands.add(re.search('hiu (train lite_open [^`]*run=runs/mine .*?steps=2000)', text)[1])
    (command,) = commands
    monkeypatch.chdir(tmp_path)
    for name, folder in (('my/photos', cache), ('hiu_ros', ROOT / 'hiu_ros')):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).symlink_to(folder)
    assert cli.main([*command.split(), 'steps=2', 'batch=2', 'threads=1', 'log_every=1']) == 0
    assert [line['kind'] for line in figures('runs/mine')] == ['train', 'train', 'validation']


def test_renders_of_a_run_are_made_whole_whatever_was_killed(tmp_path):
    def renders(count: int) -> np.ndarray:
        settings = read_settings('smoke', [f'run={tmp_path}', f'data.made_renders={count}',
                                           'tensorboard=false', 'threads=1'])
        with np.load(Trainer(settings).made_renders() / 'labels.npz') as labels:
            return labels['seed']

    renders(9)
    labels = tmp_path / 'renders' / 'labels.npz'
    with np.load(labels) as whole:
        part = {name: values[:8] for name, values in whole.items()}
    np.savez(labels, **part)  # as rendering leaves it that is killed
    assert renders(9).tolist() == list(range(9))
    with pytest.raises(ValueError, match='holds another bank .*choose another directory'):
        renders(16)


def test_what_cannot_be_trained_on_is_the_last_line_and_leaves_the_run_as_it_was(
    tiny_settings, tmp_path, capsys
):
    settings = tiny_settings('steps=1')
    train(settings)
    before = (Path(settings.run) / 'settings.yaml').read_text()
    path = tmp_path / 'next.yaml'
    path.write_text(as_yaml(settings))
    for change, words in (('data.renders=[nowhere]', 'nowhere does not exist'),
                          ('rate=1e9', 'the loss is')):
        assert cli.main(['train', str(path), 'steps=9', change]) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith('hiu train: ') and words in last
        if 'renders' in change:
            assert (Path(settings.run) / 'settings.yaml').read_text() == before


@pytest.mark.parametrize('workers', [0, 2])
def test_a_picture_that_cannot_be_read_is_one_line_and_the_end(tiny_settings, tmp_path, workers):
    (tmp_path / 'pictures').mkdir()
    (tmp_path / 'pictures' / 'a.png').write_text('no picture')
    path = tmp_path / 'run.yaml'
    path.write_text(as_yaml(tiny_settings('steps=1')))
    sets = (f'data.sets=[{{name: folder, root: {tmp_path / "pictures"}, share: 99, '
            'options: {side: left}}]')
    command = [sys.executable, '-m', 'hiu_ros.cli', 'train', path, sets, f'workers={workers}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f'hiu train: cannot read the image {tmp_path}/pictures/a.png; it is missing or damaged')


def test_smoke_learns_renders_it_makes_itself(tmp_path, monkeypatch):
    """A shortened form: 2 renders instead of 32, smaller pictures, few steps."""
    monkeypatch.chdir(tmp_path)
    assert cli.main(['train', 'smoke', 'data.made_renders=2', 'batch=8', 'steps=100', 'warmup=5',
                     'validate_every=100', 'threads=1', 'ema=0.9', 'tensorboard=false',
                     'log_every=20', 'network_changes.input_size=64']) == 0
    lines = figures(tmp_path / 'runs' / 'smoke')
    totals = [line['total'] for line in lines if line['kind'] == 'train']
    assert totals[-1] < 0.7 * totals[0]
    (result,) = [line for line in lines if line['kind'] == 'validation']
    assert result['renders/pa_mpjpe_mm'] < 5 and result['renders/mask_iou'] > 0.6
