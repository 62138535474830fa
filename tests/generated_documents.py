"""Documents of questions as people lay them out, made from a seed: what was written, line by line, and the
questions that it holds."""

from dataclasses import dataclass, field, replace
from random import Random

HAN = "零一二三四五六七八九十"
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII")
WIDE = str.maketrans("0123456789.()", "０１２３４５６７８９．（）")


def han_number(number):
    tens, units = divmod(number, 10)
    return (
        (HAN[tens] if tens > 1 else "") + ("十" if tens else "") + (HAN[units] if units or not tens else "")
    )


NUMBERS = {
    "1. ": "{0}. ".format,
    "1.": "{0}.".format,
    "1．": "{0}．".format,
    "１．": lambda n: f"{n}．".translate(WIDE),
    "1.)": "{0}.)".format,
    "1).": "{0}).".format,
    "1、": "{0}、".format,
    "１、": lambda n: f"{n}、".translate(WIDE),
    "(1)": "({0})".format,
    "（1）": "（{0}）".format,
    "（１）": lambda n: f"（{n}）".translate(WIDE),
    "【1】": "【{0}】".format,
    "[1]": "[{0}]".format,
    "〔1〕": "〔{0}〕".format,
    "第1题": "第{0}题".format,
    "第1题 ": "第{0}题 ".format,
    "第1题：": "第{0}题：".format,
    "【第1题】": "【第{0}题】".format,
    "第一题 ": lambda n: f"第{han_number(n)}题 ",
    "第1小题、": "第{0}小题、".format,
    "1题.": "{0}题.".format,
    "1题、": "{0}题、".format,
    "①": lambda n: chr(0x245F + n),
    "① ": lambda n: chr(0x245F + n) + " ",
    "⑴": lambda n: chr(0x2473 + n),
    "⒈": lambda n: chr(0x2487 + n),
    "❶": lambda n: chr(0x2775 + n),
    "Q1.": "Q{0}.".format,
    "Q1 ": "Q{0} ".format,
    "No.1 ": "No.{0} ".format,
    "1 ": "{0} ".format,
    "1\u3000": "{0}\u3000".format,
    "1)": "{0})".format,
    "1）": "{0}）".format,
    "一、": lambda n: f"{han_number(n)}、",
    "（一）": lambda n: f"（{han_number(n)}）",
    "㈠": lambda n: chr(0x321F + n),
    "I. ": lambda n: f"{ROMAN[n]}. ",
    "Ⅰ.": lambda n: chr(0x215F + n) + ".",
    "Ⅰ、": lambda n: chr(0x215F + n) + "、",
    "题1：": "题{0}：".format,
    "问题1.": "问题{0}.".format,
    "1: ": "{0}: ".format,
    "1，": "{0}，".format,
    "1。": "{0}。".format,
    "1..": "{0}..".format,
    "*1.": "*{0}.".format,
    "★1、": "★{0}、".format,
    "<1>": "<{0}>".format,
    "1.【单选题】": "{0}.【单选题】".format,
    "1.（A1型题）": "{0}.（A1型题）".format,
    "1": "{0}".format,
    "1-": "{0}-".format,
    "1#": "{0}#".format,
    "1◎": "{0}◎".format,
    "": lambda _: "",
}
"""How people number questions, by the look of the first. Of the last five nobody knows what they are: they
may be refused."""
UNSURE = ("1", "1-", "1#", "1◎", "")
LETTERS = {
    "A. ": "{0}. ".format,
    "A.": "{0}.".format,
    "A．": "{0}．".format,
    "A、": "{0}、".format,
    "(A)": "({0})".format,
    "（A）": "（{0}）".format,
    "A)": "{0})".format,
    "Ａ．": lambda one: chr(ord(one) + 0xFEE0) + "．",
    "A：": "{0}：".format,
    "【A】": "【{0}】".format,
    "a. ": lambda one: f"{one.lower()}. ",
    "A ": "{0} ".format,
}
KEYS = (
    "答案：",
    "答案:",
    "【答案】",
    "正确答案：",
    "参考答案: ",
    "[答案]",
    "答案 ",
    "标准答案：",
    "答 案：",
    "本题答案：",
    "答：",
    "（答案）",
    "★答案：",
    "ANSWER: ",
)
EXPLANATIONS = (
    "解析：",
    "解析:",
    "【解析】",
    "答案解析：",
    "试题解析：",
    "解析 ",
    "详解：",
    "[解析]",
    "【答案解析】",
    "题解：",
    "解 析：",
    "【试题分析】",
)
STEMS = (
    "正常体温",
    "脉搏次数",
    "2型糖尿病首选药",
    "首选的检查",
    "血红蛋白的正常值",
    "5岁患儿的脉搏",
    "最可能的诊断",
    "下列关于体温的说法正确",
    "3个月婴儿的呼吸",
)
ENDS = ("是", "是（  ）", "为", "的是（ ）。", "？")
BELOW = ("①甲\n②乙\n③丙", "(1)甲\n(2)乙", "血红蛋白60g/L", "120次/分，正确的是", "2.5mg口服，正确的是")
OPTIONS = (
    "35.0~36.0℃",
    "60~100",
    "20~40次/分",
    "A族链球菌",
    "维生素B",
    "心电图",
    ".5",
    "1,25-(OH)2-D3",
    "以上都对",
    "2型",
    "C反应蛋白",
    "抗生素",
)
EXPLANATION_STARTS = (
    "腋测法。",
    "见教材第3章。",
    "正常值为60～100次/分",
    "故选本项",
    "(1)概念。",
    "2型糖尿病首选二甲双胍。",
    "120次/分为异常",
    "患者男，56岁，考虑心梗。",
    "A项错误，B项正确",
    "1.概念",
    "因此",
    "（2）鉴别",
    "①要点",
    "3 点需注意",
)
CASES = (
    "患者男，56岁，突发胸痛2小时。",
    "患儿女，5岁。发热3天，\n查体：体温39℃。",
    "患者女，30岁，停经8周。\n化验：\n血红蛋白60g/L",
    "某社区有10000人，进行高血压普查。",
)
CASE_HEADINGS = (
    "（{0}~{1}题共用题干）",
    "({0}～{1}题共用题干)",
    "【病例1】（第{0}-{1}题）",
    "[{0}-{1}]题共用题干",
    "根据以下材料回答{0}-{1}题",
    "根据下列病例，回答第{0}～{1}题：",
    "第{0}至{1}题共用题干：",
    "（{0}－{1}题基于以下病例）",
    "病例一（{0}～{1}题）：",
    "{0}～{1}题共用病例",
    "(第{0}题至第{1}题共用题干)",
    "阅读材料，完成{0}~{1}题。",
    "题组1（{0}-{1}题）",
    "({0}—{1}题共用同一题干)",
    "（一）{0}~{1}题共用题干",
    "{0}-{1}题：",
    "【{0}～{1}题】",
    "以下{2}题共用题干",
    "（以下{2}道题共用一个题干）",
    "病例1",
    "案例一",
    "案例（二）",
    "【案例】",
    "【共用题干】",
    "共用题干：",
    "病例：",
    "材料一",
    "背景资料",
    "病历摘要",
    "二、案例分析题",
    "（一）病例分析题",
    "A3型题",
    "二、A3/A4型题",
    "本组题共用一个题干",
    "案例二（{0}～{1}）",
)
"""Lines above a case: {0} and {1} are the numbers of its first and last question, {2} how many they are.
Those up to RANGED say which."""
RANGED = 19
OPTION_HEADINGS = (
    "（{0}~{1}题共用备选答案）",
    "({0}～{1}题共用选项)",
    "{0}-{1}题共用备选答案",
    "【{0}～{1}题共用备选答案】",
    "B1型题",
    "三、B型题",
    "【备选答案】",
    "备选答案：",
    "共用备选答案",
    "",
)


