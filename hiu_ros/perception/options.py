"""The options of a pipeline, checked at construction."""

from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Final

from hiu_ros.geometry.crop import NETWORK_SCALE
from hiu_ros.hand.size import LENGTH_RANGE
from hiu_ros.perception.smoothing import Smoothing
from hiu_ros.perception.views import VIEWS

WEIGHTS: Final = Path(__file__).parents[1] / 'weights'
HIU_WEIGHTS: Final = WEIGHTS / 'hiu.safetensors'
FINDER_WEIGHTS: Final = WEIGHTS / 'finder.safetensors'
REGIONS: Final = ('finder', 'boxes', 'whole')


def hand_weights(given: Path | str | None) -> Path:
    """The file of the hand network's weights. given: a path, the name of a file that ships, such
    as 'hiu_lite' (smaller, faster, less exact), or None: the best that ships. Raises
    FileNotFoundError for another word that is no path either."""
    if not given:
        return HIU_WEIGHTS
    path, named = Path(given), WEIGHTS / f'{given}.safetensors'
    bare = path.name == str(given)
    if bare and named.is_file():
        return named
    if bare and not path.suffix and not path.exists():
        raise FileNotFoundError(f'no weights {str(given)!r}; hiu, the larger network, and '
                                'hiu_lite ship, others are the path of a .safetensors file')
    return path


@dataclass(frozen=True)
class TrackingOptions:
    """How hands are followed from frame to frame.

    min_hits: frames a hand is seen in before it is announced. max_misses: frames in a row it may
    be missed in before it is dropped; after the first 20 only the finder looks for it.
    keep_score: score below which a followed hand counts as missed. announce_score: score that the
    finder must have given it at least once before it is announced; higher than what a region is
    looked at for, as what is no hand may be looked at again and again. Where it gave less than 0.2
    more, the hand's reading must make up for the doubt. finder_interval: frames between two
    searches while some hands are followed; with none, or while one is missed, every frame is
    searched.
    """

    min_hits: int = 1
    max_misses: int = 60
    keep_score: float = 0.3
    announce_score: float = 0.3
    finder_interval: int = 1

    def __post_init__(self) -> None:
        _integer(self, 'min_hits', 1)
        _integer(self, 'max_misses', 0)
        _integer(self, 'finder_interval', 1)
        _unit(self, 'keep_score')
        _unit(self, 'announce_score')


@dataclass(frozen=True)
class PipelineOptions:
    """What a `Pipeline` does; see each field. Raises ValueError naming the field at fault."""

    weights: Path | str | None = None  #: of the hand network, see `hand_weights`
    finder_weights: Path | str | None = None  #: of the finder; None: the shipped ones
    device: str = 'auto'  #: 'auto' (a GPU if there is one), 'cpu', 'cuda', 'cuda:1', ...
    half: bool = False  #: the hand network in float16 on a GPU, in bfloat16 on a CPU
    #: Where hands are looked for: 'finder', 'boxes' (those given with the frame only) or 'whole'
    #: (the whole image is one region). Boxes given with a frame always replace the search.
    regions: str = 'finder'
    max_hands: int = 4
    min_score: float = 0.5  #: score from which a region counts as a hand
    #: None: every image is taken on its own, and ids count within the image.
    tracking: TrackingOptions | None = field(default_factory=TrackingOptions)
    smoothing: Smoothing = field(default_factory=Smoothing)
    mirrored_input: bool = False  #: images are mirrored (selfie cameras)
    correct_light: bool = True  #: dark, flat, tinted and noisy images are improved first
    #: Wrist joint to middle finger tip along the bones, m; None: as the network sees it.
    hand_length_m: float | None = None
    #: Standard deviation of hand length: of the known one, and of an unknown one, as a share.
    known_length_doubt: float = 0.015
    length_doubt: float = 0.07
    detail: str = 'fast'  #: mesh of the results, see `hand.template.load_template`
    crop_scale: float = NETWORK_SCALE  #: side of a crop / larger side of the joints' box
    box_scale: float = 1.4  #: side of the first crop / larger side of a box that was given
    refine_passes: int = 1  #: more looks at a new region, around the joints found before
    views: int = 1  #: crops of each region whose readings are averaged, see `views.VIEWS`
    fit_pose: bool = True  #: bring the pose into line with the joints seen
    fit_outline: bool = True  #: bring the outline of the mesh onto that of the mask
    mask_threshold: float = 0.5
    valid_score: float = 0.2  #: keypoints of a lower score are marked not valid
    small_hands: bool = False  #: the finder also searches overlapping quarters of the image

    def __post_init__(self) -> None:
        if self.regions not in REGIONS:
            raise ValueError(f'PipelineOptions.regions is {self.regions!r}, expected one of '
                             f'{", ".join(REGIONS)}')
        _integer(self, 'max_hands', 1)
        _integer(self, 'refine_passes', 0)
        _integer(self, 'views', 0)
        if not 1 <= self.views <= len(VIEWS):
            raise ValueError(f'PipelineOptions.views is {self.views}, expected 1 to {len(VIEWS)}')
        for name in ('min_score', 'mask_threshold', 'valid_score', 'known_length_doubt',
                     'length_doubt'):
            _unit(self, name)
        for name in ('crop_scale', 'box_scale'):
            value = getattr(self, name)
            if not _within(value, 1.0, 4.0):
                raise ValueError(f'PipelineOptions.{name} is {value!r}, expected 1 to 4')
        length = self.hand_length_m
        low, high = LENGTH_RANGE
        if length is not None and not _within(length, low, high):
            raise ValueError(f'PipelineOptions.hand_length_m is {length!r}, expected {low} to '
                             f'{high} m or None')
        if not isinstance(self.tracking, TrackingOptions | None):
            raise ValueError(f'PipelineOptions.tracking is {self.tracking!r}, expected '
                             'TrackingOptions, or None for images that are taken on their own')
        if not isinstance(self.smoothing, Smoothing):
            raise ValueError(f'PipelineOptions.smoothing is {self.smoothing!r}, expected '
                             'Smoothing(), which smooths nothing, or Smoothing.usual()')


def _integer(options: object, name: str, least: int) -> None:
    value = getattr(options, name)
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f'{type(options).__name__}.{name} is {value!r}, expected an integer of '
                         f'{least} or more')


def _unit(options: object, name: str) -> None:
    value = getattr(options, name)
    if not _within(value, 0.0, 1.0):
        raise ValueError(f'{type(options).__name__}.{name} is {value!r}, expected 0 to 1')


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, Real) and low <= value <= high
