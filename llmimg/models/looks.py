"""Where a model from scratch may begin: embeddings as what tokens look like, positions as where they stand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.textify import Ragged
from llmimg.tokens.lookup import one_token_pieces

_NOISE = 0.25  # of the spread: tokens that look the same are told apart


@dataclass(frozen=True, eq=False)
class Looks:
    """What tokens look like, and where they stand in the image.

    Attributes:
        tokens: of each lexicon, ids int64 `[T]` and features float32 `[T, F]`: NaN where a token has nothing of one; a
            token that has nothing of all looks like nothing. Of one that comes twice, the first row counts.
        positions: int64 `[L, 3]`, of each token of an image its row, its column, and which of the tokens there it is;
            None where these differ from image to image.
        first: how many tokens stand in front of the image.
    """

    tokens: Sequence[tuple[np.ndarray, np.ndarray]]
    positions: np.ndarray | None = None
    first: int = 0


def looks_of(lookup: Callable[[Ragged], Ragged], appearance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An entry of `Looks.tokens`: of the pieces that are one token each.

    Args:
        lookup: pieces → token ids.
        appearance: float32 `[pieces, F]`, as textifiers and tasks give it.
    """
    pieces, tokens = one_token_pieces(lookup, len(appearance))
    return tokens, appearance[pieces]


def grid_positions(boxes: np.ndarray) -> np.ndarray:
    """Row, column and number there of each of an image's tokens, int64 `[L, 3]`, from their boxes int32 `[L, 4]`."""
    columns, rows = (np.unique(boxes[:, side], return_inverse=True)[1] for side in (0, 1))
    number, seen = np.zeros(len(boxes), np.int64), {}
    for token, cell in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        number[token] = seen[cell] = seen.get(cell, -1) + 1
    return np.stack([rows, columns, number], axis=1)


@torch.no_grad()
def begin_as(model: PreTrainedModel, looks: Looks, spread: float) -> str:
    """Give a model's tokens embeddings that are alike where they look alike, and positions that are near where they
    stand in one row or column. Draws come from torch's generator.

    What the model writes with begins so too where it is tied to its embeddings; elsewhere it is left as it is.

    Args:
        spread: standard deviation of what is written.

    Returns:
        What a reader must know of it.
    """
    begun: set[int] = set()
    for tokens, features in looks.tokens:
        _, once = np.unique(tokens, return_index=True)
        once = once[~np.isin(tokens[once], list(begun))]
        weight = model.get_input_embeddings().get_parameter("weight")
        begun |= _begin_tokens(weight, tokens[once], features[once], spread)
    told = f"Embeddings begin as what their pieces look like, those of {len(begun):,} tokens"
    if looks.positions is None:
        return f"{told}; positions begin at random, as tokens stand elsewhere in each image (model.embeddings)."
    table = _positions(model)
    if table is None:
        return f"{told}; positions are rotary, and there are none to set (model.embeddings)."
    # Those along which there is more than one.
    axes = [torch.from_numpy(axis) for axis in looks.positions.T if axis.any()]
    terms = [torch.randn(int(axis.max()) + 1, table.shape[1])[axis] for axis in axes]
    if terms:
        positions = torch.stack(terms).sum(dim=0) * spread / len(terms) ** 0.5
        table[looks.first : looks.first + len(positions)] = positions.to(table)
    return f"{told}, and positions as row and column of the image's {len(looks.positions):,} tokens (model.embeddings)."


def _begin_tokens(weight: torch.Tensor, tokens: np.ndarray, features: np.ndarray, spread: float) -> set[int]:
    """Write a random projection of what tokens look like into their rows; which ones."""
    width, begun = weight.shape[1], set()
    projection = torch.randn(features.shape[1], width)
    kinds, kind_of = np.unique(~np.isnan(features), axis=0, return_inverse=True)
    for kind, known in enumerate(kinds):  # those that have the same features
        rows = np.flatnonzero(kind_of.reshape(-1) == kind)
        look = torch.from_numpy(features[np.ix_(rows, np.flatnonzero(known))])
        embeddings = (look - look.mean(dim=0)) @ projection[torch.from_numpy(known)]
        if len(rows) < 2 or not float(embeddings.std()):  # nothing to tell them apart by
            continue
        noise = torch.randn(len(rows), width)
        weight[torch.from_numpy(tokens[rows])] = (spread * (embeddings / embeddings.std() + _NOISE * noise)).to(weight)
        begun.update(tokens[rows].tolist())
    return begun


def _positions(model: PreTrainedModel) -> torch.Tensor | None:
    """The learned positions of one of our models from scratch, `[context, width]`; None where they are rotary."""
    modules = [module for name, module in model.named_modules() if name.endswith(("wpe", "position_embeddings"))]
    tables = [module.get_parameter("weight") for module in modules]
    return tables[0] if tables else None
