"""What the tokens of a model see, found by trying: not every causal model goes by the mask that it is given.

A sliding window, a convolution, a recurrent state or a bias on distances reads whatever stands in front; several
sequences side by side in one row would run into one another, and nothing would fail.
"""

import inspect
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from transformers import PreTrainedModel

from llmimg.errors import UserError

_EXACT, _HALF = 1e-3, 0.1  # nats: how far rounding carries log-probabilities, in float32 and in half of it


@dataclass
class _Known:
    """What was found of a model: whether it is causal, and for each arrangement of sequences how long the longest row
    is in which they stay apart; none where they do not."""

    causal: bool = False
    longest: dict[Hashable, int | None] = field(default_factory=dict)


_KNOWN: weakref.WeakKeyDictionary[PreTrainedModel, _Known] = weakref.WeakKeyDictionary()


def takes(model: PreTrainedModel, argument: str) -> bool:
    """Whether a model's forward has an argument of that name."""
    # A model with adapters takes whatever it is given, and hands it to the one that they belong to.
    within = getattr(model, "get_base_model", None)
    bare = within() if callable(within) else model
    return argument in inspect.signature(type(bare).forward).parameters


def check_causal(model: PreTrainedModel, ids: torch.Tensor) -> None:
    """Try, once for each model, whether a token's logits depend on what follows it.

    Args:
        ids: a sequence, int64 `[L]`.

    Raises:
        UserError: where they do: what the model says of the next token is said knowing it.
    """
    known = _KNOWN.setdefault(model, _Known())
    if known.causal or len(ids) < 2:
        return
    half = len(ids) // 2
    with torch.no_grad():
        begun, whole = (model(input_ids=each[None], use_cache=False).logits[0, half - 1] for each in (ids[:half], ids))
    if not _alike(begun, whole, model):
        raise UserError(
            f"The model '{model.config.model_type}' sees what comes after a token, and this task and readout need a "
            "causal one: take model=gpt2_tiny or another decoder, or readout=head."
        )
    known.causal = True


def stay_apart(
    model: PreTrainedModel,
    length: int,
    together: Callable[[], torch.Tensor],
    alone: Callable[[], torch.Tensor],
    arrangement: Hashable = None,
) -> bool:
    """Whether sequences that share a row of so many tokens have the logits that each has in a row of its own. It is
    tried whenever a row is longer than any before: a window shows in long rows only.

    Args:
        together, alone: give the same logits `[…, V]`, taken in both ways.
        arrangement: how they share the row; each is tried by itself, as a bias on distances shows in some only.
    """
    known = _KNOWN.setdefault(model, _Known()).longest
    longest = known.get(arrangement, 0)
    if longest is None or length <= longest:
        return longest is not None
    with torch.no_grad():
        try:
            shared = together()
        except torch.OutOfMemoryError:
            raise
        except Exception:  # whatever an architecture makes of a mask that it does not know
            apart = False
        else:
            apart = _alike(shared, alone(), model)
    known[arrangement] = length if apart else None
    return apart


def _alike(one: torch.Tensor, other: torch.Tensor, model: PreTrainedModel) -> bool:
    apart = one.float().log_softmax(dim=-1) - other.float().log_softmax(dim=-1)
    exact = model.dtype == torch.float32 and not getattr(model, "is_quantized", False)
    return bool(apart.square().mean(dim=-1).sqrt().max() <= (_EXACT if exact else _HALF))
