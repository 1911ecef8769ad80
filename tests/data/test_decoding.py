import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, PngImagePlugin

from llmimg.data import Decoding, decode, stack
from llmimg.data.samples import from_pillow, png_channels
from llmimg.errors import UserError

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)


def saved(image, kind="png", **how):
    stream = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, kind, **how)
    return stream.getvalue()


def with_chunk(png, kind, data):
    """The PNG with one more chunk before its samples."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + chunk + png[33:]


shapes = st.tuples(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 3]))


@given(shapes.flatmap(lambda shape: arrays(np.uint8, shape)), st.booleans(), st.integers(0, 9))
def test_the_fast_path_agrees_with_pillow(image, by_opencv, level):
    if by_opencv:
        data = cv2.imencode(".png", image[:, :, ::-1].copy(), [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()
    else:
        data = saved(image[:, :, 0] if image.shape[2] == 1 else image, compress_level=level)
    assert png_channels(data) == image.shape[2]
    assert np.array_equal(decode(data), image)
    assert np.array_equal(from_pillow(Image.open(io.BytesIO(data))), image)


@given(st.data())
def test_a_damaged_png_is_read_as_pillow_reads_it_or_not_at_all(draw):
    data = bytearray(saved(COLOUR))
    for _ in range(draw.draw(st.integers(1, 3))):
        data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    data = bytes(data[: draw.draw(st.integers(0, len(data)))])
    try:
        with Image.open(io.BytesIO(data)) as image:
            expected = from_pillow(image)
    except Exception:
        with pytest.raises(UserError, match="The image x cannot be read: "):
            decode(data, "x")
    else:
        assert np.array_equal(decode(data), expected)


def test_every_way_to_hold_an_image(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(COLOUR))
    items = [
        {"bytes": path.read_bytes(), "path": None},
        {"bytes": None, "path": str(path)},
        path.read_bytes(),
        memoryview(path.read_bytes()),
        path,
        str(path),
        Image.open(path),
        COLOUR,
    ]
    for item in items:
        assert np.array_equal(decode(item), COLOUR)
    assert decode(GRAY).shape == decode(GRAY[:, :, None]).shape == (5, 7, 1)


@pytest.mark.parametrize("wrong", [COLOUR.astype(float), RGBA, COLOUR[None], np.zeros((0, 3, 3), np.uint8)])
def test_other_arrays_are_refused(wrong):
    with pytest.raises(UserError, match=r"The image seven cannot be read: an array must be uint8, or of"):
        decode(wrong, "seven", white=255)


# --- the stated rules


def over_white(pixels, alpha):
    alpha = alpha[..., None] / 255
    return np.floor(pixels * alpha + 255 * (1 - alpha) + 0.5 - 1e-9)


def test_alpha_lies_over_white():
    assert np.array_equal(decode(saved(RGBA)), over_white(RGBA[..., :3], RGBA[..., 3]))
    gray = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(RGBA[..., 3])])
    assert np.array_equal(decode(saved(gray)), over_white(GRAY[..., None], RGBA[..., 3]))
    assert decode(Image.new("RGBA", (1, 1), (0, 0, 0, 0))).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_the_transparent_colour_of_a_png_is_white(mode):
    image = Image.new(mode, (2, 1), 0)
    image.putpixel((1, 0), {"1": 1, "L": 80, "RGB": (1, 2, 3)}[mode])
    data = saved(image, transparency=(0, 0, 0) if mode == "RGB" else 0)
    expected = {"1": [[255], [255]], "L": [[255], [80]], "RGB": [[255] * 3, [1, 2, 3]]}[mode]
    assert decode(data)[0].tolist() == expected


def test_palettes():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    colours = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert decode(saved(image))[0].tolist() == colours
    assert decode(saved(image, transparency=1))[0].tolist() == [colours[0], [255] * 3, colours[2]]
    assert decode(saved(image, transparency=b"\xff\x00\xff"))[0].tolist() == [colours[0], [255] * 3, colours[2]]


# --- more than 8 bits a sample


def gray_alpha_png(samples):
    """16-bit gray and alpha [H, W, 2], which neither Pillow nor OpenCV writes."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", *samples.shape[1::-1], 16, 4, 0, 0, 0)),)
    data = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples))
    whole = b"\x89PNG\r\n\x1a\n"
    for kind, content in (*chunks, (b"IDAT", data), (b"IEND", b"")):
        whole += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return whole


