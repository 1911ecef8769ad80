"""A row for every token of a vocabulary, in what a model reads with and in what it writes with."""

from collections.abc import Mapping

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.tokens.vocabulary import Vocabulary


def fit_embeddings(model: PreTrainedModel, vocabulary: Vocabulary) -> frozenset[str]:
    """Give added pieces the mean of the rows of the tokens they replace, and a vocabulary of pieces rows of its own,
    drawn with the spread of the old ones; where output embeddings are not the input's, in these too.

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
                means = torch.from_numpy(mean_embeddings(old.float().cpu().numpy(), vocabulary.replaced))
                weight[list(vocabulary.replaced)] = means.to(weight)
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


def mean_embeddings(embeddings: np.ndarray, replaced: Mapping[int, tuple[int, ...]]) -> np.ndarray:
    """Embeddings of added tokens: the mean of those they replace, or of all where a piece had none.

    Args:
        embeddings: float `[V, D]`, the pretrained ones.

    Returns:
        float `[len(replaced), D]`, in the order of `replaced`.
    """
    whole = embeddings.mean(axis=0)
    return np.stack([embeddings[list(ids)].mean(axis=0) if ids else whole for ids in replaced.values()])
