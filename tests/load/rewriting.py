"""`python -m tests.load.rewriting`: twenty generated files of each kind, written anew; each is either equal
to what came in, both drawn, or refused with what to do. A JSON line for each kind: how many were kept, how
many refused, which were kept and differ."""

import argparse
import io
import json
import random
import sys
from collections.abc import Callable, Iterator

import pypdfium2
from pikepdf import Array, Dictionary, Name, Stream, String
from PIL import Image, ImageChops, ImageFilter, ImageStat

from dingkao.errors import InvalidInput
from dingkao.integrations.images import images
from tests.rooms.test_pdf_sanitizing import Made, deep, png, written

NAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任"
    "姚卢傅钟姜崔谭廖范汪陆金石戴贾韦夏邱方侯邹熊孟秦白江阎薛尹"
)
MAX_MEAN, MAX_BLOCK, BLOCKS = 6.0, 24.0, 24
"""How far the greys (0 to 255) may be apart, on the average and in one of BLOCKS × BLOCKS parts."""


# --- pictures


def source(chance: random.Random) -> Image.Image:
    """A picture of soft blotches in grey, of any size."""
    size = (chance.randint(200, 900), chance.randint(250, 1100))
    coarse = Image.new("L", (chance.randint(2, 9), chance.randint(2, 9)))
    coarse.putdata([chance.randint(0, 255) for _ in range(coarse.width * coarse.height)])
    return coarse.resize(size, chance.choice([Image.Resampling.NEAREST, Image.Resampling.BICUBIC]))


def _deep_by_hand(chance: random.Random) -> tuple[bytes, Image.Image]:
    """16 bits a channel whose lower bytes say something else than the upper ones."""
    grey_image, channels = source(chance), chance.choice([1, 3])
    lines = bytearray()
    for index in range(grey_image.height):
        lines += b"\0"
        for grey in grey_image.crop((0, index, grey_image.width, index + 1)).tobytes():
            lines += bytes([grey, chance.randint(0, 255)]) * channels
    return png(grey_image.size, 16, 2 if channels == 3 else 0, bytes(lines)), grey_image


def _deep(chance: random.Random) -> tuple[bytes, Image.Image]:
    grey_image = source(chance)
    return written(deep(grey_image)), grey_image


def _palette(chance: random.Random) -> tuple[bytes, Image.Image]:
    palette_image = source(chance).convert(
        "P", palette=Image.Palette.ADAPTIVE, colors=chance.choice([2, 4, 16, 200, 256])
    )
    grey_image = palette_image.convert("RGB").convert("L")
    clear = chance.choice([None, 0, "some"])
    if clear is None:
        return written(palette_image), grey_image
    alphas = (
        [0 if index == clear else 255 for index in range(256)]
        if clear == 0
        else [chance.choice([0, 90, 255]) for _ in range(256)]
    )
    alpha = Image.frombytes(
        "L", palette_image.size, bytes(alphas[index] for index in palette_image.tobytes())
    )
    return written(palette_image, transparency=bytes(alphas)), on_white(grey_image, alpha)


def _alpha(chance: random.Random) -> tuple[bytes, Image.Image]:
    grey_image, alpha = source(chance), source(chance)
    alpha = alpha.resize(grey_image.size)
    alpha_image = (
        Image.merge("LA", (grey_image, alpha))
        if chance.random() < 0.5
        else Image.merge("RGBA", (grey_image, grey_image, grey_image, alpha))
    )
    return written(alpha_image), on_white(grey_image, alpha)


def on_white(seen: Image.Image, alpha: Image.Image) -> Image.Image:
    """A picture as it shows on white ground."""
    ground = Image.new("L", seen.size, 255)
    ground.paste(seen, mask=alpha)
    return ground


def _cmyk(chance: random.Random) -> tuple[bytes, Image.Image]:
    grey_image, black = source(chance), chance.randint(0, 255)
    cmyk_image = grey_image.convert("RGB").convert("CMYK")
    if chance.random() < 0.5:  # the grey in the black plate alone
        inks = Image.new("L", grey_image.size, 0)
        cmyk_image = Image.merge("CMYK", (inks, inks, inks, grey_image.point(lambda grey: 255 - grey)))
    elif black < 100:
        cmyk_image = Image.merge("CMYK", (*cmyk_image.split()[:3], Image.new("L", grey_image.size, black)))
        grey_image = grey_image.point(lambda grey: round(grey * (255 - black) / 255))
    return written(
        cmyk_image, "JPEG", quality=chance.randint(80, 97), progressive=chance.random() < 0.3
    ), grey_image