@dataclass
class ExpectedQuestion:
    """A question as it is meant: what an import may make of it, and nothing else."""

    stem: str
    options: tuple[tuple[str, str], ...]
    answer: str
    explanation: str = ""
    case: str = ""
    known: bool = True
    """Whether it can be taken in at all: False where the document lacks something of it."""
    also: str = ""
    """Another explanation that the document may be read to give it."""


@dataclass
class QuestionBlock:
    """The lines of a question, part by part; `explained_first` where the explanation stands before the
    key."""

    head: list[str]
    stem: list[str]
    options: list[str]
    key: list[str]
    explanation: list[str]
    explained_first: bool = False

    def lines(self):
        behind = self.explanation + self.key if self.explained_first else self.key + self.explanation
        return self.head + self.stem + self.options + behind


@dataclass
class WriterStyle:
    """How one writer lays questions out."""

    number: str = "1. "
    letter: str = "A. "
    key: str = "答案："
    explanation: str = "解析："
    order: str = "key first"
    options: str = "lines"


@dataclass
class GeneratedDocument:
    """A document and the questions that it holds."""

    before: list[str] = field(default_factory=list)
    blocks: list[QuestionBlock] = field(default_factory=list)
    asked: list[ExpectedQuestion] = field(default_factory=list)

    def lines(self):
        return self.before + [line for block in self.blocks for line in block.lines()]


def random_style(random):
    """Somebody's way to write."""
    return WriterStyle(
        random.choice([name for name in NUMBERS if name]),
        random.choice(list(LETTERS)),
        random.choice(KEYS),
        random.choice(EXPLANATIONS),
        random.choice(["key first", "explanation first", "no explanation"]),
        random.choice(["lines", "lines", "lines", "one line", "beside the stem"]),
    )


