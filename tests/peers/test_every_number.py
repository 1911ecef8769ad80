"""Every number of metrics.json but those of time, speed and memory, computed once more by other means: plain loops, and
libraries of the field, on images that are sorted by class, of odd sizes, partly broken and partly truncated."""

import functools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.peers import answers
from tests.peers.finished import Finished
from tests.peers.pictures import CLASSES, COUNTS, draw_pictures, flat, image_of, middle, ssim

pytestmark = pytest.mark.usefixtures("one_thread")

MEASURED = ("time/", "memory/")
SPEEDS = ("train/images_per_second", "data/prepare_images_per_second")
RESAMPLED = tuple(f"{key}_{end}" for key in answers.ABOUT for end in ("low", "high"))
ELSEWHERE = {"train/loss": "test_steps.py"}  # held against a plain loop there, step by step
SPLITS = {"test": "test", "val": "validation"}

COMMON = ("data=folder", "data.broken=skip", "data.train_samples=null", "data.val_samples=null",
          "data.test_samples=null", "textify=gray", "textify.levels=8", "trainer.max_steps=12",
          "trainer.learning_rate=0.02", "trainer.per_device_train_batch_size=8")  # fmt: skip
TRUNCATED = ("tokens.overflow=truncate",)
PIXELS = ("data.size=[4,4]", "data.fit=middle")
REUSED = ("vocabulary=reuse", "model.tokenizer={tokenizer}")
TEXTS = (
    "task=mixture",
    "+task.parts.images={{task:{{name:clm}},weight:2}}",
    "+task.parts.notes={{task:{{name:text,files:{text}}}}}",
    "data.val_fraction=0.2",
    "data.test_fraction=0.2",
)
# name → its settings, and the longest sequence
RUNS = {
    "head": ((*TRUNCATED, "tokens.max_length=32"), 32),
    "score": (("readout=score", *REUSED, *TRUNCATED, "tokens.max_length=48"), 48),
    "generate": (("readout=generate", *REUSED, *TRUNCATED, "tokens.max_length=48"), 48),
    "clm": (("task=clm", *REUSED, *TRUNCATED, "tokens.max_length=32"), 32),
    "mixture": ((*REUSED, *TRUNCATED, "tokens.max_length=32", *TEXTS), 32),
    "mlm": (("task=mlm", "model=bert_tiny", *TRUNCATED, "tokens.max_length=32"), 32),
    "vit": (("model=vit_tiny", "model.options.patch=3", *PIXELS), 0),
    **{name: ((f"model={name}", *PIXELS), 0) for name in ("logistic", "knn", "rbf_svm", "gradient_boosting")},
}
BASELINES = {
    "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=200)),
    "knn": lambda: KNeighborsClassifier(3),
    "rbf_svm": lambda: SVC(C=10, gamma="scale", break_ties=True),
    "gradient_boosting": lambda: HistGradientBoostingClassifier(early_stopping=False, random_state=0),
}


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory, small_tokenizer):
    """Runs by name, each carried out once."""
    root = tmp_path_factory.mktemp("pictures")
    pictures, text = draw_pictures(root), tmp_path_factory.mktemp("text") / "words.txt"
    words = np.random.default_rng(0).choice(["a dog", "sees", "the tree"], 300)
    text.write_text(" ".join(words) + "\n")

    @functools.cache
    def carried_out(kind: str) -> Finished:
        overrides, length = RUNS[kind]
        given = [each.format(tokenizer=small_tokenizer, text=text) for each in overrides]
        return Finished(kind, run(kind, *COMMON, f"data.path={root}", *given), pictures, length, text.read_text())

    return carried_out


