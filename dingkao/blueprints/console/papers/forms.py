"""The forms of papers."""

from datetime import datetime
from decimal import Decimal

from wtforms import (
    DecimalField,
    IntegerField,
    SelectField,
    StringField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import Optional

from dingkao.blueprints.console.papers.blueprint import (
    DEFAULT_MINUTES,
    PAPER_FORM_LABELS,
)
from dingkao.errors import InvalidInput
from dingkao.exams.models.paper_models import PAPER_PROCEDURES
from dingkao.question_banks.question_types import QUESTION_TYPES
from dingkao.web.forms import (
    DateTimeField,
    EndTimeField,
    Form,
    Required,
)


class WindowForm(Form):
    """Minutes and window of papers; times are in Beijing time."""

    minutes = IntegerField(
        "考试时长（分钟）",
        [Required("请填写考试时长。")],
        default=DEFAULT_MINUTES,
    )
    opens_at = DateTimeField("开放时间（北京时间）", [Required("请选择开放时间。")])
    closes_at = EndTimeField("结束时间（北京时间）", [Required("请选择结束时间。")])

    def window(self) -> tuple[datetime, datetime]:
        """The moments at which the papers open and close, of a form that is valid."""
        return self.opens_at.moment, self.closes_at.moment


class PaperForm(WindowForm):
    """A paper: its blueprint, minutes and window. The number of questions and the points for each question
    type are fields added below; topics and difficulties are cells, which aren't WTForms fields (see
    `editing`)."""

    procedure = SelectField(
        "适用程序",
        choices=[SelectChoice(*pair) for pair in PAPER_PROCEDURES.items()],
        default="any",
    )
    humanities = IntegerField("其中公共知识题数", default=0)
    form = SelectField(
        "组卷方式",
        choices=[SelectChoice(*pair) for pair in PAPER_FORM_LABELS.items()],
        default="drawn",
    )

    def counts(self) -> dict[str, int]:
        """Question type → number of questions, of every type; 0 where nothing was typed."""
        return {kind: self[kind].data or 0 for kind in QUESTION_TYPES}

    def points(self) -> dict[str, int]:
        """Question type → points for one question, in tenths; only types that the paper has and whose points
        were typed (`save_paper` gives the others DEFAULT_POINTS_TENTHS). Raises InvalidInput naming the field
        for more than one decimal place."""
        points_by_type = {}
        for kind, number in self.counts().items():
            points = self[f"mark_{kind}"].data
            if number and points is not None:
                points_by_type[kind] = _to_tenths(kind, points)
        return points_by_type


def _to_tenths(kind: str, points: Decimal) -> int:
    """Points of a question of type `kind`, in tenths. Raises InvalidInput naming its field if they have more
    than one decimal place."""
    if not points.is_finite() or points * 10 != int(points * 10):
        raise InvalidInput(
            f"{kind}型题每题分值最多一位小数，如1或1.5。",
            f"mark_{kind}",
        )
    return int(points * 10)


for _kind in QUESTION_TYPES:
    setattr(
        PaperForm,
        _kind,
        IntegerField(f"{_kind}型题数", [Optional()], default=0),
    )
    setattr(
        PaperForm,
        f"mark_{_kind}",
        DecimalField(
            f"{_kind}每题分值",
            [Optional()],
            default=Decimal(1),
            places=1,
        ),
    )


class ExtendWindowForm(Form):
    """A later end for papers that are being sat."""

    closes_at = EndTimeField("新的结束时间（北京时间）", [Required("请选择新的结束时间。")])
    reason = StringField(
        "原因（医师会看到）",
        [Required("请填写延长的原因，如“本省部分地区停电”。")],
    )
