"""Which training rows stand in front of others as examples."""

import numpy as np

from llmimg.errors import UserError


def draw_shots(labels: np.ndarray, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` of some training rows, int64 `[count]`: as evenly of all classes as goes, in an order drawn by the seed.

    Args:
        labels: of all training rows, int `[N]`.
        rows: those to draw from, int64, ascending: what is broken is no example.

    Raises:
        UserError: more than there are.
    """
    labels = labels[rows]
    if count > len(labels):
        raise UserError(f"task.shots={count} asks for more examples than the {len(labels):,} training images.")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # The how-manieth of its class each is: taking first ones first deals the classes out in turn.
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels[order] == label)
        turn[members] = np.arange(len(members))
    chosen = order[np.lexsort((rng.permutation(len(labels)), turn))[:count]]
    return rows[rng.permutation(chosen)]