def random_question(random, kind="A1", shared=()):
    """A question, its words unlike any other's."""
    suffix = "".join(chr(0x4E00 + random.randrange(5000)) for _ in range(2))
    stem = f"{random.choice(STEMS)}{suffix}"
    if kind == "TF":
        return ExpectedQuestion(f"{stem}。", (("A", "正确"), ("B", "错误")), random.choice("AB"))
    stem += random.choice(ENDS)
    if random.random() < 0.1:
        stem += f"\n{random.choice(BELOW)}"
    options = shared or tuple(
        (letter, f"{random.choice(OPTIONS)}{place}")
        for place, letter in enumerate("ABCDE"[: random.randint(2, 5)])
    )
    several = kind == "A1" and random.random() < 0.15
    return ExpectedQuestion(
        stem, options, "".join(sorted(random.sample([letter for letter, _ in options], 2 if several else 1)))
    )


def question_block(question, number, way, random=None, *, kind="A1", said=None):
    """The lines of a question; `said` is its explanation."""
    stem = question.stem.split("\n")
    stem[0] = NUMBERS[way.number](number) + stem[0]
    options = (
        [LETTERS[way.letter](letter) + words for letter, words in question.options] if kind == "A1" else []
    )
    if way.options == "one line" and options:
        options = ["  ".join(options)]
    elif way.options == "beside the stem" and options:
        stem[-1], options = " ".join([stem[-1], *options]), []
    key = dict(question.options)[question.answer] if kind == "TF" else question.answer
    explanation = [way.explanation + said[0], *said[1:]] if said else []
    question.explanation = "\n".join(said or [])
    return QuestionBlock([], stem, options, [way.key + key], explanation, way.order == "explanation first")


NATURAL = tuple(words for words in EXPLANATION_STARTS if words not in ("（2）鉴别", "3 点需注意"))
"""Without points that begin at another number than 1: among numbers of several forms those are one
themselves."""


