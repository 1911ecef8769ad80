"""Which tokens of an image's text are hidden in masked language modelling."""

import numpy as np

from llmimg.tasks.pretrain import MlmSettings
from llmimg.tasks.text import TextSettings

Hiding = MlmSettings | TextSettings

_TRIES = 100


def hidden_tokens(settings: Hiding, length: int, seed: int, boxes: np.ndarray | None = None) -> np.ndarray:
    """bool `[length]`: as near to `settings.rate` of them as whole tokens, runs or rectangles come, and one at least.

    Args:
        seed: all that the choice depends on, besides the settings.
        boxes: int32 `[T, 4]`, T ≥ length, of the tokens; without them, as in plain text and in the recogniser,
            `mask=block` hides tokens.
    """
    rng = np.random.default_rng(int(seed))
    wanted = max(1, round(settings.rate * length))
    hidden = np.zeros(length, bool)
    if settings.mask == "token" or (settings.mask == "block" and boxes is None):
        hidden[rng.permutation(length)[:wanted]] = True
        return hidden
    for _ in range(_TRIES):
        if hidden.sum() >= wanted:
            break
        if isinstance(settings, TextSettings) or settings.mask == "span" or boxes is None:
            chosen = _span(settings, length, rng)
        else:
            chosen = _block(settings, boxes[:length], rng)
        # The last run or rectangle is cut to measure, so that every image gives as much to learn.
        new = np.flatnonzero(chosen & ~hidden)[: wanted - hidden.sum()]
        hidden[new] = True
    return hidden


def _span(settings: Hiding, length: int, rng: np.random.Generator) -> np.ndarray:
    """A run whose length is geometric (Joshi et al., TACL 2020)."""
    run = min(length, rng.geometric(1 / settings.span))
    start = rng.integers(length - run + 1)
    return (np.arange(length) >= start) & (np.arange(length) < start + run)


def _block(settings: MlmSettings, boxes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The tokens whose boxes' middles lie in a rectangle somewhere in the image, its sides in a ratio of 1:2 to 2:1."""
    width, height = boxes[:, 2].max(), boxes[:, 3].max()
    ratio = np.exp(rng.uniform(-0.5, 0.5) * np.log(2))
    wide, high = settings.block * width * ratio, settings.block * height / ratio
    left, top = rng.uniform(-wide / 2, width - wide / 2), rng.uniform(-high / 2, height - high / 2)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    return (x >= left) & (x < left + wide) & (y >= top) & (y < top + high)


def instead(hidden: np.ndarray, mask: int, size: int, seed: int) -> np.ndarray:
    """What the model sees of hidden tokens int64 `[H]`: 80 % masks, 10 % random ones of `size`, 10 % themselves."""
    rng = np.random.default_rng([int(seed), len(hidden)])
    chances, others = rng.random(len(hidden)), rng.integers(size, size=len(hidden))
    return np.where(chances < 0.8, mask, np.where(chances < 0.9, others, hidden))
