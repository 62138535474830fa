"""A bank of questions that a test has for itself, with the two who work on it."""

import io

from sqlalchemy import select

from dingkao.database.base import db
from dingkao.question_banks.models import Question, QuestionBank, QuestionVersion
from tests import actors
from tests.blueprints.signed_in_client import post_form, signed_in_client

SLUG = "yunnan"
OFFICE = f"/{SLUG}/office"


class Bank:
    """A bank of the test's own, an editor, an approver and what they see."""

    def __init__(self, application, in_province, name):
        self.application, self.in_province, self.name = application, in_province, name
        self.editor = signed_in_client(application, in_province, SLUG, "question_editor")
        self.approver = signed_in_client(application, in_province, SLUG, "province_admin")

    def bring(self, content, name="x.csv", client=None):
        """Import a file; the page that tells of it."""
        client = client or self.editor
        answer = post_form(
            client,
            f"{OFFICE}/banks/import",
            page=f"{OFFICE}/banks",
            bank=self.name,
            file=(io.BytesIO(content), name),
        )
        if answer.status_code != 303:
            return answer.get_data(as_text=True)
        actors.run_pending_jobs(self.application, self.in_province, SLUG)
        return client.get(answer.location).get_data(as_text=True)

    @property
    def address(self):
        with self.in_province(SLUG):
            bank_id = db.session.scalars(select(QuestionBank.id).where(QuestionBank.name == self.name)).one()
            return f"{OFFICE}/banks/{bank_id}"

    def get(self, address, client=None):
        return (client or self.editor).get(address).get_data(as_text=True)

    def rows(self):
        """Each question with the version it would show next."""
        with self.in_province(SLUG):
            bank = db.session.scalars(select(QuestionBank.id).where(QuestionBank.name == self.name)).one()
            query = select(Question, QuestionVersion).join(
                QuestionVersion, QuestionVersion.id == Question.current_version
            )
            return db.session.execute(query.where(Question.bank_id == bank).order_by(Question.id)).all()

    def drawn(self):
        """How many of its questions could be drawn."""
        return len([question for question, _ in self.rows() if question.retired_at is None])
