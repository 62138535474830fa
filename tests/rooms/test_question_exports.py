"""A bank that has left as a file and comes in again is the same bank, whatever stands in it."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.database.base import db
from dingkao.integrations.spreadsheets.import_rows import ImportReport, ImportRow
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks import bank_exports
from dingkao.question_banks.importing.file_import import import_questions, import_rows
from dingkao.question_banks.models import Question, QuestionBank, QuestionGroup, QuestionVersion
from tests.property_examples import property_examples

_names = itertools.count()
ODD = st.sampled_from(
    [
        "{",
        "}",
        "=",
        "~",
        "#",
        ":",
        "\\",
        "\n",
        "\\n",
        "%50%",
        "[html]",
        "//",
        "::",
        "->",
        "####",
        "<sub>2</sub>",
        "<b>",
        "&lt;",
        "$x_1$",
        "$CATEGORY: a",
        "A.",
        "B、",
        "  ",
        "\t",
        "|a|b|",
        "_x0041_",
        "'",
        "\\(",
        "\\)",
    ]
)
TEXT = st.lists(
    ODD | st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), min_size=1, max_size=5
).map("".join)
SHORT = st.text(st.characters(codec="utf-8") | st.sampled_from(list('/{}=~#:\\"')), max_size=8)
CODES = {
    "subject": st.sampled_from(["公共知识", "业务水平", ""]), "category": st.sampled_from(["临床", "中医", ""]), "difficulty": st.sampled_from(["易", "中", "难", ""]),
    "purpose": st.sampled_from(["考试", "练习", ""]), "topic": SHORT, "explanation": st.just("") | TEXT,
}  # fmt: skip


@st.composite
def sheets(draw):
    """Rows of a sheet: questions of every type, some in groups."""
    question_rows = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["A1", "A2", "A3", "A4", "B1", "X", "TF", "组"]))
        letters = draw(st.sampled_from(["ABC", "ABCDE", "BCDE", "ABCDEFGHIJ"]))
        shared = (
            {f"option_{letter}": draw(TEXT) for letter in letters}
            if kind == "B1"
            else {"case_stem": draw(TEXT)}
            if kind in ("A3", "A4")
            else {}
        )
        grouped = kind in ("A3", "A4", "B1", "组")
        group = draw(SHORT) + str(number) if grouped else ""
        for _ in range(draw(st.integers(1, 3)) if grouped else 1):
            options = {} if kind in ("TF", "B1") else {f"option_{letter}": draw(TEXT) for letter in letters}
            answer = (
                draw(st.sampled_from(["正确", "错误"]))
                if kind == "TF"
                else "".join(
                    draw(st.sets(st.sampled_from(letters), min_size=1, max_size=None if kind == "X" else 1))
                )
            )
            codes = {name: draw(values) for name, values in CODES.items()}
            question_rows.append(
                {"kind": "A1" if kind == "组" else kind, "group": group, "stem": draw(TEXT), "answer": answer}
                | codes
                | shared
                | options
            )
    return question_rows


def standing(name):
    """Everything that a bank says, in its order."""
    query = (
        select(Question, QuestionVersion, QuestionGroup.stem, QuestionGroup.label)
        .join(QuestionVersion, QuestionVersion.id == Question.current_version)
        .outerjoin(QuestionGroup, QuestionGroup.id == Question.group_id)
        .join(QuestionBank, QuestionBank.id == Question.bank_id)
        .where(QuestionBank.name == name)
        .order_by(Question.id)
    )
    stored_questions = db.session.execute(query).all()
    order = {
        group: place
        for place, group in enumerate(dict.fromkeys(question.group_id for question, *_ in stored_questions))
    }
    return sorted(
        (
            order[question.group_id],
            question.group_position,
            version.kind,
            version.case_stem or "",
            version.stem,
            version.options,
            version.answer,
            version.explanation or "",
            question.subject,
            question.category or "",
            question.topic or "",
            question.difficulty,
            question.purpose,
            bytes(question.digest),
            stem or "",
            label or "",
        )
        for question, version, stem, label in stored_questions
    )


@pytest.fixture
def hubei(in_province):
    """湖北, within a transaction that is undone."""
    with in_province("hubei"):
        yield


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", ["sheet", "gift"])
def test_what_leaves_comes_in_again_the_same(hubei, kind):
    write = {"sheet": bank_exports.bank_xlsx, "gift": bank_exports.bank_gift}[kind]

    @settings(
        max_examples=property_examples(60),
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(sheets())
    def same(rows):
        name = f"甲{next(_names)}"
        report = import_rows(
            [ImportRow(number, cells) for number, cells in enumerate(rows, 2)],
            bank_name=name,
            by=TERMINAL_ACTOR,
            report=ImportReport(),
        )
        bank = db.session.scalars(select(QuestionBank).where(QuestionBank.name == name)).one()
        exported = write(bank)
        if not report.accepted:
            return
        questions = import_questions(exported, bank_name=name, by=TERMINAL_ACTOR)
        assert (questions.accepted, questions.changed, questions.unchanged, questions.errors) == (
            0,
            0,
            report.accepted,
            [],
        )
        elsewhere = import_questions(exported, bank_name=f"{name}又", by=TERMINAL_ACTOR)
        assert (elsewhere.accepted, elsewhere.errors) == (report.accepted, [])
        assert standing(f"{name}又") == standing(name)

    same()


def test_the_sample_leaves_and_comes_in_again(hubei, samples):
    import_questions(
        (samples / "question-bank-cmexam.xlsx").read_bytes(), bank_name="样例", by=TERMINAL_ACTOR
    )
    bank = db.session.scalars(select(QuestionBank).where(QuestionBank.name == "样例")).one()
    for exported in (bank_exports.bank_xlsx(bank), bank_exports.bank_gift(bank)):
        questions = import_questions(exported, bank_name="样例", by=TERMINAL_ACTOR)
        assert (questions.accepted, questions.changed, questions.unchanged, questions.errors) == (
            0,
            0,
            3000,
            [],
        )
