"""What `conf/data/*.yaml` can say."""

from dataclasses import dataclass, field

from llmimg.data.annotations.boxes import BAD_BOXES, LAYOUTS, UNITS
from llmimg.data.placement import FITS, check_size
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.shown import IMAGES
from llmimg.data.sources import SOURCES
from llmimg.errors import UserError
from llmimg.nearest import choose

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
    path: str | None = (
        None  # hub id | local folder: in the hub's layout, of class folders, of IDX files, of annotations
    )
    config: str | None = None  # the hub's name for one of several variants of a data set
    revision: str | None = None  # the hub's branch, tag or commit
    image_column: str | None = None  # None: the one column of feature type Image
    label_column: str | None = None  # None: the one column of feature type ClassLabel
    label_names: tuple[str, ...] | None = (
        None  # of classes, or of the numbers of boxes and masks; None: the source's own
    )
    objects_column: str | None = None  # None: the one that has boxes and categories, where a task needs it
    mask_column: str | None = None  # None: the second image column, where a task needs it
    caption_column: str | None = None  # None: by name, where a task needs it; so the two below
    question_column: str | None = None
    answer_column: str | None = None
    boxes: str = "xywh"  # what the four numbers of a box are: corner and size, two corners, or middle and size
    box_unit: str | None = None  # pixels or shares of the image; None: told by the boxes
    bad_boxes: str = "error"  # what becomes of boxes that cannot be right
    void: int | None = 255  # the number in a mask that stands for no class; None: all do
    mask_colors: tuple[tuple[int, int, int], ...] | None = None  # of masks in colour: that of the numbers 0, 1, …
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
    images: str = "own"  # the one a model gets for each row: its own, that of another row, or none
    fresh: bool = False  # whether training images are made anew in every epoch
    scenes: SceneSettings = field(default_factory=SceneSettings)  # what source=scenes makes up

    def __post_init__(self) -> None:
        for name, known in (
            ("source", SOURCES),
            ("fit", FITS),
            ("broken", BROKEN),
            ("overlap", OVERLAP),
            ("images", IMAGES),
        ):
            choose(getattr(self, name), dict.fromkeys(known), f"data.{name}")
        for name, known in (("boxes", LAYOUTS), ("bad_boxes", BAD_BOXES), ("box_unit", UNITS)):
            if getattr(self, name) is not None:
                choose(getattr(self, name), dict.fromkeys(known), f"data.{name}")
        self._check_masks()
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

    def _check_masks(self) -> None:
        if self.void is not None and not 0 <= self.void < 2**16:
            raise UserError(
                f"data.void is {self.void}: it must lie between 0 and 65535, or be null for no such number."
            )
        colors = self.mask_colors or ()
        if any(not 0 <= value <= 255 for color in colors for value in color) or len(set(colors)) < len(colors):
            raise UserError("data.mask_colors must be different colours, each of red, green and blue from 0 to 255.")