@pytest.mark.parametrize("kind", RUNS)
def test_every_number_has_a_peer_that_agrees(finished, kind):
    run = finished(kind)
    peers = {**answer_peers(run), **text_peers(run), **cost_peers(run), **model_peers(run)}
    asked = {key for key in run.metrics if not key.startswith(MEASURED) and key not in (*SPEEDS, *ELSEWHERE)}
    alone = sorted(asked - peers.keys())
    assert not alone, f"{alone} of metrics.json have no independent computation: write one in tests/peers"
    assert not (lost := sorted(peers.keys() - asked)), f"the run does not say {lost}"
    for key in sorted(asked):
        about = key.endswith(RESAMPLED)
        expected = pytest.approx(peers[key](), abs=0.08) if about else pytest.approx(peers[key](), rel=2e-5, abs=1e-6)
        assert run.metrics[key] == expected, key


def test_what_is_held_elsewhere_is_there():
    assert all(Path(__file__).with_name(file).is_file() for file in ELSEWHERE.values())


def answer_peers(run: Finished) -> dict:
    """The metrics of classification, from the logits of the saved model or of a fresh estimator."""
    if run.kind in ("clm", "mlm", "mixture"):
        return {}
    logits = functools.partial(baseline_logits, run) if run.kind in BASELINES else run.logits
    peers = {}
    for name, split in SPLITS.items():
        arrays = logits(split), run.labels(split)
        for key, measure in answers.EXACT.items():
            peers[f"{name}/{key}"] = functools.partial(measure, *arrays)
        for key, interval in answers.ABOUT.items():
            for end, value in zip(("low", "high"), interval(*arrays), strict=True):
                peers[f"{name}/{key}_{end}"] = lambda value=value: value
    return peers


def baseline_logits(run: Finished, split: str) -> np.ndarray:
    features = {
        each: np.stack([middle(picture.pixels, 4).ravel() for picture in run.pictures[each]]).astype(np.float32) / 255
        for each in ("train", split)
    }
    labels = run.labels("train")
    estimator = BASELINES[run.kind]().fit(features["train"], labels)
    if run.kind == "rbf_svm":
        return estimator.decision_function(features[split])
    probabilities = estimator.predict_proba(features[split])
    if run.kind == "knn":  # three votes for three classes: to the nearest
        nearest = labels[estimator.kneighbors(features[split], 1)[1][:, 0]]
        ties = (np.sort(probabilities, axis=1)[:, -2:] @ [-1, 1]) == 0
        probabilities[ties, nearest[ties]] += 1e-9
    return np.log(np.maximum(probabilities, 1e-12))


def text_peers(run: Finished) -> dict:
    """What texts cost and hold, counted token by token."""
    counts = {
        f"data/{name}_images": functools.partial(len, run.pictures[split])
        for name, split in (("train", "train"), *SPLITS.items())
    }
    if run.kind == "vit" or run.kind in BASELINES:
        return counts
    texts = {split: [run.ids(picture) for picture in pictures] for split, pictures in run.pictures.items()}
    every = [len(ids) for split in texts.values() for ids in split]
    found = Counter(token for ids in texts["train"] for token in ids)
    total = sum(found.values())
    bits = -math.fsum(count / total * math.log2(count / total) for count in found.values())
    images = [picture.pixels for picture in run.pictures["test"]]
    return {
        **counts,
        "data/tokens_per_image": lambda: sum(every) / len(every),
        "data/truncated_images": lambda: sum(length > run.room for length in every),
        "data/truncated_fraction": lambda: sum(max(length - run.room, 0) for length in every) / sum(every),
        "data/bits_per_token": lambda: bits,
        "data/bits_per_image": lambda: bits * total / len(texts["train"]),
        "data/fidelity_images": lambda: len(images),
        "data/psnr_db": lambda: peak_signal_noise_ratio(flat(images), flat(given_back(run, "test")), data_range=255),
        "data/ssim": lambda: np.mean([ssim(*pair) for pair in zip(images, given_back(run, "test"), strict=True)]),
    }


