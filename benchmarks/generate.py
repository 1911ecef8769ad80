"""What answers cost on one core: written and held to a grammar beside written freely, scored beside a head's.

Quotients are of each side's best round, so that what neighbours took falls out; `of_processor_time` are those of
processor time.
"""

import importlib.util
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel

from benchmarks.scores import score_over_head
from benchmarks.settings import Settings
from benchmarks.small_models import SHAPES, causal, prompts
from benchmarks.timing import in_turns, quotients
from llmimg.errors import UserError
from llmimg.readouts.held import Tables, write
from llmimg.textify import START
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.lookup import Way

_BINS, _CLASSES, _OBJECTS = 33, 10, 10
_GRAYS = 17  # of the prompts' images, behind the id that pads
_LOCATIONS = range(1 + _GRAYS, 1 + _GRAYS + _BINS)
_NAMES = range(_LOCATIONS.stop, _LOCATIONS.stop + _CLASSES)
_END = _NAMES.stop
_LENGTH = 5 * _OBJECTS + 1
_ROUNDS = 3
_TARGET = 1.1


def measure(settings: Settings) -> dict[str, Any]:
    """Both comparisons, on each of the models.

    Raises:
        UserError: where two ways of holding a model to the grammar write different answers.
    """
    rounds = settings.rounds or _ROUNDS
    return {
        "threads": "one core, one thread in BLAS and OpenMP",
        "held": {name: _held(name, settings.images, rounds) for name in SHAPES},
        "score": {name: score_over_head(name, settings.images, rounds) for name in SHAPES},
    }


@torch.inference_mode()
def _held(name: str, images: int, rounds: int) -> dict[str, Any]:
    model = causal(name, _END + 1)
    ids, mask = prompts(min(SHAPES[name].batch, images), range(1, 1 + _GRAYS))
    tables, budget = Tables(detection(), ids.device), np.full(len(ids), _OBJECTS)
    sides: dict[str, Callable[[], torch.Tensor]] = {
        "bare": lambda: _generate(model, ids, mask),
        "held": lambda: write(model, ids, mask, tables, _LENGTH, budget=budget).tokens[:, 0],
    }
    processor = _xgrammar()
    if processor is not None:
        sides["xgrammar"] = lambda: _generate(model, ids, mask, processor())
        if not torch.equal(sides["held"](), sides["xgrammar"]()):
            raise UserError("Held and xgrammar's answers differ: times of different work mean nothing.")
    return {
        "batch": len(ids),
        "tokens_of_prompt": ids.shape[1],
        "tokens_written": _LENGTH,
        **({} if processor else {"xgrammar_over_bare": "xgrammar is not installed: pip install 'llmimg[bench]'"}),
        **quotients(in_turns(sides, rounds * SHAPES[name].turns), "bare"),
        "target": _TARGET,
    }


def detection() -> Automaton:
    """So many objects at most as the budget says: y x y x class each, in 33 bins; every piece is a token."""
    states = [START, "x", "y2", "x2", "class"]
    ways = {
        state: [Way((token,), (token,), after) for token in _LOCATIONS] for state, after in itertools.pairwise(states)
    }
    ways["class"] = [Way((token,), (token,), START, 1) for token in _NAMES]
    return Automaton.of(ways, frozenset({START}), _END)


def _generate(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, processor: Any = None) -> torch.Tensor:
    """As many tokens, whatever they are."""
    written = model.generate(
        input_ids=ids,
        attention_mask=mask,
        generation_config=GenerationConfig(
            max_new_tokens=_LENGTH, do_sample=False, eos_token_id=None, bos_token_id=None, pad_token_id=0
        ),
        logits_processor=LogitsProcessorList([] if processor is None else [processor]),
    )
    return written[:, ids.shape[1] :]


def _xgrammar() -> Callable[[], Any] | None:
    """What makes the same grammar's processor for one batch; None where xgrammar is not installed."""
    if importlib.util.find_spec("xgrammar") is None:
        return None
    import xgrammar
    from xgrammar.contrib.hf import LogitsProcessor

    words = ["<pad>"] + [f" gray{gray}" for gray in range(_GRAYS)]
    locations, names = [f" {bin}" for bin in range(_BINS)], [f" class{number}" for number in range(_CLASSES)]
    info = xgrammar.TokenizerInfo([*words, *locations, *names, "<end>"], stop_token_ids=[_END])
    location, name = (" | ".join(f'"{word}"' for word in each) for each in (locations, names))
    grammar = f"root ::= (place place place place name){{{_OBJECTS}}}\nplace ::= {location}\nname ::= {name}"
    compiled = xgrammar.GrammarCompiler(info).compile_grammar(grammar)
    return lambda: LogitsProcessor(compiled)
