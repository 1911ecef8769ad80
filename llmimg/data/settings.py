"""What `conf/data/*.yaml` can say."""

from dataclasses import dataclass, field

from llmimg.data.placement import FITS, check_size
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.sources import SOURCES
from llmimg.errors import UserError
from llmimg.settings import choose

CARVE = "carve"  # as a split's name: set aside a part of the training split, whatever the source has
BROKEN = ("error", "skip")
OVERLAP = ("say", "drop", "error")


@dataclass(frozen=True)
class DataSettings:
    """A set of labelled images: where it is, which columns and splits it has, and how its images are brought to size.

    Raises:
        UserError: a value that is out of its range, before any data is read.
    """

    name: str
    source: str = "hub"  # a file of llmimg/data/sources
    path: str | None = None  # hub id | local folder in the hub's layout | folder of class folders | folder of IDX files
    config: str | None = None  # the hub's name for one of several variants of a data set
    revision: str | None = None  # the hub's branch, tag or commit
    image_column: str | None = None  # None: the one column of feature type Image
    label_column: str | None = None  # None: the one column of feature type ClassLabel
    label_names: tuple[str, ...] | None = None  # None: the source's own
    train_split: str = "train"
    validation_split: str | None = None  # None: validation, valid, val or dev where there is one; else carved
    test_split: str | None = None  # None: test where there is one; else carved
    val_fraction: float = 0.1  # of the training images that are left once the test split is set aside
    test_fraction: float = 0.2
    split_seed: int = 0
    train_samples: int | None = None  # a stratified subset; None: all
    val_samples: int | None = None
    test_samples: int | None = None
    size: tuple[int, int] | int | None = None  # (height, width); None: as stored; a single number becomes a square
    fit: str = "stretch"
    broken: str = "error"  # what becomes of an image that cannot be decoded
    overlap: str = "say"  # what becomes of images that are, pixel by pixel, in two splits
    fresh: bool = False  # whether training images are made anew in every epoch
    scenes: SceneSettings = field(default_factory=SceneSettings)  # what source=scenes makes up

    def __post_init__(self) -> None:
        for name, known in (("source", SOURCES), ("fit", FITS), ("broken", BROKEN), ("overlap", OVERLAP)):
            choose(getattr(self, name), dict.fromkeys(known), f"data.{name}")
        for name in ("val_fraction", "test_fraction"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(f"data.{name} is {getattr(self, name)}: it must lie between 0 and 1, both excluded.")
        for name in ("train_samples", "val_samples", "test_samples"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UserError(f"data.{name} is {getattr(self, name)}: it must be at least 1, or null for all images.")
        if not 0 <= self.split_seed < 2**32:
            raise UserError(f"data.split_seed is {self.split_seed}: it must lie between 0 and 2**32 - 1.")
        if self.label_names is not None and len(set(self.label_names)) < max(2, len(self.label_names)):
            raise UserError("data.label_names must be two or more different names.")
        if isinstance(self.size, int):
            object.__setattr__(self, "size", (self.size, self.size))
        check_size(self.size)
