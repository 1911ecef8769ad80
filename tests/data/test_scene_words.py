"""Captions and answers, read by a reader of its own that looks at the pixels and the objects of a row alone."""

import re
from collections import Counter

import numpy as np
import pytest

from llmimg.data import DataSettings, SceneSettings, decode, load
from llmimg.data.scenes.settings import QUESTIONS
from llmimg.data.scenes.things import COLORS

EDGES = {"leftmost": (0, -1), "rightmost": (2, 1), "topmost": (1, -1), "bottommost": (3, 1)}  # of (x, y, x2, y2)
PLACES = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}


def data_of(**scenes):
    made = SceneSettings(**{"train": 250, "validation": 2, "test": 2, "noise": 0.0, **scenes})
    return load(DataSettings("scenes", source="scenes", scenes=made), needs=())


def read(row, names, overlap=False):
    """(name, color, largest side, (x, y, x2, y2)) of each object. Colors are looked up in the image, but where two of
    one class may lie in one box."""
    image, mask = decode(row["image"]), decode(row["mask"])[:, :, 0]
    found = []
    objects = row["objects"]
    for index, ((x, y, width, height), category) in enumerate(zip(objects["bbox"], objects["category"], strict=True)):
        box = int(x), int(y), int(x + width), int(y + height)
        part = np.s_[box[1] : box[3], box[0] : box[2]]
        pixels = image[part][mask[part] == category + 1]
        (common, _), *_ = Counter(map(tuple, pixels.tolist())).most_common(1)
        color = next((color for color, value in COLORS.items() if value == common), None)
        if overlap:
            color = list(COLORS)[objects["color"][index]]
        found.append((names[category], color, max(width, height), box))
    return found


def middle(thing):
    x, y, x2, y2 = thing[3]
    return (x + x2) / 2, (y + y2) / 2


def lies(one, relation, other, furthest=False):
    (x, y), (x2, y2) = middle(one), middle(other)
    right, down = PLACES[relation]
    along, across = (x - x2, y - y2) if right else (y - y2, x - x2)
    return along * (right + down) > 0 and (not furthest or abs(along) >= abs(across))


def answered(question, things, sizes):
    """The answer to a question, or an error where the picture has none, or more than one."""
    if match := re.fullmatch(r"How many (\w+) are there\?", question):
        noun = match[1]
        if noun in ("shapes", "digits"):
            return str(len(things))
        singular = noun.removesuffix("es") if noun == "crosses" else noun.removesuffix("s")
        return str(sum(name == singular for name, *_ in things))
    if match := re.fullmatch(r"Is there an? (?:(\w+) )?(\w+)\?", question):
        return "yes" if any(name == match[2] and match[1] in (None, color) for name, color, *_ in things) else "no"
    if match := re.fullmatch(r"Which (?:shape|digit) is (\w+)\?", question):
        side, sign = EDGES[match[1]]
        best = max(sign * box[side] for *_, box in things)
        (only,) = (name for name, *_, box in things if sign * box[side] == best)
        return only
    if match := re.fullmatch(r"Is the (\w+) (left of|right of|above|below) the (\w+)\?", question):
        (one,), (other,) = ([thing for thing in things if thing[0] == match[index]] for index in (1, 3))
        assert one is not other
        return "yes" if lies(one, match[2], other) else "no"
    if match := re.fullmatch(r"What (size|color) is the (\w+)\?", question):
        (only,) = (thing for thing in things if thing[0] == match[2])
        return sizes(only[2]) if match[1] == "size" else only[1]
    (color,) = re.fullmatch(r"What shape is the (\w+) one\?", question).groups()
    (only,) = (name for name, found, *_ in things if found == color)
    return only


def size_words(sides):
    """The word for a side; a thing of digits may be narrower than its size, never wider."""
    words = {2: ("small", "large"), 3: ("small", "medium", "large")}[len(sides)]
    return lambda side: next(word for word, limit in zip(words, sides, strict=True) if side <= limit)


@pytest.mark.parametrize(
    "scenes",
    [{}, {"overlap": 0.3, "most": 6, "canvas": 40, "sizes": (9, 14)}, {"things": "digits", "sizes": (8, 16)}],
    ids=["shapes", "overlapping", "digits"],
)
def test_answers_are_true_of_the_picture(scenes):
    data = data_of(**scenes)
    sizes, answers = size_words(SceneSettings(**scenes).sizes), {}
    for row in data.train:
        things = read(row, data.label_names, "overlap" in scenes)
        assert len({each["type"] for each in row["questions"]}) == len(row["questions"])
        for each in row["questions"]:
            if each["type"] != "size" or not scenes.get("overlap"):  # what is half hidden looks smaller
                assert answered(each["question"], things, sizes) == each["answer"], (each, things)
            answers.setdefault(each["type"], []).append(each["answer"])
        own = {"type": row["question_type"], "question": row["question"], "answer": row["answer"]}
        assert own in row["questions"]
    shapes_only = {"color", "shape"} if scenes.get("things") == "digits" else set()
    assert answers.keys() == set(QUESTIONS) - shapes_only
    for yes_or_no in ("exists", "relation"):
        assert 0.3 < np.mean(np.array(answers[yes_or_no]) == "yes") < 0.7
    assert {row["question_type"] for row in data.train} == answers.keys()


