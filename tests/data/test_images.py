"""Decoding: every kind of file shows what a viewer shows, and broken ones are named."""

import numpy as np
import pytest
import torch
from PIL import Image, features

from tl_helpers.data import StreamedImages, decode, fit_square
from tl_helpers.data import images as module
from tl_helpers.errors import CourseError

RED, WHITE, BLUE = [255, 0, 0], [255, 255, 255], [0, 0, 255]


def pixel(image, y, x):
    return image[:, y, x].tolist()


def half_clear(mode="RGBA"):
    """Left half red, right half clear with green hidden below."""
    image = Image.new("RGBA", (8, 4), (255, 0, 0, 255))
    image.paste((0, 255, 0, 0), (4, 0, 8, 4))
    return image if mode == "RGBA" else image.convert(mode)


def test_rgb_and_grey_keep_their_values(tmp_path):
    values = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(values).save(tmp_path / "rgb.png")
    Image.fromarray(values[..., 0]).save(tmp_path / "grey.png")
    rgb, grey = decode(tmp_path / "rgb.png"), decode(str(tmp_path / "grey.png"))
    assert rgb.dtype == torch.uint8 and rgb.is_contiguous()
    assert torch.equal(rgb, torch.from_numpy(values).permute(2, 0, 1))
    assert torch.equal(grey, torch.from_numpy(values[..., 0]).expand(3, 4, 4))


def test_clear_parts_show_the_background_and_not_what_hides_below(tmp_path):
    half_clear().save(tmp_path / "a.png")
    assert pixel(decode(tmp_path / "a.png"), 0, 0) == RED
    assert pixel(decode(tmp_path / "a.png"), 0, 7) == WHITE
    assert pixel(decode(tmp_path / "a.png", background="blue"), 0, 7) == BLUE
    assert pixel(decode(tmp_path / "a.png", background="#0000ff"), 0, 7) == BLUE


def test_palette_with_transparency(tmp_path):
    palette = Image.new("P", (8, 4), 0)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.paste(1, (4, 0, 8, 4))
    palette.save(tmp_path / "one.png", transparency=1)
    palette.save(tmp_path / "bytes.png", transparency=bytes([255, 0]))
    palette.save(tmp_path / "one.gif", transparency=1)
    for name in ("one.png", "bytes.png", "one.gif"):
        image = decode(tmp_path / name)
        assert (pixel(image, 0, 0), pixel(image, 0, 7)) == (RED, WHITE), name


def test_grey_with_alpha_and_grey_with_a_clear_value(tmp_path):
    half_clear("LA").save(tmp_path / "la.png")
    grey = Image.new("L", (2, 1), 10)
    grey.putpixel((1, 0), 20)
    grey.save(tmp_path / "trns.png", transparency=20)
    assert pixel(decode(tmp_path / "la.png"), 0, 7) == WHITE
    assert decode(tmp_path / "trns.png")[0].tolist() == [[10, 255]]


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tiff")
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "b.tiff")
    for name in ("a.png", "a.tiff", "b.tiff"):
        assert decode(tmp_path / name)[0].tolist() == [[0, 1, 128, 255]], name
    Image.fromarray(values).save(tmp_path / "clear.png", transparency=32896)
    assert decode(tmp_path / "clear.png")[0].tolist() == [[0, 1, 255, 255]], "one value is clear: white shows"


def test_cmyk_and_one_bit(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=95)
    Image.new("1", (3, 3), 1).save(tmp_path / "bit.png")
    red = decode(tmp_path / "cmyk.jpg").float().mean((1, 2))
    assert red[0] > 230 and red[1:].max() < 40
    assert pixel(decode(tmp_path / "bit.png"), 0, 0) == WHITE


@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])  # Pillow turns the last one itself
def test_a_turned_camera_is_turned_back(tmp_path, orientation, corner, name):
    image = Image.new("RGB", (32, 16), "white")
    image.paste((0, 0, 0), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / name, exif=exif, quality=95)
    decoded = decode(tmp_path / name)
    assert decoded.shape == ((3, 16, 32) if orientation in (1, 3) else (3, 32, 16))
    assert max(pixel(decoded, *corner)) < 60


def test_size_cuts_the_middle_square(tmp_path):
    image = Image.new("RGB", (300, 100), "white")
    image.paste((255, 0, 0), (100, 0, 200, 100))
    image.save(tmp_path / "wide.png")
    image.save(tmp_path / "wide.jpg", quality=95)
    inside = decode(tmp_path / "wide.png", size=50)[:, 1:-1, 1:-1]  # at the edge the filter sees a neighbour
    assert (inside == torch.tensor(RED)[:, None, None]).all()
    assert decode(tmp_path / "wide.jpg", size=20).shape == (3, 20, 20)


