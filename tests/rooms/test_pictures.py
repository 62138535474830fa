"""Pictures and documents by their content: what comes out is a fresh picture, what isn't one is refused, whatever bytes come in."""

import contextlib
import io

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dingkao.errors import Invalid, Refusal, TooLarge
from dingkao.outside import pictures
from tests.people import photo


def test_a_photo_is_cut_to_size_and_says_nothing_else():
    source = Image.new("RGB", (1200, 900), "white")
    exif = source.getexif()
    exif[0x0112], exif[0x9286] = 6, "秘密"
    written = io.BytesIO()
    source.save(written, "JPEG", exif=exif)
    found = Image.open(io.BytesIO(pictures.portrait(written.getvalue())))
    assert found.size == pictures.PORTRAIT
    assert not found.getexif()


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded():
    written = io.BytesIO()
    Image.new("1", (9000, 7000)).save(written, "PNG")
    with pytest.raises(Invalid, match="图片尺寸过大"):
        pictures.portrait(written.getvalue())


def test_too_many_bytes_are_refused():
    with pytest.raises(TooLarge):
        pictures.portrait(b"\xff\xd8" + b"0" * pictures.MAX_BYTES)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_kinds_are_refused(kind):
    with pytest.raises(Invalid, match="jpg或png"):
        pictures.portrait(photo(kind=kind))


def test_what_follows_a_picture_is_not_kept():
    assert b"<script>" not in pictures.portrait(photo() + b"<script>alert(1)</script>")


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_bytes_come_in_it_is_a_picture_or_a_refusal(data):
    content = bytearray(photo(200, 260, kind=data.draw(st.sampled_from(["JPEG", "PNG"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refusal):
        assert Image.open(io.BytesIO(pictures.portrait(bytes(content)))).size == pictures.PORTRAIT


def a_pdf(**root) -> bytes:
    made = pikepdf.new()
    made.add_blank_page(page_size=(200, 200))
    for key, value in root.items():
        made.Root[f"/{key}"] = value
    written = io.BytesIO()
    made.save(written)
    return written.getvalue()


def test_a_pdf_is_written_anew_without_scripts():
    action = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
    content, kind = pictures.document(a_pdf(OpenAction=action))
    assert kind == "application/pdf"
    with pikepdf.open(io.BytesIO(content)) as found:
        assert len(found.pages) == 1
        assert "/OpenAction" not in found.Root
    assert b"app.alert" not in content


def test_a_locked_or_broken_pdf_is_refused():
    with pikepdf.open(io.BytesIO(a_pdf())) as open_one:
        written = io.BytesIO()
        open_one.save(written, encryption=pikepdf.Encryption(user="x", owner="y"))
    with pytest.raises(Invalid, match="设有密码"):
        pictures.document(written.getvalue())
    with pytest.raises(Invalid, match="无法打开"):
        pictures.document(b"%PDF-1.7 nothing")


def test_a_seal_keeps_its_transparency():
    written = io.BytesIO()
    Image.new("RGBA", (400, 400), (200, 0, 0, 120)).save(written, "PNG")
    found = Image.open(io.BytesIO(pictures.seal(written.getvalue())))
    assert found.mode == "RGBA"
    assert found.getpixel((10, 10))[3] == 120
