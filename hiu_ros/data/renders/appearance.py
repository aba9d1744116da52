"""Skin, cloth, metal and light of rendered hands. Colours are linear RGB unless said otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import cv2
import numpy as np
import torch

HAND_TEXELS = 384
FOREARM_TEXELS = 128
NOISE_SIZE = 32

#: sRGB skin tones from pale to dark, and the palms that go with them.
_TONES = np.array([
    [244, 208, 190], [236, 188, 164], [224, 172, 140], [203, 145, 112], [172, 115, 82],
    [141, 88, 60], [104, 66, 48], [72, 46, 36], [52, 35, 30]], dtype=np.float64) / 255
_PALMS = np.array([
    [246, 206, 190], [240, 190, 168], [232, 178, 150], [220, 162, 132], [205, 146, 116],
    [190, 132, 104], [170, 116, 92], [150, 102, 84], [138, 96, 82]], dtype=np.float64) / 255

#: Kinds of patterns on cloth and things.
PATTERNS = ('plain', 'stripes', 'checks', 'cloudy', 'dots', 'bands')


def to_linear(colour: np.ndarray) -> np.ndarray:
    """sRGB 0..1 to linear light with a gamma of 2, exact enough here and cheap to undo."""
    return np.asarray(colour, dtype=np.float64) ** 2


def skin_pictures(directory: str | Path | None, only: Sequence[str] = (),
                  leave_out: Sequence[str] = ()) -> list[Path]:
    """Hand pictures of a `SkinLibrary`; none of a directory of None.

    FileNotFoundError where the directory holds none that match, or none that a pattern is for.
    """
    if directory is None:
        return []
    every = sorted(Path(directory).glob('*_hand*.png'))
    paths = [path for path in every if (not only or _fits(path, only))
             and not _fits(path, leave_out)]
    if not paths:
        raise FileNotFoundError(
            f'no skin picture NAME_hand*.png in {directory} (only={list(only)}, '
            f'leave_out={list(leave_out)})')
    for pattern in (*only, *leave_out):
        if not any(_fits(path, [pattern]) for path in every):
            raise FileNotFoundError(f'no skin picture in {directory} fits {pattern!r}; there are '
                                    f'{", ".join(path.stem for path in every)}')
    return paths


def _fits(path: Path, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path.stem, pattern) for pattern in patterns)


class SkinLibrary:
    """Skin pictures of a directory: NAME_hand*.png with NAME_forearm*.png beside.

    A directory of None gives an empty library (procedural skin only). `only` and `leave_out` are
    file name patterns such as 'young_*3', matched against the hand picture's stem.
    """

    def __init__(self, directory: str | Path | None, only: list[str] | None = None,
                 leave_out: list[str] | None = None) -> None:
        """Read the pictures; FileNotFoundError as `skin_pictures`."""
        self.names: list[str] = []
        self.brightness: list[float] = []
        hands, forearms = [], []
        for path in skin_pictures(directory, only or (), leave_out or ()):
            arm = path.with_name(path.name.replace('_hand', '_forearm'))
            if not arm.is_file():
                raise FileNotFoundError(f'{path.name} has no forearm picture {arm.name} beside it')
            self.names.append(path.stem)
            hands.append(self._read(path, HAND_TEXELS))
            forearms.append(self._read(arm, FOREARM_TEXELS))
        if self.names:
            self.brightness = [float(np.median(hand)) for hand in hands]
            self.texels = torch.from_numpy(np.concatenate([
                np.stack(hands).reshape(-1, 3), np.stack(forearms).reshape(-1, 3)]))

    @staticmethod
    def _read(path: Path, size: int) -> np.ndarray:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f'{path} is no picture that OpenCV can read')
        image = cv2.resize(image[..., ::-1], (size, size), interpolation=cv2.INTER_AREA)
        return to_linear(image / 255).astype(np.float32)

    def __len__(self) -> int:
        return len(self.names)

    def colour(self, skin: int, forearm: torch.Tensor, uv: torch.Tensor) -> torch.Tensor:
        """Nearest texels (P, 3) of one skin. forearm: (P,) bool; uv: (P, 2), v upwards."""
        size = torch.where(forearm, FOREARM_TEXELS, HAND_TEXELS)
        column = torch.minimum((uv[:, 0].clamp(0, 1) * size).int(), size - 1)
        row = torch.minimum(((1 - uv[:, 1].clamp(0, 1)) * size).int(), size - 1)
        start = torch.where(forearm, len(self) * HAND_TEXELS ** 2 + skin * FOREARM_TEXELS ** 2,
                            skin * HAND_TEXELS ** 2)
        return self.texels.index_select(0, start + row * size + column)


def _noise_volume() -> torch.Tensor:
    """Smooth repeating noise, mean 0 and deviation 1, (NOISE_SIZE ** 3,)."""
    rng = np.random.default_rng(7)
    spectrum = np.fft.fftn(rng.normal(size=(NOISE_SIZE,) * 3))
    k = np.fft.fftfreq(NOISE_SIZE) * NOISE_SIZE
    radius = np.sqrt(sum(np.meshgrid(k ** 2, k ** 2, k ** 2, indexing='ij')))
    volume = np.fft.ifftn(spectrum * np.exp(-(radius / 5.0) ** 2) / (1 + radius)).real
    volume = (volume - volume.mean()) / volume.std()
    return torch.from_numpy(volume.astype(np.float32)).reshape(-1)


_NOISE = _noise_volume()


def noise(points: torch.Tensor) -> torch.Tensor:
    """Noise (P,) at points (P, 3); one period is one unit in every direction."""
    cell = (points * NOISE_SIZE).floor().long() & (NOISE_SIZE - 1)
    return _NOISE[(cell[:, 0] * NOISE_SIZE + cell[:, 1]) * NOISE_SIZE + cell[:, 2]]


def paint(kind: int, frequency: float, one: torch.Tensor, two: torch.Tensor,
          points: torch.Tensor) -> torch.Tensor:
    """Pattern colours (P, 3) at points (P, 3) m. kind: of PATTERNS; frequency: per metre."""
    if not 0 <= kind < len(PATTERNS):
        raise ValueError(f'pattern {kind} does not exist; there are {len(PATTERNS)}')
    name = PATTERNS[kind]
    grain = (0.02 * noise(points * 40))[:, None] * one
    if name == 'plain':
        return one + grain
    if name == 'cloudy':
        amount = torch.sigmoid(2 * noise(points * (0.35 * frequency)))
    else:
        x, y, z = torch.sin(points * (2 * torch.pi * frequency)).unbind(1)
        amount = {'stripes': lambda: y > 0, 'checks': lambda: (x > 0) != (y > 0),
                  'dots': lambda: x * y * z.abs() > 0.35, 'bands': lambda: z > 0.2}[name]().float()
    # The grain of a bright colour is more than a dark one has.
    return (one + (two - one) * amount[:, None] + grain).clamp_min(0)


@dataclass
class Skin:
    """One person's skin: a picture of the library (-1: none) and the procedural colours."""

    picture: int
    tone: np.ndarray
    palm: np.ndarray
    nail: np.ndarray
    redness: float
    mottling: float
    polish: float
    tint: np.ndarray