def given_back(run: Finished, split: str) -> list[np.ndarray]:
    """The images of the levels whose tokens were all read."""
    images = []
    for picture in run.pictures[split]:
        read = run.tokenizer.decode(run.ids(picture)[: run.room], clean_up_tokenization_spaces=False)
        levels = [int(character) for character in read if character.isdigit()]
        images.append(image_of(levels, picture.pixels.shape))
    return images


def cost_peers(run: Finished) -> dict:
    """How likely the saved model finds texts, one by one."""
    if run.kind not in ("clm", "mlm", "mixture"):
        return {}
    peers = {}
    for name, split in SPLITS.items():
        nats, tokens = run.costs(split).sum(axis=0)
        where = f"{name}/images" if run.kind == "mixture" else name
        peers[f"{where}/loss"] = lambda mean=nats / tokens: mean
        peers[f"{where}/perplexity"] = lambda mean=nats / tokens: math.exp(mean)
        if run.kind != "mlm":
            peers[f"{where}/bits_per_image"] = lambda nats=nats, split=split: (
                nats / math.log(2) / len(run.labels(split))
            )
        if run.kind == "mixture":
            mean = plain_text_loss(run, split)
            peers[f"{name}/notes/loss"] = lambda mean=mean: mean
            peers[f"{name}/notes/perplexity"] = lambda mean=mean: math.exp(mean)
            peers[f"{name}/loss"] = lambda images=nats / tokens, notes=mean: images + notes / 2  # by their weights
    if run.kind == "clm":
        lost = lost_bits(run) / sum(picture.pixels.size for picture in run.pictures["test"])
        said = run.costs("test")[:, 0].sum() / math.log(2) / sum(each.pixels.size for each in run.pictures["test"])
        peers["data/lost_bits_per_dim"] = lambda: lost
        peers["test/bits_per_dim"] = lambda: said + lost
    return peers


def lost_bits(run: Finished) -> float:
    """All errors of the test images, coded by how often each occurs in training images."""
    counts = Counter()
    for picture, back in zip(run.pictures["train"], given_back(run, "train"), strict=True):
        counts.update((picture.pixels.astype(int) - back).ravel().tolist())
    total, bits = sum(counts.values()) + 511e-3, []
    for picture, back in zip(run.pictures["test"], given_back(run, "test"), strict=True):
        for error in (picture.pixels.astype(int) - back).ravel().tolist():
            bits.append(-math.log2((counts[error] + 1e-3) / total))
    return math.fsum(bits)


def plain_text_loss(run: Finished, split: str) -> float:
    """Of the end of the text, which was held out, in rows as long as an image's text may be."""
    ids = [*run.tokenizer(run.text.rstrip("\n"), add_special_tokens=False).input_ids]
    ids += [*run.tokenizer("\n", add_special_tokens=False).input_ids, run.tokenizer.eos_token_id]
    test = len(ids) - math.ceil(0.2 * len(ids))
    validation = test - math.ceil(0.2 * test)
    held_out = ids[test:] if split == "test" else ids[validation:test]
    room = run.length - 1  # nothing ends a row
    rows = [held_out[start : start + room] for start in range(0, len(held_out), room)]
    with torch.no_grad():
        nats, tokens = np.array([run.nats([*run.frame[0], *row]) for row in rows]).sum(axis=0)
    return nats / tokens


def model_peers(run: Finished) -> dict:
    if run.kind in BASELINES:
        return {}
    size = sum(array.size for array in run.weights.values())
    return {"model/parameters": lambda: size, "model/trainable_parameters": lambda: size}


def test_the_pictures_are_what_they_are_to_be(finished):
    """Sorted by class, of three sizes, one of each class and split broken, most of them longer than what is read."""
    run = finished("head")
    assert all(len(run.pictures[split]) == len(CLASSES) * (count - 1) for split, count in COUNTS.items())
    assert 0 < run.metrics["data/truncated_images"] < sum(map(len, run.pictures.values()))
