import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from llmimg.data import Decoding
from llmimg.textify import make
from llmimg.tokens.encoder import Encoder
from llmimg.tokens.vocabulary import make_vocabulary

MIXED = st.lists(
    arrays(np.uint8, st.tuples(st.integers(3, 5), st.integers(3, 5), st.sampled_from([1, 3]))), min_size=1, max_size=6
)


def make_encoder(kind: str = "region_color", size: tuple[int, int] | None = None, **settings) -> Encoder:
    textifier = make(kind, **settings)
    return Encoder(Decoding(size), textifier, make_vocabulary("own", textifier, None))


@pytest.fixture(scope="module")
def encoders() -> list[Encoder]:
    return [make_encoder(grid=3), make_encoder("gray"), make_encoder("rgb", size=(2, 3), levels=9)]


@given(images=MIXED)
@settings(max_examples=30)
def test_images_of_any_sizes_together_have_the_ids_they_have_alone(encoders, images):
    for encoder in encoders:
        together, problems = encoder(images)
        assert not problems
        assert len(together) == len(images)
        for row, image in zip(together, images, strict=True):
            alone, _ = encoder([image])
            assert row.tolist() == alone[0].tolist()
            written = encoder.textifier.write(encoder.decoding.fitted(image)[None])
            text = encoder.textifier.texts(written)[0]
            assert row.tolist() == encoder.vocabulary.tokenizer(text, add_special_tokens=False).input_ids


def test_a_broken_image_has_an_empty_row_and_a_problem_at_its_index():
    encoder = make_encoder("gray", levels=2)
    whole = np.array([[0, 255]], np.uint8)
    ids, problems = encoder([b"no image", whole, whole.astype(float), whole], ["a.png", "b", "c.png", "d"])
    assert sorted(problems) == [0, 2]
    assert "a.png" in problems[0]
    assert "c.png" in problems[2]
    alone = encoder([whole])[0][0].tolist()
    assert [row.tolist() for row in ids] == [[], alone, [], alone]


def test_where_all_are_broken_there_are_as_many_empty_rows():
    encoder = make_encoder("gray")
    ids, problems = encoder([b"", b"x"])
    assert ids.lengths.tolist() == [0, 0]
    assert list(problems) == [0, 1]
    assert ids.values.dtype == encoder.vocabulary.lookup.dtype


def test_images_come_decoded_or_not(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    file = tmp_path / "image.png"
    Image.fromarray(image).save(file)
    encoder = make_encoder(grid=2)
    ids, problems = encoder([image, file.read_bytes(), str(file), Image.fromarray(image)])
    assert not problems
    assert all((row == ids[0]).all() for row in ids)


def test_reconstructions_are_the_textifiers():
    encoder = make_encoder("rgb", levels=256)
    images = [np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8) for shape in ((2, 3, 3), (4, 1, 3))]
    assert all((back == image).all() for back, image in zip(encoder.reconstructions(images), images, strict=True))