def sample_skin(rng: np.random.Generator, pictures: int, procedural: float = 0.35) -> Skin:
    """Draw a skin; `procedural` is the share that uses no picture."""
    picture = int(rng.integers(pictures)) if pictures and rng.random() >= procedural else -1
    at = rng.uniform(0, len(_TONES) - 1)
    steps = np.arange(len(_TONES))
    tone = np.array([np.interp(at, steps, _TONES[:, c]) for c in range(3)])
    palm = np.array([np.interp(at, steps, _PALMS[:, c]) for c in range(3)])
    jitter = rng.normal(1, 0.05, 3)
    palm = tone + (palm - tone) * rng.uniform(0.4, 1.1)
    nail = 0.35 * tone + 0.65 * palm * rng.uniform(0.95, 1.12) + np.array([0.03, 0.0, 0.01])
    polish = 1.0 if rng.random() < 0.12 else 0.0
    if polish:
        nail = rng.uniform(0, 1, 3) if rng.random() < 0.5 else np.array([0.7, 0.08, 0.15])
    tint = rng.normal(1, 0.06, 3) * rng.uniform(0.82, 1.12)
    return Skin(picture, to_linear(np.clip(tone * jitter, 0.02, 1)),
                to_linear(np.clip(palm * jitter, 0.02, 1)), to_linear(np.clip(nail, 0.02, 1)),
                float(rng.uniform(0, 0.35)), float(rng.uniform(0.01, 0.07)), polish,
                np.clip(tint, 0.65, 1.25))


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@dataclass
class Light:
    """Ambient light as spherical harmonics of order 2, and lamps (the first casts shadows)."""

    harmonics: np.ndarray  #: (9, 3) on 1, x, y, z, xy, yz, zx, xx - yy, 3 zz - 1
    direction: np.ndarray  #: (2, 3) unit vectors towards the lamps, camera axes
    colour: np.ndarray  #: (2, 3)
    shadow: float
    gloss: float
    shine: float


