"""Pictures and documents by their content: what comes out is a fresh picture, what isn't one is refused,
whatever bytes come in."""

import contextlib
import io
import random
import re
import struct
import zipfile
import zlib
from functools import cache

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile, ImageFilter

from dingkao.errors import InvalidInput, Refusal, TooLarge
from dingkao.integrations.images import images
from tests.actors import portrait_image
from tests.property_examples import property_examples


def noise(width: int, height: int) -> bytes:
    """A picture that compresses badly, so that it takes several pieces on its way."""
    buffer = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(width).randbytes(width * height * 3)).save(  # noqa: S311
        buffer, "JPEG", quality=80
    )
    return buffer.getvalue()


def test_a_photo_is_cut_to_size_and_says_nothing_else():
    source = Image.new("RGB", (1200, 900), "white")
    exif = source.getexif()
    exif[0x0112], exif[0x9286] = 6, "秘密"
    buffer = io.BytesIO()
    source.save(buffer, "JPEG", exif=exif)
    portrait = Image.open(io.BytesIO(images.process_portrait(buffer.getvalue()).content))
    assert portrait.size == images.PORTRAIT_SIZE
    assert not portrait.getexif()


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded():
    buffer = io.BytesIO()
    Image.new("1", (9000, 7000)).save(buffer, "PNG")
    with pytest.raises(InvalidInput, match="图片尺寸过大"):
        images.process_portrait(buffer.getvalue())


def test_too_many_bytes_are_refused():
    with pytest.raises(TooLarge):
        images.process_portrait(b"\xff\xd8" + b"0" * images.MAX_DOCUMENT_BYTES)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP"])
def test_other_kinds_are_refused(kind):
    with pytest.raises(InvalidInput, match="jpg或png"):
        images.process_portrait(portrait_image(kind=kind))


def test_what_follows_a_picture_is_not_kept():
    assert b"<script>" not in images.process_portrait(portrait_image() + b"<script>alert(1)</script>").content


@settings(deadline=None, max_examples=property_examples(150))
@given(st.data())
def test_whatever_bytes_come_in_it_is_a_picture_or_a_refusal(data):
    content = bytearray(portrait_image(200, 260, kind=data.draw(st.sampled_from(["JPEG", "PNG"]))))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refusal):
        assert (
            Image.open(io.BytesIO(images.process_portrait(bytes(content)).content)).size
            == images.PORTRAIT_SIZE
        )


def a_pdf(**root) -> bytes:
    pdf = pikepdf.new()
    pdf.add_blank_page(page_size=(200, 200))
    for key, value in root.items():
        pdf.Root[f"/{key}"] = value
    buffer = io.BytesIO()
    pdf.save(buffer)
    return buffer.getvalue()


def test_a_pdf_is_written_anew_without_scripts():
    action = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
    content, kind = images.process_document(a_pdf(OpenAction=action))
    assert kind == "application/pdf"
    with pikepdf.open(io.BytesIO(content)) as sanitized:
        assert len(sanitized.pages) == 1
        assert "/OpenAction" not in sanitized.Root
    assert b"app.alert" not in content


def test_a_locked_or_broken_pdf_is_refused():
    with pikepdf.open(io.BytesIO(a_pdf())) as open_one:
        buffer = io.BytesIO()
        open_one.save(buffer, encryption=pikepdf.Encryption(user="x", owner="y"))
    with pytest.raises(InvalidInput, match="设有密码"):
        images.process_document(buffer.getvalue())
    with pytest.raises(InvalidInput, match="无法打开"):
        images.process_document(b"%PDF-1.7 nothing")


def test_a_seal_keeps_its_transparency():
    buffer = io.BytesIO()
    Image.new("RGBA", (400, 400), (200, 0, 0, 120)).save(buffer, "PNG")
    official_seal = Image.open(io.BytesIO(images.process_seal(buffer.getvalue())))
    assert official_seal.mode == "RGBA"
    assert official_seal.getpixel((10, 10))[3] == 120


def deflated(content: bytes, ended: int = zlib.Z_FULL_FLUSH) -> bytes:
    """`content` as blocks of a deflate stream that refer to nothing before them."""
    folding = zlib.compressobj(9, wbits=-15)
    return folding.compress(content) + folding.flush(ended)


