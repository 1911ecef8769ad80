"""`python -m llmimg show | predict | run | report | table | compare | cache`: what needs no composed configuration."""

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import llmimg
from llmimg.errors import UserError
from llmimg.nearest import choose, did_you_mean
from llmimg.ranks import is_first_of_machine

USAGE = """llmimg: a language model sees an image only as text

  python -m llmimg show IMAGE [textify=NAME textify.KEY=VALUE …] [size=N fit=FIT] [vocabulary=NAME tokenizer=PATH]
      an image's text, its tokens and what they cost; full=true leaves nothing out, here and below
  python -m llmimg show IMAGE run=RUN
      what the model of a finished run is given (question=… where its task asks by that), and what may follow
  python -m llmimg show data=NAME task=NAME [group=choice key=value …] [rows=3 out=FOLDER]
      rows of a data set before training, token by token, with what the loss is over; settings as of run.py; their
      images, with boxes or masks drawn, into a folder
  python -m llmimg show IMAGE --all [size=N fit=FIT] [tokenizer=PATH]
      the same image by every textifier, side by side
  python -m llmimg predict RUN IMAGE… [out=FOLDER] [score=0.3 most=20]
      one JSON line an image, by the recogniser a run left; masks as PNG or boxes as COCO's JSON into a folder, with
      drawings; of boxes those of at least this score, at most so many
  python -m llmimg predict RUN label=7 out=FOLDER [samples=16 seed=0]
      images that a run of task=imagine draws, as PNG files
  python -m llmimg predict RUN IMAGE… label=7 keep=0.5 out=FOLDER [samples=16 seed=0]
      … and the upper half of each of these images, with what it draws below
  python -m llmimg run CONFIG.yaml [run_dir=PATH] [force=true]
      repeat a run from its config.yaml
  python -m llmimg report RUN
      make a run's report.html again
  python -m llmimg table FOLDER
      all finished runs under a folder side by side, as FOLDER/<data>.csv and .html
  python -m llmimg compare RUN RUN
      is the second better than the first? Accuracy on the same test images, with a paired bootstrap; a folder of
      seed=… folders stands for its runs
  python -m llmimg cache list | prune [days=N] [cache_dir=PATH]
      prepared image text: what there is; remove what was not used for N days (0: all)

Training and evaluation: python run.py experiment=NAME group=choice key=value
"""


CONF = Path(llmimg.__file__).parents[1] / "conf"  # which an installed package comes without


