import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmimg.tokens.packing import pack


@given(st.lists(st.integers(1, 9), min_size=1, max_size=30), st.integers(9, 20))
def test_every_sequence_stands_whole_in_one_row(lengths, room):
    sequences = [np.arange(length) + 100 * (owner + 1) for owner, length in enumerate(lengths)]
    ids, positions, owners = pack(sequences, room, pad=7)
    assert ids.shape == positions.shape == owners.shape == (len(ids), room)
    for owner, sequence in enumerate(sequences):
        rows, columns = np.nonzero(owners == owner)
        assert len(set(rows)) == 1 and (np.diff(columns) == 1).all()
        assert ids[rows, columns].tolist() == sequence.tolist()
        assert positions[rows, columns].tolist() == list(range(len(sequence)))
    assert (ids[owners == -1] == 7).all()
    free = (owners == -1).sum(axis=1)
    assert (np.sort(free)[:-1] + np.sort(free)[1:]).max(initial=0) <= 2 * room
