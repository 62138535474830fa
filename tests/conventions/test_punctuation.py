"""Punctuation of Chinese text is full-width (GB/T 15834) in every template, script and message; the manual's
own texts stand to the letter."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HAN = r"\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af"
PATTERN = re.compile(rb"[A-Za-z]?[rR]")
MARKED = rf"[{HAN}”’」』》）%℃]"
OPENING = rf"[{HAN}“‘「『《（]"
HALF_WIDTH = re.compile(
    rf"(?<={MARKED})[,;:?!]|[,;?!](?={OPENING})|(?<=\*):(?={OPENING})|(?<=〇):(?=\s?{OPENING})"
    rf"|\([^()\n<>]*[{HAN}][^()\n<>]*\)|(?<=[{HAN}”’」』》）])\([^()\n<>]*\)"
    rf'|(?<=["：，。；（])〇 ?\([^()\n<>]*[〇{HAN}][^()\n<>]*\)|(?<=〇)[,;:](?=[0-9{HAN}])'
    rf"|(?<=[{HAN}] )\([^()\n<>]*\)|(?<=')\((?=[{HAN}])|(?<=[{HAN}])\)(?=')"
    r"|(?<=〇)[,;:](?=<)|(?<=[a-z]>)[,;:](?=[〇\s])|^[,;:?!()]$"
)
TO_THE_LETTER = (
    "个人报名信息已通过审核,请关注后续考试通知,点击下方“参加测评”,按时完成测评",
    "主要执业机构:",
    "所属考核机构:",
    "管辖行政:",
    "考核周期:",
    "正确答案:",
    "倒计时:",
    "客服电话:",
    "医师在报名完成之后可以点击信息修改, 对已填报的信息进行修改",
    "报名完成, 在参加测评前",
    "在本考核周期内,您是否有被直接认定为不合格的情形",
    "您已被主要执业机构纳入本周期考核,请点击下方“填报信息”,及时提交完成报名",
    "您未被主要执业机构纳入本周期考核,如需参加考核,请联系本机构相关负责人",
    "您本周期的考核结果已发布,请点击下方“考核结果”查看",
    "忘记密码?",
    "提示: 若首次登录系统,初始密码为666666.",
    "此密码为定考系统密码,主要用于医师登录及绑定身份证号",
    "请仔细阅读考生须知,并滑到底部点击“进入考试”按钮进入考试作答页面",
    "(有/无)",
    "(合格/不合格)",
    "(一般程序)",
    "(简易程序)",
    "(外科科室)",
    "(医技科室)",
    "(工作日上午9:00-12:00 下午13:00-18:00)",
)
"""The manual's screen texts that have half-width punctuation."""
FORMS_OF_OTHERS = ("::标题::", "](图:", "(图:", "中医(民族医", "选项(", "图片(PNG)")
"""What files of others are known by."""


def python_texts(path: Path) -> Iterator[tuple[int, str]]:
    """The string literals of a module with their lines, in quotes, but for docstrings, patterns (which have a
    prefix of their own) and bytes; a formatted one has 〇 for each expression."""
    source = path.read_bytes()
    lines, apart = source.splitlines(), set[int]()

    def pattern(node: ast.expr) -> bool:
        return bool(PATTERN.match(lines[node.lineno - 1], node.col_offset))

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr):
            apart.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            apart.update(map(id, node.values))
            parts = [value.value if isinstance(value, ast.Constant) else "〇" for value in node.values]
            if not pattern(node):
                yield node.lineno, f'"{"".join(map(str, parts))}"'
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in apart
            and not pattern(node)
        ):
            yield node.lineno, f'"{node.value}"'


def page_texts(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a template with 〇 for each of Jinja's expressions, the quoted words within those, and
    marks joined to other words by ~ or put by `if`; comments are left out."""
    source = re.sub(r"\{#.*?#\}", _blank, path.read_text(), flags=re.DOTALL)
    for expression in re.finditer(r"\{\{.*?\}\}|\{%.*?%\}", source, flags=re.DOTALL):
        line = source.count("\n", 0, expression.start()) + 1
        for quoted in re.findall(r"'[^'\n]*'|\"[^\"\n]*\"", expression[0]):
            yield line, quoted
        for mark in re.findall(
            r"(?<=~ )'([,;:?!()])'|(?<![(\w])'([,;:?!()])'(?= *(?:~|if\b))", expression[0]
        ):
            yield line, "".join(mark)
    yield from enumerate(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", _blank, source, flags=re.DOTALL).splitlines(), 1)


def _blank(expression: re.Match[str]) -> str:
    return "〇" + "\n" * expression[0].count("\n")


def script_texts(path: Path) -> Iterator[tuple[int, str]]:
    """The quoted texts of a script; of a template literal what stands in braces is left out."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        for quoted in re.findall(r"\"[^\"]*\"|`[^`]*`|'[^']*'", line):
            yield number, re.sub(r"\$\{[^}]*\}", "〇", quoted)


SOURCES = (
    ("dingkao", "*.py", python_texts),
    ("templates", "*.html", page_texts),
    ("dingkao/static/js", "*.js", script_texts),
)


def half_width(text: str) -> str | None:
    """The first piece of Chinese text with half-width punctuation, or None."""
    for kept in (*TO_THE_LETTER, *FORMS_OF_OTHERS):
        text = text.replace(kept, "〇")
    found = HALF_WIDTH.search(text)
    return text[max(0, found.start() - 12) : found.end() + 12] if found else None


def test_chinese_text_has_full_width_punctuation():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {piece}"
        for folder, pattern, texts in SOURCES
        for path in sorted((ROOT / folder).rglob(pattern))
        for line, text in texts(path)
        if (piece := half_width(text))
    ]
    assert wrong == []


HALF = (
    "请填写姓名,再提交。", "已保存;未提交", "日期:2026", "确定?", "机构(经办人)", "请先登录!", "《办法》,第九条", "**说明**:请填写", "〇:原因",
    "文件(xlsx)", ":", "〇,<span>", "<strong>〇</strong>:〇",
)  # fmt: skip
RIGHT = (
    "请填写姓名，再提交。",
    "图片(PNG)",
    "12:30",
    "忘记密码?",
    "a, b",
    "倒计时: 〇:〇",
    "完成测评(一般程序)",
)


@pytest.mark.parametrize("text", HALF)
def test_the_lint_finds_what_is_half_width(text):
    assert half_width(text)


@pytest.mark.parametrize("text", RIGHT)
def test_the_lint_leaves_what_is_right(text):
    assert half_width(text) is None