def main(arguments: list[str] | None = None) -> None:
    """The command line. A user's mistake ends it with one sentence and status 1."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words or words[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return
    try:
        choose(words[0], COMMANDS, "command")(*_parted(words[1:]))
    except UserError as error:
        if is_first_of_machine():
            print(f"llmimg: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # `… | head` has read enough
        sys.stderr.close()


def _parted(words: list[str]) -> tuple[list[str], dict[str, str]]:
    """Command-line words → words that stand alone, and `key=value`; a path of a file that is there stands alone."""
    alone = [word for word in words if "=" not in word or os.path.exists(word)]
    return alone, dict(word.split("=", 1) for word in words if word not in alone)


def _show(words: list[str], given: dict[str, str]) -> None:
    every = "--all" in words
    words = [word for word in words if word != "--all"]
    if not words and not every and not given.keys().isdisjoint(("data", "task", "experiment")):
        _show_rows(given)
    elif "run" in given and not every:
        from llmimg.show.run import show_run

        if len(words) > 1:
            raise UserError("show takes one image: python -m llmimg show IMAGE run=RUN.")
        print(show_run(given.pop("run"), words[0] if words else None, given))
    else:
        _show_image(words, given, every)


def _show_image(words: list[str], given: dict[str, str], every: bool) -> None:
    from llmimg.settings import build
    from llmimg.show.image import ShowSettings, show, show_all

    if len(words) != 1:
        raise UserError("show takes one image: python -m llmimg show IMAGE textify=NAME; or data= and task=.")
    chosen = next((word for word in given if word.startswith("textify")), None)
    if every and "run" in given:
        raise UserError("show run=RUN has everything from the run: leave --all out.")
    if every and "full" in given:
        raise UserError("show --all shows how each text begins: leave out full=.")
    if every and chosen:
        raise UserError(f"show --all shows every textifier as it is by default: leave out {chosen}=.")
    textify = {"name": given.pop("textify", "region_color")}
    textify |= {key.removeprefix("textify."): given.pop(key) for key in list(given) if key.startswith("textify.")}
    print((show_all if every else show)(words[0], build(ShowSettings, {**given, "textify": textify})))


def _show_rows(given: dict[str, str]) -> None:
    from llmimg.command_line import command_line
    from llmimg.compose import composed, errors_as_sentences
    from llmimg.configuration import Configuration
    from llmimg.settings import build
    from llmimg.show.defaults import without_conf
    from llmimg.show.rows import RowsSettings, show_rows

    own, known = ([field.name for field in dataclasses.fields(each)] for each in (RowsSettings, Configuration))
    known += [*own, "experiment", "debug"]
    for name in given:
        if (group := name.lstrip("+").partition(".")[0]) not in known:
            raise UserError(f"show has no setting '{name}': {did_you_mean(group, known)}")
    shown = build(RowsSettings, {name: given.pop(name) for name in own if name in given})
    if not CONF.is_dir():
        resolved = without_conf(given)
    else:
        with errors_as_sentences():
            resolved = composed(command_line([f"{name}={value}" for name, value in given.items()]), CONF)
    print(show_rows(Configuration.of(resolved), shown))


def _predict(words: list[str], given: dict[str, str]) -> None:
    if not words or (len(words) < 2 and not given):
        raise UserError("predict takes a run and images: python -m llmimg predict RUN IMAGE….")
    from transformers.utils.logging import disable_progress_bar

    from llmimg.predict import predict

    disable_progress_bar()
    run, *images = words
    answers = predict(run, images, given)
    read = images if len(images) == len(answers) else [None] * len(answers)  # written ones say their own files
    for image, answer in zip(read, answers, strict=True):
        print(json.dumps({"image": image, **answer}, ensure_ascii=False))


def _run(words: list[str], given: dict[str, str]) -> None:
    import yaml

    from llmimg.carry_out import carry_out
    from llmimg.run_folder import FREE

    if len(words) != 1 or not Path(words[0]).is_file():
        raise UserError("run takes the config.yaml of a run: python -m llmimg run CONFIG.yaml run_dir=PATH.")
    try:
        config = yaml.safe_load(Path(words[0]).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        config = None
    if not isinstance(config, dict):
        raise UserError(f"{words[0]} is no configuration: give the config.yaml of a run.")
    # How it is carried out may be said, as nothing of that makes it another run; what it is stands in the file.
    known = _known("run", given, dict.fromkeys(sorted(FREE)) | {"run_dir": str(Path(words[0]).parent)})
    for name in ["run_dir", *given]:
        *groups, key = name.split(".")
        inner = config
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[key] = known[name]
    carry_out(config)


def _report(words: list[str], given: dict[str, str]) -> None:
    _no_settings("report", given)
    if len(words) != 1:
        raise UserError("report takes one run: python -m llmimg report RUN.")
    from llmimg.report.archive import load_record
    from llmimg.report.page import render
    from llmimg.run_folder import write_text

    target = Path(words[0]) / "report.html"
    write_text(target, render(load_record(words[0])))
    print(target)


def _table(words: list[str], given: dict[str, str]) -> None:
    _no_settings("table", given)
    if len(words) != 1:
        raise UserError("table takes one folder of runs: python -m llmimg table runs/compare.")
    from llmimg.report.compare import compare

    written, notes = compare(words[0])
    for path in written:
        print(path)
        if path.suffix == ".csv":
            print(path.read_text(), end="")
    for note in notes:
        print(note)


def _compare(words: list[str], given: dict[str, str]) -> None:
    _no_settings("compare", given)
    if len(words) != 2:
        raise UserError("compare takes two runs: python -m llmimg compare RUN RUN.")
    from llmimg.insight.answers import answers_of
    from llmimg.insight.paired import compare_runs
    from llmimg.insight.words import comparison_lines

    sides = [answers_of(path) for path in words]
    print("\n".join(comparison_lines(words, sides, compare_runs(sides[0], sides[1]))))


def _cache(words: list[str], given: dict[str, str]) -> None:
    from llmimg.tokens.folders import cache_entries, cache_folder, prune

    settings = _known("cache", given, {"days": "0", "cache_dir": None})
    folder = cache_folder(settings["cache_dir"])
    if words == ["list"]:
        for entry in cache_entries(folder):
            about = " ".join(str(entry.about.get(key)) for key in ("data", "split", "textify", "vocabulary"))
            print(f"{entry.key}  {entry.bytes / 1e6:8.1f} MB  {entry.about.get('rows', 0):>9,} images  {about}")
        print(f"in {folder}")
    elif words == ["prune"]:
        try:
            days = float(settings["days"])
        except ValueError as error:
            raise UserError(f"days={settings['days']} is no number.") from error
        print(f"removed {len(prune(folder, days))} from {folder}")
    else:
        raise UserError("cache takes list or prune: python -m llmimg cache list.")


def _known(command: str, given: Mapping[str, str], defaults: Mapping[str, Any]) -> dict[str, Any]:
    for name in given:
        if name not in defaults:
            raise UserError(f"{command} has no setting '{name}': {did_you_mean(name, defaults)}")
    return {**defaults, **given}


def _no_settings(command: str, given: Mapping[str, str]) -> None:
    for word in given:
        raise UserError(f"{command} takes no setting ('{word}=') and no file of that name is there.")


COMMANDS: dict[str, Callable[[list[str], dict[str, str]], None]] = {
    "show": _show,
    "predict": _predict,
    "run": _run,
    "report": _report,
    "table": _table,
    "compare": _compare,
    "cache": _cache,
}
