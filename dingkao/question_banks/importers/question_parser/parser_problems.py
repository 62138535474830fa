"""The problems for which a question of a document is refused, or a line reported: (kind, reason, remedy).
"{}" in a reason is the text that `format_problem` puts in."""

from dingkao.question_banks.importers.word_problems import (
    ParagraphProblem,
)

MAX_TEXT_SHOWN = 20
NUMBERING_ADVICE = "请在每道题的行首写上题号，如“1.”，并让全文的题号写法一致、按顺序编号。"
DUPLICATE_PART: ParagraphProblem = (
    "题号",
    "题内出现了第二次{}，可能有一道题的题号没有识别出来",
    NUMBERING_ADVICE,
)
WITHOUT_NUMBER: ParagraphProblem = (
    "题号",
    "这里的{}不在任何有题号的题目之下",
    NUMBERING_ADVICE,
)
UNCERTAIN_START: ParagraphProblem = (
    "题号",
    "不能确定这道题从哪一行开始",
    NUMBERING_ADVICE,
)
UNRECOGNISED_LINE: ParagraphProblem = (
    "文字",
    "有一行没有识别：“{}”",
    (
        "是解析的，请在行首写上“解析：”；是题号的，请写成“1.”；是共用题干的，"
        "请在前面加一行“（1～2题共用题干）”；不需要的请删去。"
    ),
)
POSSIBLE_CASE: ParagraphProblem = (
    "共用题干",
    "前面有一段像是病例的文字“{}”，不知是不是共用题干",
    (
        "是共用题干的，请在它前面加一行写明题号，如“（1～2题共用题干）”；否则请删去，或写进题干、"
        "解析的同一段里。"
    ),
)
UNCLEAR: ParagraphProblem = (
    "共用题干",
    "前面的“{}”像是共用题干或备选答案的说明，没有识别出是哪几题",
    "请写成“（1～2题共用题干）”或“（1～2题共用备选答案）”，单独占一行，题号与下面的题目一致。",
)
OUT_OF_RANGE: ParagraphProblem = (
    "共用题干",
    "题号与前面“{}”写明的题号不符",
    "请让“（1～2题共用题干）”中的题号与下面题目的题号一致。",
)
EMPTY: ParagraphProblem = (
    "共用题干",
    "“{}”之下没有读到共用的内容",
    "请在这一行与第一道题之间写上共用的题干或备选答案。",
)
WITHOUT_CASE: ParagraphProblem = (
    "共用题干",
    "这一部分的题目应有共用题干，这道题没有",
    "请在题目前加一行“（1～2题共用题干）”，下一行写病例；不需要共用题干的，请移到其他题型下。",
)
KEY_ABOVE: ParagraphProblem = (
    "答案",
    "前面有写在题目之前的{}，可能每题的答案都错开了",
    "请把“答案：”“解析：”放在所属题目的选项之后。",
)
KEYS_MAY_BE_SHIFTED: ParagraphProblem = (
    "答案",
    "附近有题目少了答案、有地方多了答案，其间各题的答案可能错开了",
    "请核对每题的答案是否写在该题的选项之后，一题一个。",
)
POSSIBLE_COMBINED_KEYS: ParagraphProblem = (
    "答案",
    "前面有没有答案的题目，不知这个答案是不是几道题的答案写在了一起",
    "请把每题的答案写在该题的选项之后，如“答案：A”。",
)
REPEATED_KEY_LETTERS: ParagraphProblem = (
    "答案",
    "答案“{}”里有重复的字母，可能是几道题的答案写在了一起",
    "请把每题的答案写在该题的选项之后，如“答案：A”。",
)
NO_OPTIONS: ParagraphProblem = (
    "选项",
    "没有读到选项",
    "请把选项写在题干之后，每个选项以“A.”“B.”开头；写在图片、文本框里的选项请改为文字。",
)
OPTION_LETTERS_GAP: ParagraphProblem = (
    "选项",
    "选项的字母不连续，可能有选项没有识别出来",
    "请让选项按A、B、C、D的顺序，每个选项以字母和“.”开头，另起一行。",
)
OPTIONS_UNCLEAR_IN_LINE: ParagraphProblem = (
    "选项",
    "同一行的几个选项分不清",
    "请让每个选项另起一行。",
)
LINE_IS_NO_OPTION: ParagraphProblem = (
    "选项",
    "选项之后有一行“{}”，不是以选项字母开头",
    "是选项的，请在行首写上字母和“.”；是上一个选项的文字，请与它写在同一段里；不需要的请删去。",
)
EMPTY_OPTIONS: ParagraphProblem = (
    "选项",
    "选项{}没有文字",
    "请填写选项，或删去多余的字母。",
)
OWN_AND_SHARED: ParagraphProblem = (
    "选项",
    "既有共用的备选答案，又有自己的选项",
    "请删去其中一种。",
)
IN_TABLE: ParagraphProblem = (
    "表格",
    "表格里像是有题目、选项或答案",
    "请把表格里的题目改为段落：题号、题干、选项、答案各占一行。",
)
KEY_IN_STEM: ParagraphProblem = (
    "答案",
    "没有“答案”一行，题干的括号里像是写着答案",
    "请在选项之后另起一行写上“答案：A”，并清空题干中的括号。",
)
OPTIONS_AFTER_ANSWER: ParagraphProblem = (
    "选项",
    "选项写在了答案之后",
    "请按题干、选项、答案、解析的顺序书写。",
)


def format_problem(problem: ParagraphProblem, text: str) -> ParagraphProblem:
    """The problem with the first MAX_TEXT_SHOWN characters of `text`, in one line, in its reason."""
    kind, reason, remedy = problem
    return (
        kind,
        reason.format(text[:MAX_TEXT_SHOWN].replace("\n", " ")),
        remedy,
    )
