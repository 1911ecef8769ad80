"""What is minimised: one function of the model's logits, the labels, and how many labels the whole step has.

A step may be one batch, several that are accumulated, or several in each of many processes. A mean over each of its
batches would weigh labels by the batch they happen to come in; what is divided by the count of the whole step does not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

IGNORED = -100  # a label that is not learned


@dataclass(frozen=True)
class Term:
    """A part of the loss: the mean cost of one kind of labels, in nats.

    Attributes:
        labels: their key in a batch: class numbers int64 `[B]`, token ids int64 `[B, L]` (`IGNORED` where there is
            nothing to learn), or each class's share float32 `[B, K]` (all 0 where there is nothing to learn).
        weight: what its mean is multiplied by.
        shifted: whether logits speak of the token after theirs, as a causal model's do.
        class_weights: what the cost of each class's share of a label is multiplied by, K of them; None leaves it. It is
            divided by the count all the same, so that a row weighs what its class does, whatever it is learned with.
        few: whether most labels are `IGNORED`, so that it is quicker to leave these out first.
    """

    labels: str = "labels"
    weight: float = 1.0
    shifted: bool = False
    class_weights: tuple[float, ...] | None = None
    few: bool = False

    def learned(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Which labels of a batch are learned: bool `[B]` where each row has one, `[B, L]` of tokens."""
        labels = batch[self.labels]
        if labels.is_floating_point():
            return labels.any(dim=-1)
        learned = labels != IGNORED
        if self.shifted:
            learned[:, 0] = False  # nothing stands in front of it
        return learned

    def count(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """How many labels of a batch are learned, int64 `[]`."""
        return self.learned(batch).sum()

    def nothing(self, labels: torch.Tensor) -> torch.Tensor:
        """As many labels of which none is learned."""
        return torch.full_like(labels, 0 if labels.is_floating_point() else IGNORED)

    def cost(
        self, logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        """The batch's share of the mean: the sum of its labels' costs, divided by `count` of the whole step.

        Args:
            logits: float `[B, K]`, or `[B, L, V]`.
            smoothing: that much of each label goes to all K classes, or all V tokens, alike (Szegedy et al., CVPR
                2016).
        """
        if self.shifted:
            logits, labels = ahead(logits, labels)
        if self.few:
            learned = labels != IGNORED
            logits, labels = logits[learned], labels[learned]
        logits = logits.float()
        count = count.clamp(min=1)
        weights = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        if labels.is_floating_point():
            learned = labels.any(dim=-1)
            logits, labels = logits[learned], labels[learned]
            nats = cross_entropy(logits, labels, weights, label_smoothing=smoothing, reduction="sum")
            return self.weight * nats / count
        logits, labels = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
        if not smoothing or weights is not None:
            nats = cross_entropy(
                logits, labels, weights, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum"
            )
            return self.weight * nats / count
        # In this order of operations, as transformers' LabelSmoother: equal to the last digit.
        every = -logits.log_softmax(dim=-1)
        ignored = (labels == IGNORED)[:, None]
        nats = every.gather(-1, labels.clamp(min=0)[:, None]).masked_fill(ignored, 0).sum() / count
        even = every.sum(dim=-1, keepdim=True).masked_fill(ignored, 0).sum() / (count * logits.shape[-1])
        return self.weight * ((1 - smoothing) * nats + smoothing * even)


@dataclass(frozen=True)
class YesOrNo(Term):
    """The same of classes each of which holds or does not, whatever the others do: labels float32 `[B, K]`, from 0 (no)
    to 1 (yes), `IGNORED` where there is nothing to learn. What is counted is each of a row's K labels: a row of which
    no class holds is learned like any other. `class_weights` are of what a yes costs, a no counts as it is."""

    def learned(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return (batch[self.labels] != IGNORED).any(dim=-1)

    def count(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return (batch[self.labels] != IGNORED).sum()

    def nothing(self, labels: torch.Tensor) -> torch.Tensor:
        return torch.full_like(labels, IGNORED)

    def cost(
        self, logits: torch.Tensor, labels: torch.Tensor, count: torch.Tensor, smoothing: float = 0.0
    ) -> torch.Tensor:
        """As of `Term`; `smoothing` brings each label that much of the way to one half."""
        logits, learned = logits.float(), labels != IGNORED
        weights = None if self.class_weights is None else logits.new_tensor(self.class_weights)
        labels = labels.clamp(min=0) * (1 - smoothing) + smoothing / 2
        nats = binary_cross_entropy_with_logits(logits, labels, pos_weight=weights, reduction="none")
        return self.weight * nats.masked_fill(~learned, 0).sum() / count.clamp(min=1)


def ahead(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A causal model's logits `[B, K, V]` beside the labels of the tokens that they foretell, int64 `[B, L]`,
    K ≤ L: both `[B, K − 1, …]`. The first logits may have been left out."""
    return logits[:, :-1], labels[:, labels.shape[1] - logits.shape[1] :][:, 1:]


def row_costs(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """For each row the nats that its labels cost, and how many there are: float32 `[B, 2]`.

    Args:
        logits: `[B, L, V]`, of the labels at the same places.
        labels: int64 `[B, L]`, `IGNORED` where nothing is counted.
    """
    nats = cross_entropy(logits.float().transpose(1, 2), labels, ignore_index=IGNORED, reduction="none")
    return torch.stack([nats.sum(dim=1), (labels != IGNORED).sum(dim=1).float()], dim=1)


def counts(terms: Iterable[Term], batches: Iterable[Mapping[str, torch.Tensor]]) -> torch.Tensor:
    """How many labels each term has in all batches of a step that are this process's: int64 `[T]`."""
    batches = list(batches)
    return torch.stack([torch.stack([term.count(batch) for batch in batches]).sum() for term in terms])


def first_rows(batch: Mapping[str, torch.Tensor], terms: Iterable[Term], count: int) -> dict[str, torch.Tensor]:
    """So many rows of a batch, from its start; of none, one from which nothing is learned."""
    rows = {name: each[: max(count, 1)] if isinstance(each, torch.Tensor) else each for name, each in batch.items()}
    for term in terms if not count else ():
        rows[term.labels] = term.nothing(rows[term.labels])
    return rows
