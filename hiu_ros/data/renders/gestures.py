"""Named hand poses as joint angles: what hands show, sign and hold."""

import numpy as np

from hiu_ros.data.renders.articulation import ANGLE_COUNT, FINGERS, THUMB, finger

OPEN = (0, 3, 2, 0)
FLAT = (-6, 0, 0, 0)
CURLED = (82, 100, 62, 0)
TIGHT = (90, 106, 72, 0)
BENT = (88, 6, 4, 0)
HOOKED = (0, 92, 58, 0)
HALF = (48, 50, 30, 0)
RELAXED = (22, 28, 14, 0)

THUMB_REST = (0, 0, 0, 5, 5)
THUMB_OUT = (-22, -14, 0, -6, -8)
THUMB_BESIDE = (11, -18, 4, 11, 8)
THUMB_OVER = (26, 16, 18, 37, 41)
THUMB_PALM = (26, 20, 22, 38, 48)
THUMB_UP = (-18, -24, 0, -6, -14)
THUMB_OPPOSED = (8, 26, 24, 12, 16)


def _pose(index=OPEN, middle=None, ring=None, pinky=None, thumb=THUMB_REST) -> np.ndarray:
    """Angles (21,); a finger left out does as the one before it."""
    angles = np.zeros(ANGLE_COUNT)
    last = index
    for name, value in zip(FINGERS, (index, middle, ring, pinky)):
        last = last if value is None else value
        angles[finger(name)] = last
    angles[THUMB] = thumb
    return angles


def _spread(finger_angles, abduction):
    return (*finger_angles[:3], abduction)