@pytest.mark.parametrize("scenes", [{}, {"things": "digits"}, {"sizes": (10,), "overlap": 0.4}])
def test_captions_are_true_of_the_picture(scenes):
    data = data_of(**scenes)
    sides = SceneSettings(**scenes).sizes
    for row in data.train:
        things = read(row, data.label_names, "overlap" in scenes)
        parts = row["caption"].removesuffix(".").split(", ")
        assert len(parts) == len(things) and row["caption"][0].isupper()
        for index, (part, (name, color, side, _)) in enumerate(zip(parts, things, strict=True)):
            if index:
                relation, part = re.fullmatch(r"(.+) (?:it|that) (an? .+)", part).groups()
                before = things[index - 1]
                if relation == "in the middle of":
                    assert middle(things[index]) == middle(before)
                else:
                    assert lies(things[index], relation, before, furthest=True)
            size = [size_words(sides)(side)] if len(sides) > 1 else []
            words = part.lower().split()[1:]
            assert words == [*size, *([color] if scenes.get("things") != "digits" else []), name]
        boxes = [box for *_, box in things]
        assert boxes == sorted(boxes, key=lambda box: (box[1], box[0]))
        assert row["label"] == row["objects"]["category"][0]  # the topmost thing's class


def parsed(text, sized, colored):
    """What a caption says: the size, colour and class of each thing, and the relations between them."""
    things, relations = [], []
    for index, part in enumerate(text.removesuffix(".").split(", ")):
        if index:
            relation, part = re.fullmatch(r"(.+) (?:it|that) (an? .+)", part).groups()
            relations.append(relation)
        *_, name = words = part.lower().split()[1:]
        things.append({"size": words[0] if sized else "", "color": words[-2] if colored else "", "category": name})
    return things, relations


@pytest.mark.parametrize("scenes", [{}, {"things": "digits"}, {"sizes": (10,), "overlap": 0.4, "most": 3}])
def test_foils_have_one_thing_changed(scenes):
    data = data_of(**scenes, train=4, test=120)
    told, counts = (len(SceneSettings(**scenes).sizes) > 1, scenes.get("things") != "digits"), Counter()
    assert not {"foils", "foil_kinds"} & set(data.train.column_names)
    for row in data.test:
        things, relations = parsed(row["caption"], *told)
        several = len(things) > 1
        kinds = ["color"] * told[1] + ["size"] * told[0] + ["category"] + ["relation", "omission"] * several
        assert row["foil_kinds"] == kinds and len(row["foils"]) == len(kinds)
        for kind, foil in zip(kinds, row["foils"], strict=True):
            others, between = parsed(foil, *told)
            if kind == "omission":
                places = [place for place in range(len(things)) if things[:place] + things[place + 1 :] == others]
                counts[kind, places[0]] += 1
                continue
            changed = [
                (place, name)
                for place, (one, other) in enumerate(zip(things, others, strict=True))
                for name in one
                if one[name] != other[name]
            ]
            if kind == "relation":
                ((before, after),) = (
                    (one, other) for one, other in zip(relations, between, strict=True) if one != other
                )
                assert not changed and (
                    before == "in the middle of" or PLACES[before] == tuple(-x for x in PLACES[after])
                )
            else:
                ((place, name),) = changed
                assert name == kind and relations == between
                counts[kind, place] += 1
    assert all(counts[kind, place] for kind in {kind for kind, _ in counts} for place in (0, 1))


def test_foils_are_the_scenes_own():
    """… whatever others are made with it."""
    few, many = data_of(train=4, test=3).test, data_of(train=4, test=9).test
    assert few["foils"][:] == many["foils"][:3]


def test_only_what_is_asked_for_is_asked():
    data = data_of(questions=("shape", "count"), train=40)
    assert {each["type"] for row in data.train for each in row["questions"]} == {"shape", "count"}
    assert data.notes == ()
    few = data_of(questions=("relation",), most=2, train=40)
    without = [row for row in few.train if not row["questions"]]
    assert 0 < len(without) < 40
    assert all(row["question"] is row["answer"] is row["question_type"] is None for row in without)
    assert few.notes[0] == f"{len(without)} of 40 train scenes admit none of the data.scenes.questions."
