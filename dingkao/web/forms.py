"""The base of all forms: text stripped of blanks, one CSRF token, messages that say what to do."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from flask import request
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    DateField,
    DateTimeLocalField,
    HiddenField,
    PasswordField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields.choices import SelectChoice
from wtforms.validators import StopValidation, ValidationError
from wtforms.widgets import TextInput

from dingkao import clock
from dingkao.errors import InvalidInput, Refusal

MAX_TEXT_LENGTH, MIN_YEAR, MAX_YEAR = 200, 1990, 2100
MAX_MINUTES_DIGITS = 3
MAX_CHOICES = 100
MAX_TICKED = 5_000
"""Rows that one form may name: what a statement takes as one array (`arrays.MAX_VALUES`)."""


def strip(value: Any) -> Any:
    """A text without blanks at its ends; any other value unchanged."""
    return value.strip() if isinstance(value, str) else value


VALIDATION_MESSAGES = {
    "Not a valid choice.": "请从列表中选择一项。",
    "Not a valid choice": "请从列表中选择一项。",
    "Not a valid date value.": "日期无法识别，请写成2024-09-01。",
    "Not a valid datetime value.": "时间无法识别，请写成2024-09-01 09:00。",
    "Not a valid integer value.": "请填写整数。",
    "Not a valid decimal value.": "请填写数字。",
    "Not a valid float value.": "请填写数字。",
    "This field is required.": "请填写此项。",
}


class ChineseTranslations:
    """Translates the messages of WTForms."""

    def gettext(self, text: str) -> str:
        """The Chinese sentence for WTForms' message `text`; the message itself if VALIDATION_MESSAGES lacks
        it."""
        return VALIDATION_MESSAGES.get(text, text)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """As `gettext`, for the singular `one` if `number` is 1, else the plural `many`."""
        return self.gettext(one if number == 1 else many)


class Form(FlaskForm):
    """A form with a CSRF token. `add_refusal` shows a rule's refusal at its field."""

    class Meta(FlaskForm.Meta):
        """Strip text fields but not passwords; use Chinese messages; read only form data, not JSON, which
        could have any type."""

        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """The values that the form is filled with: `formdata`, or if that isn't given the request's if a
            form was sent, else None; None also for a request with JSON."""
            return super().wrap_formdata(form, formdata) if not request.is_json else None

        def get_translations(self, _form: Any) -> ChineseTranslations:
            """The Chinese messages."""
            return ChineseTranslations()

        def bind_field(self, form: Any, unbound_field: Any, options: Any) -> Any:
            """Bind the field, adding to text fields but passwords the filter that strips them, to text fields
            but hidden ones the limit of their length, to date fields that of their year."""
            kind = unbound_field.field_class
            if issubclass(kind, StringField) and not issubclass(kind, PasswordField):
                options["filters"] = [
                    *unbound_field.kwargs.get("filters", ()),
                    strip,
                ]
            field = super().bind_field(form, unbound_field, options)
            if issubclass(kind, StringField) and not issubclass(kind, HiddenField):
                field.validators = [
                    *field.validators,
                    validate_text_length,
                ]
            elif issubclass(kind, DateField | DateTimeLocalField):
                field.validators = [*field.validators, validate_year]
            return field

    def add_refusal(self, refusal: Refusal) -> None:
        """Show the refusal's message at its field, or above the form if it names no field of the form."""
        field = self._fields.get(getattr(refusal, "field", None) or "")
        if field is None:
            self.form_errors.append(refusal.message)
        else:
            field.errors = [*field.errors, refusal.message]


def validate_text_length(_form: Any, field: Any) -> None:
    """WTForms validator: raise ValidationError for a text longer than the field's `max_length`, or
    MAX_TEXT_LENGTH."""
    max_length = getattr(field, "max_length", MAX_TEXT_LENGTH)
    if field.data and len(field.data) > max_length:
        raise ValidationError(f"{field.label.text}请不要超过{max_length}字，现有{len(field.data)}字。")


def validate_year(_form: Any, field: Any) -> None:
    """WTForms validator: raise ValidationError for a year outside MIN_YEAR to MAX_YEAR, which is a typing
    error."""
    if field.data and not MIN_YEAR <= field.data.year <= MAX_YEAR:
        raise ValidationError(f"{field.label.text}的年份应在{MIN_YEAR}至{MAX_YEAR}之间。")


