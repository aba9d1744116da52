"""Whether a region shows a hand: one score of what the hand network, and the finder, say of it."""

import numpy as np

#: Log odds of a hand for each unit of the log odds of presence, of the mean score of the
#: keypoints, and of the side's log odds of either sign, and what is left where all are 0.
PRESENCE, SHARPNESS, SIDE, REST = 0.39, 4.31, 0.32, -4.63
#: Shares are taken to be this far from 0 and 1, and the side to be no surer than this.
_LEAST, _SIDE_MOST = 1e-4, 6.0
#: Clarity of the mask at which a hand is as likely as not, and log odds for each unit more.
_MASK_EVEN, _MASK_ODDS = 0.875, 36.0
#: What the finder's log odds of a hand count in an image on its own, and what is added to them.
FOUND, FOUND_REST = 2.5, 0.7
#: Log odds that are added in such light that both see less (`poor_light.Corrected.lost` is 1).
IN_POOR_LIGHT = 1.5


def evidence(presence: float, keypoint_scores: np.ndarray, right: float) -> np.ndarray:
    """(3,) what speaks for a hand, arguments as of `verdict`."""
    return np.array([
        _log_odds(presence), np.mean(keypoint_scores), min(abs(right), _SIDE_MOST)])


def verdict(presence: float, keypoint_scores: np.ndarray, right: float) -> float:
    """0..1, how likely a region shows a hand.

    presence: 0..1, the network's own verdict. keypoint_scores: (21,) 0..1. right: log odds that
    it is a right hand: what is no hand has no side either. The numbers were fitted to readings of
    rendered videos and photographs (docs/choices.md), and moved so that 0.5 is where a new hand
    is worth being believed. For networks that do not tell it themselves (`Legibility`).
    """
    weights = np.array([PRESENCE, SHARPNESS, SIDE])
    odds = float(weights @ evidence(presence, keypoint_scores, right)) + REST
    return float(1 / (1 + np.exp(-odds)))


def clarity(mask: np.ndarray) -> float:
    """How sure a mask of probabilities is of what it covers: its mean there, 0 if that is nothing.
    """
    inside = mask[mask >= 0.5]
    return float(inside.mean()) if inside.size else 0.0


def verdict_alone(followed: float, presence: float, clear: float) -> float:
    """0..1, how likely a region of an image on its own shows a hand.

    followed: its `verdict`. clear: the mask's `clarity`. Where no other frame helps, the mean of
    the verdict and of what presence and mask say is better than either (docs/choices.md): a
    clear mask shows a hand even where its joints cannot be told. Where hands are followed it would
    not do, since a reading that took parts of two hands for one has a clear mask, too.
    """
    shown = presence / (1 + np.exp(_MASK_ODDS * (_MASK_EVEN - clear)))
    return float((followed + shown) / 2)


def verdict_found(alone: float, found: float, lost: float = 0.0) -> float:
    """0..1, how likely a region of an image on its own that the finder chose shows a hand.

    alone: its `verdict_alone`. found: the finder's score, 0..1. The finder sees what is around a
    hand, the hand network its parts: of hands that the one hardly believes the other often is
    sure. lost: how much poor light has taken of the image, 0..1. The numbers were chosen on
    photographs (docs/choices.md).
    """
    odds = _log_odds(alone) + FOUND * _log_odds(found) + FOUND_REST + IN_POOR_LIGHT * lost
    return float(1 / (1 + np.exp(-odds)))


def _log_odds(share: float) -> float:
    return float(np.log((share + _LEAST) / (1 - share + _LEAST)))
