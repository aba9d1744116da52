"""Published figures to print beside one's own, each with who measured it.

FreiHAND and HO3D: millimetres and F-scores of the aligned mesh. None: not published or not seen.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedRow:
    """One method's figures on one data set."""

    method: str
    pa_mpjpe: float | None  #: mm
    pa_mpvpe: float | None  #: mm
    f5: float | None
    f15: float | None
    measured_by: str  #: who ran the evaluation, and how far it compares

    def as_row(self) -> dict[str, object]:
        """Keys as the tables of the evaluation command have them."""
        return {'set': self.method, 'pa_mpjpe': self.pa_mpjpe, 'pa_mpvpe': self.pa_mpvpe,
                'f5': self.f5, 'f15': self.f15, 'by': self.measured_by}


_AUTHORS = 'its authors'
_OWN_REGRESSOR = "a re-run with true boxes and FreiHAND's joint definition, by the RopeTrack notes"
_GT_BOXES = 'a re-run with true boxes, by the RopeTrack notes'

FREIHAND = (
    PublishedRow('HIU-DMTL (ICCV 2021)', 7.1, 7.3, 0.699, 0.974, _AUTHORS),
    PublishedRow('FreiHAND baseline (ICCV 2019)', 11.0, 10.9, 0.516, 0.934, _AUTHORS),
    PublishedRow('I2L-MeshNet (ECCV 2020)', 7.4, 7.6, 0.681, 0.973, _AUTHORS),
    PublishedRow('METRO (CVPR 2021)', 6.7, 6.8, 0.717, 0.981,
                 f'{_AUTHORS}, test-time augmentation'),
    PublishedRow('Mesh Graphormer (ICCV 2021)', 5.9, 6.0, 0.765, 0.987,
                 f'{_AUTHORS}, test-time augmentation'),
    PublishedRow('MobRecon ResNet-50 (CVPR 2022)', 5.7, 5.9, 0.784, 0.986,
                 f'{_AUTHORS}, extra data'),
    PublishedRow('SimpleHand FastViT (CVPR 2024)', 5.7, 6.0, 0.772, 0.986, _AUTHORS),
    PublishedRow('HaMeR (CVPR 2024)', 6.0, 5.7, 0.785, 0.990, f'{_AUTHORS}, extra data'),
    PublishedRow('HaMeR, re-run', 5.577, 5.778, 0.780, 0.990, _OWN_REGRESSOR),
    PublishedRow('WiLoR (CVPR 2025)', 5.5, 5.1, 0.825, 0.993, f'{_AUTHORS}, extra data'),
    PublishedRow('WiLoR, re-run', 4.994, 5.181, 0.820, 0.992, _OWN_REGRESSOR),
)

HO3D_V2 = (
    PublishedRow('HaMeR (CVPR 2024)', 7.7, 7.9, None, None, f'{_AUTHORS}, extra data'),
    PublishedRow('WiLoR (CVPR 2025)', 7.5, 7.7, None, None, f'{_AUTHORS}, extra data'),
    PublishedRow('WiLoR + AnyHand (2026)', 7.355, 7.624, 0.649, 0.984, f'{_AUTHORS}, extra data'),
)

HO3D_V3 = (
    PublishedRow('HandOccNet (CVPR 2022)', 9.1, 8.8, 0.564, 0.963, 'the authors of HMP'),
    PublishedRow('HaMeR, re-run', 7.424, 6.922, 0.673, 0.980, _GT_BOXES),
    PublishedRow('WiLoR, re-run', 7.088, 6.596, 0.692, 0.984, _GT_BOXES),
    PublishedRow('MaskHand (ICCV 2025)', 7.0, 7.0, 0.663, 0.984, _AUTHORS),
)

#: HIU-DMTL did not publish HO3D, which is why it is not in those tables.
TABLES = {'freihand': FREIHAND, 'ho3d_v2': HO3D_V2, 'ho3d_v3': HO3D_V3}

COLUMNS = {
    'set': ('method', ''),
    'pa_mpjpe': ('PA-MPJPE mm', '.1f'),
    'pa_mpvpe': ('PA-MPVPE mm', '.1f'),
    'f5': ('F@5', '.3f'),
    'f15': ('F@15', '.3f'),
    'by': ('measured by', ''),
}