def a_bomb(size: int) -> bytes:
    """A sound PDF of one page whose catalogue stands in an object stream that unfolds to `size` bytes."""
    parts = [
        b"<</Type/Catalog/Pages 4 0 R>>",
        b"<</Type/Pages/Kids[5 0 R]/Count 1>>",
        b"<</Type/Page/Parent 4 0 R/MediaBox[0 0 99 99]>>",
    ]
    ends = [0, len(parts[0]) + 1, len(parts[0]) + len(parts[1]) + 2]
    index = b" ".join(b"%d %d" % pair for pair in zip((1, 4, 5), ends, strict=True)) + b" "
    content, blanks, blank_count = index + b" ".join(parts), b" " * 2**20, size // 2**20
    sum_ = zlib.adler32(content)
    for _ in range(blank_count):
        sum_ = zlib.adler32(blanks, sum_)
    blocks = [deflated(content), deflated(blanks) * blank_count, deflated(b"", zlib.Z_FINISH)]
    folded = b"\x78\xda" + b"".join(blocks) + struct.pack(">I", sum_)
    body = bytearray(b"%PDF-1.5\n")

    def put(number: int, head: bytes, stream: bytes) -> int:
        count = len(body)
        body.extend(
            b"%d 0 obj\n<<%s/Filter/FlateDecode/Length %d>>\nstream\n" % (number, head, len(stream))
            + stream
            + b"\nendstream\nendobj\n"
        )
        return count

    first = put(2, b"/Type/ObjStm/N 3/First %d" % len(index), folded)
    xref_entries = ((0, 0, 0), (2, 2, 0), (1, first, 0), (1, len(body), 0), (2, 2, 1), (2, 2, 2))
    start = put(
        3,
        b"/Type/XRef/Size 6/W[1 4 1]/Root 1 0 R",
        zlib.compress(b"".join(struct.pack(">BIB", *xref_entry) for xref_entry in xref_entries)),
    )
    body.extend(b"startxref\n%d\n%%%%EOF" % start)
    return bytes(body)


def test_a_pdf_that_unfolds_to_gigabytes_is_refused():
    small, large = a_bomb(2**20), a_bomb(2 * 2**30)
    assert images.process_document(small)[1] == "application/pdf"
    assert len(large) < images.MAX_DOCUMENT_BYTES
    with pytest.raises(InvalidInput, match="无法打开"):
        images.process_document(large)


def test_too_many_pages_and_none_are_refused():
    long = pikepdf.new()
    for _ in range(images.MAX_PAGES + 1):
        long.add_blank_page(page_size=(100, 100))
    for pdf, sentence in ((long, "超过20页"), (pikepdf.new(), "没有页面")):
        buffer = io.BytesIO()
        pdf.save(buffer)
        with pytest.raises(InvalidInput, match=sentence):
            images.process_document(buffer.getvalue())


def test_attachments_links_and_scripts_of_pages_are_gone():
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(200, 200))
    script = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS=pikepdf.String("app.alert(1)"))
    page.obj.AA = pikepdf.Dictionary(O=script)
    link = pikepdf.Dictionary(Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9], A=script)
    page.obj.Annots = pdf.make_indirect(pikepdf.Array([pdf.make_indirect(link)]))
    pdf.attachments["a.exe"] = b"MZ attached"
    buffer = io.BytesIO()
    pdf.save(buffer)
    content, _ = images.process_document(buffer.getvalue())
    with pikepdf.open(io.BytesIO(content)) as sanitized:
        assert not sanitized.attachments
        assert not {"/AA", "/Annots"} & set(sanitized.pages[0].obj.keys())
        assert not [
            pdf_object
            for pdf_object in sanitized.objects
            if isinstance(pdf_object, pikepdf.Dictionary) and "/JS" in pdf_object
        ]


@settings(deadline=None, max_examples=property_examples(25))
@given(st.data())
def test_whatever_bytes_come_in_it_is_a_pdf_or_a_refusal(data):
    content = bytearray(a_pdf())
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(5, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Refusal):
        rewritten, kind = images.process_document(bytes(content))
        assert kind == "application/pdf"
        with pikepdf.open(io.BytesIO(rewritten)) as sanitized:
            assert len(sanitized.pages) >= 1


