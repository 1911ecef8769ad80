import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from llmimg.textify.codebook import fit_codes, nearest_codes

LARGE = 2**15 - 1


def wholes(largest: int, size: int = 5):
    """int16 `[1 to 9, size]`."""
    values = st.integers(-largest, largest)
    return arrays(np.int16, st.tuples(st.integers(1, 9), st.just(size)), elements=values)


@given(st.sampled_from([1, 255, LARGE]).flatmap(lambda largest: st.tuples(wholes(largest), wholes(largest))))
def test_the_nearest_code_is_exact_and_the_first_of_equals(drawn):
    vectors, codes = drawn
    distances = [[sum((int(v) - int(c)) ** 2 for v, c in zip(a, b, strict=True)) for b in codes] for a in vectors]
    found = nearest_codes(vectors, codes)
    assert found.dtype == np.int64
    assert found.tolist() == [row.index(min(row)) for row in distances]


def test_large_numbers_are_told_apart_by_one():
    vector = np.arange(30_000, 30_005)
    steps = np.array([[1, 1, 1, 1, 0], [0, 1, 1, 1, 1], [0, 0, 1, 0, 0], [0, 1, 0, 1, 0]])
    codes = (vector + steps).astype(np.int16)
    assert nearest_codes(vector[None], codes).tolist() == [2]
    assert nearest_codes(vector[None], codes[::-1]).tolist() == [1]


def test_the_nearest_code_does_not_depend_on_the_batch():
    """Codes in twos that are equally near to many vectors: anything that rounds would part them somewhere."""
    draw = np.random.default_rng(0)
    vectors = draw.integers(0, 4, (3000, 192)) * 85
    codes = np.repeat(draw.integers(0, 4, (32, 192)) * 85, 2, axis=0).astype(np.int16)
    codes[1::2] = codes[1::2][:, ::-1]
    vectors = np.concatenate([vectors, vectors[:, ::-1]])
    whole = nearest_codes(vectors, codes)
    assert (np.concatenate([nearest_codes(part, codes) for part in np.array_split(vectors, 700)]) == whole).all()


def test_no_vectors_have_no_codes():
    assert nearest_codes(np.empty((0, 3), np.int16), np.ones((2, 3), np.int16)).tolist() == []


def test_codes_are_the_middles_of_what_lies_together():
    middles = np.array([[0, 0, 0], [200, 0, 100], [0, 150, 250]])
    around = np.concatenate([np.eye(3, dtype=int) * 3, -np.eye(3, dtype=int) * 3])
    codes = fit_codes((middles[:, None] + around).reshape(-1, 3), 3, seed=0)
    assert sorted(codes.tolist()) == sorted(middles.tolist())
    assert codes.dtype == np.int16


@pytest.mark.parametrize("seed", [0, 1])
def test_codes_follow_from_the_seed_on_one_thread_and_on_four(seed):
    code = f"""
import numpy as np
from llmimg.textify.codebook import fit_codes
vectors = np.random.default_rng(0).integers(0, 256, (3000, 12))
print(fit_codes(vectors, 16, seed={seed}).tolist())
"""
    outputs = set()
    for threads in ("1", "4"):
        limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", f"import os; os.environ |= {limits}\n{code}"], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        outputs.add(done.stdout)
    assert len(outputs) == 1
    vectors = np.random.default_rng(0).integers(0, 256, (3000, 12))
    assert fit_codes(vectors, 16, seed=1 - seed).tolist() != eval(outputs.pop())
