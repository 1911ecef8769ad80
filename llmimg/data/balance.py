"""Which training rows an epoch goes through where every class is to come equally often."""

from collections.abc import Sequence

import numpy as np

from llmimg.data.names import shown
from llmimg.errors import UserError


def balanced(labels: np.ndarray, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """As many draws as there are rows: every class equally often, and every row of a class as often as another, both to
    within one.

    Args:
        labels: the class of each row, int64 `[N]`; every class that occurs is drawn.
        seed: with the epoch (from 0), all that the draw depends on.

    Returns:
        positions in `labels`, int64 `[N]`, by class; and how often each was drawn before in this epoch, int64 `[N]`.
    """
    rng = np.random.default_rng((seed, epoch))
    members = np.split(np.argsort(labels, kind="stable"), np.unique(np.sort(labels), return_index=True)[1][1:])
    share, left = divmod(len(labels), len(members))
    counts = share + (rng.permutation(len(members)) < left)
    positions, before = [], []
    for rows, count in zip(members, counts, strict=True):
        rounds = np.arange(-(-count // len(rows)))
        positions.append(np.concatenate([rows[:0], *(rng.permutation(rows) for _ in rounds)])[:count])
        before.append(np.repeat(rounds, len(rows))[:count])
    return np.concatenate(positions), np.concatenate(before)


def check_balance(names: Sequence[str], labels: np.ndarray) -> None:
    """Refuse to draw from classes that have nothing to draw.

    Args:
        names: of all classes.
        labels: the class of each training row, int64 `[N]`.

    Raises:
        UserError: naming them.
    """
    missing = [name for name, count in zip(names, np.bincount(labels, minlength=len(names)), strict=True) if not count]
    if missing:
        raise UserError(
            f"data.balance=true shows every class equally often, and no training image is of {shown(missing)}: set "
            "data.balance=false, or leave these classes out of the data."
        )
