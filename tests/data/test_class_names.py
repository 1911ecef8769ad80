"""The names of the classes of boxes and masks."""

import pytest

from llmimg.data.annotations.classes import chosen_classes
from llmimg.errors import UserError


@pytest.mark.parametrize("given", [None, ["cat", " "]])
@pytest.mark.parametrize("known", [{1: "cat", 7: ""}, None])
def test_a_class_without_a_name_is_refused(known, given):
    with pytest.raises(UserError, match="has an empty name"):
        chosen_classes(known, ["cat", ""], given)
