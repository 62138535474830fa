"""Pictures and PDF documents that are small and ask for much: each generator makes another one for each seed."""

import io
import random
import struct
import zlib
from collections.abc import Callable

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from dingkao.integrations.sandbox.runner import MB


def png_of(width: int, height: int, kind: int, bits: int, content: bytes, *more: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + b"".join(chunk(named_data[:4], named_data[4:]) for named_data in more)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


def huge_png(chance: random.Random) -> bytes:
    side = chance.choice([4898, 20_000, 60_000, 2**31 - 1])
    kind, bits = chance.choice([(0, 1), (2, 16), (6, 16), (6, 8), (0, 16)])
    return png_of(side, side, kind, bits, zlib.compress(bytes(chance.randint(1, 120) * MB), 9))


def texted_png(chance: random.Random) -> bytes:
    swollen = zlib.compress(bytes(chance.randint(50, 300) * MB), 9)
    return png_of(
        600,
        800,
        2,
        8,
        zlib.compress(bytes(600 * 800 * 3 + 800)),
        *[chance.choice([b"zTXta\0\0", b"iCCPa\0\0", b"iTXta\0\1\0\0\0"]) + swollen] * chance.randint(1, 5),
    )


def chunked_png(chance: random.Random) -> bytes:
    chunks = [
        chance.choice([b"tEXta\0b", b"IDAT", b"gAMA\0\0\0\1", b"eXIfII*\0" + b"\xff" * 8])
    ] * chance.randint(100_000, 400_000)
    return png_of(600, 800, 2, 8, zlib.compress(bytes(600 * 800 * 3 + 800)), *chunks)


def scanned_jpeg(chance: random.Random) -> bytes:
    """A progressive JPEG with thousands of scans, each of which is the whole picture."""
    from PIL import Image

    into = io.BytesIO()
    Image.new("RGB", (chance.choice([2000, 4800]), 4000), "grey").save(
        into, "JPEG", progressive=True, quality=20
    )
    plain = into.getvalue()
    first = plain.rindex(b"\xff\xda")
    return plain[:-2] + plain[first:-2] * (9 * MB // (len(plain) - first)) + b"\xff\xd9"


def headed_picture(chance: random.Random) -> bytes:
    side = struct.pack("<H", chance.randint(30_000, 65_535))
    return chance.choice(
        [
            b"GIF89a" + side * 2 + b"\x80\0\0" + bytes(6) + b",\0\0\0\0" + side * 2 + b"\0\x02\x02L\x01\0;",
            b"II*\0\x08\0\0\0" + struct.pack("<H", 0xFFFF) + bytes(100_000),
            b"BM" + bytes(12) + struct.pack("<Iii", 40, 2**31 - 1, 2**31 - 1) + bytes(100),
            b"8BPS\0\1" + bytes(6) + b"\0\3" + b"\xff" * 8 + bytes(100),
            b"RIFF\xff\xff\xff\x7fWEBPVP8L" + b"\xff" * 50,
            b"\0\0\1\0\xff\xff" + b"\xff" * 1000,
        ]
    )


def pdf(*, page: Callable[[pikepdf.Pdf, pikepdf.Page], None], pages: int = 1) -> bytes:
    document, into = pikepdf.new(), io.BytesIO()
    for _ in range(pages):
        document.add_blank_page(page_size=(595, 842))
    page(document, document.pages[0])
    document.save(into, object_stream_mode=pikepdf.ObjectStreamMode.generate, compress_streams=False)
    return into.getvalue()


def object_streams(chance: random.Random) -> bytes:
    def fill(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
        page.obj.Resources = Dictionary(
            X=made.make_indirect(Array([Dictionary(A=0) for _ in range(chance.randint(300_000, 1_000_000))]))
        )

    return pdf(page=fill)


def unfolding(chance: random.Random) -> bytes:
    def fill(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
        times = chance.choice([1, 2])
        content = zlib.compress(
            chance.choice([b" ", b"q Q\n", b"0 0 m 9 9 l S\n"]) * (chance.randint(100, 250) * MB // 14), 9
        )
        for _ in range(times - 1):
            content = zlib.compress(content, 9)
        page.obj.Contents = Stream(made, content, Filter=Array([Name.FlateDecode] * times))

    return pdf(page=fill)


def multiplied(chance: random.Random) -> bytes:
    """Forms that draw one another, each many times."""

    def fill(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
        inner = Stream(
            made, b"0 0 m 500 800 l S", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 595, 842])
        )
        for _ in range(chance.randint(4, 12)):
            inner = Stream(
                made,
                b"/F Do " * chance.randint(10, 100),
                Type=Name.XObject,
                Subtype=Name.Form,
                BBox=Array([0, 0, 595, 842]),
                Resources=Dictionary(XObject=Dictionary(F=made.make_indirect(inner))),
            )
        page.obj.Resources, page.obj.Contents = (
            Dictionary(XObject=Dictionary(F=made.make_indirect(inner))),
            Stream(made, b"/F Do"),
        )

    return pdf(page=fill)


def tiled(chance: random.Random) -> bytes:
    def fill(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
        step = chance.choice([0.0001, 0.01])
        tile = Stream(
            made,
            b"0 0 m 1 1 l S",
            Type=Name.Pattern,
            PatternType=1,
            PaintType=1,
            TilingType=1,
            BBox=Array([0, 0, 1, 1]),
            XStep=step,
            YStep=step,
            Resources=Dictionary(),
        )
        page.obj.Resources = Dictionary(Pattern=Dictionary(P=made.make_indirect(tile)))
        page.obj.Contents = Stream(made, b"/Pattern cs /P scn 0 0 595 842 re f " * chance.randint(1, 200))

    return pdf(page=fill)


def pixels(chance: random.Random) -> bytes:
    def fill(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
        side = chance.choice([6300, 30_000, 2**31 - 1])
        picture = Stream(
            made,
            zlib.compress(bytes(chance.randint(1, 100) * MB), 9),
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=side,
            Height=side,
            ColorSpace=Name.DeviceRGB,
            BitsPerComponent=chance.choice([1, 8, 16]),
            Filter=Name.FlateDecode,
        )
        page.obj.Resources = Dictionary(XObject=Dictionary(F=made.make_indirect(picture)))
        page.obj.Contents = Stream(made, b"q 595 0 0 842 0 0 cm /F Do Q " * chance.choice([1, 100]))

    return pdf(page=fill)


def deep_pdf(chance: random.Random) -> bytes:
    depth = chance.randint(1000, 400_000)
    opened, closed = chance.choice([(b"[", b"]"), (b"<</A ", b">>")])
    plain = pdf(page=lambda _made, _page: None)
    return plain.replace(b"%%EOF", b"9 0 obj " + opened * depth + closed * depth + b" endobj\n%%EOF")


def circled_pdf(chance: random.Random) -> bytes:
    def fill(made: pikepdf.Pdf, page: pikepdf.Page) -> None:
        indirect = made.make_indirect(
            Dictionary(FT=Name.Tx, T="a", Subtype=Name.Widget, Rect=Array([0, 0, 99, 99]))
        )
        indirect.Parent, indirect.Kids = indirect, Array([indirect] * chance.randint(1, 2000))
        page.obj.Annots = Array([indirect] * chance.randint(1, 5000))
        made.Root.AcroForm = Dictionary(
            Fields=Array([indirect] * chance.randint(1, 2000)), NeedAppearances=True
        )

    return pdf(page=fill)