#: name -> angles (21,)
GESTURES: dict[str, np.ndarray] = {
    # Shown.
    'open': _pose(OPEN),
    'flat': _pose(FLAT, thumb=THUMB_OUT),
    'spread': _pose(_spread(FLAT, 12), _spread(FLAT, 1), _spread(FLAT, -9), _spread(FLAT, -16),
                    THUMB_OUT),
    'together': _pose(_spread(OPEN, -5), OPEN, _spread(OPEN, 5), _spread(OPEN, 12),
                      THUMB_BESIDE),
    'relaxed': _pose((18, 24, 12, 0), (24, 28, 14, 0), (27, 32, 16, 0), (30, 34, 16, 0),
                     (4, 6, 6, 12, 12)),
    'limp': _pose((30, 45, 22, 0), (36, 50, 25, 0), (40, 52, 26, 0), (42, 48, 24, 0),
                  (8, 8, 8, 18, 20)),
    'fist': _pose(TIGHT, thumb=THUMB_OVER),
    'loose_fist': _pose(CURLED, thumb=(22, 9, 14, 30, 30)),
    'fist_thumb_beside': _pose(CURLED, thumb=THUMB_BESIDE),
    'point': _pose(OPEN, TIGHT, thumb=THUMB_OVER),
    'point_thumb_out': _pose(OPEN, TIGHT, thumb=THUMB_OUT),
    'point_lazy': _pose((12, 18, 10, 0), (58, 70, 40, 0), (64, 76, 42, 0), (66, 76, 42, 0),
                        (14, 4, 8, 20, 20)),
    'victory': _pose(_spread(OPEN, 9), _spread(OPEN, -9), TIGHT, thumb=THUMB_PALM),
    'two': _pose(_spread(OPEN, -3), _spread(OPEN, 2), TIGHT, thumb=THUMB_PALM),
    'thumb_up': _pose(TIGHT, thumb=THUMB_UP),
    'gun': _pose(OPEN, _spread(OPEN, 2), TIGHT, thumb=THUMB_UP),
    'rock': _pose(OPEN, TIGHT, TIGHT, OPEN, THUMB_OVER),
    'spider': _pose(_spread(OPEN, 6), TIGHT, TIGHT, _spread(OPEN, -8), THUMB_OUT),
    'call': _pose(TIGHT, TIGHT, TIGHT, _spread(OPEN, -8), THUMB_OUT),
    'three': _pose(_spread(OPEN, 7), OPEN, _spread(OPEN, -7), TIGHT, THUMB_PALM),
    'three_thumb': _pose(_spread(OPEN, 6), _spread(OPEN, -5), TIGHT, TIGHT, THUMB_OUT),
    'four': _pose(_spread(OPEN, 9), OPEN, _spread(OPEN, -8), _spread(OPEN, -13), THUMB_PALM),
    'crossed': _pose((14, 8, 4, -14), (2, 4, 4, 13), TIGHT, thumb=THUMB_PALM),
    'crossed_far': _pose((20, 12, 4, -17), (0, 6, 4, 16), CURLED, thumb=THUMB_OVER),
    'vulcan': _pose(_spread(FLAT, 5), _spread(FLAT, 8), _spread(FLAT, -9), _spread(FLAT, -9),
                    THUMB_OUT),
    'middle': _pose(TIGHT, OPEN, TIGHT, TIGHT, THUMB_OVER),
    'pinky_up': _pose(TIGHT, TIGHT, TIGHT, OPEN, THUMB_OVER),
    'ring_up': _pose((85, 95, 50, 0), (70, 85, 50, 0), (8, 8, 4, 0), (45, 60, 30, 0),
                     (18, 18, 22, 32, 34)),
    'claw': _pose((-8, 62, 40, 6), (-8, 62, 40, 0), (-8, 62, 40, -5), (-8, 60, 40, -10),
                  (-6, 14, 6, 20, 35)),
    'tabletop': _pose(BENT, thumb=THUMB_REST),
    'beak': _pose((68, 24, 16, 0), (70, 30, 12, 0), (72, 22, 12, 2), (62, 14, 8, 8),
                  (32, 26, 28, 2, 4)),
    # Pinches; the thumb's angles were fitted so that the pads meet.
    'pinch': _pose((52, 46, 22, 0), (18, 22, 10, 0), (14, 18, 10, 0), (10, 16, 8, 0),
                   (12, 12, 26, 10, 24)),
    'ok': _pose((49, 58, 30, 0), (10, 10, 6, -2), (2, 6, 4, -6), (-4, 4, 2, -12),
                (16, 29, 22, 18, 30)),
    'pinch_closed': _pose((55, 44, 20, 0), (68, 80, 45, 0), (76, 86, 48, 0), (78, 86, 48, 0),
                          (12, 13, 25, 10, 24)),
    'middle_pinch': _pose((14, 16, 8, 3), (58, 66, 24, 0), (24, 26, 12, -2), (14, 16, 8, -8),
                          (25, 29, 26, 12, 24)),
    'ring_pinch': _pose(_spread(OPEN, 5), OPEN, (61, 58, 25, 0), (20, 22, 10, -4),
                        (32, 34, 32, 19, 30)),
    'pinky_pinch': _pose(_spread(OPEN, 5), OPEN, _spread(OPEN, -2), (64, 54, 24, -1),
                         (41, 38, 25, 27, 34)),
    'key': _pose((55, 72, 35, 0), (66, 80, 40, 0), (70, 84, 42, 0), (72, 84, 42, 0),
                 (20, 0, 6, 29, 12)),
    'tripod': _pose((51, 43, 19, 0), (55, 51, 24, 4), (62, 66, 34, 4), (66, 68, 34, 4),
                    (19, 25, 22, 13, 26)),
    'writing': _pose((53, 42, 17, 2), (55, 58, 28, 2), (64, 76, 40, 0), (66, 78, 42, 0),
                     (14, 20, 17, 19, 32)),
    # Grasps.
    'cylinder': _pose((48, 52, 28, 0), (50, 54, 30, 0), (52, 56, 30, 0), (52, 54, 28, 0),
                      (4, 26, 18, 14, 22)),
    'cylinder_thin': _pose((66, 78, 44, 0), (70, 80, 46, 0), (72, 82, 46, 0), (72, 80, 44, 0),
                           (20, 20, 18, 26, 30)),
    'cylinder_wide': _pose((30, 36, 20, 4), (32, 38, 22, 0), (33, 38, 22, -3), (32, 36, 20, -8),
                           (-10, 28, 14, 6, 12)),
    'sphere': _pose((34, 40, 24, 10), (38, 42, 25, 1), (38, 42, 25, -7), (36, 38, 22, -14),
                    (-4, 30, 20, 10, 20)),
    'sphere_small': _pose((50, 52, 30, 6), (54, 54, 30, 1), (54, 56, 30, -5), (50, 50, 28, -10),
                          (8, 30, 24, 16, 26)),
    'hook': _pose((10, 88, 52, 0), thumb=THUMB_REST),
    'hook_deep': _pose((25, 98, 62, 0), thumb=(8, 0, 4, 10, 14)),
    'lumbrical': _pose((62, 8, 4, 0), thumb=(4, 32, 18, 4, 4)),
    'phone': _pose((22, 30, 18, 4), (24, 34, 20, 0), (28, 38, 20, 0), (36, 44, 24, -2),
                   (-8, 22, 10, 8, 10)),
    'mouse': _pose((16, 28, 12, 4), (16, 26, 12, 0), (28, 38, 18, -2), (34, 42, 20, -6),
                   (2, 8, 8, 14, 16)),
    'tray': _pose((-18, 6, 6, 8), (-16, 6, 6, 0), (-16, 8, 6, -6), (-14, 8, 8, -14), THUMB_OUT),
    'trigger': _pose((26, 56, 28, 2), (68, 80, 44, 0), (72, 82, 46, 0), (72, 80, 44, 0),
                     (14, 18, 16, 24, 24)),
    'scissors': _pose((40, 46, 20, 6), (62, 66, 30, 0), (66, 74, 36, 0), (64, 70, 34, 0),
                      (6, 24, 18, 22, 26)),
    'cigarette': _pose((18, 12, 6, -3), (20, 12, 6, 3), (42, 44, 20, 0), (48, 48, 22, 0),
                       (6, 6, 6, 12, 14)),
    # Letters of the American manual alphabet that are not above.
    'letter_a': _pose((88, 102, 60, 0), thumb=(2, -24, 0, 6, 4)),
    'letter_b': _pose(_spread(FLAT, -5), FLAT, _spread(FLAT, 5), _spread(FLAT, 12),
                      (36, 14, 20, 34, 40)),
    'letter_c': _pose((34, 48, 28, 0), (36, 50, 28, 0), (36, 50, 28, 0), (34, 46, 26, 0),
                      (-4, 32, 16, 12, 24)),
    'letter_d': _pose(OPEN, (58, 62, 30, 0), (62, 66, 34, 0), (64, 66, 34, 0),
                      (20, 28, 24, 16, 30)),
    'letter_e': _pose((56, 106, 60, 0), (56, 106, 60, 0), (58, 106, 60, 0), (60, 104, 60, 0),
                      (22, 13, 20, 30, 33)),
    'letter_f': _pose((55, 59, 27, 0), _spread(OPEN, 2), _spread(OPEN, -6), _spread(OPEN, -13),
                      (11, 18, 27, 14, 28)),
    'letter_l': _pose(OPEN, TIGHT, thumb=(-26, -20, 0, -8, -10)),
    'letter_m': _pose((80, 74, 30, 0), (82, 74, 30, 0), (82, 76, 30, 0), TIGHT,
                      (15, 15, 10, 28, 33)),
    'letter_n': _pose((80, 74, 30, 0), (82, 74, 30, 0), TIGHT, TIGHT, (18, 15, 14, 25, 28)),
    'letter_o': _pose((58, 63, 32, -3), (53, 60, 32, 0), (56, 60, 32, 2), (54, 58, 30, 6),
                      (12, 24, 11, 13, 38)),
    'letter_p': _pose((10, 4, 2, 2), (56, 8, 4, 0), TIGHT, TIGHT, (6, 16, 14, 8, 10)),
    'letter_t': _pose((72, 84, 40, 4), TIGHT, TIGHT, TIGHT, (11, -2, 4, 18, 15)),
    'letter_u': _pose(_spread(OPEN, -4), _spread(OPEN, 2), TIGHT, thumb=THUMB_PALM),
    'letter_x': _pose((12, 84, 42, 0), TIGHT, thumb=THUMB_OVER),
    'letter_y': _pose(TIGHT, TIGHT, TIGHT, _spread(FLAT, -12), (-24, -18, 0, -8, -12)),
}

#: Those of a hand around a thing, or one held between its fingers.
GRASPS = ('cylinder', 'cylinder_thin', 'cylinder_wide', 'sphere', 'sphere_small', 'phone', 'key',
          'trigger', 'pinch', 'tripod', 'writing')
