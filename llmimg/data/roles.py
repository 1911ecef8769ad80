"""Which of a source's splits serve to train, to validate and to test."""

from collections.abc import Iterable

from llmimg.data.settings import CARVE, DataSettings
from llmimg.errors import UserError
from llmimg.nearest import did_you_mean

USUAL_NAMES = {"validation": ("validation", "valid", "val", "dev"), "test": ("test",)}


def choose_splits(source: Iterable[str], settings: DataSettings) -> dict[str, str | None]:
    """The source's split for train, validation and test; None where one is to be carved.

    Raises:
        UserError: a name that the source does not have, or one split for two purposes.
    """
    source = list(source)
    wanted = {"train": settings.train_split, "validation": settings.validation_split, "test": settings.test_split}
    named = [split for split in wanted.values() if split not in (None, CARVE)]
    for role, split in wanted.items():
        if split in (None, CARVE) and role != "train":
            free = [usual for usual in USUAL_NAMES[role] if usual in source and usual not in named]
            wanted[role] = free[0] if free and split is None else None
        elif split not in source:
            raise UserError(
                f"{settings.name} has no split '{split}' (data.{role}_split): {did_you_mean(str(split), source)}"
            )
        elif named.count(split) > 1:
            raise UserError(f"data.{role}_split={split} is named for another purpose too: each split serves one.")
    return wanted
