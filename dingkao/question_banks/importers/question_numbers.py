"""Deciding which of the numbers at the beginning of a document's lines are questions' numbers: those in the
form that questions' numbers have there, that follow one another, and that nothing else explains. If that
isn't certain, the result says so: a missed number would give one question the next one's key."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dingkao.question_banks.importers.numerals import (
    FORM_RANKS,
    SECTION_FORMS,
    WEAK,
    ParsedNumber,
)

PositionedNumber = tuple[int, ParsedNumber]
"""The position of the line that a number begins, and the number."""
_INLINE_FORMS = ("joined", "decimal")
"""Forms of numbers within a stem."""


@dataclass(frozen=True)
class StretchContext:
    """What is known about a stretch of lines without option, label or heading, in which numbers begin lines.

    `expected`: the values that the next question's number may have. `forms`: the forms of the numbers of the
    questions before, the usual one first. `may_restart`: a heading or nothing is before it, so numbers may
    begin at 1 again. `is_explained`: the question before it has an explanation. `awaits_label`: the label
    after the stretch is one that the question before still lacks. `last_number`: the number of the question
    before. `following_value`: returns the number of the next question after the stretch, or None.
    """

    expected: frozenset[int]
    forms: tuple[str, ...]
    may_restart: bool
    is_explained: bool
    awaits_label: bool
    last_number: int | None
    following_value: Callable[[], int | None]

    def is_other_form(self, form: str | None) -> bool:
        """Whether a form is not one of the previous questions' forms, and numbering doesn't begin anew."""
        return bool(self.forms) and form not in self.forms and not self.may_restart

    def has_open_explanation(self) -> bool:
        """Whether the explanation of the question before may go on after the stretch."""
        return self.awaits_label and self.is_explained

    def may_be_point(self, value: int) -> bool:
        """Whether a number may be a numbered point of the explanation before it."""
        return self.is_explained and not self._counts_on(value)

    def _counts_on(self, value: int) -> bool:
        """Whether a number after an explanation is a question's: it is expected, or the next question's
        number follows it."""
        return value in self.expected or _stands_between(
            value,
            self.last_number or 0,
            self.following_value(),
        )


def question_starts(
    numbers: Sequence[PositionedNumber],
    context: StretchContext,
) -> tuple[dict[int, bool], bool]:
    """Return which of the numbers in a stretch (one or more, in the order of their lines) begin a question,
    as position of the line → whether that is doubtful; and whether it is doubtful where the part before the
    stretch ends."""
    form = _document_number_form(numbers, context.expected, context.forms)
    same_form = _numbers_of_form(numbers, form)
    if not same_form:
        return {}, False
    if _is_enumeration(same_form, form, context):
        return {}, len(same_form) == 1
    starts = _starts_of_form(same_form, context)
    last_position = max(starts)
    if context.has_open_explanation() or _is_contested(numbers, last_position, context):
        starts[last_position] = True
    return starts, any(starts.values())


def _is_enumeration(
    same_form: Sequence[PositionedNumber],
    form: str | None,
    context: StretchContext,
) -> bool:
    """Whether the numbers of one form are not questions' numbers: the previous questions' have another form,
    and either there are several or the question before is not complete."""
    return context.is_other_form(form) and (len(same_form) > 1 or context.awaits_label)


def _is_contested(
    numbers: Sequence[PositionedNumber],
    position: int,
    context: StretchContext,
) -> bool:
    """Whether another number than the one that begins the line at `position` may be the question's: one with
    an expected value if the chosen one has none or is in an unusual form, or one that could begin a question
    beside it. Only numbers of other forms than the chosen one's are looked at."""
    chosen, expected = dict(numbers)[position], context.expected
    is_unexpected = context.is_other_form(chosen.form) or chosen.value not in expected
    if is_unexpected and _has_rivals(numbers, chosen.form, expected):
        return True
    return _has_alternative_start(numbers, chosen, position, expected)


