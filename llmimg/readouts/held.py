"""Answers written token by token, held to an automaton: greedily, by beam search, or by sampling.

A loop of our own over two tables: whole batches, a cache of keys and values, no Python a row, and exact to a budget.
"""

from dataclasses import dataclass

import numpy as np
import torch
from transformers import PreTrainedModel

from llmimg.data.rng import uniform
from llmimg.errors import UserError
from llmimg.tokens.automaton import Automaton

_LOOK = 8  # steps from one look at whether all are done to the next


@dataclass(frozen=True)
class Choice:
    """How the next token is chosen.

    Attributes:
        beams: answers that beam search follows at once (sums of log-probabilities, no penalty on length); 1 is greedy.
        samples: answers drawn for each row; 0 draws none.
        temperature: log-probabilities are divided by it before they are drawn from.
        top_k: draw from so many of the likeliest; 0 is all.
        top_p: draw from the fewest of the likeliest that have this much of the probability (Holtzman et al., ICLR
            2020); 1 is all.
    """

    beams: int = 1
    samples: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    @property
    def count(self) -> int:
        """Answers a row."""
        return self.samples or self.beams


@dataclass(frozen=True)
class Generated:
    """What was written, n answers a row: those of beam search with the likeliest first.

    Attributes:
        tokens: int64 `[B, n, T]`; behind the end stands the end.
        log_probabilities: float32 `[B, n, T]`, of each token among those that were allowed there; 0 behind the end, and
            −inf where there are fewer answers than n.
    """

    tokens: torch.Tensor
    log_probabilities: torch.Tensor


