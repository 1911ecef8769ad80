"""Several tasks as one: what it is scored by, its table, and what configurations are refused."""

import numpy as np
import pytest

from llmimg.configuration import Configuration
from llmimg.errors import UserError
from llmimg.tasks.base import TASKS
from llmimg.tasks.info import DataInfo
from llmimg.tasks.measure import of_rows
from llmimg.tasks.mixture import Mixture, MixtureSettings
from llmimg.tokens.sample import Answer

INFO = DataInfo(label_names=("cat", "dog"))
PARTS = {"one": {"task": {"name": "classify"}}, "other": {"task": {"name": "classify"}, "weight": 3}}
DETECT = {"detect": {"task": {"name": "detect"}}}


@pytest.fixture
def task() -> Mixture:
    asked = {name: TASKS["classify"].with_settings(INFO) for name in PARTS}
    return Mixture.together(MixtureSettings(parts=PARTS), asked)


def outcome(task):
    """Predictions and rows: the one right in 2 of 4, the other in 4 of 4."""
    rng, found = np.random.default_rng(0), {}
    for name, right in (("one", [1, 1, 0, 0]), ("other", [1, 1, 1, 1])):
        rows = [{"id": f"{name}-{number}", "label": number % 2} for number in range(4)]
        sides = [row["label"] if hit else 1 - row["label"] for row, hit in zip(rows, right, strict=True)]
        scores = [np.eye(2, dtype=np.float32)[side] * (2 + rng.random()) for side in sides]
        asked = task.asked[name]
        read = [asked.read(Answer(scores=each), row) for each, row in zip(scores, rows, strict=True)]
        found[name] = read, rows
    return task.joined(found)


def test_each_task_is_scored_by_its_own_name_and_their_headlines_on_average(task):
    predictions, rows = outcome(task)
    metrics = task.metrics(predictions, rows)
    assert metrics["one/accuracy"] == 0.5 and metrics["other/accuracy"] == 1.0 and metrics["mean"] == 0.75
    assert metrics["one/accuracy_low"] <= 0.5 <= metrics["one/accuracy_high"]
    share = {"one": 1 / 3, "other": 1.0}  # the loss as it is learned
    assert metrics["loss"] == pytest.approx(sum(share[name] * metrics[f"{name}/loss"] for name in share))
    keys = [each.key for each in task.measures_for(task.settings)]
    assert keys[0] == "mean" and {"one/accuracy", "other/ece"} <= set(keys)


def test_the_table_has_a_row_for_each_task_s_row_and_gives_the_mean_again(task):
    predictions, rows = outcome(task)
    order = [0, 4, 1, 5, 2, 6, 3, 7]
    table = task.table([predictions[each] for each in order], [rows[each] for each in order])
    assert table["part"] == ["one", "other"] * 4 and set(table["task"]) == {"classify"}
    headline = task.headline(table)
    assert of_rows(headline) == pytest.approx(0.75)
    weights = np.array([0, 1, 0, 1, 1, 1, 1, 1])  # without the rows that the one has right
    assert of_rows(headline, weights) == pytest.approx(0.5)
    ranks = np.array(table["score"])
    assert ranks.min() == 0 and (ranks[1::2] == 1).all()  # all that the other has right are no mistakes
    assert table["truth"] == [("cat", "dog")[row["label"]] for row in (rows[each] for each in order)]
    assert "one" in task.remark({name: column[0] for name, column in table.items()})


def configured(**changes):
    given = {
        "data": {"name": "scenes"},
        "textify": {"name": "patch_words"},
        "model": {"name": "gpt2_tiny", "kind": "language", "architecture": "gpt2"},
        "task": {"name": "mixture", "parts": {**PARTS, **DETECT}},
    }
    return Configuration.of({**given, **changes})


def with_part(part: dict, **settings) -> dict:
    return {"task": {"name": "mixture", "parts": {**DETECT, "odd": part}, **settings}}


def test_a_part_has_the_first_readout_that_shares_a_model_and_the_mixture_s_data():
    configuration = configured()
    assert {name: each.readout_name for name, each in configuration.parts.items()} == {
        "one": "score",
        "other": "score",
        "detect": "generate",
    }
    assert all(each.data is configuration.data for each in configuration.parts.values())
    own = configured(**with_part({"task": {"name": "classify"}, "data": {"name": "digits"}}))
    assert own.parts["odd"].data.name == "digits" and own.parts["detect"].data.name == "scenes"


MISTAKES = {
    "has no tasks": {"task": {"name": "mixture"}},
    r"task.parts.odd: task.most=0 is out of range": with_part({"task": {"name": "detect", "most": 0}}),
    r"task.parts.odd: There is no task 'detct': did you mean 'detect'": with_part({"task": {"name": "detct"}}),
    r"There is no setting 'task.parts.weigt': did you mean 'weight'": with_part({"task": {"name": "clm"}, "weigt": 1}),
    r"task.parts.weight=-1.0 is out of range": with_part({"task": {"name": "clm"}, "weight": -1}),
    r"task.parts.odd: readout=head puts an end of its own on the model": with_part(
        {"task": {"name": "classify"}, "readout": {"name": "head"}}
    ),
    r"task.parts.detect writes from left to right, and task.parts.odd fills in": with_part({"task": {"name": "mlm"}}),
    r"task.parts.odd is a mixture itself": with_part({"task": {"name": "mixture", "parts": PARTS}}),
    r"set task.image_loss, for the texts that all share": with_part({"task": {"name": "classify", "image_loss": 0.1}}),
    r"task.parts.odd.task.pack is for a task alone": with_part({"task": {"name": "clm", "pack": 64}}),
    r"task.parts has the name 'a/b'": {"task": {"name": "mixture", "parts": {"a/b": {"task": {"name": "clm"}}}}},
    r"task.parts.odd: There is no setting 'data.bins'": with_part(
        {"task": {"name": "clm"}, "data": {"name": "hub", "bins": 1}}
    ),
    r"take one of the kind language": {"model": {"name": "knn", "kind": "baseline", "architecture": "knn"}},
    r"task.parts.odd has no worst or best.*early_stopping.metric=odd/loss": {
        **with_part({"task": {"name": "clm"}}),
        "early_stopping": {"patience": 1},
    },
    r"Every task of the mixture has data of its own": {
        "task": {"name": "mixture", "parts": {"odd": {"task": {"name": "clm"}, "data": {"name": "digits"}}}}
    },
}


@pytest.mark.parametrize("sentence", MISTAKES)
def test_what_cannot_share_a_model_is_refused(sentence):
    with pytest.raises(UserError, match=sentence):
        configured(**MISTAKES[sentence])


def test_training_may_end_early_by_the_mean_or_by_one_task():
    assert configured(early_stopping={"patience": 1}).stops_by.key == "mean"
    chosen = configured(early_stopping={"patience": 1, "metric": "detect/map_50"})
    assert chosen.stops_by.key == "detect/map_50" and chosen.stops_by.higher_is_better
