"""Workbooks that are small and ask for much: each generator makes another one for each seed."""

import io
import random
import struct
import zipfile
import zlib

from dingkao.integrations.sandbox.runner import MB

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
HEAD = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>姓名</t></is></c><c r="B1" '
    't="inlineStr"><is><t>证件号码</t></is></c></row>'
)


def zip_bytes(parts: dict[str, bytes | str]) -> bytes:
    into = io.BytesIO()
    with zipfile.ZipFile(into, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return into.getvalue()


def workbook(chance: random.Random, sheet: bytes | str, **more: bytes | str) -> bytes:
    """A workbook whose one sheet lies in a folder of any name."""
    folder = chance.choice(["xl", "data", "a/b/c", "XL", "x", "xl/worksheets/../other"])
    place = f"{folder}/{chance.choice(['sheet1.xml', 'table.bin', 's.XML'])}"
    types = (
        f'<Types xmlns="{PACKAGE}/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>'
    )
    first = f'<Relationship Id="r" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
    second = (
        f'<Relationship Id="r" Type="{OFFICE}/worksheet" Target="/{place}"/><Relationship Id="s" '
        f'Type="{OFFICE}/sharedStrings" Target="strings.xml"/>'
    )
    return zip_bytes(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{first}</Relationships>',
            "xl/workbook.xml": (
                f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets><sheet name="S" sheetId="1" '
                'r:id="r"/></sheets></workbook>'
            ),
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{second}</Relationships>',
            place: sheet,
        }
        | {name.replace("__", "/").replace("_", "."): content for name, content in more.items()}
    )


def workbook_of_rows(rows: str, behind: str = "", before: str = "") -> str:
    return f'{before}<worksheet xmlns="{MAIN}"><sheetData>{HEAD}{rows}</sheetData>{behind}</worksheet>'


def letters(number: int) -> str:
    name = ""
    while number:
        number, remainder = divmod(number - 1, 26)
        name = chr(65 + remainder) + name
    return name


def far_cell(chance: random.Random) -> bytes:
    row_number, column = chance.choice(
        [
            (1048576, 16384),
            (chance.randint(500_000, 1_048_576), chance.randint(26, 16384)),
            (2_000_000_000, 3),
        ]
    )
    between = "".join(
        f'<row r="{index}"><c r="C{index}"><v>1</v></c></row>' for index in range(2, 2 + chance.randint(0, 5))
    )
    return workbook(
        chance,
        workbook_of_rows(
            f'{between}<row r="{row_number}"><c r="{letters(column)}{row_number}"><v>1</v></c></row>'
        ),
    )


def merged(chance: random.Random) -> bytes:
    area_count = chance.choice([1, 1000, 200_000])
    areas = "".join(f'<mergeCell ref="A{2 + index}:XFD{1_048_576 - index}"/>' for index in range(area_count))
    return workbook(
        chance,
        workbook_of_rows('<row r="2"><c r="A2"><v>1</v></c></row>', f"<mergeCells>{areas}</mergeCells>"),
    )


def shared_text(chance: random.Random) -> bytes:
    length, cells = chance.choice([(30_000, 100_000), (1_000_000, 4000), (20_000_000, 200)])
    row_texts = "".join(
        f'<row r="{index}"><c r="A{index}" t="s"><v>0</v></c><c r="B{index}" t="s"><v>0</v></c></row>'
        for index in range(2, cells + 2)
    )
    return workbook(
        chance,
        workbook_of_rows(row_texts),
        xl__strings_xml=f'<sst xmlns="{MAIN}"><si><t>{"字" * length}</t></si></sst>',
    )


def many_texts(chance: random.Random) -> bytes:
    items = "".join(f"<si><t>{index}</t></si>" for index in range(chance.randint(1_500_000, 2_500_000)))
    return workbook(
        chance,
        workbook_of_rows('<row r="2"><c r="A2" t="s"><v>1499999</v></c></row>'),
        xl__strings_xml=f'<sst xmlns="{MAIN}">{items}</sst>',
    )


def nested(chance: random.Random) -> bytes:
    depth, tag = chance.randint(50_000, 2_000_000), chance.choice(["is", "x", "row", "c"])
    return workbook(chance, workbook_of_rows(f"<{tag}>" * depth + f"</{tag}>" * depth))


def entity_expansion(chance: random.Random, root: str = "worksheet") -> str:
    width, depth = chance.randint(8, 30), chance.randint(6, 12)
    entities = "".join(f'<!ENTITY l{index} "{f"&l{index - 1};" * width}">' for index in range(1, depth))
    return f'<!DOCTYPE {root} [<!ENTITY l0 "{"哈" * chance.randint(3, 3000)}">{entities}]>'


def entity_expansion_workbook(chance: random.Random) -> bytes:
    text = (
        '<row r="2"><c r="A2" t="inlineStr"><is><t>&l5;</t></is></c><c r="B2" '
        't="inlineStr"><is><t>&l5;&l5;</t></is></c></row>'
    )
    return workbook(chance, workbook_of_rows(text, before=entity_expansion(chance)))


