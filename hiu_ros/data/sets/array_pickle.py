"""Reading pickles of dictionaries of arrays without running anything that they name.

A pickle may name any function to be called. Here the few names that NumPy arrays need are mapped
to inert stand-ins, which only remember what they were given; every other name is refused.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from hiu_ros.data.sets.layout import DataSetError

_LARGEST_ARRAY = 100_000_000  # elements
_DEEPEST = 6


def read_arrays(path: str | Path) -> Any:
    """Contents of a pickle of dicts, lists, tuples, numbers, strings, None and plain arrays.

    Raises DataSetError where the file is missing or damaged, or asks for anything else.
    """
    try:
        with Path(path).open('rb') as file:
            return _unwrap(_Unpickler(file).load(), _DEEPEST)
    except _Refused as error:
        raise DataSetError(f'{path}: {error}') from None
    except FileNotFoundError:
        raise DataSetError(f'{path} does not exist') from None
    except Exception as error:
        raise DataSetError(
            f'{path} is not a readable pickle ({type(error).__name__}: {error})') from error


class _Refused(ValueError):
    pass


class _StandIn:
    """Takes the place of an object and only remembers its arguments and its state."""

    def __init__(self, *args: Any) -> None:
        self.args, self.state = args, None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> Any:
        raise _Refused(f'found {type(self).__name__.strip("_")} where a value should be')


class _Dtype(_StandIn):
    def dtype(self) -> np.dtype:
        code = str(self.args[0]) if self.args else ''
        if not re.fullmatch(r'[<>|=]?(b1|[iu][1248]|f[248])', code):
            raise _Refused(f'array of type {code!r} refused, only plain numbers are read')
        order = self.state[1] if isinstance(self.state, tuple) and len(self.state) > 1 else '='
        return np.dtype(code).newbyteorder('>' if order == '>' else '<')


class _Array(_StandIn):
    def value(self) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise _Refused('damaged array')
        _, shape, dtype, fortran, data = self.state
        return _shaped(data, dtype, shape, bool(fortran))


class _Buffer(_StandIn):
    def value(self) -> np.ndarray:
        data, dtype, shape, order = self.args
        return _shaped(data, dtype, shape, order == 'F')


class _Scalar(_StandIn):
    def value(self) -> Any:
        dtype, data = self.args
        return _shaped(data, dtype, (), False)[()]


class _Name(_StandIn):
    pass


class _Latin(bytes):
    """`_codecs.encode(text, 'latin1')` or `bytes()`: how old protocols write bytes."""

    def __new__(cls, text: str = '', encoding: str = 'latin1') -> '_Latin':
        return super().__new__(cls, str(text).encode('latin1'))


_KNOWN = {
    'dtype': _Dtype, '_reconstruct': _Array, 'scalar': _Scalar, 'ndarray': _Name,
    '_frombuffer': _Buffer, 'encode': _Latin, 'bytes': _Latin,
}
_ALLOWED = re.compile(
    r'numpy (dtype|ndarray)'
    r'|numpy\.(core|_core)\.multiarray (_reconstruct|scalar)'
    r'|numpy\.(core|_core)\.numeric _frombuffer'
    r'|_codecs encode|(__builtin__|builtins) bytes')


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any) -> None:
        super().__init__(file, fix_imports=False, encoding='latin1')

    def find_class(self, module: str, name: str) -> type:
        if _ALLOWED.fullmatch(f'{module} {name}'):
            return _KNOWN[name]
        raise _Refused(f"refused '{module}.{name}': only numbers, texts and arrays are read. "
                       'Nothing of it was run.')


def _shaped(data: Any, dtype: Any, shape: Any, fortran: bool) -> np.ndarray:
    if not isinstance(dtype, _Dtype):
        raise _Refused('damaged array type')
    kind = dtype.dtype()
    sizes = tuple(int(size) for size in shape)
    if min(sizes, default=0) < 0 or np.prod(sizes, dtype=float) > _LARGEST_ARRAY:
        raise _Refused(f'array of shape {sizes} refused')
    data = data.encode('latin1') if isinstance(data, str) else bytes(data)
    flat = np.frombuffer(data, kind)
    if flat.size != int(np.prod(sizes)):
        raise _Refused(f'an array of shape {sizes} holds {flat.size} values')
    return flat.reshape(sizes, order='F' if fortran else 'C').copy()


def _unwrap(value: Any, depth: int) -> Any:
    if depth < 0:
        raise _Refused('nested too deeply')
    if isinstance(value, _StandIn):
        return value.value()
    if isinstance(value, dict):
        return {_unwrap(k, depth - 1): _unwrap(v, depth - 1) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_unwrap(item, depth - 1) for item in value)
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return value
    raise _Refused(f'found a {type(value).__name__}')
