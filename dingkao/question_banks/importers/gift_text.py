r"""Texts of GIFT questions converted to our own markup: escaped characters, formats and pictures; and the
errors for questions that can't be imported.

In GIFT, \ before ~ = # { } : or \ makes that character plain text, and \n is a line break. A text may begin
with its format, such as [html].
"""

import base64
import re
from dataclasses import dataclass

from dingkao.question_banks.importers.word_pictures import (
    SavePicture,
    save_or_problem,
)
from dingkao.question_banks.markup_html import html_to_markup
from dingkao.question_banks.unsupported_content import PICTURES

FORMATS = ("html", "moodle", "plain", "markdown")
DROPPED_CONTENT_ADVICE = {
    PICTURES: "图片没有包含在GIFT文件里。请改用Word模板导入，或去掉图片导入后在题目编辑页插入。"
}
"""Kind of content that GIFT files don't hold → what to do instead."""
FORMAT_PATTERN = re.compile(rf"\[({'|'.join(FORMATS)})\]", re.IGNORECASE)
TAG_PATTERN = re.compile(r"<[a-zA-Z/][^>]*>|&(?:#\d+|[a-zA-Z]+);")
_ESCAPED = re.compile(r"\\([~=#{}:\\n])")
_ESCAPE_PLACEHOLDERS = {letter: chr(1 + index) for index, letter in enumerate("~=#{}:\\n")}
"""Escaped character → the control character that replaces it while a question is parsed."""
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f]")
_DATA_URI = re.compile(
    r"data:image/[\w.+-]+(?:;[\w=-]+)*;base64,([\w+/=\s]*)$",
    re.IGNORECASE,
)
_OWN_PICTURE = re.compile(r"(?:^|/)([0-9a-f]{32})$")
_MARKDOWN_PICTURE = re.compile(r"!\[[^\]\n]*\]\((?!图:)")


class InvalidQuestion(ValueError):  # noqa: N818
    """A question that can't be imported; `problem`: (reason, remedy)."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.problem = (reason, remedy)


class TextWithoutAnswers(InvalidQuestion):
    """A text without answers, which the following questions may share."""

    def __init__(self, text: str) -> None:
        super().__init__(
            "没有答案区，是一段说明文字",
            "说明文字不是试题，没有导入；如是共用题干，请改用模板的“共用题干”列。",
        )
        self.text = text


@dataclass
class TextConverter:
    """Converts the texts of a file to our markup. `save_picture` stores a picture of the file and returns its
    name, which stays stored if the question is refused later. Whatever else than InvalidInput and TooLarge it
    raises comes out of the methods."""

    save_picture: SavePicture

    def convert(self, text: str, format_name: str) -> str:
        """A text in one of FORMATS, its escaped characters hidden (`hide_escaped`), converted to our markup.
        In "plain" nothing is converted; in "moodle" and "markdown" only HTML tags and references are. Raises
        InvalidQuestion if something in it can't be converted."""
        text = unescape(text.strip()).strip()
        if format_name == "plain":
            return text
        if format_name == "html":
            return self._convert_html(text).strip()
        if format_name == "markdown":
            _refuse_missing_pictures(text)
        return self._convert_mixed(text).strip()

    def convert_part(self, text: str, default_format: str) -> str:
        """An answer or a feedback, which may begin with a format of its own, its escaped characters hidden,
        converted to our markup. Raises InvalidQuestion."""
        format_name, text = parse_format(text, default_format)
        return self.convert(text, format_name)

    def _convert_mixed(self, text: str) -> str:
        """A text that may have HTML tags or references in it, converted to our markup; without them
        unchanged. Raises InvalidQuestion."""
        return self._convert_html(text.replace("\n", "<br>")) if TAG_PATTERN.search(text) else text

    def _convert_html(self, html: str) -> str:
        """HTML converted to our markup. Raises InvalidQuestion if something in it has no markup of ours."""
        text, lost = html_to_markup(html, self._picture)
        if lost:
            advice = f"请去掉{lost[0]}，或改为文字、图片后在题目编辑页插入。"
            raise InvalidQuestion(
                f"文字中有{lost[0]}，不能导入",
                DROPPED_CONTENT_ADVICE.get(lost[0], advice),
            )
        return text

    def _picture(self, address: str) -> str | None:
        """The name of the picture at an address: one in a data URI is saved, one of our own has its name at
        the address's end (whether it exists isn't checked); None for any other. Raises InvalidQuestion."""
        if data := _DATA_URI.match(address):
            return self._save_data(data[1])
        name = _OWN_PICTURE.search(address)
        return name[1] if name else None

    def _save_data(self, base64_data: str) -> str:
        """Save a picture given in base64 and return its name. Raises InvalidQuestion, also if it is neither
        PNG nor JPEG."""
        try:
            content = base64.b64decode("".join(base64_data.split()), validate=True)
        except ValueError as error:
            remedy = "请重新插入图片后再导出，或在题目编辑页插入。"
            raise InvalidQuestion("图片数据已损坏", remedy) from error
        name = save_or_problem(content, self.save_picture)
        if not isinstance(name, str):
            _, reason, remedy = name
            raise InvalidQuestion(reason, remedy)
        return name


def _refuse_missing_pictures(text: str) -> None:
    """Raise InvalidQuestion for Markdown with pictures, which the file doesn't hold."""
    if _MARKDOWN_PICTURE.search(text):
        raise InvalidQuestion(
            "有图片没有包含在文件里",
            DROPPED_CONTENT_ADVICE[PICTURES],
        )


def parse_format(text: str, default: str = "moodle") -> tuple[str, str]:
    """The format, in small letters, with which a text begins (or `default`), and the text without it."""
    match = FORMAT_PATTERN.match(text.lstrip())
    return (match[1].lower(), text.lstrip()[match.end() :]) if match else (default, text)


def hide_escaped(text: str) -> str:
    """The text without control characters, its escaped characters then replaced by control characters, so
    that it can be split at those that aren't escaped."""
    return _ESCAPED.sub(
        lambda match: _ESCAPE_PLACEHOLDERS[match[1]],
        _CONTROLS.sub("", text),
    )


def unescape(text: str) -> str:
    """The text with the control characters of `hide_escaped` replaced by the characters that they stand
    for."""
    for letter, placeholder in _ESCAPE_PLACEHOLDERS.items():
        text = text.replace(placeholder, "\n" if letter == "n" else letter)
    return text