def expanding_workbook(chance: random.Random) -> bytes:
    filler = chance.choice([" ", '<row r="2"/>', f"<!--{'x' * 1000}-->", '<row r="2"><c r="A2"/></row>'])
    return workbook(chance, workbook_of_rows(filler * (chance.randint(60, 400) * MB // len(filler))))


def many_members(chance: random.Random) -> bytes:
    return zip_bytes(
        {
            "[Content_Types].xml": "<Types/>",
            **{f"xl/{index}.xml": b"" for index in range(chance.randint(3000, 120_000))},
        }
    )


def overlapping(chance: random.Random) -> bytes:
    """Members that share one run of bytes, as in Fifield's bomb, though each by a head of its own."""
    plain = bytes(chance.randint(20, 200) * MB)
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packing.compress(plain) + packing.flush()
    body, directory, sum_ = bytearray(), bytearray(), zlib.crc32(plain)
    for index in range(chance.randint(10, 1000)):
        name = b"xl/%d.xml" % index if index else b"[Content_Types].xml"
        fields = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, sum_, len(packed), len(plain), len(name), 0)
        start = len(body) if index == 0 else 0
        if index == 0:
            body += b"PK\x03\x04" + fields + name + packed
        directory += b"PK\x01\x02\x14\0" + fields + struct.pack("<HHHII", 0, 0, 0, 0, start) + name
    count = directory.count(b"PK\x01\x02")
    return bytes(
        body
        + directory
        + b"PK\x05\x06\0\0\0\0"
        + struct.pack("<HHIIH", count, count, len(directory), len(body), 0)
    )


def false_size_entry(chance: random.Random) -> bytes:
    """A sheet that unfolds to much more than its entry says."""
    content = bytearray(expanding_workbook(chance))
    position = -1
    while (position := content.find(b"PK\x01\x02", position + 1)) >= 0:
        struct.pack_into("<I", content, position + 24, chance.randint(0, 5000))
    return bytes(content)


def open_document(chance: random.Random, body: str, before: str = "") -> bytes:
    names = "".join(
        f' xmlns:{text}="urn:oasis:names:tc:opendocument:xmlns:{text}:1.0"'
        for text in ("office", "table", "text")
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "application/vnd.oasis.opendocument.spreadsheet")
        head = "".join(
            f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
            for text in ("姓名", "证件号码")
        )
        table = f'<table:table table:name="S"><table:table-row>{head}</table:table-row>{body}</table:table>'
        archive.writestr(
            "content.xml",
            f"{before}<office:document-content{names}><office:body><office:spreadsheet>{table}</office:spreadsheet></office:body></office:document-content>",
        )
    return buffer.getvalue()


def repeated(chance: random.Random) -> bytes:
    row_count, columns = chance.choice(
        [(1_048_576, 16_384), (1000, 1000), (900, 900), (chance.randint(1, 10**9), chance.randint(1, 10**9))]
    )
    cell = (
        f'<table:table-cell table:number-columns-repeated="{columns}" office:value-type="float" '
        'office:value="1"><text:p>1</text:p></table:table-cell>'
    )
    text = f'<table:table-row table:number-rows-repeated="{row_count}">{cell}</table:table-row>'
    return open_document(chance, text * chance.choice([1, 50, 2000]))


def entity_expansion_document(chance: random.Random) -> bytes:
    cell = '<table:table-cell office:value-type="string"><text:p>&l5;</text:p></table:table-cell>'
    return open_document(
        chance,
        f"<table:table-row>{cell * 2}</table:table-row>",
        entity_expansion(chance, "office:document-content"),
    )


def spaced_document(chance: random.Random) -> bytes:
    cell = (
        '<table:table-cell office:value-type="string"><text:p><text:s '
        f'text:c="{chance.choice([10**6, 10**8, 10**12])}"/>a</text:p></table:table-cell>'
    )
    return open_document(chance, f"<table:table-row>{cell * 2}</table:table-row>" * chance.choice([1, 100]))


def old_book(chance: random.Random) -> bytes:
    """A compound file whose tables lead in circles or nowhere."""
    sectors = [chance.choice([0, 1, 2, 3, 0xFFFFFFFE, chance.randint(0, 2**32 - 1)]) for _ in range(128)]
    head = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
        + bytes(16)
        + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6)
        + bytes(6)
    )
    head += struct.pack(
        "<IIIIIIIII",
        0,
        1,
        1,
        0,
        4096,
        chance.choice([2, 0xFFFFFFFE]),
        1,
        chance.choice([0xFFFFFFFE, 1, 2]),
        chance.choice([0, 2**31, 10]),
    )
    head += struct.pack("<109I", 0, *[chance.choice([0xFFFFFFFF, 0, 1]) for _ in range(108)])
    name = "Workbook".encode("utf-16-le").ljust(64, b"\0")
    entry = (
        name
        + struct.pack("<HBBIII", 18, 2, 1, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        + bytes(36)
        + struct.pack("<III", 2, chance.choice([5000, 2**31 - 1, 2**32 - 1]), 0)
    )
    root = (
        "Root Entry".encode("utf-16-le").ljust(64, b"\0")
        + struct.pack("<HBBIII", 22, 5, 1, 0xFFFFFFFF, 0xFFFFFFFF, 1)
        + bytes(36)
        + struct.pack("<III", 3, 4096, 0)
    )
    return head + struct.pack("<128I", *sectors) + (root + entry).ljust(512, b"\0") + chance.randbytes(4096)


def commas(chance: random.Random) -> bytes:
    return "姓名,证件号码\n".encode() + chance.choice(
        [b"," * 20 * MB, b"\n" * 20 * MB, b'"' * 19 * MB, b'"a' + b"b" * 20 * MB, b"1,2\n" * 5 * MB]
    )
