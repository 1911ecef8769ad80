import numpy as np
import pytest
from PIL import Image

from llmimg.cli import main
from llmimg.errors import UserError
from llmimg.show.image import ShowSettings, show, show_all
from llmimg.show.run import show_run
from llmimg.textify import TEXTIFIERS

IMAGE = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)


@pytest.fixture
def image(tmp_path) -> str:
    file = tmp_path / "image.png"
    Image.fromarray(IMAGE).save(file)
    return str(file)


def test_an_images_text_its_tokens_and_their_cost(image):
    # The mean of 255, 0, 0 and 9 is 66; the squared errors' mean is 11,920.5, and 10 log₁₀(255² / 11,920.5) is 7.4.
    assert show(image, ShowSettings({"name": "region_color", "grid": 1})).splitlines() == [
        "region_color_66_66_66",
        "",
        "image      region_color_ │ 66 │ _ │ 66 │ _ │ 66",
        "",
        f"{image}: 2 × 2 pixels, colour",
        "21 characters, 6 pieces, 6 tokens (own, one a piece)",
        "Tokens: looked up, proven equal to the tokenizer's.",
        "The image its text gives back: PSNR 7.4 dB.",
    ]


def test_the_tokens_of_a_pretrained_tokenizer(image, gpt2_folder, gpt2):
    settings = ShowSettings({"name": "region_color", "grid": 1}, tokenizer=str(gpt2_folder))
    tokens = gpt2.tokenize("region_color_66_66_66")
    lines = show(image, settings).splitlines()
    assert lines[2] == f"image      {' │ '.join(tokens)}"
    assert lines[5] == f"21 characters, 6 pieces, {len(tokens)} tokens (reuse of {gpt2_folder})"
    extended = show(image, ShowSettings({"name": "rgb"}, vocabulary="extend", tokenizer=str(gpt2_folder)))
    assert f"12 pieces, 12 tokens (extend of {gpt2_folder})" in extended


def test_what_is_long_is_cut_and_says_so(tmp_path):
    file = tmp_path / "large.png"
    Image.fromarray(np.full((40, 40), 255, np.uint8)).save(file)
    lines = show(str(file), ShowSettings({"name": "gray"})).splitlines()
    written = " ".join(["15"] * 1600)
    assert lines[0] == f"{written[:1500]}… ({len(written) - 2000:,} more characters) …{written[-500:]}"
    shown = " │ ".join(line[11:] for line in lines[2 : lines.index("", 2)])
    assert shown == " │ ".join(["15", *[" 15"] * 23, "… (1,568 more) …", *[" 15"] * 8])
    assert f"{file}: 40 × 40 pixels, gray" in lines
    assert show(str(file), ShowSettings({"name": "gray"}, full=True)).splitlines()[0] == written


def test_an_image_is_brought_to_size_first(image):
    assert "4 × 4 pixels" in show(image, ShowSettings({"name": "gray"}, size=4))
    with pytest.raises(UserError, match="fit"):
        show(image, ShowSettings({"name": "gray"}, size=4, fit="stretched"))


@pytest.mark.parametrize("vocabulary", ["reuse", "extend"])
def test_a_tokenizers_vocabulary_needs_a_tokenizer(image, vocabulary):
    with pytest.raises(UserError, match=f"vocabulary={vocabulary} needs a tokenizer: give tokenizer="):
        show(image, ShowSettings({"name": "gray"}, vocabulary=vocabulary))


def test_what_is_no_image_or_no_textifier_is_refused(tmp_path, image):
    with pytest.raises(UserError, match=r"none\.png"):
        show(str(tmp_path / "none.png"), ShowSettings({"name": "gray"}))
    with pytest.raises(UserError, match="did you mean 'gray'"):
        show(image, ShowSettings({"name": "grey"}))


def test_all_textifiers_side_by_side(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).astype(np.uint8).repeat(5, axis=0).repeat(5, axis=1)
    Image.fromarray(image).save(tmp_path / "some.png")
    shown = show_all(str(tmp_path / "some.png"), ShowSettings({"name": "gray"}))
    lines = {line.split()[0]: line for line in shown.splitlines() if line}
    assert set(TEXTIFIERS.entries()) <= {name.rstrip("*") for name in lines}
    assert "900" in lines["gray"] and "dB" in lines["gray"]
    assert "2,700" in lines["rgb"] and "100.0 dB" in lines["rgb"]
    assert "learned from this image alone" in shown and "patch_words*" in lines
    assert "contrib modules" in lines["surf"]


def test_all_textifiers_with_a_tokenizer_that_is_not_there(image, tmp_path):
    with pytest.raises(UserError, match="holds no tokenizer"):
        show_all(image, ShowSettings({"name": "gray"}, tokenizer=str(tmp_path)))


def test_an_image_as_a_finished_run_reads_it(run, tmp_path, capsys):
    folder = run("seen", "textify=patch_words", "textify.patch=2", "textify.codes=16")
    file = tmp_path / "digit.png"
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64).astype(np.uint8)).save(file)
    lines = show_run(str(folder), str(file), {}).splitlines()
    assert f"{file}: 8 × 8 pixels, gray" in lines  # brought to the run's size
    assert any(f"32 pieces, 32 tokens (own of {folder})" in line for line in lines)
    assert not [line for line in lines if "learned from this image alone" in line]
    assert set(lines[0].split()) <= {f"{letter}{code}" for letter in "ab" for code in range(16)}
    for given in (["textify=gray"], ["size=8"], ["--all"]):
        with pytest.raises(SystemExit):
            main(["show", str(file), f"run={folder}", *given])
        assert "has everything from the run" in capsys.readouterr().err
    with pytest.raises(UserError, match="holds no recogniser"):
        show_run(str(tmp_path), str(file), {})


def test_what_a_finished_run_does_not_read_is_not_given_back(run, tmp_path):
    truncated = ("textify=gray", "textify.levels=256", "tokens.max_length=18", "tokens.overflow=truncate")
    file = tmp_path / "white.png"
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(file)
    lines = show_run(str(run("truncated", *truncated)), str(file), {}).splitlines()
    assert "The model reads 16 of these tokens; the rest is truncated." in lines
    assert lines[-1] == "The image its text gives back: PSNR 1.2 dB."  # three quarters of it are black: 10 log10(4/3)
