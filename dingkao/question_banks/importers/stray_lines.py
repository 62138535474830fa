"""What a line without label, number or option letter may be, according to its words: a case, a title, an
instruction."""

import re

from dingkao.question_banks.importers.numerals import (
    fold_characters,
)

HAN_NUMBER = "[一二三四五六七八九十两]{1,3}"
CASE_WORDS = (
    "共用题干|共同题干|公用题干|题干|临床案例|临床病例|病例资料|背景资料|背景材料|临床资料|病例|案例|病历|"
    "病案|病史|材料|资料|情景|情境|病情|背景"
)
INSTRUCTION = re.compile(
    r"每题|每小题|每道题|每一道|每组|每个案例|若干|备选答案|请从|请在|请将|请根据|答题|说明|注意|本卷|"
    r"本试卷|满分|总分|考试|时间|共\s*[0-9]+\s*[题分]|题库|试卷|试题|模板|姓名|单位|科室|得分|阅卷|编写|"
    r"出题|命题|审题|日期|科目|分值|以下空白|结束|全卷完|END|完"
)
_PATIENT = re.compile(
    r"患者|患儿|病人|病员|孕妇|产妇|初产妇|经产妇|新生儿|男婴|女婴|[男女]\s*[,性]|"
    r"(?<![0-9])[0-9]{1,4}\s*(?:岁|个月|月龄|"
    r"日龄)|主诉|查体|体检|入院|就诊|血压|心率"
)
_BEGINS_WITH_PATIENT = re.compile(
    r"\s*(?:某|一)?\s*(?:患者|患儿|病人|病员|孕妇|产妇|初产妇|经产妇|新生儿|男|女|[0-9]{1,3}\s*岁)"
)
_TELLS_AN_AGE = re.compile(
    r"[^。]{0,24}?(?:患者|患儿|病人|孕妇|产妇|[男女]性?|某|^[\u4e00-\u9fff]{2,4})[^。]{0,12}?[,，、:\s性]\s*"
    r"[0-9]{1,3}\s*(?:岁|个月|月龄|日龄)(?!\s*以[上下内])"
)
_OF_MANY = re.compile(r"本例|该|此患|本题|多见|多发|好发|常见|高发|多于|为主|故|因此|所以|一般|通常")
"""Words with which explanations speak of patients in general, or of the patient of their own question."""
_MARKED_CASE = re.compile(
    rf"(?:[^\w\s]+\s*(?:{CASE_WORDS})(?:分析|摘要|描述|组)?\s*(?:[0-9]{{1,2}}|{HAN_NUMBER})?\s*[^\w\s]+"
    rf"|(?:{CASE_WORDS}|题目|试题)\s*:)"
)
_AGE = re.compile(r"(?<![0-9])[0-9]{1,4}\s*(?:岁|个月|月龄|周|天|日龄|h|小时)")


def is_exam_instruction(text: str) -> bool:
    """Whether a line gives instructions for the exam or describes the document, and doesn't mention a
    patient."""
    line = fold_characters(text)
    return INSTRUCTION.search(line) is not None and not mentions_patient(text)


def mentions_patient(text: str) -> bool:
    """Whether a line has words that occur in cases."""
    return _PATIENT.search(fold_characters(text)) is not None


def starts_like_case(text: str) -> bool:
    """Whether a line begins as cases do, with a person of some age."""
    line = fold_characters(text)
    age = _AGE.search(line[:60])
    if age is None or _BEGINS_WITH_PATIENT.match(line) is None:
        return False
    return _OF_MANY.search(line[: age.start()]) is None


def could_be_case(text: str) -> bool:
    """Whether a line may describe a person, as cases do, or is marked as content that several questions
    share."""
    line = fold_characters(text)
    if starts_like_case(text) or _MARKED_CASE.match(line):
        return True
    patient = _TELLS_AN_AGE.match(line)
    return patient is not None and _OF_MANY.search(patient[0]) is None


def is_case_length_sentence(text: str) -> bool:
    """Whether a line is long enough to be a case (12 characters) and has punctuation of sentences."""
    line = fold_characters(text).strip()
    return len(line) >= 12 and re.search(r"[,;。:]", line) is not None


def resembles_heading(text: str) -> bool:
    """Whether a line has 2 to 12 characters, only Chinese ones, digits and spaces, and none of the words that
    explanations use."""
    line = fold_characters(text).strip()
    return (
        1 < len(line) <= 12
        and re.search(
            r"[^\u4e00-\u9fff0-9\s]|故|选|本题|项|错|对|正确|因此|所以|答案|考查|排除|教材",
            line,
        )
        is None
    )


def resembles_title(text: str) -> bool:
    """Whether a line has at most 30 characters and, as titles do, no punctuation of sentences, no picture and
    no words of cases."""
    line = fold_characters(text).strip()
    return (
        len(line) <= 30
        and not re.search(r"[,。;?!:…]", line)
        and "![" not in line
        and not mentions_patient(text)
    )
