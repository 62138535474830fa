"""A bank that has left as a file and comes in again is the same bank, whatever stands in it."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dingkao.database.model import db
from dingkao.exams import exporting
from dingkao.exams.importing import import_questions, take_in
from dingkao.exams.models import Question, QuestionBank, QuestionGroup, QuestionVersion
from dingkao.journal.writing import TERMINAL
from dingkao.outside.sheets import Report, Row

_names = itertools.count()
ODD = st.sampled_from(["{", "}", "=", "~", "#", ":", "\\", "\n", "\\n", "%50%", "[html]", "//", "::", "->", "####", "<sub>2</sub>", "<b>", "&lt;", "$x_1$", "$CATEGORY: a", "A.", "B、", "  ", "\t", "|a|b|", "_x0041_", "'", "\\(", "\\)"])  # fmt: skip
TEXT = st.lists(ODD | st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), min_size=1, max_size=5).map("".join)
SHORT = st.text(st.characters(codec="utf-8") | st.sampled_from(list("/{}=~#:\\\"")), max_size=8)
CODES = {
    "subject": st.sampled_from(["公共知识", "业务水平", ""]), "category": st.sampled_from(["临床", "中医", ""]), "difficulty": st.sampled_from(["易", "中", "难", ""]),
    "purpose": st.sampled_from(["考试", "练习", ""]), "topic": SHORT, "explanation": st.just("") | TEXT,
}  # fmt: skip


@st.composite
def sheets(draw):
    """Rows of a sheet: questions of every type, some in groups."""
    rows = []
    for number in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(["A1", "A2", "A3", "A4", "B1", "X", "TF", "组"]))
        letters = draw(st.sampled_from(["ABC", "ABCDE", "BCDE", "ABCDEFGHIJ"]))
        shared = {f"option_{letter}": draw(TEXT) for letter in letters} if kind == "B1" else {"case_stem": draw(TEXT)} if kind in ("A3", "A4") else {}
        grouped = kind in ("A3", "A4", "B1", "组")
        group = draw(SHORT) + str(number) if grouped else ""
        for _ in range(draw(st.integers(1, 3)) if grouped else 1):
            own = {} if kind in ("TF", "B1") else {f"option_{letter}": draw(TEXT) for letter in letters}
            answer = draw(st.sampled_from(["正确", "错误"])) if kind == "TF" else "".join(draw(st.sets(st.sampled_from(letters), min_size=1, max_size=None if kind == "X" else 1)))
            about = {name: draw(values) for name, values in CODES.items()}
            rows.append({"kind": "A1" if kind == "组" else kind, "group": group, "stem": draw(TEXT), "answer": answer} | about | shared | own)
    return rows


def standing(name):
    """Everything that a bank says, in its order."""
    query = (
        select(Question, QuestionVersion, QuestionGroup.stem, QuestionGroup.label)
        .join(QuestionVersion, QuestionVersion.id == Question.current_version).outerjoin(QuestionGroup, QuestionGroup.id == Question.group_id)
        .join(QuestionBank, QuestionBank.id == Question.bank_id).where(QuestionBank.name == name).order_by(Question.id)
    )  # fmt: skip
    found = db.session.execute(query).all()
    order = {group: place for place, group in enumerate(dict.fromkeys(row.group_id for row, *_ in found))}
    return sorted(
        (order[row.group_id], row.group_position, version.kind, version.case_stem or "", version.stem, version.options, version.answer, version.explanation or "",
         row.subject, row.category or "", row.topic or "", row.difficulty, row.purpose, bytes(row.digest), stem or "", label or "")
        for row, version, stem, label in found
    )  # fmt: skip


@pytest.fixture
def hubei(in_province):
    """湖北, within a transaction that is undone."""
    with in_province("hubei"):
        yield


@pytest.mark.parametrize("kind", ["sheet", "gift"])
def test_what_leaves_comes_in_again_the_same(hubei, kind):
    write = {"sheet": exporting.as_sheet, "gift": exporting.as_gift}[kind]

    @settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate), suppress_health_check=list(HealthCheck))
    @given(sheets())
    def same(rows):
        name = f"甲{next(_names)}"
        report = take_in([Row(number, cells) for number, cells in enumerate(rows, 2)], bank=name, by=TERMINAL, report=Report())
        bank = db.session.scalars(select(QuestionBank).where(QuestionBank.name == name)).one()
        made = write(bank)
        if not report.accepted:
            return
        again = import_questions(made, bank=name, by=TERMINAL)
        assert (again.accepted, again.changed, again.unchanged, again.errors) == (0, 0, report.accepted, [])
        elsewhere = import_questions(made, bank=f"{name}又", by=TERMINAL)
        assert (elsewhere.accepted, elsewhere.errors) == (report.accepted, [])
        assert standing(f"{name}又") == standing(name)

    same()


def test_the_sample_leaves_and_comes_in_again(hubei, samples):
    import_questions((samples / "question-bank-cmexam.xlsx").read_bytes(), bank="样例", by=TERMINAL)
    bank = db.session.scalars(select(QuestionBank).where(QuestionBank.name == "样例")).one()
    for made in (exporting.as_sheet(bank), exporting.as_gift(bank)):
        again = import_questions(made, bank="样例", by=TERMINAL)
        assert (again.accepted, again.changed, again.unchanged, again.errors) == (0, 0, 3000, [])