def generate_document(seed, *, mixed=False, cases=True):
    """A document of a few questions, some with a case; where `mixed`, their numbers are written now so, now
    so."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same document
    way, generated_document = random_style(random), GeneratedDocument()
    generated_document.before = random.choice(
        [[], [], ["定考试题"], ["一、单选题"], ["一、A1型题（每题1分）"], ["第一部分 基础"]]
    )
    case, case_left, count = "", 0, random.randint(1, 6)
    for number in range(1, count + 1):
        head = []
        if cases and not case_left and number < count and random.random() < 0.2:
            case_left = min(count - number + 1, random.randint(2, 3))
            case = random.choice(CASES)
            head = [
                random.choice(CASE_HEADINGS).format(number, number + case_left - 1, case_left),
                *case.split("\n"),
            ]
        question = random_question(random)
        explanation = (
            [
                random.choice(NATURAL if mixed else EXPLANATION_STARTS)
                for _ in range(random.choice([1, 1, 1, 2, 3]))
            ]
            if way.order != "no explanation" and random.random() < 0.85
            else None
        )
        numbering = random.choice(list(NUMBERS)) if mixed and random.random() < 0.4 else way.number
        lines = question_block(question, number, replace(way, number=numbering), said=explanation)
        lines.head = head
        question.case = case if case_left else ""
        case_left = max(0, case_left - 1)
        generated_document.blocks.append(lines)
        generated_document.asked.append(question)
    return generated_document


STRAY = (
    "呼吸系统",
    "患者男，60岁，咳嗽3天。",
    "说明：以下为内科题",
    "第二章 循环系统",
    "— 3 —",
    "第3页 共10页",
    "以下空白",
    "腋测法正常值为36~37。",
    "（完）",
    "2",
    "(2)",
    "答案见后",
    "二、内科",
    "（二）循环",
    "定考办编写",
    "120次/分",
    "某社区居民1000人。",
    "备注：略",
    "难度系数：0.85",
    "解析见教材",
    "题干",
    "A1",
    "A1型题",
    "X型题",
    "判断题",
    "病例：略",
    "（2~3题）",
)
FAULTS = (
    "no key",
    "keys at the end",
    "keys in one line at the end",
    "keys above",
    "a stray line",
    "an explanation without its label",
    "a letter of another alphabet",
    "a letter without its mark",
    "a number of another form",
    "no number",
    "two keys",
    "an option lost",
    "a label of its own line",
    "nothing",
)


def generate_faulty_document(seed):
    """A document with options that several questions share, true and false ones, and now and then a fault
    that people make."""
    random = Random(seed)  # noqa: S311 - the same seed gives the same document
    way, generated_document = random_style(random), GeneratedDocument()
    start = (
        random.choice([1, 1, 1, 5, 11])
        if way.number not in ("①", "① ", "⑴", "⒈", "❶", "㈠", "I. ", "Ⅰ.", "Ⅰ、")
        else 1
    )
    generated_document.before = random.choice(
        [[], [], ["一、单选题"], ["一、A1型题（每题1分）"], ["第一部分 基础"], ["一、基础知识"]]
    )
    shared, shared_left = (), 0
    for number in range(start, start + random.randint(2, 6)):
        kind, head = "A1", []
        if shared_left:
            kind, shared_left = "B1", shared_left - 1
        elif random.random() < 0.12:
            kind, shared_left = "B1", random.randint(1, 2)
            shared = tuple(
                (letter, f"{random.choice(OPTIONS)}共{chr(0x4E00 + random.randrange(5000))}")
                for letter in "ABCDE"[: random.randint(2, 5)]
            )
            heading = random.choice(OPTION_HEADINGS).format(number, number + shared_left)
            lines = [LETTERS[way.letter](letter) + words for letter, words in shared]
            head = [
                *([heading] if heading else []),
                *(["   ".join(lines)] if random.random() < 0.3 and way.letter != "A " else lines),
            ]
        elif random.random() < 0.15:
            kind = "TF"
        question = random_question(random, kind, shared if kind == "B1" else ())
        explanation = (
            [random.choice(EXPLANATION_STARTS) for _ in range(random.choice([1, 1, 1, 2, 3]))]
            if way.order != "no explanation" and random.random() < 0.85
            else None
        )
        lines = question_block(question, number, way, kind=kind, said=explanation)
        lines.head = head
        generated_document.blocks.append(lines)
        generated_document.asked.append(question)
    _introduce_error(generated_document, random.choice(FAULTS), way, random, start)
    return generated_document


def _introduce_error(made, fault, way, random, start):
    place = random.randrange(len(made.asked))
    lines, question = made.blocks[place], made.asked[place]
    if fault == "no key":
        lines.key, question.known = [], False
    elif fault in ("keys at the end", "keys in one line at the end", "keys above"):
        _move_keys(made, fault, way, start)
    elif fault == "a stray line":
        parts = [
            part
            for part in (lines.head, lines.options, lines.key, lines.explanation)
            if part or part is lines.head
        ]
        part, words = random.choice(parts), random.choice(STRAY)
        part.append(words)
        above = made.asked[place - 1] if part is lines.head and place else question
        if part in (lines.head, lines.explanation) and above.explanation:
            above.also = f"{above.also or above.explanation}\n{words}"
    elif fault == "an explanation without its label" and lines.explanation and lines.options:
        lines.explanation[0] = lines.explanation[0].removeprefix(way.explanation)
    elif (
        fault in ("a letter of another alphabet", "a letter without its mark", "an option lost")
        and len(lines.options) > 1
    ):
        _spoil_letter(lines, question, fault, random)
    elif fault in ("a number of another form", "no number"):
        form = random.choice(list(NUMBERS)) if fault == "a number of another form" else ""
        lines.stem[0] = NUMBERS[form](min(start + place, 12)) + lines.stem[0].removeprefix(
            NUMBERS[way.number](start + place)
        )
    elif fault == "two keys":
        lines.key *= 2
    elif fault == "a label of its own line" and lines.explanation:
        lines.explanation[:1] = [way.explanation.strip(), lines.explanation[0].removeprefix(way.explanation)]


def _move_keys(made, fault, way, start):
    keys = [block.key for block in made.blocks]
    for lines, question, key in zip(made.blocks, made.asked, keys, strict=False):
        lines.key, question.known = [], False
        if fault == "keys above":
            lines.head += key
    plain_keys = [[key.removeprefix(way.key) for key in question_keys] for question_keys in keys]
    if fault == "keys at the end":
        made.blocks.append(
            QuestionBlock(
                [
                    "参考答案",
                    *(
                        f"{number}.{key}"
                        for number, question_keys in enumerate(plain_keys, start)
                        for key in question_keys
                    ),
                ],
                [],
                [],
                [],
                [],
            )
        )
    elif fault == "keys in one line at the end":
        made.blocks.append(
            QuestionBlock(
                ["参考答案：" + "".join(key for question_keys in plain_keys for key in question_keys)],
                [],
                [],
                [],
                [],
            )
        )


def _spoil_letter(lines, question, fault, random):
    place = random.randrange(len(lines.options) - 1)
    if fault == "an option lost":
        del lines.options[place]
        question.known = False
    elif fault == "a letter of another alphabet":
        spoilt = (
            lines.options[place][:2].translate(str.maketrans("ABCEＡＢＣＥ", "АВСЕАВСЕ"))
            + lines.options[place][2:]
        )
        question.known = question.known and spoilt == lines.options[place]
        lines.options[place] = spoilt
    else:
        letter, words = question.options[place]
        lines.options[place] = f"{letter} {words}"
