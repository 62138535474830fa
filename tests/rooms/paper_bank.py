"""A bank of questions of every kind, and papers drawn from it."""

import random
from datetime import timedelta
from uuid import uuid4

from dingkao import clock
from dingkao.database.base import db, new_id
from dingkao.exams.paper_blueprint import save_paper
from dingkao.journal.entries import TERMINAL_ACTOR
from dingkao.question_banks.models import Question, QuestionBank, QuestionGroup, QuestionVersion
from tests import actors

SLUG, CODE = "neimenggu", 15
TOPICS, DIFFICULTIES = ("心血管", "呼吸", "消化"), ("easy", "medium", "hard")


def create_bank():
    """Questions of every kind with topics and difficulties: 临床 and 公共知识."""
    chance = random.Random(7)  # noqa: S311
    bank = QuestionBank(id=new_id(), name="组卷题库")
    db.session.add(bank)
    db.session.flush()
    for subject, category, count in (
        ("professional", "clinical", 12),
        ("common", None, 6),
        ("professional", "dental", 2),
    ):
        for kind in ("A1", "A2", "X", "TF"):
            for topic in TOPICS:
                for difficulty in DIFFICULTIES:
                    for _ in range(count):
                        _create_question(bank, subject, category, kind, topic, difficulty)
        for kind in ("A3", "B1"):
            for _ in range(count):
                group = QuestionGroup(id=new_id(), bank_id=bank.id, stem="共用", digest=uuid4().bytes)
                db.session.add(group)
                db.session.flush()
                for place in range(chance.choice((2, 2, 3))):
                    _create_question(
                        bank,
                        subject,
                        category,
                        kind,
                        chance.choice(TOPICS),
                        chance.choice(DIFFICULTIES),
                        group,
                        place,
                    )
    db.session.flush()


def _create_question(bank, subject, category, kind, topic, difficulty, group=None, place=0):
    question, version = new_id(), new_id()
    options = (
        [["A", "正确"], ["B", "错误"]] if kind == "TF" else [[letter, f"选项{letter}"] for letter in "ABCDE"]
    )
    db.session.add(
        Question(
            id=question,
            bank_id=bank.id,
            group_id=group and group.id,
            group_position=place,
            subject=subject,
            category=category,
            topic=topic,
            kind=kind,
            difficulty=difficulty,
            digest=uuid4().bytes,
            current_version=version,
        )
    )
    db.session.flush()
    db.session.add(
        QuestionVersion(
            id=version,
            question_id=question,
            number=1,
            kind=kind,
            case_stem=str(group.id) if group else None,
            stem=f"题{question}",
            options=options,
            answer="A",
        )
    )


def create_paper(subject="professional", level="physician", **more):
    values = {
        "category": "clinical",
        "counts": {"A1": 20, "A2": 10, "A3": 6, "B1": 4, "X": 5, "TF": 5},
        "minutes": 60,
        "opens_at": clock.now() - timedelta(hours=1),
        "closes_at": clock.now() + timedelta(days=3),
        "by": TERMINAL_ACTOR,
    } | more
    return save_paper(actors.get_or_open_cycle(), subject=subject, level=level, **values)
