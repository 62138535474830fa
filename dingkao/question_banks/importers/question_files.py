"""Files of questions of any kind (Word, GIFT, spreadsheets), read as rows in a sandboxed child process, which
also redraws the pictures in them."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dingkao.errors import InvalidInput
from dingkao.integrations.images import images
from dingkao.integrations.images.images import Illustration
from dingkao.integrations.sandbox import runner
from dingkao.integrations.spreadsheets import sheet_reader
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    ReportedProblem,
)
from dingkao.question_banks.importers import (
    file_detection,
    gift,
    word_documents,
)
from dingkao.question_banks.importers.word_pictures import SavePicture

PICTURE_NAME_BYTES = 16
TOO_COMPLEX_MESSAGE = (
    "文件内容过多或过于复杂，系统读不完。请去掉或缩小图片、删去多余的内容，或分成几个文件上传。"
)


def read_question_file(
    content: bytes,
    sheet: Mapping[str, Any],
    report: ImportReport,
    save_picture: Callable[[Illustration], object] | None = None,
    no_pictures: str = "",
    name: str = "",
) -> Iterator[ImportRow]:
    """The rows of a file called `name`; what can't be read is added to `report`.

    `sheet`: the keyword arguments of `sheet_reader.read_rows` for a spreadsheet. `save_picture` is called
    with each redrawn picture before the row that shows it is yielded; if None, pictures only get names (for a
    preview). `no_pictures`: if not "", a question with a picture is refused with this reason. The child works
    while the rows are iterated; then it raises InvalidInput, TooLarge (also for too many problems;
    runner.LimitExceeded if the file is too complex), Unavailable, and what `save_picture` raises.
    """
    items = runner.iterate(
        parse_in_child,
        content,
        sheet,
        save_picture is not None,
        no_pictures,
        name,
        limit_message=TOO_COMPLEX_MESSAGE,
    )
    yield from sheet_reader.collect_rows(_iter_without_pictures(items, save_picture), report)


def parse_in_child(
    content: bytes,
    sheet: Mapping[str, Any],
    drawn: bool,
    no_pictures: str,
    name: str = "",
) -> Iterator[ImportRow | ReportedProblem | Illustration]:
    """What the child process does for `read_question_file`: yield rows, problems for the report, and
    pictures, each picture before the row that shows it. `drawn`: pictures are redrawn and yielded, else only
    named; `no_pictures`: if not "", the reason with which a question that has one is refused; `sheet`: the
    keyword arguments of `sheet_reader.read_rows`. Raises InvalidInput, TooLarge."""
    pictures: list[Illustration] = []
    save_picture = _picture_collector(pictures, drawn, no_pictures)
    for item in sheet_reader.with_reported_problems(
        lambda report: _read_rows(content, sheet, report, save_picture, name)
    ):
        yield from pictures
        pictures.clear()
        yield item


def picture_name(picture: Illustration) -> str:
    """The name under which a question's text refers to a picture: the beginning of its SHA-256, 32
    hexadecimal digits."""
    return hashlib.sha256(picture.content).digest()[:PICTURE_NAME_BYTES].hex()


def _read_rows(
    content: bytes,
    sheet: Mapping[str, Any],
    report: ImportReport,
    save_picture: SavePicture | None,
    name: str,
) -> Iterator[ImportRow]:
    """The rows of the file by its format; what can't be read is added to `report`. Raises InvalidInput,
    TooLarge."""
    file_detection.refuse_unsupported(content, name)
    if word_documents.is_word_document(content):
        return word_documents.read_questions(content, report, save_picture)
    if gift.is_gift(content):
        file_detection.refuse_document_text(content)
        return gift.read_questions(content, report, save_picture)
    return _read_sheet_questions(content, sheet, report)


def _read_sheet_questions(
    content: bytes, sheet: Mapping[str, Any], report: ImportReport
) -> Iterator[ImportRow]:
    """The rows of a spreadsheet without its footers (rows with neither key nor options). Raises InvalidInput,
    TooLarge."""
    option_columns = [column for column in sheet["columns"] if column.startswith("option")]
    for row in _read_sheet(content, sheet, report):
        if not row.is_footer("stem", "answer", *option_columns):
            yield row


def _read_sheet(content: bytes, sheet: Mapping[str, Any], report: ImportReport) -> Iterator[ImportRow]:
    """The rows of a spreadsheet. Raises InvalidInput, for a text written as a document is with a message that
    says so; TooLarge."""
    try:
        yield from sheet_reader.read_rows(content, report=report, **sheet)
    except InvalidInput:
        file_detection.refuse_document_text(content)
        raise


def _picture_collector(pictures: list[Illustration], drawn: bool, no_pictures: str) -> SavePicture | None:
    """A function that redraws a picture, adds it to `pictures` and returns its name; if `no_pictures` is not
    "", it raises InvalidInput with that. None if pictures are only to be named."""

    def collect_picture(content: bytes) -> str:
        """Redraw a picture and return its name. Raises InvalidInput, TooLarge."""
        if no_pictures:
            raise InvalidInput(no_pictures)
        pictures.append(images.process_illustration(content))
        return picture_name(pictures[-1])

    return collect_picture if drawn or no_pictures else None


def _iter_without_pictures(
    items: Iterator[ImportRow | ReportedProblem | Illustration],
    save_picture: Callable[[Illustration], object] | None,
) -> Iterator[ImportRow | ReportedProblem]:
    """The items without the pictures, which are passed to `save_picture` before the next item is yielded, or
    dropped if it is None. Raises what `save_picture` raises."""
    for item in items:
        if not isinstance(item, Illustration):
            yield item
        elif save_picture:
            save_picture(item)
