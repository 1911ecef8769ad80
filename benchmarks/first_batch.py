"""What `warm` times, in a process of its own: data, vocabulary, cached ids, model, and the Trainer's first batch."""

import time

_started = time.perf_counter()

import json  # noqa: E402
import sys  # noqa: E402

from benchmarks.inputs import data_settings, encoder, gpt2_tokenizer  # noqa: E402
from benchmarks.settings import parse  # noqa: E402
from benchmarks.small_run import classify, head, image_texts, layout_for, our_trainer, small_gpt2  # noqa: E402
from llmimg.data import load  # noqa: E402
from llmimg.tokens.cache import prepare  # noqa: E402
from llmimg.tokens.folders import cache_folder  # noqa: E402


def main(arguments: list[str]) -> None:
    """Prints seconds as JSON."""
    _, settings = parse(arguments)
    begin = last = time.perf_counter()
    seconds = {"imports": begin - _started}

    def lap(name: str) -> None:
        nonlocal last
        seconds[name], last = time.perf_counter() - last, time.perf_counter()

    data = load(data_settings(settings))
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    splits = {name: split.select(range(min(settings.images, len(split)))) for name, split in splits.items()}
    lap("load")
    encode = encoder(gpt2_tokenizer(settings))
    lap("vocabulary")
    folder = cache_folder()
    ids = {name: prepare(split, encode, name, folder=folder, about={}) for name, split in splits.items()}
    lap("cache")
    layout, task = layout_for(encode, ids["train"]), classify(data.train)
    model = small_gpt2(encode, layout, task)
    lap("model")
    texts = image_texts(splits["train"], ids["train"], task)
    trainer = our_trainer(model, texts, head(encode, layout, task), folder)
    next(iter(trainer.get_train_dataloader()))
    lap("trainer_and_batch")
    print(json.dumps(seconds | {"to_first_batch": last - begin}))


if __name__ == "__main__":
    main(sys.argv[1:])