class Required:
    """WTForms validator: the field must not be empty or blank; `message` says what to enter."""

    field_flags = {"required": True}

    def __init__(self, message: str) -> None:
        self.message = message

    def __call__(self, _form: Any, field: Any) -> None:
        """Raise ValidationError if the field is empty: None, a blank text, or no choice; what the field's
        type says of a blank text is left out. Raise StopValidation without a message for a text that the
        field's type has refused already, such as a date that can't be read."""
        is_empty = field.data is None or field.data == []
        if is_empty or (isinstance(field.data, str) and not field.data.strip()):
            if field.errors and any(str(text).strip() for text in field.raw_data or ()):
                raise StopValidation
            field.errors = []
            raise ValidationError(self.message)


class TextArea(TextAreaField):
    """A text of several lines."""

    max_length = 20_000


class Choice(SelectField):
    """A list to choose from; its first choice is «请选择», without value. `choices`: pairs of value and
    label."""

    def __init__(
        self,
        label: str,
        validators: Any = None,
        choices: Iterable[tuple[str, str]] = (),
        **more: Any,
    ) -> None:
        super().__init__(
            label,
            validators,
            choices=with_blank_choice(choices),
            validate_choice=True,
            **more,
        )


class EntityChoice(Choice):
    """One of the province's organisations or halls. If there are at most MAX_CHOICES it is chosen from a list
    and the value is its id; else its name or number is typed."""

    def set_choices(self, pairs: Iterable[tuple[str, str]], none: str = "请选择") -> None:
        """Offer `pairs` (value and label), of which at most MAX_CHOICES + 1 are read; if there are more than
        MAX_CHOICES, make it a text field that takes any text, which the view has to resolve (`is_typed`).
        `none`: the label of no choice in a list."""
        first_pairs = list(islice(pairs, MAX_CHOICES + 1))
        if len(first_pairs) <= MAX_CHOICES:
            self.choices = [
                SelectChoice("", none),
                *with_blank_choice(first_pairs)[1:],
            ]
        else:
            (
                self.choices,
                self.validate_choice,
                self.widget,
                self.type,
            ) = [], False, TextInput(), "StringField"

    def _value(self) -> str:
        """The text in the text field, called by its widget."""
        return self.data or ""

    @property
    def is_typed(self) -> bool:
        """Whether the field is a text field, because there are too many choices."""
        return not self.validate_choice


def with_blank_choice(
    pairs: Iterable[tuple[str, str]],
) -> list[SelectChoice]:
    """«请选择» without value, followed by the choices (pairs of value and label)."""
    return [
        SelectChoice("", "请选择"),
        *(SelectChoice(code, word) for code, word in pairs),
    ]


class DateTimeField(DateTimeLocalField):
    """A date and time of day in Beijing, to the minute: of the formats that are read, the first is the one in
    which the field shows its value. Seconds that a browser sends are read (and kept)."""

    def __init__(self, label: str, validators: Any = None, **more: Any) -> None:
        formats = [
            "%Y-%m-%dT%H:%M",
            "%Y-%m-%d %H:%M",
            "%Y-%m-%dT%H:%M:%S",
            "%Y-%m-%d %H:%M:%S",
        ]
        super().__init__(label, validators, format=formats, **more)

    @property
    def moment(self) -> datetime:
        """The moment that was typed, in UTC. Raises AttributeError if none was; the form validates that
        before."""
        typed_time: datetime = self.data
        return typed_time.replace(tzinfo=clock.BEIJING).astimezone(UTC)


class EndTimeField(DateTimeField):
    """The end of a period: the whole typed minute belongs to the period."""

    @property
    def moment(self) -> datetime:
        """The last moment of the typed minute, in UTC. Raises AttributeError if none was typed."""
        return clock.end_of_minute(super().moment)


class SpreadsheetForm(Form):
    """A spreadsheet to be imported."""

    file = FileField("文件（xlsx、xls、ods或csv）", [Required("请选择文件。")])


def ticked_ids(name: str = "record") -> list[UUID]:
    """The ids of the ticked rows, from the form's checkboxes called `name`, in their order, at most
    MAX_TICKED; values that are no id are ignored. Raises InvalidInput if more were sent."""
    ids = []
    texts = request.form.getlist(name)
    if len(texts) > MAX_TICKED:
        raise InvalidInput(f"一次最多选择{MAX_TICKED:,}行，请分次操作。", name)
    for text in texts:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    return ids


def parse_minutes(text: str) -> int | None:
    """The typed number of minutes, which may be 0; None if the text, stripped, isn't a number of up to
    MAX_MINUTES_DIGITS digits."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= MAX_MINUTES_DIGITS:
        return int(text)
    return None


def read_json(max_bytes: int) -> Any:
    """The request's JSON; None if its Content-Length is above `max_bytes`, or the body is no JSON."""
    try:
        return json.loads(request.get_data()) if (request.content_length or 0) <= max_bytes else None
    except (ValueError, RecursionError):
        return None