class Tables:
    """An automaton's tables on a device: made once, and read by every `write`.

    Args:
        exact: whether answers fill all of a budget, or at most do.
    """

    def __init__(self, automaton: Automaton, device: torch.device, exact: bool = True):
        self.automaton, self.device, self.exact = automaton, device, exact
        after, cost, need = (
            torch.from_numpy(each).to(device).long() for each in (automaton.after, automaton.cost, automaton.need)
        )
        self.alphabet = torch.from_numpy(automaton.alphabet).to(device)
        self.after, self.cost, self.done = after.clamp(min=0), cost, len(after) - 1
        # How many cells must be left for a token to be taken.
        self.least = (need[self.after] + cost).masked_fill(after < 0, 2**40)
        self.fills: torch.Tensor | None = None

    def prepare(self, budget: np.ndarray | None) -> None:
        """Make ready for budgets `[B]`: what can fill them exactly is looked up for the largest so far."""
        if budget is None or not self.exact:
            self.fills = None
            return
        most = int(np.max(budget))
        if self.fills is None or self.fills.shape[1] <= most:
            self.fills = torch.from_numpy(self.automaton.fills(most)).to(self.device)

    def allowed(self, state: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """Which tokens may be written, bool `[B, A]`, in these states `[B]` with so many cells left `[B]`."""
        enough = left[:, None] >= self.least[state]
        if self.fills is None:
            return enough
        rest = (left[:, None] - self.cost[state]).clamp(min=0)
        return enough & self.fills[self.after[state], rest]

    def first(self, budget: int | None) -> list[int]:
        """The token ids that an answer may begin with.

        Raises:
            UserError: a budget that no answer can keep.
        """
        budgets = None if budget is None else np.array([budget])
        self.prepare(budgets)
        allowed = self.allowed(*_start(self, 1, budgets, self.device))
        return self.alphabet[allowed[0]].tolist()

    def log_probabilities(self, logits: torch.Tensor, state: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
        """Of each token of the alphabet among those that may be written, float32 `[B, A]`; `logits` are `[B, V]`."""
        scores = logits.index_select(1, self.alphabet).float()
        scores = scores.masked_fill(~self.allowed(state, left), -torch.inf).log_softmax(dim=1)
        return scores.masked_fill(scores.isnan(), -torch.inf)  # of a beam that stands for no answer


@torch.inference_mode()
def write(
    model: PreTrainedModel,
    ids: torch.Tensor,
    mask: torch.Tensor,
    tables: Tables,
    most: int,
    *,
    choice: Choice = Choice(),
    budget: np.ndarray | None = None,
    seeds: np.ndarray | None = None,
    begun: torch.Tensor | None = None,
) -> Generated:
    """Answers to prompts, up to `most` tokens each, the end among them.

    Args:
        model: a causal model.
        ids, mask: prompts int64 `[B, L]`, padded on the left, and where they are not padding.
        tables: of the automaton that holds answers, on the prompts' device.
        budget: cells that each answer has to fill, or may (`Tables`), int `[B]`; None counts none.
        seeds: uint64 `[B]`, all that samples of a row depend on.
        begun: tokens of each answer that are given, and stand behind its prompt already, int64 `[B, N]`; filled up with
            −1. What is written goes on from them, and has what they leave of the budget.

    Raises:
        UserError: a budget that no answer can keep.
        ValueError: tokens with which no answer begins.
    """
    count, device = choice.count, ids.device
    tables.prepare(budget)
    here, left = _start(tables, len(ids), budget, device, begun)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    out = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
    cache = out.past_key_values
    if count > 1:
        cache.batch_repeat_interleave(count)
    logits, mask, last, here, left = (
        each.repeat_interleave(count, dim=0) for each in (out.logits[:, -1], mask, positions[:, -1:], here, left)
    )
    chooser = _Beams(len(ids), count, device) if not choice.samples else _Samples(choice, seeds, count, device)
    tokens, log_probabilities = [], []
    for step in range(most):
        origin, column, chosen = chooser(tables.log_probabilities(logits, here, left), step)
        if origin is not None:  # beams go on from one another
            cache.reorder_cache(origin)
            tokens, log_probabilities = ([each[origin] for each in kept] for kept in (tokens, log_probabilities))
            here, left, mask, last = here[origin], left[origin], mask[origin], last[origin]
        tokens.append(column)
        log_probabilities.append(chosen)
        left, here = left - tables.cost[here, column], tables.after[here, column]
        if step + 1 == most or (step % _LOOK == _LOOK - 1 and bool((here == tables.done).all())):
            break
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        last = last + (here != tables.done)[:, None]  # behind the end nothing is read: it needs no place
        written = tables.alphabet[column][:, None]
        out = model(input_ids=written, attention_mask=mask, position_ids=last, past_key_values=cache, use_cache=True)
        logits = out.logits[:, -1]
    found = tables.alphabet[torch.stack(tokens, dim=1)], torch.stack(log_probabilities, dim=1)
    return Generated(*(each.view(len(ids), count, -1) for each in found))


def _start(
    tables: Tables, rows: int, budget: np.ndarray | None, device: torch.device, begun: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The automaton's state before the first token that is written, and the cells that are left then: int64 `[B]`
    each."""
    here = torch.zeros(rows, dtype=torch.long, device=device)
    left = torch.full_like(here, 2**39) if budget is None else torch.as_tensor(budget, dtype=torch.long, device=device)
    if budget is not None and not tables.allowed(here, left).any(dim=1).all():
        raise UserError(f"No answer of this task fills the cells that it has to: {sorted(set(left.tolist()))}.")
    for tokens in () if begun is None else begun.unbind(dim=1):
        same, given = tokens[:, None] == tables.alphabet, tokens >= 0
        column = same.int().argmax(dim=1)
        may = same.any(dim=1) & tables.allowed(here, left).gather(1, column[:, None])[:, 0]
        if not may[given].all():
            raise ValueError("An answer cannot go on from tokens with which none begins.")
        left = torch.where(given, left - tables.cost[here, column], left)
        here = torch.where(given, tables.after[here, column], here)
    return here, left


class _Beams:
    """The likeliest `count` of what goes on with the answers so far; one beam is the likeliest next token.

    A beam that stands for no answer, as there are fewer, has the score −inf for good.
    """

    def __init__(self, rows: int, count: int, device: torch.device):
        self.count = count
        self.totals = torch.full((rows, count), -torch.inf, device=device)
        self.totals[:, 0] = 0
        self.first = (torch.arange(rows, device=device) * count)[:, None]

    def __call__(self, scores: torch.Tensor, step: int) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]:
        if self.count == 1:
            best, column = scores.max(dim=1)
            return None, column, best
        size = scores.shape[1]
        totals = (self.totals.view(-1, 1) + scores).view(len(self.totals), -1)
        self.totals, flat = totals.topk(self.count, dim=1)
        origin, column = (flat // size + self.first).view(-1), (flat % size).view(-1)
        chosen = scores[origin, column].masked_fill(~self.totals.view(-1).isfinite(), -torch.inf)
        return origin, column, chosen


class _Samples:
    """Drawn by each row's seed and the step, whatever batch it comes in."""

    def __init__(self, choice: Choice, seeds: np.ndarray | None, count: int, device: torch.device):
        if seeds is None:
            raise ValueError("Samples need a seed for each row.")
        self.choice, self.device = choice, device
        # Each sample of a row is a stream of its own.
        self.seeds = np.concatenate([np.array([seed], np.uint64) + np.arange(count, dtype=np.uint64) for seed in seeds])

    def __call__(self, scores: torch.Tensor, step: int) -> tuple[None, torch.Tensor, torch.Tensor]:
        ordered, columns = (scores / self.choice.temperature).sort(dim=1, descending=True)
        shares = ordered.softmax(dim=1)
        if self.choice.top_k:
            shares[:, self.choice.top_k :] = 0
        if self.choice.top_p < 1:  # those before which less than that lies
            shares[shares.cumsum(dim=1) - shares >= self.choice.top_p] = 0
        sums = shares.double().cumsum(dim=1)
        drawn = torch.from_numpy(uniform(self.seeds, step)).to(self.device)[:, None] * sums[:, -1:]
        # The last column that has a share is the furthest that rounding may lead to.
        picked = torch.minimum((sums <= drawn).sum(dim=1), (shares > 0).sum(dim=1) - 1)[:, None]
        column = columns.gather(1, picked)[:, 0]
        return None, column, scores.gather(1, column[:, None])[:, 0]
