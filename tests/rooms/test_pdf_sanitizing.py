"""What is rewritten shows what came in: pictures of every mode in their own brightness, PDFs with what their
forms and comments say, else refused."""

import io
import struct
import zlib
from dataclasses import replace

import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, Stream, String
from PIL import Image, ImageCms, ImageDraw

from dingkao.errors import InvalidInput
from dingkao.integrations.images import comparison, images
from dingkao.integrations.pdf import sanitizing
from dingkao.integrations.sandbox import runner
from dingkao.integrations.sandbox.runner import REQUEST_LIMITS
from tests.property_examples import property_examples

GREYS = [0, 40, 90, 128, 200, 255]


def stripes(size: tuple[int, int] = (600, 840)) -> Image.Image:
    """A picture of grey stripes, L."""
    image = Image.new("L", size)
    pen, width = ImageDraw.Draw(image), size[0] // len(GREYS)
    for place, grey in enumerate(GREYS):
        pen.rectangle(
            (place * width, 0, size[0] if place == len(GREYS) - 1 else (place + 1) * width - 1, size[1]),
            fill=grey,
        )
    return image


SOURCE = stripes()


def written(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    into = io.BytesIO()
    picture.save(into, kind, **options)
    return into.getvalue()


def seen(content: bytes) -> list[int]:
    """The grey in the middle of each stripe."""
    picture = Image.open(io.BytesIO(content)).convert("L")
    return [
        picture.getpixel((int((place + 0.5) * picture.width / len(GREYS)), picture.height // 2))
        for place in range(len(GREYS))
    ]


def near(found: list[int], wanted: list[int], most: int = 4) -> bool:
    return all(
        abs(found_grey - wanted_grey) <= most for found_grey, wanted_grey in zip(found, wanted, strict=True)
    )


def deep(picture: Image.Image) -> Image.Image:
    """L as 16 bits."""
    image = Image.new("I;16", picture.size)
    image.putdata([grey * 257 for grey in picture.tobytes()])
    return image


def png(size: tuple[int, int], bits: int, colour: int, lines: bytes, *, interlaced: bool = False) -> bytes:
    """A PNG by hand, of kinds that Pillow doesn't write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    head = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(lines))
        + chunk(b"IEND", b"")
    )


def of_16_bits(channels: int) -> bytes:
    """The stripes with 16 bits a channel."""
    width, height = SOURCE.size
    line = bytes(
        channel for grey in SOURCE.crop((0, 0, width, 1)).tobytes() for channel in [grey] * 2 * channels
    )
    return png((width, height), 16, 2 if channels == 3 else 0, (b"\0" + line) * height)


def woven() -> bytes:
    """The stripes as an interlaced PNG (Adam7)."""
    source, lines = stripes((96, 40)), b""
    for x, y, right, down in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for index in range(y, source.height, down):
            lines += b"\0" + bytes(
                source.getpixel((column, index)) for column in range(x, source.width, right)
            )
    return png(source.size, 8, 0, lines, interlaced=True)


def clear_palette() -> bytes:
    """A palette picture whose last grey is clear, so that it shows white."""
    image = stripes().convert("P")
    return written(image, transparency=bytes(0 if index == 0 else 255 for index in range(256)))


CLEAR_FIRST = [255, *GREYS[1:]]
KINDS = {
    "16-bit grey": (written(deep(SOURCE)), GREYS), "16-bit grey by hand": (of_16_bits(1), GREYS), "16-bit RGB": (of_16_bits(3), GREYS), "interlaced": (woven(), GREYS),
    "grey": (written(SOURCE), GREYS), "grey with alpha": (written(SOURCE.convert("LA")), GREYS), "RGB": (written(SOURCE.convert("RGB")), GREYS),
    "RGBA": (written(SOURCE.convert("RGBA")), GREYS), "palette": (written(SOURCE.convert("P")), GREYS), "palette, one colour clear": (clear_palette(), CLEAR_FIRST),
    "grey, one clear": (written(SOURCE, transparency=0), CLEAR_FIRST), "RGB, one clear": (written(SOURCE.convert("RGB"), transparency=(0, 0, 0)), CLEAR_FIRST),
    "16-bit grey, one clear": (written(deep(SOURCE), transparency=0), CLEAR_FIRST),
    "1 bit": (written(SOURCE.convert("1", dither=Image.Dither.NONE)), [0, 0, 0, 255, 255, 255]),
    "4 colours": (written(SOURCE.convert("P", palette=Image.Palette.ADAPTIVE, colors=8), bits=4), GREYS),
    "JPEG": (written(SOURCE.convert("RGB"), "JPEG", quality=95), GREYS), "grey JPEG": (written(SOURCE, "JPEG", quality=95), GREYS),
    "CMYK JPEG": (written(SOURCE.convert("RGB").convert("CMYK"), "JPEG", quality=95), GREYS),
    "progressive JPEG": (written(SOURCE.convert("RGB"), "JPEG", quality=95, progressive=True), GREYS),
    "with sRGB's profile": (written(SOURCE.convert("RGB"), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()), GREYS),
    "with a broken profile": (written(SOURCE.convert("RGB"), icc_profile=b"not a profile"), GREYS),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_kept_as_it_was_seen(kind):
    content, expected_greys = KINDS[kind]
    proof, content_type = images.process_document(content)
    assert content_type == "image/jpeg"
    assert near(seen(proof), expected_greys)
    assert near(seen(images.process_illustration(content).content), expected_greys)
    photo = Image.open(io.BytesIO(images.process_portrait(content, images.PhotoRules({})).content)).convert(
        "L"
    )
    assert abs(photo.getpixel((200, 290)) - expected_greys[2]) <= 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_kept_upright_whichever_way_the_camera_lay(orientation):
    source = Image.new("L", (300, 200), 255)
    source.paste(0, (0, 0, 100, 66))
    exif = source.getexif()
    exif[images.EXIF_ORIENTATION] = orientation
    corners = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
    for content in (written(source.convert("RGB"), "JPEG", exif=exif), written(source, exif=exif)):
        upright = Image.open(io.BytesIO(images.process_document(content)[0])).convert("L")
        assert upright.size == ((200, 300) if orientation >= 5 else (300, 200))
        dark = {
            (right, low)
            for right in (0, 1)
            for low in (0, 1)
            if upright.getpixel((10 + right * (upright.width - 20), 10 + low * (upright.height - 20))) < 60
        }
        assert dark == {corners[orientation]}


def test_a_picture_that_moves_is_refused():
    frames = [Image.new("RGB", (60, 60), colour) for colour in ("white", "red")]
    with pytest.raises(InvalidInput, match="截取"):
        images.process_document(written(frames[0], save_all=True, append_images=frames[1:]))


def test_a_wide_gamut_is_brought_into_the_common_one():
    image = Image.new("RGB", (200, 200), (255, 0, 0))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    with_profile, without = (
        images.process_document(written(image, **options))[0] for options in ({"icc_profile": lab}, {})
    )
    assert Image.open(io.BytesIO(without)).getpixel((99, 99))[0] > 240
    assert Image.open(io.BytesIO(with_profile)).size == (200, 200)


@settings(deadline=None, max_examples=property_examples(40))
@given(st.data())
def test_any_picture_of_any_mode_is_kept_as_it_was_seen(data):
    width, height = data.draw(st.integers(1, 70)), data.draw(st.integers(1, 70))
    mode = data.draw(st.sampled_from(["L", "RGB", "I;16", "P", "CMYK", "1"]))
    levels = data.draw(st.lists(st.integers(0, 255), min_size=4, max_size=4))
    source = Image.new("L", (2, 2))
    source.putdata(levels)
    source = source.resize((width, height), Image.Resampling.NEAREST)
    given_one = (
        deep(source)
        if mode == "I;16"
        else source.convert("RGB").convert(mode)
        if mode != "1"
        else source.convert("1")
    )
    processed = Image.open(
        io.BytesIO(images.process_document(written(given_one, "JPEG" if mode == "CMYK" else "PNG"))[0])
    ).convert("L")
    expected = source if mode == "I;16" else given_one.convert("RGB").convert("L")
    assert processed.size == (width, height)
    assert abs(mean(processed) - mean(expected)) < 6


def mean(picture: Image.Image) -> float:
    content = picture.tobytes()
    return sum(content) / len(content)


@pytest.mark.parametrize(
    "lose",
    [
        lambda piece: Image.new("RGBA", piece.size, "white"),
        lambda piece: piece.convert("L").point(lambda grey: 255 - grey).convert("RGBA"),
    ],
)
def test_what_a_conversion_loses_is_noticed(lose, monkeypatch):
    monkeypatch.setattr(comparison, "rgba_converter", lambda _picture: lose)
    for make in (images.process_document, images.process_illustration, images.process_portrait):
        with pytest.raises(InvalidInput, match="与原图不一致"):
            make.__wrapped__(written(deep(SOURCE)))


def test_the_samples(samples):
    proof = images.process_document((samples / "faults" / "proof-16-bit-gray.png").read_bytes())[0]
    greys = Image.open(io.BytesIO(proof)).convert("L")
    assert abs(mean(greys) - 173) < 2
    assert (
        abs(sorted(greys.tobytes())[greys.width * greys.height // 1000] - 78) < 9
    )  # JPEG's own ripples apart
    form = images.process_document(
        (samples / "faults" / "proof-form-chinese-need-appearances.pdf").read_bytes()
    )[0]
    assert text_of(form) == "王安一"


# --- PDF


class Made:
    """A PDF of one page that says «Page text», to be written on."""

    def __init__(self) -> None:
        self.pdf = pikepdf.new()
        self.pdf.add_blank_page(page_size=(200, 300))
        self.page = self.pdf.pages[0]
        self.font = self.pdf.make_indirect(
            Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        )
        self.page.obj.Resources = Dictionary(Font=Dictionary(F1=self.font))
        self.draws(b"BT /F1 12 Tf 20 250 Td (Page text) Tj ET")

    def draws(self, content: bytes) -> "Made":
        self.page.obj.Contents = self.pdf.make_stream(content)
        return self

    def form(self, content: bytes) -> Stream:
        """An appearance."""
        return self.pdf.make_indirect(
            Stream(
                self.pdf,
                content,
                Type=Name.XObject,
                Subtype=Name.Form,
                BBox=Array([0, 0, 160, 40]),
                Resources=Dictionary(Font=Dictionary(Helv=self.font)),
            )
        )

    def marked(self, **mark) -> "Made":
        """With an annotation."""
        annotation = {"Type": Name.Annot, "Rect": Array([20, 50, 180, 90]), "F": 4} | mark
        self.page.obj.Annots = Array(
            [*self.page.obj.get("/Annots", []), self.pdf.make_indirect(Dictionary(**annotation))]
        )
        return self

    def field(self, value: str | Name, kind: str = "Tx", *, anew: bool = True, **more) -> "Made":
        """With a field of a form."""
        string = String(value) if isinstance(value, str) and not isinstance(value, Name) else value
        self.marked(
            Subtype=Name.Widget,
            FT=Name(f"/{kind}"),
            T=String("n"),
            V=string,
            DA=String("/Helv 18 Tf 0 g"),
            **more,
        )
        fields = Array([self.page.obj.Annots[-1]])
        self.pdf.Root.AcroForm = Dictionary(
            Fields=fields,
            DR=Dictionary(Font=Dictionary(Helv=self.font)),
            DA=String("/Helv 18 Tf 0 g"),
            NeedAppearances=anew,
        )
        return self

    def field_of_stream(self, text: str) -> "Made":
        """With a field of a form whose value stands in a stream."""
        return self.field(self.pdf.make_stream(bytes(String(text))))

    def content(self) -> bytes:
        into = io.BytesIO()
        self.pdf.save(into)
        return into.getvalue()


def text_of(content: bytes) -> str:
    opened = pypdfium2.PdfDocument(content)
    return "".join("".join(page.get_textpage().get_text_range() for page in opened).split()).replace(
        "Pagetext", ""
    )


def greys_of(content: bytes) -> bytes:
    return pypdfium2.PdfDocument(content)[0].render(scale=0.5, grayscale=True).to_pil().convert("L").tobytes()


LAYER = b"BT /F1 12 Tf 20 250 Td (Page text) Tj ET /OC /MC0 BDC 0 0 1 rg 20 20 100 100 re f EMC"


def layered() -> Made:
    """With a layer that is not shown."""
    source_pdf = Made().draws(LAYER)
    layer = source_pdf.pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("layer")))
    source_pdf.pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=Array([layer])))
    source_pdf.page.obj.Resources.Properties = Dictionary(MC0=layer)
    return source_pdf


SHOWN_TEXTS = {
    "a field in Chinese": (Made().field("王安一"), "王安一"), "without being asked for": (Made().field("王安一", anew=False), "王安一"),
    "a field in Latin": (Made().field("Wang"), "Wang"), "several lines": (Made().field("王安一李四王安一李四王安一李四", Ff=1 << 12), "王安一李四" * 3),
    "a choice": (Made().field("山西省", "Ch", Ff=1 << 17, Opt=Array([String("山西省"), String("河南省")])), "山西省"), "combs": (Made().field("1234", Ff=1 << 24, MaxLen=4), "1234"),
    "a hidden field": (Made().field("王安一", F=2), ""), "a value in a stream": (Made().field_of_stream("王安一"), "王安一"),
    "a stamp": (Made().marked(Subtype=Name.Square, C=Array([1, 0, 0])), ""), "a layer": (layered(), ""), "nothing": (Made(), ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", SHOWN_TEXTS)
def test_a_pdf_is_kept_with_what_it_shows(kind):
    source_pdf, expected_text = SHOWN_TEXTS[kind]
    sanitized, content_type = images.process_document(source_pdf.content())
    assert content_type == "application/pdf"
    assert text_of(sanitized) == expected_text
    with pikepdf.open(io.BytesIO(sanitized)) as sanitized_pdf:
        assert "/AcroForm" not in sanitized_pdf.Root
        assert "/Annots" not in sanitized_pdf.pages[0]


def test_what_an_appearance_shows_counts_and_not_the_value_behind_it():
    source_pdf = Made()
    source_pdf.field(
        "other", anew=False, AP=Dictionary(N=source_pdf.form(b"BT /Helv 18 Tf 5 10 Td (shown) Tj ET"))
    )
    assert text_of(images.process_document(source_pdf.content())[0]) == "shown"


def test_parts_that_refer_to_one_another_a_thousandfold_are_no_work(monkeypatch):
    source_pdf = Made()
    inner = source_pdf.pdf.make_indirect(Dictionary(A=1))
    for _ in range(60):
        inner = source_pdf.pdf.make_indirect(Dictionary(A=inner, B=inner))
    inner.C = source_pdf.pdf.make_indirect(Array([inner]))
    source_pdf.page.obj.Resources.ColorSpace = inner
    monkeypatch.setattr(
        runner, "current_limits", lambda: replace(REQUEST_LIMITS, seconds=5, wait_seconds=120)
    )
    assert text_of(images.process_document(source_pdf.content())[0]) == ""


def test_a_layer_that_is_not_shown_stays_so():
    content = layered().content()
    assert greys_of(images.process_document(content)[0]) == greys_of(content) == greys_of(Made().content())


REFUSED = {
    "characters no typeface has": Made().field("王\U00030000"), "a comment never drawn": Made().marked(Subtype=Name.FreeText, Contents=String("批注"), DA=String("/Helv 18 Tf 0 g")),
    "a form drawn by its program": Made().field("x"), "a value in a stream": Made().field_of_stream("王\U00030000"),
}  # fmt: skip
REFUSED["a form drawn by its program"].pdf.Root.NeedsRendering = True


@pytest.mark.parametrize("kind", REFUSED)
def test_what_can_not_be_kept_as_it_is_shown_is_refused_with_what_to_do(kind):
    with pytest.raises(InvalidInput, match="请打印为PDF后上传"):
        images.process_document(REFUSED[kind].content())


@pytest.mark.parametrize("lose", [b"", b"0 0 200 300 re f", b"BT /F1 12 Tf 20 250 Td (???? ????) Tj ET"])
def test_what_rewriting_loses_is_noticed(lose, monkeypatch):
    monkeypatch.setattr(sanitizing, "_strip", lambda _content: Made().draws(lose).content())
    with pytest.raises(InvalidInput, match="与原件不一致"):
        sanitizing.sanitize_pdf(Made().content(), 20)
    assert sanitizing.sanitize_pdf(Made().draws(lose).content(), 20)


def square(left: int = 60, flags: int = 0) -> dict[str, object]:
    """A mark whose outline its program left to the reader to draw."""
    return {
        "Subtype": Name.Square,
        "Rect": Array([left, 170, left + 40, 220]),
        "C": Array([0.7, 0.1, 0.1]),
        "F": flags,
    }


def test_a_mark_that_its_program_left_to_the_reader_to_draw_is_kept():
    content = Made().marked(**square()).content()
    assert greys_of(content) != greys_of(Made().content())
    assert greys_of(images.process_document(content)[0]) == greys_of(content)


@pytest.mark.parametrize("flags", [2, 32])
def test_a_mark_that_is_not_shown_stays_so(flags):
    source_pdf = Made().marked(**square(flags=flags)).marked(**square(110))
    content = source_pdf.content()
    assert greys_of(images.process_document(content)[0]) == greys_of(content)


def test_a_thin_line_that_is_lost_is_noticed(monkeypatch):
    monkeypatch.setattr(sanitizing, "_flatten", lambda _content: Made().content())
    with pytest.raises(InvalidInput, match="与原件不一致"):
        sanitizing.sanitize_pdf(Made().marked(**square()).content(), 20)