def _tint(rng: np.random.Generator, strength: float) -> np.ndarray:
    warm = rng.normal(0, strength)
    return np.array([1 + warm, 1 + rng.normal(0, 0.3 * strength), 1 - warm])


def sample_light(rng: np.random.Generator, brightness: float = 0.3) -> Light:
    """Draw light from a flat overcast sky to one hard lamp in the dark.

    brightness: linear, of the skin; cameras expose for what they see, if not all the way.
    """
    hard = rng.beta(1.4, 1.4)
    exposure = float(np.exp(rng.normal(-0.10, 0.25)) * np.clip(0.32 / brightness, 0.6, 5) ** 0.5)
    ambient = exposure * (1.0 - 0.72 * hard) * np.clip(_tint(rng, 0.10), 0.6, 1.5)
    harmonics = np.zeros((9, 3))
    harmonics[0] = ambient
    sky = _unit(np.array([rng.normal(0, 0.5), -1.0, rng.normal(-0.3, 0.6)]))
    gradient = rng.uniform(0.05, 0.5)
    harmonics[1:4] = sky[:, None] * ambient * gradient * np.clip(_tint(rng, 0.12), 0.6, 1.4)
    harmonics[4:] = rng.normal(0, 0.07, (5, 1)) * ambient + rng.normal(0, 0.02, (5, 3)) * ambient
    direction = np.stack([
        _unit(np.array([rng.normal(0, 0.9), -abs(rng.normal(0.6, 0.6)) + 0.15,
                        rng.normal(-0.65, 0.75)])),
        _unit(rng.normal(0, 1, 3) + np.array([0, 0, -0.4]))])
    key = exposure * hard * rng.uniform(0.8, 1.3) * np.clip(_tint(rng, 0.10), 0.6, 1.5)
    fill = exposure * rng.choice([0, 1]) * rng.uniform(0, 0.45) * np.clip(
        _tint(rng, 0.2), 0.5, 1.6)
    return Light(harmonics, direction, np.stack([key, fill]), float(rng.uniform(0.55, 1.0)),
                 float(rng.beta(1.2, 3.5) * 0.5), float(np.exp(rng.uniform(1.6, 3.8))))


def sample_colour(rng: np.random.Generator) -> np.ndarray:
    """A colour (3,) for cloth and things: greys, muted and vivid ones."""
    kind = rng.random()
    if kind < 0.3:
        colour = np.full(3, rng.uniform(0.05, 0.95)) + rng.normal(0, 0.02, 3)
    else:
        hue, value = rng.random(), rng.uniform(0.15, 0.95)
        saturation = rng.uniform(0.15, 0.5) if kind < 0.65 else rng.uniform(0.5, 1)
        channel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
        colour = value * (1 - saturation * (1 - channel))
    return to_linear(np.clip(colour, 0.01, 1))