@settings(deadline=None, max_examples=property_examples(100))
@given(
    st.binary(max_size=400),
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<svg ", b"BM"]),
)
def test_garbage_is_refused(tail, head):
    with pytest.raises(Refusal):
        images.process_portrait(head + tail)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "RGBA", "CMYK"])
def test_every_mode_a_phone_or_scanner_writes_is_taken(mode):
    buffer = io.BytesIO()
    Image.new(mode, (600, 800)).save(buffer, "JPEG" if mode == "CMYK" else "PNG")
    portrait = Image.open(io.BytesIO(images.process_portrait(buffer.getvalue()).content))
    assert (portrait.mode, portrait.size) == ("RGB", images.PORTRAIT_SIZE)


def test_a_photo_taken_sideways_is_turned_upright():
    source = Image.new("RGB", (900, 600), "white")
    source.paste("red", (0, 0, 450, 600))
    exif = source.getexif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    source.save(buffer, "JPEG", exif=exif, quality=95)
    portrait = Image.open(io.BytesIO(images.process_portrait(buffer.getvalue()).content))
    above, below = portrait.getpixel((200, 60)), portrait.getpixel((200, 520))
    assert above[1] < 60 < 200 < below[1]


def test_a_large_photo_is_taken_and_what_follows_its_end_is_not(recwarn):
    content = portrait_image(7000, 5000)
    assert (
        Image.open(io.BytesIO(images.process_portrait(content + b"PK\x03\x04 zip").content)).size
        == images.PORTRAIT_SIZE
    )
    assert not [warning for warning in recwarn if "Decompression" in str(warning.message)]


