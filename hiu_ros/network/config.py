"""The configuration of a HIU network: a frozen, validated dataclass, and the shipped presets."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

#: Far beyond what anybody trains; numbers that are larger by mistake would take all memory.
MOST, MOST_LAYERS = 1 << 16, 64


class ConfigError(ValueError):
    """A network configuration holds an illegal value."""


@dataclass(frozen=True)
class HIUConfig:
    """Numbers that make a HIU network; the code is the same for all of them.

    The defaults are the paper's network (HIU-DMTL, ICCV 2021). Channels and block counts go from
    the finest level (a quarter of the input) to the coarsest, halving the resolution each time.
    """

    name: str = 'hiu_dmtl'
    input_size: int = 256  #: side of the square crop, px; a multiple of 32
    stages: int = 4  #: K, cascaded multi-task stages
    stem_kernel: int = 7
    stem_channels: tuple[int, int] = (64, 128)
    block: str = 'bottleneck'  #: 'bottleneck' (ResNet-50) or 'rep' (re-parameterisable 3x3)
    encoder_channels: tuple[int, ...] = (128, 512, 1024, 2048)
    encoder_blocks: tuple[int, ...] = (3, 4, 6, 3)
    decoder_channels: int = 256
    decoder_convs: int = 2  #: 3x3 convolutions before a prediction and at each level going up
    head_kernel: int = 3  #: kernel of the convolution that makes the maps
    head_strides: tuple[int, int, int] = (4, 4, 4)  #: crop pixels to a pixel of heat maps, fields,
    #: mask: 2, 4 or 8
    attention_hidden: int = 256
    regressor_channels: tuple[int, ...] = (256, 512, 1024, 2048)
    regressor_blocks: tuple[int, ...] = (3, 3, 3, 3)
    regressor_first_stride: int = 1
    regressor_hidden: int = 512
    regressor_evidence: bool = False  #: the regressor also reads joints and bones off the maps
    rotation: str = 'axis_angle'  #: 'axis_angle' (48 numbers, the paper) or '6d' (96)
    heatmap_readout: str = 'centre_of_mass'  #: or 'softargmax' (logits, differentiable)

    def __post_init__(self) -> None:
        def check(ok: bool, field: str, expected: str) -> None:
            if not ok:
                raise ConfigError(
                    f'HIUConfig.{field} is {getattr(self, field)!r}, expected {expected}'
                )

        for f in fields(self):
            if isinstance(getattr(self, f.name), list):
                object.__setattr__(self, f.name, tuple(getattr(self, f.name)))
        for f in fields(self):
            value, default = getattr(self, f.name), f.default
            if isinstance(default, tuple):
                check(isinstance(value, tuple) and len(value) > 0
                      and all(whole(v) and v > 0 for v in value), f.name,
                      'a list of positive whole numbers')
            elif whole(default):
                check(whole(value) and value > 0, f.name, 'a positive whole number')
            else:
                check(isinstance(value, type(default)), f.name, f'a {type(default).__name__}')
        check(self.input_size >= 64 and self.input_size % 32 == 0, 'input_size',
              'a multiple of 32, at least 64')
        check(1 <= self.stages <= 8, 'stages', '1 to 8')
        check(self.stem_kernel in (3, 5, 7), 'stem_kernel', '3, 5 or 7')
        check(self.block in ('bottleneck', 'rep'), 'block', "'bottleneck' or 'rep'")
        check(self.rotation in ('axis_angle', '6d'), 'rotation', "'axis_angle' or '6d'")
        check(self.heatmap_readout in ('centre_of_mass', 'softargmax'), 'heatmap_readout',
              "'centre_of_mass' or 'softargmax'")
        check(self.head_kernel in (1, 3), 'head_kernel', '1 or 3')
        check(self.regressor_first_stride in (1, 2), 'regressor_first_stride', '1 or 2')
        check(len(self.stem_channels) == 2, 'stem_channels', '2 numbers')
        check(len(self.head_strides) == 3 and set(self.head_strides) <= {2, 4, 8}, 'head_strides',
              '3 numbers of 2, 4 and 8')
        check(len(self.encoder_channels) == 4, 'encoder_channels', '4 numbers')
        for name in ('encoder', 'regressor'):
            length = len(getattr(self, f'{name}_channels'))
            check(len(getattr(self, f'{name}_blocks')) == length, f'{name}_blocks',
                  f'as many numbers as {name}_channels, {length}')
        for f in fields(self):
            most = MOST_LAYERS if f.name.endswith(('_blocks', '_convs')) else MOST
            value = getattr(self, f.name)
            check(all(number <= most for number in (value if isinstance(value, tuple) else [value])
                      if whole(number)), f.name, f'at most {most}')

    @property
    def map_size(self) -> int:
        """Side of the tasks' features, and of their maps at a stride of 4: a quarter of the input.
        """
        return self.input_size // 4

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> 'HIUConfig':
        """Inverse of `to_dict`; an unknown key is an error that names it."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f'unknown network options {unknown}; known are {sorted(known)}')
        return cls(**values)


def whole(value: Any) -> bool:
    """Whether a value is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


HIU_DMTL = HIUConfig()

#: Real time on two CPU cores.
HIU_LITE = HIUConfig(
    name='hiu_lite',
    input_size=128,
    stages=2,
    stem_kernel=3,
    stem_channels=(24, 32),
    block='rep',
    encoder_channels=(32, 80, 128, 224),
    encoder_blocks=(1, 1, 2, 1),
    decoder_channels=32,
    decoder_convs=1,
    head_kernel=1,
    attention_hidden=32,
    regressor_channels=(64, 112, 192),
    regressor_blocks=(1, 1, 1),
    regressor_first_stride=2,
    regressor_hidden=256,
    regressor_evidence=True,
    rotation='6d',
    heatmap_readout='softargmax',
)

#: Wider, above all where maps are fine: 3.4 times the arithmetic of HIU_LITE. Can grow from it.
HIU_MEDIUM = replace(
    HIU_LITE,
    name='hiu_medium',
    stem_channels=(32, 64),
    encoder_channels=(64, 144, 224, 320),
    decoder_channels=64,
    attention_hidden=64,
    regressor_channels=(128, 192, 288),
    regressor_hidden=320,
)

#: Deeper, above all where maps are coarse: 1.9 times the arithmetic of HIU_MEDIUM. Can grow from
#: it.
HIU_DEEP = replace(
    HIU_MEDIUM,
    name='hiu_deep',
    encoder_blocks=(1, 3, 5, 1),
    regressor_blocks=(2, 3, 2),
)

PRESETS = {config.name: config for config in (HIU_DMTL, HIU_LITE, HIU_MEDIUM, HIU_DEEP)}


def preset(name: str, /, **changes: Any) -> HIUConfig:
    """A shipped configuration by name, with some of its numbers changed."""
    if name not in PRESETS:
        raise ConfigError(f'unknown network {name!r}; known are {sorted(PRESETS)}')
    known = {f.name for f in fields(HIUConfig)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise ConfigError(f'unknown network options {unknown}; known are {sorted(known)}')
    return replace(PRESETS[name], **changes)
