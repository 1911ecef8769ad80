"""What `conf/data/*.yaml` can say."""

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field

from llmimg.data.annotations.boxes import BadBoxes, BoxUnit, Layout
from llmimg.data.placement import Fit, Size
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.shown import Shown
from llmimg.data.sources import SOURCES
from llmimg.errors import UserError
from llmimg.settings import Positive, Seed, one_of, settings_of

CARVE = "carve"  # as a split's name: set aside a part of the training split, whatever the source has

Part = Annotated[float, Field(gt=0, lt=1)]
Byte = Annotated[int, Field(ge=0, le=255)]
ClassNumber = Annotated[int, Field(ge=0, le=65535)]


@settings_of("data")
class DataSettings:
    """A set of labelled images: where it is, which columns and splits it has, and how its images are brought to size.

    Raises:
        UserError: a value that is out of its range, before any data is read.
    """

    name: str
    source: Annotated[str, one_of(SOURCES)] = "hub"  # a file of llmimg/data/sources
    path: str | None = (
        None  # hub id | local folder: in the hub's layout, of class folders, of IDX files, of annotations
    )
    config: str | None = None  # the hub's name for one of several variants of a data set
    revision: str | None = None  # the hub's branch, tag or commit
    image_column: str | None = None  # None: the one column of feature type Image
    label_column: str | None = None  # None: the one column of feature type ClassLabel, or of lists of labels
    label_names: tuple[str, ...] | None = (
        None  # of classes, or of the numbers of boxes and masks; None: the source's own
    )
    objects_column: str | None = None  # None: the one that has boxes and categories, where a task needs it
    mask_column: str | None = None  # None: the second image column, where a task needs it
    caption_column: str | None = None  # None: by name, where a task needs it; so the two below
    question_column: str | None = None
    answer_column: str | None = None
    boxes: Layout = "xywh"  # what the four numbers of a box are: corner and size, two corners, or middle and size
    box_unit: BoxUnit | None = None  # pixels or shares of the image; None: told by the boxes
    bad_boxes: BadBoxes = "error"  # what becomes of boxes that cannot be right
    void: ClassNumber | None = 255  # the number in a mask that stands for no class; None: all do
    mask_colors: tuple[tuple[Byte, Byte, Byte], ...] | None = None  # of masks in colour: that of the numbers 0, 1, …
    train_split: str = "train"
    validation_split: str | None = None  # None: validation, valid, val or dev where there is one; else carved
    test_split: str | None = None  # None: test where there is one; else carved
    val_fraction: Part = 0.1  # of the training images that are left once the test split is set aside
    test_fraction: Part = 0.2
    split_seed: Seed = 0
    train_samples: Positive | None = None  # a stratified subset; None: all
    val_samples: Positive | None = None
    test_samples: Positive | None = None
    size: Size | None = None  # (height, width); None: as stored; a single number becomes a square
    fit: Fit = "stretch"
    broken: Literal["error", "skip"] = "error"  # what becomes of an image that cannot be decoded
    overlap: Literal["say", "drop", "error"] = "say"  # what becomes of images that are, pixel by pixel, in two splits
    images: Shown = "own"  # the one a model gets for each row: its own, that of another row, or none
    fresh: bool = False  # whether training images are made anew in every epoch
    balance: bool = (
        False  # whether an epoch shows the images of rare classes more often, so that all come equally often
    )
    scenes: SceneSettings = field(default_factory=SceneSettings)  # what source=scenes makes up

    @property
    def given_path(self) -> str:
        """`path`, for sources that read one.

        Raises:
            UserError: it is missing.
        """
        if not self.path:
            raise UserError(f"data.source={self.source} needs data.path=.")
        return self.path

    def __post_init__(self) -> None:
        if self.label_names is not None and len(set(self.label_names)) < max(2, len(self.label_names)):
            raise UserError("data.label_names must be two or more different names.")
        if self.mask_colors is not None and len(set(self.mask_colors)) < len(self.mask_colors):
            raise UserError("data.mask_colors must be different colours, each of red, green and blue from 0 to 255.")