def by_opencv(samples, kind):
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[samples.shape[2]]
    return cv2.imencode(kind, samples[:, :, order])[1].tobytes()


# What holds integers [H, W, C] of more than 8 bits: how, and for which C and largest value.
HOLDERS = {
    "png": (lambda samples: by_opencv(samples.astype(np.uint16), ".png"), (1, 3), 65535),
    "tiff": (lambda samples: by_opencv(samples.astype(np.uint16), ".tiff"), (1, 3), 65535),
    "ppm": (
        lambda samples: (
            b"P%d %d %d 65535\n" % (5 + (samples.shape[2] == 3), *samples.shape[1::-1])
            + samples.astype(">u2").tobytes()
        ),
        (1, 3),
        65535,
    ),
    "tiff of 32 bits": (lambda samples: saved(samples[:, :, 0].astype(np.int32), "tiff"), (1,), 2**31 - 1),
    "PIL mode I": (lambda samples: Image.fromarray(samples[:, :, 0].astype(np.int32)), (1,), 2**31 - 1),
    **{
        dtype: (lambda samples, dtype=dtype: samples.astype(dtype), (1, 3), min(np.iinfo(dtype).max, 2**31 - 1))
        for dtype in ("int16", "uint16", "int32", "uint32", "int64", "uint64", ">u2")
    },
}


@given(st.sampled_from(sorted(HOLDERS)), st.integers(0, 17), st.data())
def test_samples_go_by_what_counts_as_white(holder, bits, draw):
    """The high eight bits of those that count; 0..255 as they are; and what goes beyond is refused."""
    hold, channels, limit = HOLDERS[holder]
    shape = (*draw.draw(st.tuples(st.integers(1, 5), st.integers(1, 5))), draw.draw(st.sampled_from(channels)))
    samples = draw.draw(arrays(np.int64, shape, elements=st.integers(0, min(2**bits - 1, limit))))
    item, largest = hold(samples), int(samples.max())
    for white in (255, 1023, 4095, 16383, 65535):
        if largest > white:
            with pytest.raises(UserError, match=f"The image x cannot be read: its samples go up to {largest:,}"):
                decode(item, "x", white)
        else:
            assert np.array_equal(decode(item, "x", white), samples * 256 // (white + 1))
    with pytest.raises(UserError, match=r"The image x cannot be read: .* no training image says what counts as white"):
        decode(item, "x")


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_wide_alpha_and_transparent_colours_lie_over_white(white):
    samples = RNG.integers(0, white + 1, (5, 7, 4), dtype=np.uint16)
    eight = samples.astype(int) * 256 // (white + 1)
    for kind in (".png", ".tiff"):
        expected = over_white(eight[..., :3], eight[..., 3])
        assert np.array_equal(decode(by_opencv(samples, kind), white=white), expected)
    gray = decode(gray_alpha_png(samples[..., [0, 3]]), white=white)
    assert np.array_equal(gray, over_white(eight[..., :1], eight[..., 3]))
    clear = with_chunk(by_opencv(samples[..., :1], ".png"), b"tRNS", struct.pack(">H", samples[2, 3, 0]))
    assert decode(clear, white=white)[2, 3, 0] == 255
    clear = with_chunk(by_opencv(samples[..., :3], ".png"), b"tRNS", struct.pack(">HHH", *samples[2, 3, :3]))
    assert decode(clear, white=white)[2, 3].tolist() == [255] * 3


def test_wide_colour_is_turned_as_exif_says():
    wide = RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = with_chunk(by_opencv(wide, ".png"), b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    assert np.array_equal(decode(data, white=65535), np.rot90(wide >> 8, -1))


def test_a_map_that_states_its_white_goes_by_it():
    samples = np.array([[[0], [2048], [4095]]])
    data = b"P5 3 1 4095\n" + samples.astype(">u2").tobytes()
    assert decode(data)[0, :, 0].tolist() == [0, 128, 255]


def test_two_of_a_kind_are_black_and_white():
    assert decode(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (saved(np.full((2, 2), 0.5, np.float32), "tiff"), "floating-point numbers of no stated range"),
        (np.full((2, 2), -1), "samples go down to -1"),
        (Image.open(io.BytesIO(by_opencv(np.full((2, 2, 3), 900, np.uint16), ".png"))), "16 bits a sample"),
    ],
)
def test_samples_without_a_range_are_refused(item, message):
    with pytest.raises(UserError, match=message):
        decode(item, white=65535)


def test_one_bit_and_cmyk():
    bits = Image.fromarray(GRAY).point(lambda value: 255 * (value > 99), "1")
    assert np.array_equal(decode(saved(bits))[..., 0], np.where(GRAY > 99, 255, 0))
    ink = Image.new("CMYK", (2, 2), (255, 0, 0, 0))
    assert decode(saved(ink, "tiff"))[0, 0].tolist() == [0, 255, 255]
    assert decode(saved(ink, "jpeg")).shape == (2, 2, 3)


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    data = saved(
        frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "webp" else {})
    )
    assert decode(data)[0, 0].tolist() == [255, 0, 0]
    image = Image.open(io.BytesIO(data))
    image.seek(2)
    assert decode(image)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(kind, orientation):
    turned = [
        COLOUR,
        COLOUR[:, ::-1],
        COLOUR[::-1, ::-1],
        COLOUR[::-1],
        COLOUR.transpose(1, 0, 2),
        np.rot90(COLOUR, -1),
        COLOUR[::-1, ::-1].transpose(1, 0, 2),
        np.rot90(COLOUR),
    ]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(COLOUR, kind, exif=exif, **({"lossless": True} if kind == "webp" else {}))
    assert np.array_equal(decode(data), turned[orientation - 1])


