"""Images and their labels: sources → canonical columns → splits; anything → uint8 [H, W, C]; augmentation.

Importing this package is cheap: `datasets` and scikit-learn are imported where data are read.
"""

from llmimg.data.annotations.classes import Classes
from llmimg.data.annotations.masks import class_pixels
from llmimg.data.annotations.moving import VOID, augment_annotations, fitted
from llmimg.data.augment import AugmentSettings, augment, augment_all, blended, mixing
from llmimg.data.balance import balanced
from llmimg.data.counts import class_counts
from llmimg.data.decoding import Decoding, by_shape, decode, stack, wide_samples
from llmimg.data.placement import Placement, placement_of
from llmimg.data.rng import example_seeds
from llmimg.data.scenes.settings import SceneSettings
from llmimg.data.settings import DataSettings
from llmimg.data.sources import FreshRows
from llmimg.data.splits import SPLITS, Data, load

__all__ = [
    "SPLITS",
    "VOID",
    "AugmentSettings",
    "Classes",
    "Data",
    "DataSettings",
    "Decoding",
    "FreshRows",
    "Placement",
    "SceneSettings",
    "augment",
    "augment_all",
    "augment_annotations",
    "balanced",
    "blended",
    "by_shape",
    "class_counts",
    "class_pixels",
    "decode",
    "example_seeds",
    "fitted",
    "load",
    "mixing",
    "placement_of",
    "stack",
    "wide_samples",
]
