"""A row for every token of a vocabulary, in what a model reads with and in what it writes with."""

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from llmimg.tokens.vocabulary import Vocabulary


def fit_embeddings(model: PreTrainedModel, vocabulary: Vocabulary) -> frozenset[str]:
    """Give tokens that a model did not have rows behind its own, which stay: the mean of the rows of those that one
    stands for; else, drawn around the mean of all, with their spread. A vocabulary of pieces has rows of its own, drawn
    with the spread of the old ones. Where output embeddings are not the input's, in these too.

    Returns:
        The names of the weights of which rows that are read were drawn at random.
    """
    size = len(vocabulary.tokenizer)
    before = [weight.detach().clone() for weight in _matrices(model).values()]
    if vocabulary.name in ("own", "learn"):
        model.resize_token_embeddings(size, mean_resizing=False)
        with torch.no_grad():
            for weight, old in zip(_matrices(model).values(), before, strict=True):
                weight.normal_(0, float(old.std())) if old.dim() > 1 else weight.zero_()
        return frozenset(_matrices(model))
    if vocabulary.replaced:
        model.resize_token_embeddings(max(size, len(before[0])), mean_resizing=False)
        with torch.no_grad():
            for weight, old in zip(_matrices(model).values(), before, strict=True):
                weight[list(vocabulary.replaced)] = _beginnings(old.float().cpu(), vocabulary.replaced).to(weight)
    elif size > len(before[0]):
        model.resize_token_embeddings(size)
        if {*range(len(before[0]), size)} - {vocabulary.tokenizer.pad_token_id}:  # padding is never read
            return frozenset(_matrices(model))
    return frozenset()


def _matrices(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    """The weights that have a row for each token, by name, the input embeddings first; one that is tied comes once."""
    embeddings, writer = model.get_input_embeddings(), model.get_output_embeddings()
    rows = {id(embeddings.weight)}
    if writer is not None:
        rows |= {id(weight) for weight in (writer.weight, getattr(writer, "bias", None)) if weight is not None}
    found = {name: weight for name, weight in model.named_parameters() if id(weight) in rows}
    return dict(sorted(found.items(), key=lambda named: named[1] is not embeddings.weight))


def _beginnings(embeddings: torch.Tensor, replaced: Mapping[int, tuple[int, ...]]) -> torch.Tensor:
    """Where added tokens begin, float32 `[len(replaced), …]` in the order of `replaced`.

    Args:
        embeddings: float32 `[V, D]`, or `[V]` of biases, the pretrained ones.
    """
    mean, spread = embeddings.mean(dim=0), embeddings.std(dim=0)
    rows = []
    for ids in replaced.values():
        if ids:
            rows.append(embeddings[list(ids)].mean(dim=0))
        else:  # rows that are all the same would be answers that are all as likely
            rows.append(mean + spread * torch.randn(mean.shape) if mean.dim() else mean)
    return torch.stack(rows)
