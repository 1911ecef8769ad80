"""Images that cannot be read: they end a run, or are left out and counted (`data.broken`)."""

from collections.abc import Mapping

from llmimg.errors import UserError


def refuse_broken(problems: Mapping[int, str]) -> None:
    """End the run where an image of these is broken, with what is wrong with the first and what to do.

    Args:
        problems: row → why the image there is broken.

    Raises:
        UserError: where there are any.
    """
    if problems:
        raise UserError(f"{problems[min(problems)]} Mend or remove it, or set data.broken=skip.")


def broken_notes(problems: Mapping[int, str], split: str) -> list[str]:
    """A sentence on the broken images of a split that were left out; none where there are none."""
    if not problems:
        return []
    return [f"{len(problems):,} broken images of the {split} split were skipped. The first: {problems[min(problems)]}"]
