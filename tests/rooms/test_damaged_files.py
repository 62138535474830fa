"""A file of which some bytes have changed is read, or refused with a sentence: nothing else comes of it."""

import hashlib
import io
import zipfile

import pytest
import xlwt

from dingkao.errors import Refusal
from dingkao.integrations.sandbox import fork_server
from dingkao.integrations.spreadsheets import sheet_reader, xlsx_writer
from dingkao.integrations.spreadsheets.import_rows import ImportReport
from dingkao.question_banks.importers import file_detection, word_documents

COLUMNS = {"name": ("姓名",), "number": ("证件号码",)}
ROWS = [(f"甲{index}", str(index * 7919)) for index in range(100)]
DAMAGED_COUNT = 50
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def workbook():
    return xlsx_writer.write_xlsx(("姓名", "证件号码"), ROWS)


def old_workbook():
    buffer = io.BytesIO()
    book = xlwt.Workbook()
    page = book.add_sheet("名单")
    for number, cells in enumerate([("姓名", "证件号码"), *ROWS]):
        for place, text in enumerate(cells):
            page.write(number, place, text)
    book.save(buffer)
    return buffer.getvalue()


def open_document():
    names = "urn:oasis:names:tc:opendocument:xmlns"
    cell = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    rows = "".join(
        f"<table:table-row>{cell.format(name)}{cell.format(number)}</table:table-row>"
        for name, number in [("姓名", "证件号码"), *ROWS]
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{names}:office:1.0" xmlns:table="{names}:table:1.0" '
            f'xmlns:text="{names}:text:1.0"><office:body><office:spreadsheet><table:table table:name="名单">'
            f"{rows}</table:table></office:spreadsheet></office:body></office:document-content>",
        )
    return buffer.getvalue()


def compressed(content, method):
    """The archive with its parts compressed by `method`, but for the type of an open document."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name), zipfile.ZIP_STORED if name == "mimetype" else method)
    return buffer.getvalue()


def damaged_copies(content):
    """Copies with some bytes changed, in half of them only near the end, where an archive lists its parts."""
    for number in range(DAMAGED_COUNT):
        copy = bytearray(content)
        first = 4 if number % 2 else len(copy) * 9 // 10
        digest = hashlib.sha512(str(number).encode()).digest()
        for place in range(0, (4, 12, 64)[number % 3], 4):
            position = int.from_bytes(digest[place : place + 3])
            copy[first + position % (len(copy) - first)] ^= digest[place + 3] or 1
        yield bytes(copy)


def read_sheet(content):
    list(sheet_reader.read_rows(content, COLUMNS, tuple(COLUMNS), ImportReport()))


def read_document(content):
    word_documents.is_word_document(content)
    list(word_documents.read_questions(content, ImportReport()))


KINDS = {
    "xlsx": (workbook, read_sheet),
    "ods": (open_document, read_sheet),
    "docx": (word_documents.word_template, read_document),
}


def refusals(read, content):
    """The sentences with which damaged copies of a file are refused."""
    sentences = []
    for copy in damaged_copies(content):
        file_detection.detect_format(copy)
        try:
            read(copy)
        except Refusal as refusal:
            sentences.append(refusal.message)
    return sentences


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(fork_server, "is_sandboxed", True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_archive_is_read_or_refused_with_a_sentence(kind, method):
    write, read = KINDS[kind]
    content = compressed(write(), method)
    read(content)
    sentences = refusals(read, content)
    assert len(sentences) > DAMAGED_COUNT // 4
    assert all(sentences)


def test_a_damaged_old_workbook_is_read_or_refused_with_a_sentence():
    content = old_workbook()
    read_sheet(content)
    sentences = refusals(read_sheet, content)
    assert sentences
    assert all(sentences)
