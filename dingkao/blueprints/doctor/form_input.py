"""Reads the forms of a doctor's pages: what was typed, as the page shows it again, and the page that a form
asks to go on to."""

from flask import request

from dingkao.filings.fields import Field

FormValues = dict[str, list[str]]


def read_form_values() -> FormValues:
    """All texts of the form, by field name."""
    return request.form.to_dict(flat=False)


def first_text(values: FormValues, name: str) -> str:
    """The first text of the field `name`; "" if the form has none."""
    return (values.get(name) or [""])[0]


def typed_value(field: Field, values: FormValues) -> str | list[str]:
    """What was typed in a field; a list if the field takes several values."""
    return values.get(field.name, []) if field.kind == "many" else first_text(values, field.name)


def is_page_under(target: str, path: str) -> bool:
    """Whether `target`, a path from a form with the province's before it, begins with the province's and
    `path`, and has no characters that browsers ignore."""
    return target.startswith(f"{request.script_root}{path}") and target.isprintable()
