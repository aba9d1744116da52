"""Whether a region shows a hand: one score of what the hand network says of it."""

import numpy as np

#: Log odds of a hand for each unit of the log odds of presence, of the mean score of the
#: keypoints, and of the side's log odds of either sign, and what is left where all are 0.
PRESENCE, SHARPNESS, SIDE, REST = 0.39, 4.31, 0.32, -4.63
#: Presence is taken to be this far from 0 and 1, and the side to be no surer than this.
_LEAST, _SIDE_MOST = 1e-4, 6.0


def evidence(presence: float, keypoint_scores: np.ndarray, right: float) -> np.ndarray:
    """(3,) what speaks for a hand, arguments as of `verdict`."""
    return np.array([
        np.log((presence + _LEAST) / (1 - presence + _LEAST)), np.mean(keypoint_scores),
        min(abs(right), _SIDE_MOST)])


def verdict(presence: float, keypoint_scores: np.ndarray, right: float) -> float:
    """0..1, how likely a region shows a hand.

    presence: 0..1, the network's own verdict. keypoint_scores: (21,) 0..1. right: log odds that
    it is a right hand: what is no hand has no side either. The numbers are fitted to readings of
    rendered videos and photographs (`evaluation.verdict_fit`), and moved so that 0.5 is where a
    new hand is worth being believed.
    """
    weights = np.array([PRESENCE, SHARPNESS, SIDE])
    odds = float(weights @ evidence(presence, keypoint_scores, right)) + REST
    return float(1 / (1 + np.exp(-odds)))
