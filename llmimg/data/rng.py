"""Random numbers for examples: a function of (seed, epoch, example) alone; and samples of rows.

Neither the batch an example comes in, nor the number of workers, nor a resumed run changes them. They are SplitMix64
(Steele, Lea and Flood, OOPSLA 2014) used as a hash of a counter, so that a batch is drawn at once.
"""

from collections.abc import Sequence

import numpy as np

_GAMMA = 0x9E3779B97F4A7C15
_64_BITS = 2**64 - 1


def example_seeds(seed: int, epoch: int, indices: np.ndarray | Sequence[int]) -> np.ndarray:
    """uint64 [N]: one seed for each example `indices` (its row in the training set) in `epoch` (from 0)."""
    start = _mix(_mix(np.array([seed & _64_BITS], np.uint64)) + np.uint64(epoch & _64_BITS))
    return _mix(start + np.asarray(indices).astype(np.uint64))


def sample_seeds(seed: int, count: int) -> np.ndarray:
    """uint64 [count]: one for each of an example's samples, the first the example's own `seed`."""
    own = np.array([seed]).astype(np.uint64)
    return np.concatenate([own, _mix(_mix(own) + np.arange(1, count, dtype=np.uint64))])


def integers(seeds: np.ndarray, stream: int, bound: int | np.ndarray) -> np.ndarray:
    """int64 [N], even over 0..bound-1 (the high 32 bits, scaled); every `stream` is a draw of its own. `bound` may be
    one for each, int64 [N]."""
    return ((_high(seeds, stream) * np.asarray(bound, np.uint64)) >> np.uint64(32)).astype(np.int64)


def uniform(seeds: np.ndarray, stream: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """float64 [N], even over `low` to `high`, both exclusive."""
    return low + (high - low) * ((_high(seeds, stream).astype(np.float64) + 0.5) / 2**32)


def random_bytes(seeds: np.ndarray, stream: int, count: int) -> np.ndarray:
    """uint8 [N, count], even over 0..255; eight bytes take one stream, and so ⌈count / 8⌉ from `stream` on."""
    counters = np.arange(stream, stream - (-count // 8), dtype=np.uint64)
    words = _mix(np.asarray(seeds).astype(np.uint64)[:, None] + counters)
    return words.astype("<u8", copy=False).view(np.uint8)[:, :count]


def hashed(numbers: np.ndarray) -> np.ndarray:
    """uint64 of the same shape: integers, mixed so that each bit depends on all of theirs."""
    return _mix(np.asarray(numbers).astype(np.uint64))


def sampled(rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Up to `count` of `rows` `[N]`, drawn by the seed, in their order: what comes first in a source is often of one
    class, and stands for nothing else."""
    return rows[np.sort(np.random.default_rng(seed).permutation(len(rows))[:count])]


def _high(seeds: np.ndarray, stream: int) -> np.ndarray:
    return _mix(np.asarray(seeds).astype(np.uint64) + np.uint64(stream)) >> np.uint64(32)


def _mix(counters: np.ndarray) -> np.ndarray:
    """SplitMix64's output function: uint64 [N] → uint64 [N], modulo 2**64."""
    mixed = counters + np.uint64(_GAMMA)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
