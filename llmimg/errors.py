"""The one exception a user is meant to see."""

import contextlib
from collections.abc import Iterator


class UserError(Exception):
    """A user's mistake, told in one or two sentences: what is wrong, where, what to do.

    The entry points print the message alone and exit with status 1; every other exception is a defect and keeps its
    traceback.
    """


@contextlib.contextmanager
def within(where: str) -> Iterator[None]:
    """Name the place in front of what is wrong there; an empty one adds nothing."""
    try:
        yield
    except UserError as error:
        raise (UserError(f"{where}: {error}") if where else error) from None
