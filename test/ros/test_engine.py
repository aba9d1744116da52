"""The real engine around a stand-in for the pipeline: options, live changes, device errors."""

import gc
import weakref
from dataclasses import fields, replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from hiu_ros.hand.template import load_template  # noqa: E402
from hiu_ros.perception import pipeline  # noqa: E402
from hiu_ros.perception.frame import Frame  # noqa: E402
from hiu_ros.perception.options import PipelineOptions, TrackingOptions  # noqa: E402
from hiu_ros.perception.result import Hands  # noqa: E402
from hiu_ros.ros.engine import DeviceError, PipelineEngine, pipeline_options  # noqa: E402
from hiu_ros.ros.lasting_engine import LastingEngine  # noqa: E402
from hiu_ros.ros.parameters import NodeOptions  # noqa: E402

FRAME = Frame(np.zeros((48, 64, 3), np.uint8))


class StandIn:
    """As much of a pipeline as the engine uses; `error` is raised by the next call."""

    error = None

    def __init__(self, options, template=None):
        self.options, self.template, self.device = options, template, 'cpu'
        self.calls, self.named = [], {}

    def name_on(self, named):
        self.named = named

    def warm_up(self):
        self.calls.append('warm_up')

    def reconfigure(self, options):
        self.calls.append('reconfigure')
        self.options = options

    def load_finder(self, options):
        if options.regions == 'finder' and options.finder_weights:
            raise FileNotFoundError(options.finder_weights)

    def reset(self):
        self.calls.append('reset')

    def process_many(self, frames):
        self.calls.append('process')
        if StandIn.error is not None:
            raise StandIn.error
        return [Hands(64, 48) for _ in frames]


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(pipeline, 'Pipeline', StandIn)
    monkeypatch.setattr(StandIn, 'error', None)
    return PipelineEngine(NodeOptions(device='cpu'))


def test_defaults_are_those_of_the_pipeline():
    made, default = pipeline_options(NodeOptions(precision='full')), PipelineOptions()
    assert {f.name: getattr(made, f.name) for f in fields(made)} == {
        f.name: getattr(default, f.name) for f in fields(default)
    }, 'give the rows of hiu_ros/ros/parameters.py the defaults of perception/options.py'


def test_parameters_reach_the_pipeline():
    made = pipeline_options(NodeOptions(
        weights='/w', max_hands=2, min_hits=4, max_misses=7, keep_score=0.2, announce_score=0.6,
        finder_interval=9,
        mirrored_input=True, hand_length_m=0.18, smoothing=True, regions='topic', detail='render',
        precision='half', device='cpu', views=3, small_hands=True, correct_light=False,
    ))
    assert (made.weights, made.max_hands, made.mirrored_input) == ('/w', 2, True)
    assert made.tracking == TrackingOptions(4, 7, 0.2, 0.6, 9)
    assert made.smoothing.any and made.hand_length_m == 0.18
    assert (made.regions, made.detail, made.half) == ('boxes', 'render', True)
    assert made.views == 3 and made.small_hands and not made.correct_light


def test_paths_may_begin_with_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    made = pipeline_options(NodeOptions(weights='~/a.safetensors', finder_weights='~/b'))
    assert (made.weights, made.finder_weights) == (f'{tmp_path}/a.safetensors', f'{tmp_path}/b')
    with pytest.raises(FileNotFoundError, match=f'{tmp_path}/MANO_RIGHT.pkl'):
        PipelineEngine(NodeOptions(mano='~/MANO_RIGHT.pkl'))
    assert pipeline_options(NodeOptions()).weights is None


@pytest.mark.parametrize(('precision', 'fast', 'half'), [
    ('auto', True, True), ('auto', False, False), ('full', True, False), ('half', False, True)])
def test_precision_asks_the_processor_only_where_it_is_left_open(
    precision, fast, half, monkeypatch
):
    monkeypatch.setattr('hiu_ros.perception.device.fast_in_half', lambda device: fast)
    assert pipeline_options(NodeOptions(precision=precision)).half == half


def test_it_knows_the_hand_model_and_is_warm(engine):
    template = load_template('fast')
    assert engine.model == template.name and engine.vertex_count == len(template.vertices)
    assert np.array_equal(engine.triangles, template.faces)
    assert engine._pipeline.calls == ['warm_up'] and engine.memory_bytes() == 0


def test_changes_count_from_the_next_frame(engine):
    engine.update(NodeOptions(device='cpu', max_hands=1))
    engine.reset()
    engine.process([FRAME])
    engine.process([FRAME, FRAME])
    assert engine._pipeline.calls == ['warm_up', 'reconfigure', 'reset', 'process', 'process']
    assert engine._pipeline.options.max_hands == 1


def test_a_change_that_does_not_fit_is_refused(engine):
    options = NodeOptions(device='cpu')
    with pytest.raises(ValueError, match='hand_length_m'):
        engine.update(replace(options, hand_length_m=0.01))
    engine.process([FRAME])
    assert 'reconfigure' not in engine._pipeline.calls


def test_changes_keep_the_device_that_the_engine_was_built_for(engine):
    engine.update(NodeOptions(device='cuda', precision='half', max_hands=1))
    engine.process([FRAME])
    assert engine._pipeline.options.device == 'cpu' and engine._pipeline.options.max_hands == 1


