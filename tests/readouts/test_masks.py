import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmimg.readouts.masks import hidden_tokens, instead
from llmimg.tasks.pretrain import MlmSettings

GRID = np.array([[x, y, x + 1, y + 1] for y in range(8) for x in range(8)], np.int32)


@given(
    st.sampled_from(["token", "span", "block"]),
    st.floats(0.01, 0.9),
    st.integers(1, 64),
    st.integers(0, 2**64 - 1),
)
def test_as_many_as_the_rate_says(mask, rate, length, seed):
    settings = MlmSettings(mask=mask, rate=rate)
    hidden = hidden_tokens(settings, length, seed, GRID)
    wanted = max(1, round(rate * length))
    assert hidden.shape == (length,) and 1 <= hidden.sum() <= wanted
    if mask == "token" or rate < 0.5:
        assert hidden.sum() == wanted
    assert np.array_equal(hidden, hidden_tokens(settings, length, seed, GRID))


def test_spans_are_runs_and_blocks_are_rectangles():
    runs = [hidden_tokens(MlmSettings(mask="span", rate=0.1, span=6), 64, seed) for seed in range(200)]
    starts = np.mean([(np.diff(np.r_[0, run.astype(int)]) == 1).sum() for run in runs])
    tokens = np.mean([hidden_tokens(MlmSettings(rate=0.1), 64, seed).sum() for seed in range(200)])
    assert tokens == 6 and starts < 2.5
    for seed in range(50):
        block = hidden_tokens(MlmSettings(mask="block", rate=0.06, block=0.6), 64, seed, GRID).reshape(8, 8)
        rows, columns = np.nonzero(block)
        assert np.ptp(rows) <= 6 and np.ptp(columns) <= 6


def test_what_stands_instead():
    hidden = np.arange(20_000)
    seen = instead(hidden, mask=-1, size=50_000, seed=3)
    assert (seen == -1).mean() == pytest.approx(0.8, abs=0.01)
    assert (seen == hidden).mean() == pytest.approx(0.1, abs=0.01)