def _starts_of_form(
    same_form: Sequence[PositionedNumber],
    context: StretchContext,
) -> dict[int, bool]:
    """Position → whether that is doubtful, for those of the numbers (all of one form) that begin a question.
    A single one is doubtful if it may be a point of an explanation, or its form is weak."""
    if len(same_form) > 1:
        return _choose_number(same_form, context.expected)
    position, number = same_form[0]
    return {position: context.may_be_point(number.value) or _is_weak(number, context.expected)}


def _numbers_of_form(numbers: Sequence[PositionedNumber], form: str | None) -> list[PositionedNumber]:
    """The numbers with this form."""
    return [(position, number) for position, number in numbers if number.form == form]


def _is_weak(number: ParsedNumber, expected: frozenset[int]) -> bool:
    """Whether any line may begin with such a number; a bare number with an expected value is trusted."""
    return number.form in WEAK and (number.form != "bare" or number.value not in expected)


def _has_rivals(
    numbers: Sequence[PositionedNumber],
    form: str | None,
    expected: frozenset[int],
) -> bool:
    """Whether a number of another form than `form` has an expected value."""
    return any(number.form != form and number.value in expected for _, number in numbers)


def _document_number_form(
    numbers: Sequence[PositionedNumber],
    expected: frozenset[int],
    forms: tuple[str, ...],
) -> str | None:
    """The form that questions' numbers have in this stretch: that of the questions before (`forms`) if it
    occurs, else the likeliest one of those with an expected value, None if there is none; without questions
    before, the likeliest of all."""
    if not forms:
        return _first_form(numbers)
    for form in forms:
        if _has_form(numbers, form, expected):
            return form
    return _likeliest_form(numbers, expected)


def _first_form(numbers: Sequence[PositionedNumber]) -> str:
    """The likeliest form if there is no question before."""
    return min((number.form for _, number in numbers), key=_first_form_rank)


def _likeliest_form(
    numbers: Sequence[PositionedNumber],
    expected: frozenset[int],
) -> str | None:
    """The likeliest form of the numbers with an expected value; None if there are none."""
    expected_forms = [number.form for _, number in _numbers_of_values(numbers, expected)]
    return min(expected_forms, key=FORM_RANKS.index, default=None)


def _numbers_of_values(
    numbers: Sequence[PositionedNumber],
    values: frozenset[int],
) -> list[PositionedNumber]:
    """The numbers with one of these values."""
    return [(position, number) for position, number in numbers if number.value in values]


def _has_form(
    numbers: Sequence[PositionedNumber],
    form: str,
    expected: frozenset[int],
) -> bool:
    """Whether a number has this form; if the form is weak, whether one with an expected value has it."""
    same_form = _numbers_of_form(numbers, form)
    if form in WEAK:
        return bool(_numbers_of_values(same_form, expected))
    return bool(same_form)


def _stands_between(value: int, last: int, following: int | None) -> bool:
    """Whether `value` fits between the number of the question before (`last`) and that of the next one
    (`following`, None if there is none). If it is greater than `last`, it must be smaller than `following`;
    if it is smaller (numbers begin anew), `following` must be the value after it."""
    if value > last:
        return following is None or following > value
    return following == value + 1 and value != last


def _first_form_rank(form: str) -> tuple[bool, bool, int]:
    """The sort key of a form if there is no question before: weak forms last, and forms of headings after the
    others, because a Chinese number there is mostly a heading's."""
    return (
        form in WEAK,
        form in SECTION_FORMS,
        FORM_RANKS.index(form),
    )


def _choose_number(same_form: Sequence[PositionedNumber], expected: frozenset[int]) -> dict[int, bool]:
    """Position → whether that is doubtful. Of several numbers of one form the only one with an expected
    value, if the others count from 1 beside it; else all of them, as doubtful."""
    expected_numbers = _numbers_of_values(same_form, expected)
    if len(expected_numbers) == 1 and _others_are_enumeration(same_form, expected_numbers[0]):
        return {expected_numbers[0][0]: False}
    return {position: True for position, _ in same_form}


