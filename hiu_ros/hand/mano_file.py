"""Reading a user's own MANO_RIGHT.pkl or MANO_LEFT.pkl without running anything in it.

The files are Python 2 pickles of NumPy arrays, a SciPy sparse matrix and chumpy objects. A pickle
may name any function to call, so every name is mapped to an inert stand-in written here or
refused; neither NumPy's nor SciPy's own reconstruction runs, and chumpy is not needed.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hiu_ros.hand.skeleton import JOINT_COUNT, JOINT_PARENTS, SHAPE_COUNT
from hiu_ros.hand.template import HandTemplate

VERTEX_COUNT = 778
#: Vertices that FreiHAND uses as tips of thumb, index, middle, ring and pinky.
TIP_VERTICES = (744, 320, 443, 555, 672)

_Result = TypeVar('_Result')
_POSE_FEATURES = 9 * (JOINT_COUNT - 1)
_LARGEST_ARRAY = 50_000_000  # elements; MANO's largest, the pose directions, has 315 090


class ManoFileError(ValueError):
    """The file is no MANO file, is damaged, or asks for something that is not allowed."""


def load_mano(path: Path | str) -> HandTemplate:
    """Read a MANO file into a `HandTemplate` of the side it holds.

    The wrist joint is moved to the origin, for every shape. MANO_LEFT.pkl as it is published has
    the shape directions of the right hand, which are mirrored here. Poses given to the model are
    absolute (the flat hand is zero); the file's mean pose is kept in `pose_mean` for those who
    have poses relative to it. Raises `ManoFileError`, or `FileNotFoundError` where there is no
    file.
    """
    return _read(path, lambda content: _template(content, Path(path).stem))


def load_right_mano(path: Path | str) -> HandTemplate:
    """The right hand of a MANO file of either side, as networks pose it; raises as `load_mano`."""
    template = load_mano(path)
    return template.mirrored() if template.side == 'left' else template


def load_joint_regressor(path: Path | str) -> np.ndarray:
    """Read how a MANO file takes its 16 joints from vertices: (16, 778), rows sum to 1.

    Of posed vertices it gives the joints that FreiHAND labels. Raises as `load_mano`.
    """
    return _read(path, lambda content: _single(
        _array(content, 'J_regressor', (JOINT_COUNT, VERTEX_COUNT))))


def _read(path: Path | str, use: Callable[[Mapping], _Result]) -> _Result:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'MANO file {path} does not exist')
    try:
        with path.open('rb') as file:
            content = _Unpickler(file).load()
        if not isinstance(content, Mapping):
            raise ManoFileError(f'it holds a {type(content).__name__}, not a dictionary')
        return use(content)
    except ManoFileError as error:
        raise ManoFileError(f'{path}: {error}') from None
    except Exception as error:
        raise ManoFileError(
            f'{path}: not a readable MANO pickle ({type(error).__name__}: {error})') from error


def _template(content: Mapping, name: str) -> HandTemplate:
    vertices = _array(content, 'v_template', (VERTEX_COUNT, 3))
    faces = _array(content, 'f', (None, 3)).astype(np.int32)
    if faces.size == 0 or faces.min() < 0 or faces.max() >= VERTEX_COUNT:
        raise ManoFileError(f"'f' refers to vertices outside 0..{VERTEX_COUNT - 1}")
    weights = _array(content, 'weights', (VERTEX_COUNT, JOINT_COUNT))
    regressor = _array(content, 'J_regressor', (JOINT_COUNT, VERTEX_COUNT))
    shapedirs = _array(content, 'shapedirs', (VERTEX_COUNT, 3, None))
    if shapedirs.shape[2] < SHAPE_COUNT:
        raise ManoFileError(
            f"'shapedirs' has {shapedirs.shape[2]} directions, expected {SHAPE_COUNT}")
    parents = _array(content, 'kintree_table', (2, JOINT_COUNT))[0].astype(np.int64)
    if tuple(parents[1:]) != JOINT_PARENTS[1:]:
        raise ManoFileError(f"'kintree_table' has parents {parents.tolist()}, not MANO's tree")
    posedirs = pose_mean = None
    if 'posedirs' in content:
        posedirs = _array(content, 'posedirs', (VERTEX_COUNT, 3, _POSE_FEATURES))
        posedirs = _single(posedirs.transpose(2, 0, 1))
    if 'hands_mean' in content:
        pose_mean = _single(_array(content, 'hands_mean', (3 * (JOINT_COUNT - 1),)))

    directions = shapedirs[..., :SHAPE_COUNT].transpose(2, 0, 1)
    side = 'right' if (vertices - regressor[0] @ vertices)[:, 0].mean() < 0 else 'left'
    if side == 'left' and not _grows_evenly(vertices, directions[0]):
        directions = directions * [-1, 1, 1]
    joints = regressor @ vertices
    joint_dirs = np.einsum('jv,kvc->kjc', regressor, directions)
    vertices = vertices - joints[0]
    directions = directions - joint_dirs[:, :1]
    tips = list(TIP_VERTICES)
    return HandTemplate(
        vertices=_single(vertices),
        faces=faces,
        weights=_single(weights),
        joints=_single(joints - joints[0]),
        tips=_single(vertices[tips]),
        shapedirs=_single(directions),
        joint_dirs=_single(joint_dirs - joint_dirs[:, :1]),
        tip_dirs=_single(directions[:, tips]),
        posedirs=posedirs,
        tip_posedirs=None if posedirs is None else posedirs[:, tips],
        pose_mean=pose_mean,
        name=name,
        side=side,
    )


def _grows_evenly(vertices: np.ndarray, direction: np.ndarray) -> bool:
    """Whether a shape direction (V, 3), the first of which is a hand's size for the most part,
    lengthens the hand (along x) where it makes it wider."""
    along, *across = ((vertices - vertices.mean(axis=0)) * direction).sum(axis=0)
    return along * sum(across) >= 0


def _array(content: Mapping, key: str, shape: tuple[int | None, ...]) -> np.ndarray:
    if key not in content:
        raise ManoFileError(f"it lacks '{key}'; it holds {', '.join(map(str, content))}")
    value = content[key]
    try:
        value = _numbers(value)
    except ManoFileError as error:
        raise ManoFileError(f"'{key}': {error}") from None
    fits = value.ndim == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(value.shape, shape))
    if not fits:
        raise ManoFileError(f"'{key}' has shape {value.shape}, expected {shape}")
    if not (np.abs(value) <= np.finfo(np.float32).max).all():
        raise ManoFileError(f"'{key}' holds values that are not finite in 32 bits")
    return value


def _numbers(value: Any) -> np.ndarray:
    if isinstance(value, _StandIn):
        return value.numbers()
    if isinstance(value, (int, float, list, tuple)):
        return np.asarray(value, dtype=np.float64)
    raise ManoFileError(f'expected numbers, found {type(value).__name__}')


def _single(value: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(value, dtype=np.float32)


class _StandIn:
    """Takes the place of an object in the pickle and only remembers what it was given.

    Each stand-in is a class with `__setstate__`, so that no pickle instruction can change one.
    """

    def __new__(cls, *args: Any) -> '_StandIn':
        self = super().__new__(cls)
        self.args, self.state = args, None
        return self

    def __init__(self, *args: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def numbers(self) -> np.ndarray:
        raise ManoFileError(f'expected numbers, found {type(self).__name__.strip("_")}')


class _Dtype(_StandIn):
    def dtype(self) -> np.dtype:
        code = str(self.args[0]) if self.args else ''
        if not re.fullmatch(r'[<>|=]?(b1|[iu][1248]|f[248])', code):
            raise ManoFileError(f'array of type {code!r} refused, only plain numbers are read')
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else '='
        return np.dtype(code).newbyteorder('>' if order == '>' else '<')


class _Array(_StandIn):
    def numbers(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise ManoFileError('damaged array')
        _, shape, dtype, fortran, data = self.state
        shape = _shape(shape)
        if not isinstance(dtype, _Dtype):
            raise ManoFileError('damaged array type')
        kind = dtype.dtype()
        data = data.encode('latin1') if isinstance(data, str) else bytes(data)
        flat = np.frombuffer(data, kind)
        if flat.size != int(np.prod(shape)):
            raise ManoFileError(f'an array of shape {shape} holds {flat.size} values')
        return flat.reshape(shape, order='F' if fortran else 'C').astype(np.float64)


class _Scalar(_StandIn):
    def numbers(self) -> np.ndarray:
        dtype, data = self.args
        data = data.encode('latin1') if isinstance(data, str) else bytes(data)
        return np.frombuffer(data, dtype.dtype()).astype(np.float64).reshape(())


class _Sparse(_StandIn):
    by_column = True

    def numbers(self) -> np.ndarray:
        shape = _shape(self.state.get('_shape', self.state.get('shape')))
        data, inner, starts = (
            _numbers(self.state[key]) for key in ('data', 'indices', 'indptr'))
        inner, starts = inner.astype(np.int64), starts.astype(np.int64)
        dense = np.zeros(shape)
        outer = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        np.add.at(dense, (inner, outer) if self.by_column else (outer, inner), data)
        return dense


class _SparseRows(_Sparse):
    by_column = False


class _Chumpy(_StandIn):
    """A chumpy value (its `x`) or a selection of entries of another one (`a`, `idxs`)."""

    def numbers(self) -> np.ndarray:
        state = self.state if isinstance(self.state, dict) else {}
        if 'a' in state and 'idxs' in state:
            picked = _numbers(state['a']).ravel()[_numbers(state['idxs']).astype(np.int64)]
            shape = state.get('preferred_shape')
            return picked if shape is None else picked.reshape(_shape(shape))
        if 'x' in state:
            return _numbers(state['x'])
        raise ManoFileError(f'a chumpy expression that is not known (it has {sorted(state)})')


class _Rebuild(_StandIn):
    """`copy_reg._reconstructor(class, base, state)`, for stand-ins only."""

    def __new__(cls, kind: Any, *rest: Any) -> _StandIn:
        if not (isinstance(kind, type) and issubclass(kind, _StandIn)):
            raise ManoFileError(f'refused to build a {kind!r}')
        return _StandIn.__new__(kind)


class _Encode(_StandIn):
    """`_codecs.encode(text, 'latin1')`: how Python 3 writes bytes in old protocols."""

    def __new__(cls, text: str, encoding: str = 'latin1') -> bytes:
        return str(text).encode('latin1')


class _Plain(_StandIn):
    """`object` or `ndarray`, named but never built."""


_KNOWN = {
    'dtype': _Dtype, 'ndarray': _Plain, '_reconstruct': _Array, 'scalar': _Scalar,
    'csc_matrix': _Sparse, 'csr_matrix': _SparseRows,
    '_reconstructor': _Rebuild, 'object': _Plain, 'encode': _Encode,
}
_ALLOWED = re.compile(
    r'numpy (dtype|ndarray)'
    r'|numpy\.(core|_core)\.multiarray (_reconstruct|scalar)'
    r'|scipy\.sparse(\.(csc|_csc))? csc_matrix'
    r'|scipy\.sparse(\.(csr|_csr))? csr_matrix'
    r'|(copy_reg|copyreg) _reconstructor'
    r'|(__builtin__|builtins) object'
    r'|_codecs encode')


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file, fix_imports=False, encoding='latin1')

    def find_class(self, module: str, name: str) -> type:
        if re.fullmatch(r'chumpy(\.\w+)*', module) and re.fullmatch(r'\w+', name):
            return _Chumpy
        if _ALLOWED.fullmatch(f'{module} {name}'):
            return _KNOWN[name]
        raise ManoFileError(
            f"refused '{module}.{name}': a MANO file needs only arrays, sparse matrices and "
            'chumpy values. Nothing of it was run.')


def _shape(value: Any) -> tuple[int, ...]:
    sizes = value if isinstance(value, (tuple, list)) else _numbers(value).tolist()
    shape = tuple(int(_numbers(size)) for size in sizes)
    if any(size < 0 for size in shape) or np.prod(shape, dtype=float) > _LARGEST_ARRAY:
        raise ManoFileError(f'array of shape {shape} refused')
    return shape