def test_a_picture_beyond_the_decoders_own_bound_is_called_too_large():
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 50))
    )
    with pytest.raises(InvalidInput, match="图片尺寸过大"):
        images.process_portrait(content)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_half_a_picture_is_refused_whatever_another_library_has_set(kind, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = portrait_image(kind=kind)
    with pytest.raises(InvalidInput, match="不是可以识别的照片"):
        images.process_portrait(image[: len(image) // 2])


def figure(ground: str = "#ffffff", blurred: float = 0, size: tuple[int, int] = (600, 840)) -> bytes:
    """A figure with hair and features before a ground."""
    picture = Image.new("RGB", (600, 840), ground)
    pen = ImageDraw.Draw(picture)
    pen.ellipse((60, 590, 540, 1100), fill="#35506b")
    pen.ellipse((190, 170, 410, 470), fill="#2b2623")
    pen.ellipse((205, 230, 395, 530), fill="#e3bfa3")
    for number in (240, 320):
        pen.ellipse((number, 330, number + 36, 350), fill="#2b2623")
    buffer = io.BytesIO()
    picture.filter(ImageFilter.GaussianBlur(blurred)).resize(size).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("given", "hints"),
    [
        (figure(), []),
        (figure("#eef2f6"), []),
        (figure(size=(413, 579)), []),
        (figure(blurred=6), ["sharpness"]),
        (figure("#2f6fb5"), ["ground"]),
        (figure("#c01818"), ["ground"]),
        (figure(size=(840, 840)), ["ratio"]),
        (figure("#303030", blurred=9), ["sharpness", "ground"]),
    ],
)
def test_a_photo_is_remarked_on_for_what_it_is(given, hints):
    assert images.process_portrait(given).hints == hints


@pytest.mark.parametrize(
    ("given", "check", "sentence"),
    [
        (figure(size=(150, 210)), "size", "照片太小（150×210）"),
        (figure(size=(840, 840)), "ratio", "请裁剪后重新上传"),
        (figure(blurred=8), "sharpness", "照片不够清晰"),
        (figure("#2f6fb5"), "ground", "请以白墙为背景"),
    ],
)
def test_each_check_refuses_reminds_or_is_silent_as_the_province_says(given, check, sentence):
    with pytest.raises(InvalidInput, match=re.escape(sentence)):
        images.process_portrait(given, images.PhotoRules({check: "refuse"}))
    assert images.process_portrait(given, images.PhotoRules({check: "hint"})).hints == [check]
    assert images.process_portrait(given, images.PhotoRules({check: "off"})).hints == []


def test_a_photo_is_compressed_to_the_provinces_limit():
    content = noise(413, 579)
    sizes = [
        len(images.process_portrait(content, images.PhotoRules({"size": "refuse"}, max_kb=max_kb)).content)
        for max_kb in (100, 150, 10240)
    ]
    assert sizes == sorted(sizes)
    assert sizes[0] <= 100 * 1024 < sizes[1] <= 150 * 1024 < sizes[2]


def test_a_photo_of_an_apple_phone_is_told_what_to_do():
    with pytest.raises(InvalidInput, match="HEIC.*截图"):
        images.process_portrait(b"\0\0\0\x18ftypheic" + b"\0" * 200)


EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@cache
def zip_bomb() -> bytes:
    """A zip of 100 MB of nothing."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for serial in range(10):
            archive.writestr(f"{serial}.txt", b"0" * 10 * 1024 * 1024)
    return buffer.getvalue()


def gif_bomb() -> bytes:
    """A GIF of 60,000 × 60,000 by its head."""
    return (
        b"GIF89a"
        + struct.pack("<HH", 60_000, 60_000)
        + b"\x80\0\0"
        + b"\0" * 6
        + b",\0\0\0\0"
        + struct.pack("<HH", 60_000, 60_000)
        + b"\0\x02\x02L\x01\0;"
    )


@pytest.mark.parametrize("take", [images.process_portrait, images.process_document])
@pytest.mark.parametrize(
    "content",
    [
        EICAR,
        SVG,
        b"  \n" + SVG,
        zip_bomb,
        gif_bomb(),
        b"GIF89a" + SVG,
        b"MZ" + b"\0" * 500,
        b"\xff\xd8\xff\xe0" + EICAR,
        b"%!PS-Adobe-3.0",
    ],
    ids=[
        "eicar",
        "svg",
        "svg after blanks",
        "zip bomb",
        "gif bomb",
        "gif and svg",
        "program",
        "jpeg's head before eicar",
        "postscript",
    ],
)
def test_the_corpus_of_what_is_no_picture_is_refused(take, content):
    with pytest.raises(Refusal):
        take(content() if callable(content) else content)


@pytest.mark.parametrize(
    "tail", [EICAR, SVG, zip_bomb, b"%PDF-1.7\n1 0 obj", b"<html><script>alert(1)</script>"]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_that_is_something_else_besides_comes_out_as_the_picture_alone(tail, kind):
    tail = tail()[:4000] if callable(tail) else tail
    content, content_type = images.process_document(portrait_image(kind=kind) + tail)
    assert content_type == "image/jpeg"
    assert content.startswith(b"\xff\xd8\xff")
    assert tail[:24] not in content
    assert images.process_portrait(portrait_image(kind=kind) + tail).content.endswith(b"\xff\xd9")


def test_where_a_picture_was_taken_and_by_what_is_not_kept():
    source = Image.new("RGB", (1200, 900), "white")
    exif = source.getexif()
    exif[0x010F] = "Secret phone"
    exif.get_ifd(0x8825).update({1: "N", 2: (37.0, 52.0, 3.0), 3: "E", 4: (112.0, 33.0, 0.0)})
    for kind in ("JPEG", "PNG"):
        buffer = io.BytesIO()
        source.save(buffer, kind, exif=exif)
        assert b"Secret phone" in buffer.getvalue()
        content, _ = images.process_document(buffer.getvalue())
        processed = Image.open(io.BytesIO(content))
        assert not processed.getexif()
        assert not processed.getexif().get_ifd(0x8825)
        assert b"Secret phone" not in content
        assert set(processed.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}


@settings(deadline=None, max_examples=property_examples(120))
@given(st.data())
def test_whatever_bytes_come_in_it_is_a_document_or_a_refusal(data):
    content = bytearray(portrait_image(120, 160, kind=data.draw(st.sampled_from(["JPEG", "PNG"]))))
    for _ in range(data.draw(st.integers(1, 10))):
        offset = data.draw(st.integers(0, len(content) - 1))
        content[offset : offset + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(Refusal):
        assert images.process_document(bytes(content))[1] == "image/jpeg"