def _others_are_enumeration(
    same_form: Sequence[PositionedNumber],
    chosen: PositionedNumber,
) -> bool:
    """Whether the chosen number is the first or the last of the numbers (all of one form), and the others
    count from 1 by themselves, not together with it."""
    if chosen not in (same_form[0], same_form[-1]):
        return False
    others = [number for position, number in same_form if position != chosen[0]]
    return _is_counting_from_one(others) and not _counts_together(same_form, chosen[1].value)


def _counts_together(numbers: Sequence[PositionedNumber], value: int) -> bool:
    """Whether the numbers, of which one has `value`, count from 1 all together, or one of them has the value
    after it."""
    values = [number.value for _, number in numbers]
    return values == list(range(1, len(values) + 1)) or value + 1 in values


def _has_alternative_start(
    numbers: Sequence[PositionedNumber],
    chosen: ParsedNumber,
    position: int,
    expected: frozenset[int],
) -> bool:
    """Whether a number of another form than `chosen`, which begins the line at `position`, may begin a
    question: before it, a strong one with the same or an expected value; after it, one within a stem
    (_INLINE_FORMS) with the same value or the next, or another with the value 1, the same or the next. An
    enumeration doesn't count, except within a stem. Raises ValueError unless `numbers` has `chosen` there."""
    index, value = numbers.index((position, chosen)), chosen.value
    preceding = _numbers_of_other_forms(numbers[:index], chosen.form)
    following = _numbers_of_other_forms(numbers[index + 1 :], chosen.form)
    return (
        _has_same_or_next_inline(following, value)
        or _hold_start(filter(_is_strong, preceding), {value, *expected})
        or _hold_start(filter(_is_no_inline, following), {1, value, value + 1})
    )


def _numbers_of_other_forms(numbers: Sequence[PositionedNumber], form: str) -> list[ParsedNumber]:
    """The numbers of all forms except `form`, without positions."""
    return [number for _, number in numbers if number.form != form]


def _has_same_or_next_inline(numbers: Iterable[ParsedNumber], value: int) -> bool:
    """Whether a number within a stem has `value` or the next one."""
    return any(number.form in _INLINE_FORMS and number.value in (value, value + 1) for number in numbers)


def _hold_start(numbers: Iterable[ParsedNumber], values: set[int]) -> bool:
    """Whether numbers on one side of the chosen one may begin a question: those of some form have one of
    `values` and aren't an enumeration."""
    numbers_by_form: dict[str, list[ParsedNumber]] = {}
    for number in numbers:
        numbers_by_form.setdefault(number.form, []).append(number)
    return any(_is_alternative(same_form, values) for same_form in numbers_by_form.values())


def _is_no_inline(number: ParsedNumber) -> bool:
    """Whether the number's form is not one of numbers within a stem."""
    return number.form not in _INLINE_FORMS


def _is_strong(number: ParsedNumber) -> bool:
    """Whether the number's form is one that hardly anything but questions has."""
    return number.form not in (
        *_INLINE_FORMS,
        *WEAK,
        *SECTION_FORMS,
    )


def _is_alternative(same_form: Sequence[ParsedNumber], values: set[int]) -> bool:
    """Whether numbers of one form have one of `values` and aren't an enumeration (several that count from
    1)."""
    if _is_counting_from_one(same_form) and same_form[-1].sequence_end > 1:
        return False
    return any(number.value in values for number in same_form)


def _is_counting_from_one(numbers: Sequence[ParsedNumber]) -> bool:
    """Whether the numbers count from 1, each from where the previous line's sequence ended (a line may hold
    «①… ②…»); True for none."""
    last_value = 0
    for number in numbers:
        if number.value != last_value + 1:
            return False
        last_value = number.sequence_end
    return True
