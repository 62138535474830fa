"""The problems of content in a Word document that can't be imported, with what to do about them."""

from typing import Any

ParagraphProblem = tuple[str, str, str]
"""Why something can't be imported: kind, reason, remedy."""
WRITE_OR_SHOW = "公式请用$…$书写（LaTeX，如$\\frac{a}{b}$），或截图后作为图片插入。"
FORMULA: ParagraphProblem = (
    "公式",
    "有不能转换的Word公式",
    WRITE_OR_SHOW,
)
EMBEDDED_OBJECT: ParagraphProblem = (
    "公式",
    "有嵌入的对象（如MathType、公式3.0的公式，或音频、视频等文件）",
    WRITE_OR_SHOW,
)
FIELD: ParagraphProblem = (
    "公式",
    "有用域代码（EQ）写的公式",
    WRITE_OR_SHOW,
)
TEXT_BOX: ParagraphProblem = (
    "文本框",
    "有文本框，其中的文字不能导入",
    "请把文字移到正文中，删去文本框；图上的文字请与图合成一张图片后插入。",
)
SHAPE: ParagraphProblem = (
    "图形",
    "有Word绘制的图形、图表或组合",
    "请选中图形，复制后以“图片（PNG）”选择性粘贴，再删去原图形。",
)
LINKED: ParagraphProblem = (
    "图片",
    "图片没有保存在文档里（链接的图片）",
    "请重新以“插入图片”的方式放入文档。",
)
TRANSFORMED_PICTURE: ParagraphProblem = (
    "图片",
    "图片在Word中裁剪或旋转过",
    "请把裁剪、旋转好的图片另存为PNG或JPG后重新插入。",
)
VECTOR: ParagraphProblem = (
    "图片",
    "图片是EMF或WMF格式",
    "请在Word中右击图片，另存为PNG后重新插入。",
)
FORMAT: ParagraphProblem = (
    "图片",
    "不是可以识别的图片",
    "请另存为PNG或JPG后重新插入。",
)
STRUCK_OUT: ParagraphProblem = (
    "文字",
    "有加了删除线的文字，不知是否作废",
    "作废的文字请删去，有用的文字请去掉删除线。",
)
HIDDEN: ParagraphProblem = (
    "文字",
    "有隐藏的文字",
    "不用的文字请删去，有用的文字请取消“隐藏”。",
)
NOTE: ParagraphProblem = (
    "文字",
    "有脚注或尾注，其中的文字不能导入",
    "请把注的内容写进题目，再删去注。",
)
SYMBOL: ParagraphProblem = (
    "文字",
    "有特殊字体的符号",
    "请改用普通字符（如“≥”“α”“√”），或截图后作为图片插入。",
)
EMBEDDED_FILE: ParagraphProblem = (
    "插入的文件",
    "这里插入了另一个文件，其中的内容没有读到",
    "请在Word中打开本文档，另存为新的.docx后再上传；或把其中的题目复制到本文档的正文里。",
)
UNKNOWN: ParagraphProblem = (
    "内容",
    "有不能识别的内容（{}）",
    "请在Word中删去，或复制后以“只保留文本”粘贴；图形请以“图片（PNG）”粘贴。",
)
NUMBERED: ParagraphProblem = (
    "自动编号",
    "有不能识别的自动编号",
    "请把这一段的自动编号改为“1.”或“A.”的样式，或直接键入题号、选项字母。",
)
MERGED: ParagraphProblem = (
    "修订",
    "段落之间有没有接受的删除",
    "请在Word中接受或拒绝全部修订后重新导入。",
)
EMPTY_FIELD: ParagraphProblem = (
    "域",
    "有没有结果的域代码（如自动编号AUTONUM）",
    "请选中后按Ctrl+Shift+F9转为文字，或直接键入。",
)
MEDIA: ParagraphProblem = (
    "音频、视频",
    "有音频或视频",
    "定考的题目不能带音频、视频，请改为文字或图片。",
)
UNREAD_PROBLEMS = (EMBEDDED_FILE,)
"""Problems behind which whole questions may be hidden."""
NESTED_TABLE: ParagraphProblem = (
    "表格",
    "表格的单元格中又有表格",
    "请改成一层的表格，或截图后作为图片插入。",
)


def unknown_problem(element: Any) -> ParagraphProblem:
    """The problem of an element that is not known, with the element's name."""
    kind, reason, remedy = UNKNOWN
    return (
        kind,
        reason.format(str(element.tag).rpartition("}")[2][:30]),
        remedy,
    )
