"""What is known of rows, read from the source no more often than it must be."""

import datasets
import numpy as np

from llmimg.data import Decoding
from llmimg.data import rows as rows_of
from llmimg.data.png import png_files

SIZES = [(6, 9), (4, 4), (8, 3)]


def test_an_image_is_read_for_its_size_once(monkeypatch):
    files = [png_files(np.zeros((1, *size, 3), np.uint8))[0] for size in SIZES]
    data = datasets.Dataset.from_dict(
        {
            "id": list("abc"),
            "image": [{"bytes": each, "path": None} for each in files],
            "objects": [{"bbox": [[0, 0, 2, 2]], "category": [0]}] * 3,
        }
    ).cast_column("image", datasets.Image(decode=False))
    known = rows_of.Rows(data, ("objects",), Decoding((4, 4)))
    read = []
    monkeypatch.setattr(rows_of, "image_size", lambda item, size=rows_of.image_size: (read.append(item), size(item))[1])
    first = known.scored(np.array([2, 0, 2]))
    assert [each["size"] for each in first] == [SIZES[2], SIZES[0], SIZES[2]] and len(read) == 2
    for _ in range(2):
        assert [each["size"] for each in known.scored(np.arange(3))] == SIZES
        assert [each["size"] for each in known.seen(np.arange(3))] == [(4, 4)] * 3
    assert len(read) == 3
