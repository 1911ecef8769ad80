"""What is minimised: as PyTorch has it, whatever batches the labels of a step come in."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from llmimg.readouts.loss import IGNORED, Term, YesOrNo, counts, first_rows

WEIGHTS = (0.5, 2.0, 4.0)
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(7, 3, generator=GENERATOR)
CLASSES = torch.tensor([0, 2, 1, 0, 0, 2, 0])
HELD = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0], [0, 0, 0]]).float()
SMOOTHED = pytest.mark.parametrize("smoothing", [0.0, 0.1])


def in_parts(term: Term, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """The loss of a step whose labels come in batches of 4, 1 and 2 rows."""
    batches = [{"labels": part} for part in labels.split([4, 1, 2])]
    (count,) = counts([term], batches)
    logits = LOGITS.split([4, 1, 2])
    return sum(term.cost(one, batch["labels"], count, smoothing) for one, batch in zip(logits, batches, strict=True))


@SMOOTHED
def test_classes_that_hold_or_do_not_are_learned_one_by_one(smoothing):
    """… rows of which none holds among them."""
    targets = HELD * (1 - smoothing) + smoothing / 2
    assert in_parts(YesOrNo(), HELD, smoothing) == pytest.approx(
        binary_cross_entropy_with_logits(LOGITS, targets).item(), rel=1e-6
    )
    weighed = binary_cross_entropy_with_logits(LOGITS, targets, pos_weight=torch.tensor(WEIGHTS)).item()
    assert in_parts(YesOrNo(class_weights=WEIGHTS), HELD, smoothing) == pytest.approx(weighed, rel=1e-6)


@SMOOTHED
def test_a_row_weighs_what_its_class_does(smoothing):
    """… however it is told, and whatever it is learned with."""
    term, shares = Term(class_weights=WEIGHTS), one_hot(CLASSES, 3).float()
    costs = cross_entropy(LOGITS, CLASSES, torch.tensor(WEIGHTS), reduction="none", label_smoothing=smoothing)
    for labels in (CLASSES, shares):
        assert in_parts(term, labels, smoothing) == pytest.approx(costs.mean().item(), rel=1e-6)
    alike = in_parts(Term(class_weights=(1.0, 1.0, 1.0)), CLASSES, smoothing)
    assert alike == pytest.approx(in_parts(Term(), CLASSES, smoothing).item(), rel=1e-6)


@pytest.mark.parametrize(
    ("term", "labels"), [(Term(), CLASSES), (Term(), one_hot(CLASSES, 3).float()), (YesOrNo(), HELD)]
)
def test_of_no_row_nothing_is_learned(term, labels):
    batch = first_rows({"labels": labels, "input_ids": torch.ones(7, 2)}, [term], 0)
    assert len(batch["labels"]) == len(batch["input_ids"]) == 1
    (count,) = counts([term], [batch])
    assert count == 0 and term.cost(LOGITS[:1], batch["labels"], count, 0.1) == 0
    assert counts([term], [first_rows({"labels": labels}, [term], 2)]) == (6 if labels is HELD else 2)


def test_a_class_of_which_nothing_is_known_is_not_learned():
    labels = HELD.clone()
    labels[0, 1] = labels[1] = IGNORED
    known = labels != IGNORED
    expected = binary_cross_entropy_with_logits(LOGITS[known], HELD[known]).item()
    assert in_parts(YesOrNo(), labels, 0.0) == pytest.approx(expected, rel=1e-6)
