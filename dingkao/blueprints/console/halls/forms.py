"""The forms of halls, slots and extra time, and the choice of organisations and halls in them."""

from collections.abc import Sequence
from uuid import UUID

from flask import request
from flask_login import current_user
from wtforms import BooleanField, IntegerField, StringField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional

from dingkao.blueprints.console.navigation import get_organisation
from dingkao.errors import InvalidInput
from dingkao.exams import halls
from dingkao.exams.models.hall_models import Hall
from dingkao.people import assessor_choices
from dingkao.people.models import Organisation
from dingkao.people.scopes import Grant
from dingkao.question_banks.models import SUBJECTS
from dingkao.web import forms
from dingkao.web.forms import (
    Choice,
    DateTimeField,
    EndTimeField,
    EntityChoice,
    Form,
    Required,
)


class HallForm(Form):
    """A hall."""

    organisation = EntityChoice("考核机构", [Required("请选择或填写考核机构。")])
    name = StringField("考场名称", [Required("请填写考场名称，如第一考场。")])
    address = StringField("地址", [Required("请填写考场地址，写到楼层和房间。")])
    seats = IntegerField("座位数", [Required("请填写座位数。")])


class SlotForm(Form):
    """A slot; times are in Beijing time."""

    organisation = EntityChoice("考核机构", [Required("请选择或填写考核机构。")])
    opens_at = DateTimeField("开始时间（北京时间）", [Required("请选择开始时间。")])
    closes_at = EndTimeField("结束时间（北京时间）", [Required("请选择结束时间。")])
    hall = EntityChoice("考场", [Optional()])
    institution = StringField("只限机构", [Optional()])
    subject = Choice("科目", [Optional()], SUBJECTS.items())
    invigilated = BooleanField("有监考人员在场，进入考试时须输入开考码")


class TicketsForm(Form):
    """The institution whose tickets are printed."""

    institution = StringField("机构", [Required("请填写机构名称或机构登记号。")])


class ExtraTimeForm(Form):
    """The extra time of one doctor, in minutes or percent."""

    minutes = IntegerField("延长分钟数", [Optional()])
    percent = IntegerField("或延长百分数（%）", [Optional()])
    reason = StringField(
        "原因（如肢体残疾、视力障碍）",
        [Required("请填写延长的原因。")],
    )


def manage_scope() -> Grant:
    """The halls and slots that the current user manages."""
    return current_user.grant("halls.manage")


def list_assessors() -> list[Organisation]:
    """The assessment organisations to choose from; one more than MAX_CHOICES if there are more, so that the
    field becomes a text field."""
    return assessor_choices.list_assessors(manage_scope(), forms.MAX_CHOICES + 1)


def chosen_assessor(text: str | None) -> Organisation:
    """The assessment organisation, of those for which the user manages halls, that was chosen (its id) or
    typed. Raises InvalidInput for the field `organisation`."""
    try:
        return assessor_choices.resolve_assessor(text or "", manage_scope())
    except InvalidInput as refusal:
        raise InvalidInput(refusal.message, "organisation") from refusal


def chosen_hall(text: str, owner: Organisation) -> Hall:
    """The hall that was chosen (its id; possibly closed) or typed (the name of one of `owner`'s that is in
    use), locked in a POST. Raises InvalidInput for the field `hall`, and NotFound for an id outside the
    user's grant."""
    is_post = request.method == "POST"
    if hall_id := parse_id(text):
        return halls.get_hall(
            hall_id,
            manage_scope(),
            for_update=is_post,
        )
    hall = halls.find_hall_in_use(
        owner,
        text,
        manage_scope(),
        for_update=is_post,
    )
    if hall is None:
        raise InvalidInput(
            f"{owner.name}没有名为“{text[:20]}”的在用考场，请填写完整的考场名称。",
            "hall",
        )
    return hall


def offer_choices(
    form: SlotForm,
    assessors: Sequence[Organisation],
    hall_owner: Organisation | None = None,
) -> None:
    """Offer in the form the assessment organisations, the halls in use (only of `hall_owner` if one is given)
    and the subjects. A field that is a text field, because there are too many choices, shows the name (of an
    organisation: the 机构登记号) instead of the stored id until the form is sent."""
    form.organisation.set_choices((str(assessor.id), assessor.name) for assessor in assessors)
    _offer_halls(form, hall_owner)
    organisation_id = parse_id(form.organisation.data)
    if form.organisation.is_typed and organisation_id and not form.is_submitted():
        form.organisation.data = get_organisation(organisation_id).registration_number
    form.subject.choices = [
        SelectChoice("", "全部试卷"),
        *form.subject.choices[1:],
    ]


def _offer_halls(form: SlotForm, hall_owner: Organisation | None) -> None:
    """Offer the halls in use within the user's grant (only of `hall_owner` if one is given), and the stored
    one even if it is closed; a field that is a text field shows its name instead of its id until the form is
    sent."""
    hall_id = parse_id(form.hall.data)
    choices = halls.hall_choices(
        manage_scope(),
        forms.MAX_CHOICES + 1,
        chosen_id=hall_id,
        organisation=hall_owner,
    )
    form.hall.set_choices(
        ((str(hall.id), f"{hall.name}（{hall.seats}座）") for hall in choices),
        "不设考场",
    )
    if form.hall.is_typed and hall_id and not form.is_submitted():
        form.hall.data = halls.hall_name(hall_id)


def parse_id(text: str | None) -> UUID | None:
    """The id in a text; None if it is no id."""
    try:
        return UUID(text or "")
    except ValueError:
        return None
