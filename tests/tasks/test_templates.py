"""The words in which a task asks."""

import itertools
import string

from hypothesis import given
from hypothesis import strategies as st

from llmimg.tasks.templates import Template
from llmimg.tokens.sample import ImageSlot, RowText

WORDS = st.text(alphabet=string.ascii_letters + " \n:?{}猫", max_size=6).filter(lambda text: "{" not in text)
FIELDS = st.sampled_from(["image", "question", "classes"])


@given(st.lists(st.tuples(WORDS, FIELDS), max_size=4), WORDS, WORDS, st.booleans())
def test_a_filled_prompt_is_its_text_with_the_fields_put_in(front, last, behind, ends):
    text = "".join(f"{words}{{{field}}}" for words, field in front) + last
    template = Template.parsed(text + (f"{{answer}}{behind}" if ends else ""), {"classes": "cat, dog"})
    said = {"question": "is it {image}?", "classes": "cat, dog", "image": "IMAGE"}
    parts = template.filled({"question": said["question"]})
    written = "".join(said["image"] if isinstance(part, ImageSlot) else part for part in parts)
    assert written == "".join(words + said[field] for words, field in front) + last
    assert template.behind == (behind if ends else "")
    own = [part for part in parts if isinstance(part, RowText)]
    assert own == [said["question"]] * sum(field == "question" for _, field in front)
    strings = [type(part) is str for part in parts]
    assert not any(one and other for one, other in itertools.pairwise(strings))  # fixed words are joined
