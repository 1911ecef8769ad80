"""What `warm` times, in a process of its own: data, vocabulary, cached ids, and the first batch a model would read."""

import time

_started = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402

import torch  # noqa: E402

from benchmarks.inputs import data_settings, encoder, gpt2_tokenizer  # noqa: E402
from benchmarks.settings import parse  # noqa: E402
from llmimg.data import load  # noqa: E402
from llmimg.tokens.cache import cache_folder, prepare  # noqa: E402
from llmimg.tokens.layout import Layout  # noqa: E402

_BATCH = 32
_CONTEXT = 1024


def main(arguments: list[str]) -> None:
    """Prints seconds as JSON."""
    _, settings = parse(arguments)
    seconds, last = {"imports": time.perf_counter() - _started}, time.perf_counter()
    begin = last

    def lap(name: str) -> None:
        nonlocal last
        seconds[name], last = time.perf_counter() - last, time.perf_counter()

    data = load(data_settings(settings))
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    lap("load")
    tokenizer = gpt2_tokenizer(settings)
    encode = encoder(tokenizer)
    lap("vocabulary")
    ids = {
        name: prepare(
            split.select(range(min(settings.images, len(split)))), encode, name, folder=cache_folder(), about={}
        )
        for name, split in splits.items()
    }
    lap("cache")
    before, after = encode.vocabulary.framing
    layout = Layout(tuple(before), tuple(after), tokenizer.pad_token_id, _CONTEXT)
    rows = torch.randperm(len(ids["train"]), generator=torch.Generator().manual_seed(0))[:_BATCH].tolist()
    for part in layout([ids["train"][row] for row in rows]):
        torch.from_numpy(part)
    lap("batch")
    print(json.dumps(seconds | {"to_first_batch": last - begin}))


main(sys.argv[1:])
