"""Masks as files, of the same stems as their images: ROOT/images[/SPLIT]/x.jpg and ROOT/masks[/SPLIT]/x.png, or
ROOT/SPLIT/images and ROOT/SPLIT/masks.

Folders of images are called images, image, imgs, img or JPEGImages, those of masks masks, mask, labels, label,
annotations or SegmentationClass. An image without a mask says nothing of its own, and is left out where masks are
needed.
"""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from llmimg.data.annotations.assembly import named, with_column, with_masks
from llmimg.data.annotations.filed import (
    Key,
    alone,
    image_files,
    images_below,
    root_of,
    split_of,
    used_splits,
)
from llmimg.data.annotations.masks import canonical_masks, mask_classes
from llmimg.data.columns import Source
from llmimg.data.files import files_below, is_image, left_out
from llmimg.data.sources import MASKS
from llmimg.errors import UserError

if TYPE_CHECKING:
    from llmimg.data.settings import DataSettings

READS = frozenset({"path", "label_names", *MASKS})
_IMAGES = ("images", "image", "imgs", "img", "jpegimages")
_MASKS = ("masks", "mask", "labels", "label", "annotations", "segmentationclass")


def load(settings: "DataSettings", needs: Collection[str], notes: list[str], cache: Path | None) -> Source:
    """Every split that is used, with the column `mask`."""
    from datasets import Image

    root = root_of(settings, "a folder of images and one of masks")
    lying = files_below(root)
    images, masks = (_in_folders(root, lying, kinds) for kinds in (_IMAGES, _MASKS))
    notes += alone("images", images, masks, "have no mask")
    notes += alone("masks", masks, images, "have no image, and were left out")
    found, read = {}, []
    for split in used_splits(map(split_of, images), settings):
        keys = [key for key in images if split_of(key) == split]
        files, of_files = [images[key] for key in keys], [masks.get(key) for key in keys]
        besides = [file for file in of_files if file is not None]
        read += [*files, *besides]
        data = image_files(root, files, besides, cache)
        stored = [None if file is None else {"bytes": None, "path": str(root / file)} for file in of_files]
        found[split] = with_column(data, "mask", stored, Image(decode=False))
    notes += left_out(root, lying, read)
    train = found[settings.train_split]
    items = zip(train["id"], train["mask"], strict=True)
    classes = mask_classes(((f"'{name}'", mask) for name, mask in items if mask and mask["path"]), settings)
    splits = {}
    for split, data in found.items():
        canonical, key = canonical_masks(
            data, [f"'{name}'" for name in data["id"]], classes, settings, data._fingerprint
        )
        splits[split] = named(with_masks(data.remove_columns("mask"), canonical, key), key)
    return Source(splits, {"mask": classes})


def _in_folders(root: Path, lying: Iterable[str], kinds: Collection[str]) -> dict[Key, str]:
    """The image files that lie in folders of these names, by their keys; of nested ones the nearest counts."""
    every = (*_IMAGES, *_MASKS)
    chosen = []
    for file in filter(is_image, lying):
        folders = [folder.lower() for folder in file.split("/")[:-1] if folder.lower() in every]
        if folders and folders[-1] in kinds:
            chosen.append(file)
    if not chosen:
        raise UserError(f"There are no images below '{root}' in a folder called {', '.join(kinds)}.")
    return images_below(root, chosen, every)