def broken_png(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:5000])


def broken_avif(path):
    Image.new("RGB", (8, 8)).save(path, format="AVIF")
    path.write_bytes(path.read_bytes().replace(b"pitm", b"free"))  # no word on which item is the picture


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        (lambda path: path.write_text("not a picture"), "is not a picture"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "is not a picture|damaged"),
        (broken_png, "damaged or cut off"),
        pytest.param(broken_avif, "damaged", marks=pytest.mark.skipif(not features.check("avif"), reason="no AVIF")),
        (lambda path: path.mkdir(), "is a folder: name the pictures in it"),
        (lambda path: Image.fromarray(np.ones((2, 2), np.float32)).save(path, format="TIFF"), "floating-point"),
    ],
)
def test_what_can_not_be_read_is_named(tmp_path, make, problem):
    path = tmp_path / "bad.png"
    make(path)
    with pytest.raises(CourseError, match=rf"bad\.png.*({problem})"):
        decode(path)


def test_a_path_that_no_file_can_have_is_named():
    with pytest.raises(CourseError, match="x\\.png is damaged or cut off"):
        decode("x" * 300 + ".png")


def test_a_truncated_jpeg_is_named(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(CourseError, match=r"cut\.jpg is damaged or cut off"):
        decode(path)


def test_a_picture_too_large_to_be_safe_is_named(tmp_path, monkeypatch):
    Image.new("L", (64, 64)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(CourseError, match=r"huge\.png is too large"):
        decode(tmp_path / "huge.png")


def test_an_unknown_background_is_told(tmp_path):
    half_clear().save(tmp_path / "a.png")
    with pytest.raises(CourseError, match="'whitish' is not a colour"):
        decode(tmp_path / "a.png", background="whitish")
    with pytest.raises(CourseError, match=r"\(0, 0, 0\) is not a colour"):
        decode(tmp_path / "a.png", background=(0, 0, 0))


def test_fit_square_keeps_squares_and_cuts_the_middle():
    images = torch.randint(0, 255, (2, 1, 8, 8), dtype=torch.uint8)
    assert fit_square(images, 8) is images
    wide = torch.zeros(1, 3, 10, 30, dtype=torch.uint8)
    wide[..., 10:20] = 255
    assert fit_square(wide, 5).shape == (1, 3, 5, 5)
    assert fit_square(wide, 10).min() == 255


def test_streamed_pictures_are_indexed_like_the_tensor_they_stand_for():
    pixels = torch.randint(0, 255, (20, 3, 4, 4), dtype=torch.uint8)
    streamed = StreamedImages(lambda i: pixels[i], torch.arange(20), 4, "")
    assert streamed.shape == pixels.shape and len(streamed) == 20 and streamed.dtype == torch.uint8
    order = torch.tensor([3, 1, 19, 0, 5, 6, 7, 8, 9])
    assert torch.equal(streamed[order], pixels[order])
    assert torch.equal(streamed[4], pixels[4])
    assert torch.equal(streamed.subset(order)[torch.tensor([2, 0])], pixels[[19, 3]])


def test_four_tenths_of_the_free_memory_may_be_used(monkeypatch):
    monkeypatch.setattr(module, "_free_memory", lambda: 1000)
    assert module.fits_in_memory(399) and not module.fits_in_memory(401)


def test_free_memory_is_what_a_container_leaves(monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text("1000000")
    (tmp_path / "memory.current").write_text("400000")
    monkeypatch.setattr(module, "Path", lambda *_: tmp_path)
    assert module._free_memory() == 600_000


def test_an_odd_header_and_numbers_beyond_sixteen_bits_are_named(tmp_path):
    # turned (6), and a resolution that is a text: Pillow reads it, but could not write it again
    entries = b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\x01\x1a\0\x02\0\0\0\x0472\0\0"
    Image.new("RGB", (8, 4)).save(tmp_path / "phone.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02" + entries + bytes(4))
    assert decode(tmp_path / "phone.jpg").shape == (3, 8, 4)
    Image.fromarray(np.full((4, 4), 70_000, np.int32)).save(tmp_path / "wide.tiff")
    with pytest.raises(CourseError, match=r"wide\.tiff contains whole numbers beyond 16 bits"):
        decode(tmp_path / "wide.tiff")


def test_what_does_not_fit_into_memory_says_why(monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(module, "_free_memory", lambda: 5e9)
    assert module.room_for("pets", 1000, 1000) is None
    assert "don't fit into memory (3.0 GB; of 5.0 GB that are free, 40% may be used)" in capsys.readouterr().out
    assert module.room_for("pets", 10, 10).shape == (10, 3, 10, 10) and not capsys.readouterr().out
