"""Codebooks: what k-means learns of vectors, and the code nearest to each.

Codes are whole numbers, as the vectors are: distances are then exact in floats of enough digits, and which code is
nearest depends neither on the batch nor on how a library adds up.
"""

import numpy as np


def fit_codes(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` codes by k-means (scikit-learn; Lloyd's algorithm from k-means++ starts), rounded: int16 `[count, D]`.

    Args:
        vectors: whole numbers `[M, D]` of at most 2^15 − 1 in size, M ≥ count.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # several threads add up in any order, and the same seed would give other codes
        means = KMeans(count, n_init=1, max_iter=100, random_state=seed).fit(vectors.astype(np.float32))
    return np.rint(means.cluster_centers_).astype(np.int16)


def nearest_codes(vectors: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """int64 `[M]`: which code has the least Euclidean distance to each vector, the first of equals.

    Args:
        vectors: whole numbers `[M, D]`.
        codes: int16 `[K, D]`.
    """
    # |v − c|² = |v|² − (2 v·c − |c|²): the largest bracket wins, and it is a whole number.
    largest = (
        vectors.shape[1]
        * float(np.abs(codes).max())
        * (2 * float(np.abs(vectors).max(initial=0)) + float(np.abs(codes).max()))
    )
    exact = np.float32 if largest < 2**24 else np.float64
    codes = codes.astype(exact)
    return (vectors.astype(exact) @ (2 * codes.T) - (codes**2).sum(axis=1)).argmax(axis=1)
