import subprocess
import sys

import pytest

from llmimg.errors import UserError
from llmimg.registry import Registry
from llmimg.textify import TEXTIFIERS, make


def test_textify_is_a_library_of_its_own():
    """Making any textifier loads nothing heavy, nor does writing and reading what needs no library."""
    code = """
import sys
import numpy
from llmimg.textify import TEXTIFIERS, make
textifiers = {name: make(name) for name in TEXTIFIERS.entries()}
for name in ("gray", "rgb", "region_color"):
    textifier = textifiers[name]
    images = numpy.zeros((1, 8, 8, 3), numpy.uint8)
    pieces = textifier.write(images)
    textifier.grammar.parse(textifier.texts(pieces)[0])
    textifier.boxes(pieces, images), textifier.read(pieces, 8, 8)
heavy = {"torch", "transformers", "datasets", "tokenizers", "cv2", "sklearn", "skimage", "PIL", "hydra", "omegaconf"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("grey", {}, "no textifier 'grey': did you mean 'gray'"),
        ("region_colour", {}, "no textifier 'region_colour': did you mean 'region_color'"),
        ("qqq", {}, "no textifier 'qqq': known: .*gray, .*region_color, .*rgb"),
        ("gray", {"level": 4}, r"no setting 'textify\.level': did you mean 'levels'"),
        ("region_color", {"grid": "four"}, r"'textify\.grid' cannot be 'four': it takes a whole number"),
        ("region_color", {"grid": 2.5}, r"'textify\.grid' cannot be 2\.5"),
    ],
)
def test_a_wrong_name_or_value_is_answered_with_the_nearest(name, settings, message):
    with pytest.raises(UserError, match=message):
        make(name, **settings)


def test_settings_may_come_as_text():
    assert make("region_color", grid="8") == make("region_color", grid=8)


def test_every_textifier_says_its_name():
    assert {make(name).settings()["name"] for name in TEXTIFIERS.entries()} == set(TEXTIFIERS.entries())


def test_a_name_is_registered_once():
    registry = Registry("thing", "llmimg.textify")
    registry.register("one")(object())
    with pytest.raises(ValueError, match="'one' is registered twice"):
        registry.register("one")(object())