def test_metadata_that_cannot_be_read_do_no_harm():
    assert np.array_equal(decode(with_chunk(saved(COLOUR), b"eXIf", b"nonsense")), COLOUR)
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "a plain one")
    assert np.array_equal(decode(saved(COLOUR, pnginfo=text)), COLOUR)


@pytest.mark.parametrize("chunk", [(b"tRNS", bytes(6)), (b"gAMA", struct.pack(">I", 45455)), (b"eXIf", b"MM\0*")])
def test_more_than_samples_is_not_for_the_fast_path(chunk):
    assert png_channels(saved(COLOUR)) == 3
    assert png_channels(with_chunk(saved(COLOUR), *chunk)) is None
    assert png_channels(saved(RGBA)) is None


# --- what cannot be read


def test_broken_images_are_named(tmp_path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(saved(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8), "jpeg")[:-200])
    with pytest.raises(UserError, match=r"The image .*cut\.jpg cannot be read: .*truncated"):
        decode(path)
    with pytest.raises(UserError, match=r"The image .*none\.png cannot be read: No such file"):
        decode(tmp_path / "none.png")
    with pytest.raises(UserError, match=r"The image row 3 cannot be read: an image cannot be a NoneType"):
        decode({"bytes": None, "path": None}, "row 3")


def test_decompression_bombs_are_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match="The image b cannot be read: it is larger than Pillow's limit"):
        decode(saved(COLOUR, "bmp"), "b")


def test_the_same_problem_is_told_in_the_same_words():
    def told(data):
        with pytest.raises(UserError, match="The image four cannot be read: cannot identify image file") as error:
            decode(data, "four")
        return str(error.value)

    data = [bytes([index] * 40) for index in range(8)]  # all kept, so that each has memory of its own
    assert len({told(each) for each in data}) == 1


def test_a_batch_goes_on_past_a_broken_image(tmp_path):
    missing = {"bytes": None, "path": str(tmp_path / "x.png")}
    images, problems = Decoding((4, 4))([COLOUR, b"rubbish", missing], ["a", "b", "c"])
    assert images[0].shape == (4, 4, 3) and images[1:] == [None, None]
    assert list(problems) == [1, 2]
    assert problems[1].startswith("The image b cannot be read") and str(tmp_path / "x.png") in problems[2]
    assert "number 1" in Decoding()([COLOUR, b""])[1][1]


def test_sizes_and_fits():
    for fit in ("stretch", "crop", "pad"):
        (image,), _ = Decoding((3, 9), fit)([GRAY])
        assert image.shape == (3, 9, 1)
    assert Decoding()([GRAY])[0][0].shape == (5, 7, 1)
    with pytest.raises(UserError, match="did you mean 'pad'"):
        Decoding((3, 3), "padd")


def test_stack():
    both = stack([decode(GRAY), decode(COLOUR)])
    assert both.shape == (2, 5, 7, 3) and (both[0] == GRAY[:, :, None]).all()
    assert stack([decode(GRAY)] * 2).shape == (2, 5, 7, 1)
    with pytest.raises(UserError, match=r"differ in size \(4x4, 5x7\): set data\.size="):
        stack([decode(GRAY), np.zeros((4, 4, 1), np.uint8)])


def test_decoding_takes_one_core():
    assert cv2.getNumThreads() == 1
