"""A plain folder of images without labels."""

from pathlib import Path

from hiu_ros.data.sample import Sample
from hiu_ros.data.sets.layout import Layout, image_reader
from hiu_ros.picture_file import SUFFIXES, pictures_in


class ImageFolder:
    """Every image below a folder, by name; side: that of the hand in each, where it is known."""

    name = 'folder'
    splits = ('all',)

    def __init__(
        self, root: str | Path, split: str = 'all', side: str | None = None
    ) -> None:
        if split not in self.splits:
            raise ValueError(f'a folder of images has the splits {self.splits}, not {split!r}')
        if side not in (None, 'left', 'right'):
            raise ValueError(f"side is {side!r}, expected 'left' or 'right'")
        layout = Layout('image folder', root, 'wherever your images are')
        self.root, self.side = layout.root, side
        self.files = pictures_in(self.root, below=True)
        if not self.files:
            raise layout.wrong(f'there is no image ({", ".join(SUFFIXES)})')

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        path = self.files[index]
        return Sample(f'folder/{path.relative_to(self.root)}', image_reader(path), side=self.side)
