"""Photos and masks of every awkward kind are read right or refused in one sentence."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from vendor_model.errors import MaskError, PhotoError
from vendor_model.photo import MAX_MEGAPIXELS, read_mask, read_photo

HEIGHT, WIDTH = 24, 36


@pytest.fixture
def picture():
    """Smooth colours without symmetry, so that a wrong turn or a swapped channel shows."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), (x + y) * 2], axis=-1).astype(np.uint8)


def refusal(reader, *arguments, error=PhotoError) -> str:
    with pytest.raises(error) as caught:
        reader(*arguments)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def write_png_16(path, values):
    """RGB with 16 bits a channel, which Pillow reads but cannot write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "webp"])
def test_colours_are_kept_exactly(tmp_path, picture, suffix):
    path = tmp_path / f"photo.{suffix}"
    Image.fromarray(picture).save(path, **({"lossless": True} if suffix == "webp" else {}))
    photo = read_photo(path)
    np.testing.assert_array_equal(photo.rgb, picture)
    assert photo.rgb.dtype == np.uint8 and photo.size == (HEIGHT, WIDTH) and photo.focal_px is None


def test_path_with_spaces_and_other_alphabets(tmp_path, picture):
    path = tmp_path / "möbel für 客厅 – копия.png"
    Image.fromarray(picture).save(path)
    np.testing.assert_array_equal(read_photo(str(path)).rgb, picture)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_is_scaled_not_clipped(tmp_path, picture, suffix):
    grey = picture[..., 0]
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    np.testing.assert_array_equal(read_photo(path).rgb, np.stack([grey] * 3, axis=-1))


def test_colours_of_16_bits_are_scaled(tmp_path, picture):
    write_png_16(tmp_path / "deep.png", picture.astype(np.uint16) * 257)
    np.testing.assert_array_equal(read_photo(tmp_path / "deep.png").rgb, picture)


def test_32_bits_are_refused(tmp_path, picture):
    Image.fromarray(picture[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    assert "8 or 16 bits" in refusal(read_photo, tmp_path / "float.tif")


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_photo_becomes_three_equal_channels(tmp_path, picture, mode):
    image = Image.fromarray(picture).convert("L").convert(mode)
    image.save(tmp_path / "grey.png")
    rgb = read_photo(tmp_path / "grey.png").rgb
    np.testing.assert_array_equal(rgb, np.stack([np.asarray(image.convert("L"))] * 3, axis=-1))


def test_palette_is_resolved(tmp_path, picture):
    image = Image.fromarray(picture).quantize(16)
    image.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "palette.png").rgb, np.asarray(image.convert("RGB")))


def test_cmyk_becomes_rgb(tmp_path, picture):
    Image.fromarray(picture).convert("CMYK").save(tmp_path / "print.jpg", quality=100)
    difference = read_photo(tmp_path / "print.jpg").rgb.astype(int) - picture
    assert np.abs(difference).mean() < 3


def test_embedded_profile_is_converted_to_srgb(tmp_path, picture):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A colour space whose red is sRGB's blue, by exchanging the names of the two primaries.
    swapped = srgb.replace(b"rXYZ", b"-XYZ").replace(b"bXYZ", b"rXYZ").replace(b"-XYZ", b"bXYZ")
    for name, profile, expected in (("srgb", srgb, picture), ("swapped", swapped, picture[..., ::-1])):
        Image.fromarray(picture).save(tmp_path / f"{name}.png", icc_profile=profile)
        difference = read_photo(tmp_path / f"{name}.png").rgb.astype(int) - expected
        assert np.abs(difference).max() <= 2, name


def test_profile_that_does_not_fit_is_ignored(tmp_path, picture):
    Image.fromarray(picture).save(tmp_path / "broken.png", icc_profile=b"not a profile")
    np.testing.assert_array_equal(read_photo(tmp_path / "broken.png").rgb, picture)


def test_alpha_does_not_change_colours(tmp_path, picture):
    rgba = np.dstack([picture, np.zeros((HEIGHT, WIDTH), np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "alpha.png").rgb, picture)


@pytest.mark.parametrize(
    ("orientation", "turned"), [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1))]
)
def test_exif_orientation_is_applied(tmp_path, picture, orientation, turned):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(picture).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.png").rgb, turned(picture))
    Image.fromarray(np.where(picture[..., 0] > 127, 255, 0).astype(np.uint8)).save(
        tmp_path / "m.png", exif=exif
    )
    expected = turned(picture[..., 0] > 127)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", expected.shape), expected)


def test_a_plain_grey_tiff_is_turned_upright_too(tmp_path, picture):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    grey = picture[..., 0]
    Image.fromarray(grey).save(tmp_path / "turned.tif", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "turned.tif").rgb[..., 0], np.rot90(grey, -1))


@pytest.mark.parametrize(("recorded", "known"), [((WIDTH * 2, HEIGHT * 2), True), ((WIDTH, WIDTH), False)])
def test_focal_length_comes_from_exif_unless_cropped(tmp_path, picture, recorded, known):
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.FocalLengthIn35mmFilm] = 50
    details[ExifTags.Base.ExifImageWidth], details[ExifTags.Base.ExifImageHeight] = recorded
    Image.fromarray(picture).save(tmp_path / "camera.jpg", exif=exif)
    focal = read_photo(tmp_path / "camera.jpg").focal_px
    # The picture has the 3:2 shape of 35 mm film: 36 pixels of width are 36 mm.
    assert focal == pytest.approx(50) if known else focal is None


def test_first_picture_of_an_animation(tmp_path, picture):
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read_photo(tmp_path / "moving.webp").rgb, picture)


def test_one_pixel_is_refused(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "1 x 1" in refusal(read_photo, tmp_path / "dot.png")


@pytest.mark.parametrize("size", [(10_000, 10_000), (20_000, 20_000)])
def test_too_many_pixels_are_refused(tmp_path, size):
    """The second size is beyond Pillow's own guard. Bilevel pictures keep the files small."""
    Image.new("1", size).save(tmp_path / "huge.png")
    assert str(MAX_MEGAPIXELS) in refusal(read_photo, tmp_path / "huge.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_truncated_photo_is_refused(tmp_path, suffix):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, {"jpg": "jpeg", "tif": "tiff"}.get(suffix, suffix))
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    assert "cut short" in refusal(read_photo, path)


def test_files_that_are_no_photo_are_refused(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    assert "empty file" in refusal(read_photo, tmp_path / "empty.png")
    assert "not an image" in refusal(read_photo, tmp_path / "text.png")
    assert "folder" in refusal(read_photo, tmp_path)
    assert "does not exist" in refusal(read_photo, tmp_path / "nowhere.png")


def test_unreadable_file_is_refused(tmp_path, picture, monkeypatch):
    path = tmp_path / "secret.png"
    Image.fromarray(picture).save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser may read everything

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Image, "open", refuse)
    assert "permissions" in refusal(read_photo, path)


def test_mask_is_luminance_or_a_varying_alpha(tmp_path):
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[5:15, 8:30] = True
    white = np.where(expected, 255, 0).astype(np.uint8)
    grey, opaque = np.full_like(white, 90), np.full_like(white, 255)
    pictures = {
        "luminance": white,
        "deep": white.astype(np.uint16) * 257,
        "alpha": np.dstack([grey, grey, grey, white]),
        "opaque": np.dstack([white, white, white, opaque]),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png", (HEIGHT, WIDTH)), expected, name)


def test_lab_colours_are_refused(tmp_path):
    Image.new("LAB", (WIDTH, HEIGHT)).save(tmp_path / "lab.tif")
    assert "RGB" in refusal(read_photo, tmp_path / "lab.tif")
    assert "RGB" in refusal(read_mask, tmp_path / "lab.tif", (HEIGHT, WIDTH), error=MaskError)


def test_unusable_masks_are_refused(tmp_path):
    Image.new("L", (WIDTH, HEIGHT), 100).save(tmp_path / "dark.png")
    Image.new("L", (WIDTH, HEIGHT + 1), 255).save(tmp_path / "other.png")
    assert "empty" in refusal(read_mask, tmp_path / "dark.png", (HEIGHT, WIDTH), error=MaskError)
    message = refusal(read_mask, tmp_path / "other.png", (HEIGHT, WIDTH), error=MaskError)
    assert "36 x 25" in message and "36 x 24" in message
    assert "does not exist" in refusal(read_mask, tmp_path / "none.png", (HEIGHT, WIDTH), error=MaskError)
