"""Questions from Word (.docx), as question writers lay them out: numbered, their options lettered, 答案 and
解析 below; and the template.

A1型题
    1. 题干
A. 甲 … 答案：A 解析：…

科目, 执业类别, 考点, 难度 and 用途 above the first question of a part apply to that part; above the first
heading, to all parts that don't say otherwise; below a question, to that question. A case begins with
（2～3题共用题干）, a list of options for B1 with （4～5题共用备选答案）. Sub- and superscript, pictures and
simple formulas are imported in their places, a table becomes lines between bars, and Word's automatic numbers
count as if they were typed. A question with content that can't be imported (`word_paragraphs`) or isn't
understood (`question_parser`) is refused, because without that content it would be another question.
"""

import io
import zipfile
from collections.abc import Iterator

import docx
from docx.document import Document
from docx.oxml.exceptions import InvalidXmlError

from dingkao.errors import InvalidInput, TooLarge
from dingkao.integrations.archive_errors import ARCHIVE_ERRORS
from dingkao.integrations.spreadsheets.import_rows import (
    ImportReport,
    ImportRow,
    RowProblem,
)
from dingkao.integrations.spreadsheets.table_opening import MAX_IMPORT_FILE_BYTES, TOO_LARGE_MESSAGE
from dingkao.question_banks.importers.question_parser.parser import (
    QuestionParser,
)
from dingkao.question_banks.importers.tokens import tokenize
from dingkao.question_banks.importers.word_paragraphs import (
    WordReader,
)
from dingkao.question_banks.importers.word_pictures import (
    SavePicture,
    preview_picture_name,
)

MAX_PART_BYTES = 64 * 1024 * 1024
REVISIONS_WARNING = RowProblem(
    0,
    "修订",
    "文档中有没有接受的修订",
    "已按全部接受后的文字导入；请核对，或在Word中处理修订后重新导入。",
)


def is_word_document(content: bytes) -> bool:
    """Whether a file is a Word document (a zip with the parts of one); it may still be damaged inside."""
    if not content.startswith(b"PK"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _has_word_parts(archive.namelist())
    except ARCHIVE_ERRORS:
        return False


def _has_word_parts(names: list[str]) -> bool:
    """Whether the names in a zip file are those of a Word document."""
    return "[Content_Types].xml" in names and any(name.startswith("word/") for name in names)


def read_questions(
    content: bytes,
    report: ImportReport,
    save_picture: SavePicture | None = None,
) -> Iterator[ImportRow]:
    """The questions of a document as rows like those of a spreadsheet, numbered by the paragraph at which
    they begin. A row that can't be imported has its problem in the cell "refused"; what belongs to no
    question is added to `report`, and a warning if the document has revisions that nobody has accepted.
    Pictures are passed to `save_picture`; without it they get names but are not stored. The whole document is
    read at once. Raises InvalidInput, also if it has no question and no error, TooLarge, and what
    `save_picture` raises besides these two, for which the question is refused."""
    reader = WordReader(_open_document(content), save_picture or preview_picture_name)
    rows = QuestionParser(tokenize(reader.lines()), report).rows()
    if reader.has_revisions:
        report.warnings.append(REVISIONS_WARNING)
    if not rows and not report.errors:
        raise InvalidInput(
            "没有在文档中找到试题。请下载Word模板，按其中的格式编写：题号、题干、选项、答案各占一行。"
        )
    return iter(rows)


def _open_document(content: bytes) -> Document:
    """Open a file as a document. Raises InvalidInput if it is damaged, TooLarge."""
    if len(content) > MAX_IMPORT_FILE_BYTES:
        raise TooLarge(TOO_LARGE_MESSAGE)
    try:
        _require_small_parts(content)
        return docx.Document(io.BytesIO(content))
    except (*ARCHIVE_ERRORS, InvalidXmlError, SyntaxError) as fault:
        raise InvalidInput(
            "文件已损坏或不是Word文档（.docx）。请用Word打开后另存为新文件，再上传。"
        ) from fault


def _require_small_parts(content: bytes) -> None:
    """Raise TooLarge for a file with a part that would fill the memory when it is decompressed, one of
    ARCHIVE_ERRORS for a damaged one."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(entry.file_size > MAX_PART_BYTES for entry in archive.infolist()):
            raise TooLarge("文件解开后过大，无法导入。请去掉图片，或分成几个文件上传。")


def word_template() -> bytes:
    """The template as a docx file: each layout once, explained, with example questions that can be
    deleted."""
    document = docx.Document()
    document.add_heading("定考题库Word模板", 0)
    for line in (
        *TEMPLATE_INSTRUCTIONS,
        *TEMPLATE_EXAMPLES.strip().split("\n"),
    ):
        document.add_paragraph(line)
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


TEMPLATE_INSTRUCTIONS = (
    (
        r"说明：每题以题号开头，题号的写法全文一致，按顺序编号；选项、答案、解析各另起一行，"
        r"答案和解析写在本题的选项之后。题干的括号留空，不要写答案。几题共用的题干或备选答案，"
        r"前面单独写一行“（2～3题共用题干）”，写明题号。以下示例题请删去后再上传。"
    ),
    (
        r"说明：上标、下标用Word自带的格式即可；公式写成LaTeX，放在两个$之间，如$\frac{a}{b}$；"
        r"简单的Word公式也可导入；图片（jpg或png，10 MB以内）直接插入到题干、"
        r"病例、选项或解析中，以“嵌入型”放在要显示的地方，不要裁剪，不要用文本框或绘图。"
        r"题号和选项字母可以用Word的自动编号。不能导入的内容，会连同所在的题目列在导入报告里。"
    ),
)
TEMPLATE_EXAMPLES = """
一、A1型题
科目：业务水平
执业类别：临床
1. 成人正常体温（腋测法）的范围是
A. 35.0~36.0℃
B. 36.0~37.0℃
C. 37.3~38.0℃
D. 38.1~39.0℃
答案：B
解析：腋测法正常值为36.0~37.0℃。
考点：体格检查
难度：易

二、A3/A4型题
执业类别：临床
（2～3题共用题干）
患者男，56岁。突发胸骨后压榨样疼痛2小时，含服硝酸甘油不缓解。
2. 首选的检查是
A. 心电图
B. 胸部X线片
C. 腹部超声
D. 胃镜
答案：A
3. 确诊后应尽快进行的治疗是
A. 抑酸治疗
B. 再灌注治疗
C. 抗感染治疗
D. 观察
答案：B

三、B1型题
科目：公共知识
（4～5题共用备选答案）
A. 尊重自主
B. 有利
C. 不伤害
D. 公正
4. 手术前取得患者知情同意，体现的原则是
答案：A
5. 合理分配卫生资源，体现的原则是
答案：D

四、X型题
科目：公共知识
6. 属于医师在执业活动中履行的义务有
A. 遵守法律、法规
B. 保护患者隐私
C. 宣传推广个人诊所
D. 努力钻研业务
答案：ABD

五、判断题
科目：公共知识
7. 医师可以依法在执业活动中拒绝出具虚假证明文件。
答案：正确
"""
