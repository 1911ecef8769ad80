"""What pieces look like, as numbers: where the embeddings of a model from scratch may begin."""

from collections.abc import Sequence

import numpy as np

from llmimg.textify.grammar import Lexicon

_BUMPS = 9


def bumps(values: np.ndarray) -> np.ndarray:
    """Numbers as features in which near ones are alike, and far ones have nothing in common: nine Gaussian bumps over
    their range (radial basis functions: Broomhead and Lowe, 1988).

    Args:
        values: float `[N, K]`, 0 to 1.

    Returns:
        float32 `[N, 9·K]`.
    """
    centers = np.linspace(0, 1, _BUMPS)
    away = np.asarray(values, np.float64)[..., None] - centers
    return np.exp(-((_BUMPS - 1) ** 2) * away**2 / 2).reshape(len(values), -1).astype(np.float32)


def steps(count: int) -> np.ndarray:
    """`bumps` of so many even steps from 0 to 1: float32 `[count, 9]`."""
    return bumps(np.linspace(0, 1, count)[:, None])


def appearance_of(lexicon: Lexicon, *looks: tuple[Sequence[str], np.ndarray]) -> np.ndarray:
    """What `Textifier.appearance` gives, from what whole kinds of piece look like.

    Args:
        looks: kinds that look alike piece by piece, and float `[pieces of each, F]`; each pair has columns of its own.

    Returns:
        float32 `[pieces, sum of F]`, NaN where a piece has nothing of that.
    """
    found = np.full((len(lexicon), sum(look.shape[1] for _, look in looks)), np.nan, np.float32)
    column = 0
    for kinds, look in looks:
        for kind in kinds:
            ids = lexicon.kinds[kind]
            found[ids.start : ids.stop, column : column + look.shape[1]] = look
        column += look.shape[1]
    return found
