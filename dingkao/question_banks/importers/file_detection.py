"""Recognising files that we can't import questions from: their format, from their content (from their name
only if the content doesn't say it), and what the user should do with them."""

import io
import json
import re
import zipfile
from pathlib import PurePath

from dingkao.errors import InvalidInput
from dingkao.integrations.archive_errors import ARCHIVE_ERRORS
from dingkao.integrations.spreadsheets import xls
from dingkao.question_banks.question_types import ANY_CASE_LETTERS, OPTION_LETTERS, full_width

UPLOAD_AGAIN_ADVICE = "再重新上传。"
SAVE_AS_DOCX_ADVICE = f"请用Word打开，另存为“Word文档（.docx）”，{UPLOAD_AGAIN_ADVICE}"
EXPORT_GIFT_ADVICE = f"请在原系统中把试题导出为GIFT格式，{UPLOAD_AGAIN_ADVICE}"
WORD, EXCEL, POWERPOINT, PASSWORD_PROTECTED, OLD_OFFICE = (
    "word",
    "excel",
    "powerpoint",
    "locked",
    "old office",
)
RTF, PDF, PICTURE, WEB_PAGE, WORD_XML, XML = (
    "rtf",
    "pdf",
    "picture",
    "web page",
    "word xml",
    "xml",
)
MOODLE, QTI, JSON, AIKEN, TEXT = "moodle", "qti", "json", "aiken", "text"
MACROS, STRICT, OPEN_DOCUMENT, PAGES, ARCHIVE = (
    "macros",
    "strict",
    "open document",
    "pages",
    "archive",
)
MESSAGE_BY_FORMAT = {
    WORD: (
        "这是旧版Word文档（.doc）。请在Word或WPS中另存为.docx（“文件”→“另存为”→“Word文档”），"
        f"{UPLOAD_AGAIN_ADVICE}"
    ),
    POWERPOINT: (
        "这是PowerPoint演示文稿，不是试题文件。请按Word模板编写试题，存为.docx，或填写Excel模板后上传。"
    ),
    PASSWORD_PROTECTED: (
        f"文件设有打开密码，系统读不了。请用Word或Excel打开，取消密码，保存后{UPLOAD_AGAIN_ADVICE}"
    ),
    OLD_OFFICE: (
        "这是旧版Word文档（.doc）、旧版Excel文件（.xls）或带密码的文件，系统读不了。"
        f"Word文档请在Word中另存为.docx；表格请在Excel中另存为.xlsx；不要设密码，{UPLOAD_AGAIN_ADVICE}"
    ),
    RTF: f"这是RTF文档（写字板、旧版Word的格式）。{SAVE_AS_DOCX_ADVICE}",
    PDF: "这是PDF文件，不能导入试题。请用Word打开后另存为.docx并核对题目，或按模板重新编写后上传。",
    PICTURE: "这是图片，不能导入试题。请按Word模板编写为.docx，图片插入到题目中后上传。",
    WEB_PAGE: (
        "这是网页文件（有的系统导出的.doc、.xls其实是网页）。试题文档请用Word打开，另存为.docx；"
        f"试题表格请用Excel打开，另存为.xlsx，{UPLOAD_AGAIN_ADVICE}"
    ),
    WORD_XML: f"这是Word的XML文件。{SAVE_AS_DOCX_ADVICE}",
    XML: f"这是XML文件，系统不认识其中的内容。{EXPORT_GIFT_ADVICE}也可按Word或Excel模板编写。",
    MOODLE: (
        "这是Moodle XML。请在Moodle的“题库→导出”中选择GIFT格式，重新导出后上传；图片较多时请改用Word模板。"
    ),
    QTI: f"这是QTI（IMS）试题包，系统不能读取。{EXPORT_GIFT_ADVICE}没有GIFT时，请按Word或Excel模板编写。",
    JSON: f"这是JSON文件，系统不能读取。{EXPORT_GIFT_ADVICE}没有GIFT时，请按Word或Excel模板编写。",
    AIKEN: (
        "这是Aiken格式（以“ANSWER:”标出答案），系统不能读取。可先导入Moodle，再导出为GIFT格式上传；"
        "也可把文字粘贴到Word中，把“ANSWER:”改为“答案：”，每题加上题号，存为.docx后上传。"
    ),
    TEXT: f"这是纯文本的试题，不是GIFT，也不是表格。请把文字粘贴到Word中，存为.docx，{UPLOAD_AGAIN_ADVICE}",
    MACROS: f"这是带宏的Word文档或Word模板（.docm、.dotx、.dotm）。{SAVE_AS_DOCX_ADVICE}",
    STRICT: f"这是“Strict Open XML文档”。请在Word中另存为普通的“Word文档（.docx）”，{UPLOAD_AGAIN_ADVICE}",
    OPEN_DOCUMENT: (
        f"这是OpenDocument文档（.odt）。请用Word、WPS或LibreOffice打开，另存为.docx，{UPLOAD_AGAIN_ADVICE}"
    ),
    PAGES: (
        f"这是苹果Pages或Numbers的文件。请在其中导出为Word（.docx）或Excel（.xlsx），{UPLOAD_AGAIN_ADVICE}"
    ),
    ARCHIVE: "这是压缩包。请先解压，再逐个上传其中的.docx、.xlsx或GIFT文件。",
}
"""Format → the message that says what to do with such a file."""
SNIFF_BYTES, SIGNATURE_BYTES, MIMETYPE_BYTES = 200_000, 4096, 200
_CONTENT_TYPES, _DOCUMENT_PART = (
    "[Content_Types].xml",
    "word/document.xml",
)
_DOCUMENT_CONTENT_TYPE = b"wordprocessingml.document.main+xml"
_FORMAT_BY_EXTENSION = {
    ".doc": WORD,
    ".dot": WORD,
    ".wps": WORD,
    ".wpt": WORD,
    ".ppt": POWERPOINT,
    ".dps": POWERPOINT,
}
_OLD_OFFICE_FORMATS = {
    xls.WORD: WORD,
    xls.POWERPOINT: POWERPOINT,
    xls.PASSWORD_PROTECTED: PASSWORD_PROTECTED,
    xls.EXCEL: EXCEL,
}
_MAGIC_BYTES = (
    (b"{\\rtf", RTF),
    (b"%PDF-", PDF),
    (b"\x89PNG", PICTURE),
    (b"\xff\xd8\xff", PICTURE),
    (b"GIF8", PICTURE),
    (b"Rar!", ARCHIVE),
    (b"7z\xbc\xaf", ARCHIVE),
    (b"\x1f\x8b", ARCHIVE),
    (b"MIME-Version:", WEB_PAGE),
    (b"Content-Type: multipart", WEB_PAGE),
)
_QTI = re.compile(
    (
        r"<(?:\w+:)?(?:questestinterop|assessmentItem|qti-assessment|assessmentTest)|imsqti|ims_qti|"
        r"www\.imsglobal\.org"
    ),
    re.IGNORECASE,
)
_WORD_XML = re.compile(
    r"schemas\.microsoft\.com/office/word/2003/wordml|<\?mso-application\s+progid=\"Word\.Document\"",
    re.IGNORECASE,
)
_TEXT_TAGS = ("table", "div", "p")
"""Tags with which the text of a GIFT question may begin."""
_SHEET_XML = re.compile(r"urn:schemas-microsoft-com:office:spreadsheet\"")
_PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|meta|style|table|div|p)\b",
    re.IGNORECASE | re.DOTALL,
)
_ANSWERS = re.compile(r"(?<!\\)\{\s*(?:[=~]|(?:T|F|TRUE|FALSE)\s*[#}])", re.IGNORECASE)
"""The answers of a GIFT question (whose text may begin with HTML)."""
_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*[\[{"\]])')
_AIKEN_KEY = re.compile(
    r"^[ \t]*ANSWER[ \t]*[:：][ \t]*[A-Z][ \t]*\r?$",
    re.MULTILINE | re.IGNORECASE,
)
_AIKEN_OPTION = re.compile(r"^[ \t]*[A-Z][.)][ \t]*\S", re.MULTILINE | re.IGNORECASE)
_TEXT_KEY = re.compile(
    r"^\s*[【\[]?\s*(?:正确|参考|标准)?答\s*案\s*[】\]]?\s*[:：]?\s*"
    rf"[{ANY_CASE_LETTERS}{full_width(OPTION_LETTERS)}√×对错正]",
    re.MULTILINE,
)
_TEXT_OPTION = re.compile(
    r"(?:^|\s)[(（\[【]?\s*[A-DＡ-Ｄ]\s*[.．、)）:：\]】]\s*\S",
    re.MULTILINE,
)


def refuse_unsupported(content: bytes, name: str = "") -> None:
    """Raise InvalidInput, with what to do instead, for a file in a format that we don't read (we read xlsx,
    xls, ods, csv, docx, GIFT). Text files are only refused if they are of a known other format. `name`: the
    uploaded file's name, "" if unknown."""
    kind = detect_format(content, name)
    if kind in MESSAGE_BY_FORMAT:
        raise InvalidInput(MESSAGE_BY_FORMAT[kind])


def refuse_document_text(content: bytes) -> None:
    """Raise InvalidInput for a text file with questions written as in a document: lettered options, keys in
    their own lines, and no GIFT answers."""
    text = _decode_beginning(content)
    if text is None or _ANSWERS.search(text):
        return
    if _TEXT_KEY.search(text) and _TEXT_OPTION.search(text):
        raise InvalidInput(MESSAGE_BY_FORMAT[TEXT])


def detect_format(content: bytes, name: str = "") -> str:
    """The format of a file, one of the constants above except TEXT (see `refuse_document_text`): EXCEL for an
    xls, which we read; "" if it may be another one that we read, or is damaged. `name`: its file name, "" if
    unknown."""
    if content.startswith(xls.SIGNATURE[:4]):
        return _detect_compound_file(content, name)
    if content.startswith(b"PK"):
        return _detect_zip(content)
    return _detect_signature(content) or _detect_text(content)


def _detect_compound_file(content: bytes, name: str) -> str:
    """The format of an old Office file; if its directory doesn't say it, from the name's extension,
    OLD_OFFICE for an unknown one."""
    by_extension = _FORMAT_BY_EXTENSION.get(PurePath(name.lower()).suffix, OLD_OFFICE)
    return _OLD_OFFICE_FORMATS.get(xls.compound_file_kind(content)) or by_extension


def _detect_signature(content: bytes) -> str:
    """The format of a file according to its first bytes; "" if they don't say it."""
    beginning = content[:SIGNATURE_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, kind in _MAGIC_BYTES:
        if beginning.startswith(signature):
            return kind
    return ""


def _detect_zip(content: bytes) -> str:
    """The format of a zip file; "" if it may be one that we read, or is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _detect_archive(archive)
    except ARCHIVE_ERRORS:
        return ""


def _detect_archive(archive: zipfile.ZipFile) -> str:
    """The format of a zip file according to its content, a key of MESSAGE_BY_FORMAT; "" if it may be one that
    we read. One of ARCHIVE_ERRORS comes out of it if the archive is damaged or encrypted."""
    names = archive.namelist()
    if _CONTENT_TYPES in names:
        return _detect_office_zip(archive, names)
    if "mimetype" in names:
        mimetype = archive.open("mimetype").read(MIMETYPE_BYTES)
        return OPEN_DOCUMENT if b"opendocument.text" in mimetype else ""
    return _detect_archive_by_names(names)


def _detect_archive_by_names(names: list[str]) -> str:
    """The format of a zip file that doesn't declare it, according to the names of its files: QTI, PAGES, or
    else ARCHIVE."""
    if any(PurePath(name).name == "imsmanifest.xml" for name in names):
        return QTI
    return PAGES if any(name.endswith(".iwa") for name in names) else ARCHIVE


def _detect_office_zip(archive: zipfile.ZipFile, names: list[str]) -> str:
    """The format of an Office file; "" for a Word document or a workbook that we read."""
    if _has_folder(names, "ppt/"):
        return POWERPOINT
    return _detect_word_zip(archive, names) if _has_folder(names, "word/") else ""


def _has_folder(names: list[str], folder: str) -> bool:
    """Whether the zip file has a file in the folder."""
    return any(name.startswith(folder) for name in names)


def _detect_word_zip(archive: zipfile.ZipFile, names: list[str]) -> str:
    """The format of a Word file: MACROS also for a template, STRICT; "" for a document that we read, or one
    without its main part."""
    if _DOCUMENT_CONTENT_TYPE not in archive.open(_CONTENT_TYPES).read(SNIFF_BYTES):
        return MACROS
    if _DOCUMENT_PART not in names:
        return ""
    beginning = archive.open(_DOCUMENT_PART).read(SIGNATURE_BYTES)
    return STRICT if b"purl.oclc.org/ooxml" in beginning else ""


def _detect_text(content: bytes) -> str:
    """The format of a text file; "" if it may be one that we read, or is no text."""
    text = _decode_beginning(content)
    if text is None:
        return ""
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("<"):
        return _detect_markup(stripped)
    if _is_json(content, stripped):
        return JSON
    return AIKEN if _is_aiken(text) else ""


def _detect_markup(text: str) -> str:
    """The format of a text that begins with a tag (nothing before it); "" for a spreadsheet, GIFT, or another
    text that may be one."""
    for is_format, kind in _XML_FORMATS:
        if is_format(text):
            return kind
    if page := _PAGE.match(text):
        return _detect_page(text, page[1])
    return XML if text.startswith("<?xml") else ""


def _is_moodle(text: str) -> bool:
    """Whether a text is Moodle XML."""
    return "<quiz" in text and "<question" in text


def _is_qti(text: str) -> bool:
    """Whether a text is QTI."""
    return _QTI.search(text) is not None


def _is_word_xml(text: str) -> bool:
    """Whether a text is a Word document in a single XML file."""
    head = text[:SIGNATURE_BYTES]
    return _WORD_XML.search(head) is not None or "schemas.microsoft.com/office/2006/xmlPackage" in head


def _is_spreadsheet_xml(text: str) -> bool:
    """Whether a text is an Excel workbook in a single XML file."""
    return _SHEET_XML.search(text[:SIGNATURE_BYTES]) is not None


def _detect_page(text: str, tag: str) -> str:
    """Whether a text that begins with the HTML `tag` is a web page (WEB_PAGE); "" for GIFT, whose texts may
    begin with one."""
    is_gift = tag.lower() in _TEXT_TAGS and _ANSWERS.search(text)
    return "" if is_gift else WEB_PAGE


def _is_json(content: bytes, text: str) -> bool:
    """Whether a file's beginning (`text`, without white space before it) is JSON. If it begins like JSON but
    can't be parsed, it counts as JSON if the file is longer than that beginning, or has at least three
    keys."""
    if not _JSON.match(text):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return len(content) > SNIFF_BYTES or text.count('":') > 2
    return True


def _is_aiken(text: str) -> bool:
    """Whether a text is Aiken: lettered options, keys in lines `ANSWER:`, and no GIFT answers."""
    if _ANSWERS.search(text):
        return False
    return bool(_AIKEN_KEY.search(text) and _AIKEN_OPTION.search(text))


def _decode_beginning(content: bytes) -> str | None:
    """The first SNIFF_BYTES of a file as text, from UTF-16 with its mark, UTF-8 or GB 18030, what can't be
    decoded left out; None if it is not text (a zero byte within the first SIGNATURE_BYTES)."""
    beginning = content[:SNIFF_BYTES]
    if beginning.startswith((b"\xff\xfe", b"\xfe\xff")):
        return beginning.decode("utf-16", "ignore")
    if b"\0" in beginning[:SIGNATURE_BYTES]:
        return None
    try:
        return beginning.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return beginning.decode(_encoding_despite(error, content), "ignore")


def _encoding_despite(error: UnicodeDecodeError, content: bytes) -> str:
    """The encoding of a file whose beginning is not valid UTF-8: UTF-8 if the error is only a character cut
    at the end, else GB 18030."""
    is_cut = len(content) > SNIFF_BYTES and error.start > SNIFF_BYTES - 4
    return "utf-8-sig" if is_cut else "gb18030"


_XML_FORMATS = (
    (_is_moodle, MOODLE),
    (_is_qti, QTI),
    (_is_word_xml, WORD_XML),
    (_is_spreadsheet_xml, ""),
)
"""How XML formats are recognised, in the order in which they are tried; "" for workbooks, which we read."""
