"""An engine outlasts its device, and a bad frame costs no other camera's."""

import gc
import weakref

import numpy as np
import pytest

pytest.importorskip('rclpy')

from hiu_ros.perception.frame import Frame  # noqa: E402
from hiu_ros.ros.engine import DeviceError  # noqa: E402
from hiu_ros.ros.lasting_engine import LastingEngine  # noqa: E402
from hiu_ros.ros.parameters import NodeOptions  # noqa: E402


def frame(hands, order=0):
    """A frame that tells the fake engine what to answer."""
    image = np.zeros((48, 64, 3), np.uint8)
    image[0, 0], image[0, 1] = hands, order
    return Frame(image)


@pytest.fixture
def make(fake):
    """A lasting engine of fake ones, and what it warned of."""
    def make(factory=fake.FakeEngine, **options):
        warnings = []
        return LastingEngine(factory, NodeOptions(**options), warnings.append), warnings
    return make


def test_a_frame_that_fails_costs_no_other_of_its_batch(make):
    engine, _ = make()
    first, second, third = engine.process([frame(1), frame(1, order=255), frame(2)])
    assert (len(first), len(third)) == (1, 2)
    assert isinstance(second, IndexError)


def test_a_lost_device_costs_no_frame(make):
    engine, warnings = make()
    assert [len(hands) for hands in engine.process([frame(2), frame(1, order=254)])] == [2, 1]
    assert engine.current.device == 'cpu'
    assert warnings == ['CUDA error: out of memory; going on on the CPU']
    engine, warnings = make(device='cuda')
    assert engine.current.device == 'cpu' and len(warnings) == 1


@pytest.mark.parametrize(('precision', 'then'), [
    ('half', 'auto'), ('auto', 'auto'), ('full', 'full')])
def test_the_engine_on_the_cpu_has_the_parameters_of_by_then(make, precision, then):
    engine, _ = make(precision=precision)
    lost, seen = engine.current, []
    lost.update, lost.close = seen.append, lambda: seen.append('closed')
    later = NodeOptions(max_hands=2, precision=precision)
    engine.update(later)
    engine.process([frame(1, order=254)])
    assert engine.current.options == NodeOptions(max_hands=2, device='cpu', precision=then)
    assert seen == [later, 'closed']


def test_the_engine_on_the_cpu_uses_no_name_again(make):
    engine, _ = make()
    engine.current.named = {'left': 3, 'right': 1}
    engine.process([frame(1, order=254)])
    assert engine.current.device == 'cpu' and engine.current.named == {'left': 3, 'right': 1}


def test_without_anything_to_go_on_with_the_device_is_told(make, fake):
    def on_a_gpu_alone(options):
        if options.device == 'cpu':
            raise FileNotFoundError('the weights are gone')
        return fake.FakeEngine(options)

    lost = [frame(1, order=254)]
    with pytest.raises(DeviceError, match='out of memory'):
        make(device='cuda', cpu_fallback=False)
    engine, _ = make(cpu_fallback=False)
    with pytest.raises(DeviceError, match='out of memory'):
        engine.process(lost)
    engine, _ = make(on_a_gpu_alone)
    with pytest.raises(DeviceError, match='out of memory; and on the CPU: the weights are gone'):
        engine.process(lost)
    engine, warnings = make()
    engine.close()
    with pytest.raises(DeviceError):
        engine.process(lost)
    assert not warnings


def test_what_is_closed_frees_the_engine_of_the_moment(make):
    engine, _ = make()
    engine.process([frame(1, order=254)])
    closed = []
    engine.current.close = lambda: closed.append(engine.current.device)
    engine.close()
    assert closed == ['cpu']


def test_what_was_on_a_lost_device_is_freed_before_the_cpu_is_taken(make, fake):
    class Networks:
        def run(self):
            try:
                raise RuntimeError('an error whose traceback holds these networks')
            except RuntimeError:
                fake.raise_device_error()

    class Holding(fake.FakeEngine):
        def __init__(self, options):
            super().__init__(options)
            left.append(held and held[0]())
            self.networks = Networks()
            held.append(weakref.ref(self.networks))

        def process(self, frames):
            if self.device != 'cpu':
                self.networks.run()
            return super().process(frames)

        def close(self):
            self.networks = None
            left.append(held[0]())

    held, left = [], []
    engine, _ = make(Holding)
    gc.disable()
    try:
        assert len(engine.process([frame(1)])[0]) == 1
    finally:
        gc.enable()
    assert left[1:] == [None, None]