def _turned(chance: random.Random) -> tuple[bytes, Image.Image]:
    upright, orientation = source(chance), chance.randint(1, 8)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    lying = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = lying.getexif()
    exif[images.EXIF_ORIENTATION] = orientation
    kind = chance.choice(["JPEG", "PNG"])
    return written(
        lying.convert("RGB"), kind, exif=exif, **({"quality": 92} if kind == "JPEG" else {})
    ), upright


def picture_kept(content: bytes, seen: Image.Image) -> bool:
    """Whether the proof and the illustration made of a picture show what is `seen`. Raises InvalidInput."""
    return all(
        alike(Image.open(io.BytesIO(rewritten)).convert("L"), seen)
        for rewritten in (images.process_document(content)[0], images.process_illustration(content).content)
    )


def alike(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures in grey show the same, whatever their sizes; their edges are made soft, for one
    may be smaller."""
    small = (min(one.width, other.width), min(one.height, other.height))
    apart = ImageChops.difference(
        *(
            picture.resize(small, Image.Resampling.BOX).filter(ImageFilter.BoxBlur(2))
            for picture in (one, other)
        )
    )
    blocks = apart.resize((BLOCKS, BLOCKS), Image.Resampling.BOX)
    return ImageStat.Stat(apart).mean[0] <= MAX_MEAN and max(blocks.tobytes()) <= MAX_BLOCK


# --- PDF


def _form(chance: random.Random) -> bytes:
    document = Made()
    value = "".join(chance.choice(NAMES + "0123456789—（）、") for _ in range(chance.randint(1, 12)))
    kind = chance.choice(["plain", "lines", "choice", "combs", "its own"])
    anew = chance.random() < 0.6
    if kind == "choice":
        document.field(value, "Ch", Ff=1 << 17, Opt=Array([String(value), String("其他")]), anew=anew)
    elif kind == "combs":
        document.field(value, Ff=1 << 24, MaxLen=len(value), anew=anew)
    elif kind == "its own":
        document.field(
            value, AP=Dictionary(N=document.form(b"BT /Helv 18 Tf 5 10 Td (drawn) Tj ET")), anew=anew
        )
    else:
        document.field(value, Ff=1 << 12 if kind == "lines" else 0, anew=anew)
    return document.content()


def _annotated(chance: random.Random) -> bytes:
    document = Made()
    for _ in range(chance.randint(1, 4)):
        x, low = chance.randint(5, 120), chance.randint(20, 240)
        place = Array([x, low, x + chance.randint(20, 70), low + chance.randint(10, 50)])
        colour = Array([chance.random() for _ in range(3)])
        kind = chance.choice(
            ["Square", "Circle", "Highlight", "Ink", "Line", "Underline", "FreeText", "Stamp", "Text"]
        )
        properties = {"Rect": place, "C": colour, "F": chance.choice([0, 4, 2, 32])}
        corners = [place[0], place[3], place[2], place[3], place[0], place[1], place[2], place[1]]
        if kind in ("Highlight", "Underline"):
            properties["QuadPoints"] = Array(corners)
        elif kind == "Ink":
            properties["InkList"] = Array([Array(corners)])
        elif kind == "Line":
            properties["L"] = Array([place[0], place[1], place[2], place[3]])
        elif kind == "FreeText":
            properties |= {
                "Contents": String("".join(chance.choice(NAMES) for _ in range(3))),
                "DA": String("/Helv 12 Tf 0 g"),
            }
        if kind == "Stamp" or chance.random() < 0.4:
            properties["AP"] = Dictionary(N=document.form(b"%.2f 0 0 rg 0 0 160 40 re f" % chance.random()))
        document.marked(Subtype=Name(f"/{kind}"), **properties)
    return document.content()


def _layered(chance: random.Random) -> bytes:
    document, drawing, layers, shut, names = (
        Made(),
        b"BT /F1 12 Tf 20 250 Td (Page text) Tj ET ",
        [],
        [],
        Dictionary(),
    )
    for number in range(chance.randint(1, 5)):
        layer = document.pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String(f"图层{number}")))
        layers.append(layer)
        if chance.random() < 0.5:
            shut.append(layer)
        names[f"/MC{number}"] = layer
        x, y = chance.randint(5, 120), chance.randint(5, 200)
        drawing += b"/OC /MC%d BDC %.2f %.2f 0 rg %d %d 60 50 re f EMC " % (
            number,
            chance.random(),
            chance.random(),
            x,
            y,
        )
    base = chance.choice([None, Name.OFF])
    rule = (
        Dictionary(OFF=Array(shut))
        if base is None
        else Dictionary(BaseState=base, ON=Array([layer for layer in layers if layer not in shut]))
    )
    document.pdf.Root.OCProperties = Dictionary(OCGs=Array(layers), D=rule)
    document.page.obj.Resources.Properties = names
    return document.draws(drawing).content()


def _inlaid(chance: random.Random) -> bytes:
    """Pictures within the page, of every number of bits, with masks."""
    document = Made()
    bits = chance.choice([1, 2, 4, 8, 16])
    width, height = 8 * chance.randint(1, 6), chance.randint(4, 40)
    content = chance.randbytes(width * bits // 8 * height)
    mask_entries = (
        {
            "SMask": document.pdf.make_indirect(
                Stream(
                    document.pdf,
                    chance.randbytes(width * height),
                    Type=Name.XObject,
                    Subtype=Name.Image,
                    Width=width,
                    Height=height,
                    ColorSpace=Name.DeviceGray,
                    BitsPerComponent=8,
                )
            )
        }
        if chance.random() < 0.5
        else {}
    )
    inlaid = Stream(
        document.pdf,
        content,
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=width,
        Height=height,
        ColorSpace=Name.DeviceGray,
        BitsPerComponent=bits,
        **mask_entries,
    )
    document.page.obj.Resources.XObject = Dictionary(P=document.pdf.make_indirect(inlaid))
    document.page.obj.Rotate = chance.choice([0, 90, 180, 270])
    return document.draws(b"q 150 0 0 150 20 50 cm /P Do Q").content()


def pdf_kept(content: bytes) -> bool:
    """Whether the proof made of a PDF shows what its pages, forms and annotations show. Raises
    InvalidInput."""
    rewritten = images.process_document(content)[0]
    return all(
        alike(page, rewritten_page)
        for page, rewritten_page in zip(_pages(content), _pages(rewritten), strict=True)
    )


def _pages(content: bytes) -> Iterator[Image.Image]:
    opened = pypdfium2.PdfDocument(content)
    opened.init_forms()
    for page in opened:
        yield page.render(scale=2).to_pil().convert("L")


def _of_picture(
    make: Callable[[random.Random], tuple[bytes, Image.Image]],
) -> Callable[[random.Random], bool]:
    return lambda chance: picture_kept(*make(chance))


def _of_pdf(make: Callable[[random.Random], bytes]) -> Callable[[random.Random], bool]:
    return lambda chance: pdf_kept(make(chance))


KINDS: dict[str, Callable[[random.Random], bool]] = {
    "16-bit grey PNG": _of_picture(_deep), "16-bit PNG by hand": _of_picture(_deep_by_hand), "palette": _of_picture(_palette), "alpha": _of_picture(_alpha),
    "CMYK JPEG": _of_picture(_cmyk), "orientation": _of_picture(_turned), "PDF: forms in Chinese": _of_pdf(_form), "PDF: annotations": _of_pdf(_annotated),
    "PDF: layers": _of_pdf(_layered), "PDF: pictures": _of_pdf(_inlaid),
}  # fmt: skip


def main() -> None:
    """Exit status 1 where anything was kept that shows something else."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20)
    args, wrong = parser.parse_args(), False
    for kind, kept_as_it_was in KINDS.items():
        seeds_by_outcome: dict[str, list[int]] = {"kept": [], "refused": [], "differ": []}
        sentences = set()
        for seed in range(args.count):
            try:
                chance = random.Random(f"{kind} {seed}")  # noqa: S311
                seeds_by_outcome["kept" if kept_as_it_was(chance) else "differ"].append(seed)
            except InvalidInput as refusal:
                seeds_by_outcome["refused"].append(seed)
                sentences.add(refusal.message)
        wrong |= bool(seeds_by_outcome["differ"])
        report = {
            "kind": kind,
            "kept": len(seeds_by_outcome["kept"]),
            "refused": len(seeds_by_outcome["refused"]),
            "differ": seeds_by_outcome["differ"],
            "sentences": sorted(sentences),
        }
        print(json.dumps(report, ensure_ascii=False), flush=True)  # noqa: T201
    sys.exit(wrong)


if __name__ == "__main__":
    main()