def test_a_finder_that_cannot_be_loaded_refuses_the_change_that_needs_it(engine):
    options = NodeOptions(device='cpu', finder_weights='/nowhere.safetensors')
    with pytest.raises(ValueError, match="regions 'finder': /nowhere.safetensors"):
        engine.update(options)
    engine.update(replace(options, regions='whole'))
    engine.process([FRAME])
    assert engine._pipeline.options.regions == 'whole'


def test_close_frees_the_networks(engine):
    networks = weakref.ref(engine._pipeline)
    engine.close()
    gc.collect()
    assert networks() is None


def test_a_device_that_faults_at_every_call_is_left_for_the_cpu(engine, monkeypatch):
    torch = pytest.importorskip('torch')

    def fault():
        freed.append(lost._pipeline is None)
        raise RuntimeError('CUDA error: an illegal memory access was encountered')

    freed = []
    monkeypatch.setattr(torch.cuda, 'empty_cache', fault)
    warnings = []
    lasting = LastingEngine(PipelineEngine, NodeOptions(device='cpu'), warnings.append)
    lost, lost.device = lasting.current, 'cuda:0'
    lost._pipeline.named = {'left': 3}

    def process_many(frames):
        raise RuntimeError('CUDA error: an illegal memory access was encountered\nmore')

    lost._pipeline.process_many = process_many
    assert [len(hands) for hands in lasting.process([FRAME])] == [0]
    assert lasting.current.named == {'left': 3}
    assert freed == [True] and lasting.current is not lost and lasting.current.device == 'cpu'
    assert warnings == [
        'CUDA error: an illegal memory access was encountered; going on on the CPU']


@pytest.mark.parametrize('text, lost', [
    ('CUDA error: an illegal memory access was encountered\nmore', True),
    ('CUDA out of memory. Tried to allocate 2 GiB', True),
    ('cuDNN error: CUDNN_STATUS_EXECUTION_FAILED', True),
    ('shape [3] is invalid', False),
])
def test_errors_of_the_device_are_told_from_others(engine, monkeypatch, text, lost):
    monkeypatch.setattr(StandIn, 'error', RuntimeError(text))
    with pytest.raises(RuntimeError) as error:
        engine.process([FRAME])
    assert isinstance(error.value, DeviceError) is lost
    assert str(error.value) == text.splitlines()[0]


@pytest.mark.parametrize('name', ['OutOfMemoryError', 'AcceleratorError'])
def test_errors_of_torch_itself_are_of_the_device_whatever_they_say(engine, monkeypatch, name):
    torch = pytest.importorskip('torch')
    if not hasattr(torch, name):
        pytest.skip(f'this torch has no {name}')
    # Made without the constructor: torch alone knows its arguments.
    error = getattr(torch, name).__new__(getattr(torch, name))
    error.args = ('something',)
    monkeypatch.setattr(StandIn, 'error', error)
    with pytest.raises(DeviceError, match='something'):
        engine.process([FRAME])


def test_a_device_that_fails_at_the_start_is_told_as_that(engine, monkeypatch):
    def warm_up(self):
        raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')

    monkeypatch.setattr(StandIn, 'warm_up', warm_up)
    with pytest.raises(DeviceError, match='out of memory'):
        PipelineEngine(NodeOptions(device='cpu'))


def test_threads_are_those_of_the_parameter_where_it_names_some(engine, monkeypatch):
    torch = pytest.importorskip('torch')
    asked = []
    monkeypatch.setattr(torch, 'set_num_threads', asked.append)
    for threads in (0, 3):
        PipelineEngine(NodeOptions(device='cpu', threads=threads))
    assert asked == [3]


def test_memory_is_told_of_an_accelerator_alone(engine, monkeypatch):
    torch = pytest.importorskip('torch')
    monkeypatch.setattr(torch.cuda, 'memory_reserved', lambda device: {'cuda:1': 7 << 20}[device])
    assert engine.memory_bytes() == 0
    engine.device = 'cuda:1'
    assert engine.memory_bytes() == 7 << 20


@pytest.mark.parametrize('side', ['right', 'left'])
def test_a_mano_file_of_either_side_gives_the_right_hand(engine, monkeypatch, side):
    right = load_template('fast')
    monkeypatch.setattr('hiu_ros.hand.mano_file.load_mano', lambda path: {
        '/R.pkl': right, '/L.pkl': right.mirrored()}[path])
    made = PipelineEngine(NodeOptions(device='cpu', mano=f'/{side[0].upper()}.pkl'))
    assert made._pipeline.template.side == 'right'
    assert np.array_equal(made.triangles, right.faces)


def test_a_gpu_that_is_not_there_is_a_device_error():
    torch = pytest.importorskip('torch')
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    with pytest.raises(DeviceError, match='cuda is not there'):
        PipelineEngine(NodeOptions(device='cuda'))


def test_what_is_no_device_is_no_lost_one():
    with pytest.raises(ValueError, match="device 'banana' is none that PyTorch knows"):
        PipelineEngine(NodeOptions(device='banana'))


def test_mano_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='MANO_RIGHT.pkl'):
        PipelineEngine(NodeOptions(mano=str(tmp_path / 'MANO_RIGHT.pkl')))
