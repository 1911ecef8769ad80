"""Writing, held to an automaton, against transformers' own generation and against all answers counted out."""

from itertools import product

import numpy as np
import pytest
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from llmimg.errors import UserError
from llmimg.models.settings import ModelSettings
from llmimg.readouts.held import Choice, Tables, write
from llmimg.textify import START
from llmimg.tokens.automaton import Automaton
from llmimg.tokens.lookup import Way

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY, END = 24, 3
# One or two letters of a, b or the two-token c; letters fill 1, 2 and 3 cells.
LETTERS = {"a": ((5,), 1), "b": ((6,), 2), "c": ((6, 7), 3)}
WAYS = {
    START: [Way(tokens, (piece,), "some", cells) for piece, (tokens, cells) in enumerate(LETTERS.values())],
    "some": [Way(tokens, (piece,), "all", cells) for piece, (tokens, cells) in enumerate(LETTERS.values())],
}
AUTOMATON = Automaton.of(WAYS, frozenset({"some", "all"}), END)
HELD = Tables(AUTOMATON, torch.device("cpu"))
ANSWERS = [letters for count in (1, 2) for letters in product(range(3), repeat=count)]


def tokens_of(pieces) -> list[int]:
    return [token for piece in pieces for token in list(LETTERS.values())[piece][0]] + [END]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request):
    from transformers import AutoModelForCausalLM

    from llmimg.models.scratch import ARCHITECTURES, Sizes

    torch.manual_seed(1)
    settings = ModelSettings(
        name="tiny", architecture=request.param, layers=2, width=16, heads=2, initializer_range=0.6
    )
    config = ARCHITECTURES[request.param](settings, Sizes(VOCABULARY, 40, 0))
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    """Of different lengths, padded on the left."""
    rng = np.random.default_rng(0)
    lengths = np.array([9, 1, 5, 7])
    mask = np.arange(9) >= 9 - lengths[:, None]
    ids = np.where(mask, rng.integers(4, VOCABULARY, mask.shape), 0)
    return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))


class Oracle(LogitsProcessor):
    """Log-probabilities among what the automaton allows, by running over what each row has written."""

    def __init__(self, start: int):
        self.start, self.alphabet = start, AUTOMATON.alphabet.tolist()

    def __call__(self, input_ids, scores):
        held = torch.full_like(scores, -torch.inf)
        for row, written in enumerate(input_ids[:, self.start :].tolist()):
            state = 0
            for token in written:
                state = AUTOMATON.after[state, self.alphabet.index(token)]
            allowed = [self.alphabet[column] for column in np.flatnonzero(AUTOMATON.after[state] >= 0)]
            held[row, allowed] = scores[row, allowed].float().log_softmax(dim=0)
        return held


def costs(model, ids, mask, row: int) -> dict[tuple[int, ...], float]:
    """The log-probability of every answer to a prompt, one pass each, unpadded."""
    prompt, found = ids[row][mask[row] == 1].tolist(), {}
    for pieces in ANSWERS:
        state, total, written = 0, 0.0, []
        for token in tokens_of(pieces):
            logits = model(input_ids=torch.tensor([prompt + written])).logits[0, -1].double()
            columns = np.flatnonzero(AUTOMATON.after[state] >= 0)
            allowed = AUTOMATON.alphabet[columns]
            total += float(logits[allowed].log_softmax(dim=0)[allowed.tolist().index(token)])
            state = AUTOMATON.after[state, AUTOMATON.alphabet.tolist().index(token)]
            written.append(token)
        found[pieces] = total
    return found


@pytest.mark.parametrize("beams", [1, 4])
def test_as_transformers_writes(model, prompts, beams):
    ids, mask = prompts
    ours = write(model, ids, mask, HELD, 6, choice=Choice(beams=beams))
    theirs = model.generate(
        input_ids=ids,
        attention_mask=mask,
        generation_config=GenerationConfig(
            max_new_tokens=6, num_beams=beams, num_return_sequences=beams, do_sample=False, length_penalty=0.0,
            early_stopping=False, pad_token_id=END, eos_token_id=END,
        ),
        logits_processor=LogitsProcessorList([Oracle(ids.shape[1])]),
    )  # fmt: skip
    for row, answers in enumerate(theirs[:, ids.shape[1] :].view(len(ids), beams, -1).tolist()):
        assert AUTOMATON.read(ours.tokens[row, 0].tolist())[0].tolist() == AUTOMATON.read(answers[0])[0].tolist()
    assert (ours.tokens[:, :, -1] == END).all()


@torch.no_grad()
def test_beams_as_many_as_answers_find_all_with_their_probability(model, prompts):
    ids, mask = prompts
    written = write(model, ids, mask, HELD, 6, choice=Choice(beams=16))
    for row in range(len(ids)):
        expected = costs(model, ids, mask, row)
        assert sum(np.exp(list(expected.values()))) == pytest.approx(1)
        totals = written.log_probabilities[row].sum(dim=1)
        found = {
            tuple(AUTOMATON.read(tokens)[0].tolist()): float(total)
            for tokens, total in zip(written.tokens[row].tolist(), totals, strict=True)
            if total > -torch.inf
        }
        assert found.keys() == expected.keys()
        assert all(found[answer] == pytest.approx(expected[answer], abs=1e-4) for answer in expected)
        assert (totals.diff().nan_to_num() <= 1e-6).all()  # the likeliest first


@torch.no_grad()
def test_samples_come_as_often_as_they_are_likely(model, prompts):
    ids, mask = prompts
    count = 4000
    drawn = write(model, ids[:1], mask[:1], HELD, 6, choice=Choice(samples=count), seeds=np.array([5], np.uint64))
    rows = [tuple(AUTOMATON.read(tokens)[0].tolist()) for tokens in drawn.tokens[0].tolist()]
    for answer, cost in costs(model, ids, mask, 0).items():
        share = np.exp(cost)
        assert abs(rows.count(answer) / count - share) < 5 * np.sqrt(share * (1 - share) / count) + 1e-3


def test_samples_depend_on_their_row_alone(model, prompts):
    ids, mask = prompts
    choice, seeds = Choice(samples=5, temperature=1.3, top_p=0.95), np.arange(4).astype(np.uint64) * 1000
    together = write(model, ids, mask, HELD, 6, choice=choice, seeds=seeds)
    for row in range(4):
        alone = write(model, ids[row : row + 1], mask[row : row + 1], HELD, 6, choice=choice, seeds=seeds[[row]])
        length = alone.tokens.shape[2]
        assert torch.equal(together.tokens[row, :, :length], alone.tokens[0])


@pytest.mark.parametrize("choice", [Choice(samples=3, top_k=1), Choice(samples=3, temperature=1e-4)])
def test_the_likeliest_alone_are_greedy(model, prompts, choice):
    ids, mask = prompts
    greedy = write(model, ids, mask, HELD, 6)
    drawn = write(model, ids, mask, HELD, 6, choice=choice, seeds=np.arange(4).astype(np.uint64))
    assert all(torch.equal(drawn.tokens[:, sample], greedy.tokens[:, 0]) for sample in range(3))


@pytest.mark.parametrize("choice", [Choice(), Choice(beams=3), Choice(samples=20, temperature=3.0)])
@pytest.mark.parametrize("exact", [True, False])
def test_budgets_are_kept(model, prompts, choice, exact):
    ids, mask = prompts
    budget = np.array([1, 2, 5, 6])
    seeds = np.arange(4).astype(np.uint64)
    written = write(
        model, ids, mask, Tables(AUTOMATON, ids.device, exact), 6, choice=choice, budget=budget, seeds=seeds
    )
    cells = [cells for _, cells in LETTERS.values()]
    for row, answers in enumerate(written.tokens.tolist()):
        for tokens, chances in zip(answers, written.log_probabilities[row], strict=True):
            if (chances > -torch.inf).all():
                filled = sum(cells[piece] for piece in AUTOMATON.read(tokens)[0])
                assert filled == budget[row] if exact else filled <= budget[row]


def test_a_budget_that_nothing_keeps_is_refused(model, prompts):
    with pytest.raises(UserError, match="No answer of this task fills the cells that it has to"):
        write(model, *prompts, HELD, 6, budget=np.array([3, 0, 3, 3]))


def test_what_does_not_come_to_its_end_has_none(model, prompts):
    written = write(model, *prompts, HELD, 1)
    assert (written.tokens != END).all() and written.tokens.shape == (4, 1, 1)


def test_tables_serve_every_batch(model, prompts):
    """Whatever budgets came before, the largest later or first."""
    tables = Tables(AUTOMATON, torch.device("cpu"))
    for cells in (None, 2, 6, 1, None, 4):
        budget = None if cells is None else np.full(4, cells)
        before = write(model, *prompts, Tables(AUTOMATON, torch.device("cpu")), 6, budget=budget)
        assert torch.equal(write(model, *prompts, tables, 6, budget=budget).tokens, before.tokens)


@pytest.mark.parametrize("beams", [1, 3])
def test_what_is_begun_is_gone_on_with(model, prompts, beams):
    """… as if it had been written, whatever was given of others in the batch."""
    ids, mask = prompts
    budget, choice = np.array([4, 3, 4, 5]), Choice(beams=beams)
    whole = write(model, ids, mask, HELD, 6, budget=budget, choice=choice)
    best = [tokens.tolist() for tokens in whole.tokens[:, 0]]
    given = [best[0][:1], [], best[2][:1], best[3][:2]]
    rows = [[*row[at == 1].tolist(), *begun] for row, at, begun in zip(ids, mask, given, strict=True)]
    length = max(map(len, rows))
    again = torch.tensor([[0] * (length - len(row)) + row for row in rows])
    seen = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
    begun = torch.tensor([[*tokens, *[-1] * (2 - len(tokens))] for tokens in given])
    rest = write(model, again, seen, HELD, 6, budget=budget, choice=choice, begun=begun)
    for row, tokens in enumerate(given):
        told = best[row].index(END) + 1
        assert rest.tokens[row, 0].tolist()[: told - len(tokens)] == best[row][len(tokens) : told]
        expected = whole.log_probabilities[row, 0, len(tokens) : told]
        torch.testing.assert_close(rest.log_probabilities[row, 0, : told - len(tokens)], expected)


@pytest.mark.parametrize("begun", [[END], [6, 6, 6], [VOCABULARY - 1]])
def test_no_answer_goes_on_from_what_none_begins_with(model, prompts, begun):
    ids, mask = prompts
    with pytest.raises(ValueError, match="with which none begins"):
        write(model, ids, mask, HELD, 6, budget=np.full(4, 4), begun=torch.tensor([begun] * 4))
