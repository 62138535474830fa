"""Which parts of a filing somebody filled in on the doctor's behalf (代填): who, when, and whether the doctor
has saved the part since. Stored in the filing itself (`Filing.assistance`), so that reading it costs no
query."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from dingkao import clock
from dingkao.errors import InvalidState
from dingkao.filings.models import Filing
from dingkao.journal.entries import Actor

CONFIRMATION_METHODS = {
    "sms": "短信验证码",
    "signature": "本人签字",
}


@dataclass(frozen=True)
class AssistanceMark:
    """A step that was filled in on the doctor's behalf: by whom and when last; when the doctor saved it since
    (None: not yet)."""

    step: int
    name: str
    saved_at: datetime
    own_save_at: datetime | None

    @property
    def text(self) -> str:
        """The mark as people read it."""
        own = f"，本人{_minute_text(self.own_save_at)}已修改" if self.own_save_at else ""
        return f"代填：{self.name} {_minute_text(self.saved_at)}{own}"


@dataclass(frozen=True)
class Confirmation:
    """That the doctor confirmed what was filled in: how (of CONFIRMATION_METHODS), when, taken by whom, for
    which revision of the filing; the number that got the code, masked, or the signed form's document."""

    method: str
    at: datetime
    name: str
    revision: int
    mobile: str
    document_id: UUID | None

    @property
    def text(self) -> str:
        """The confirmation as people read it."""
        number = f"（{self.mobile}）" if self.mobile else ""
        way = CONFIRMATION_METHODS[self.method]
        return f"本人已用{way}{number}确认，{_minute_text(self.at)}，经办{self.name}"


def _minute_text(moment: datetime | None) -> str:
    """A moment in Beijing time as text; "" for None."""
    return f"{clock.to_beijing(moment):%Y年%m月%d日 %H:%M}" if moment else ""


def update_assistance_mark(filing: Filing, step_number: int, by: Actor) -> None:
    """Bring the marks of a locked filing up to date because `by` saves a step: it is marked if that is a
    member of staff, who does so on the doctor's behalf; if the doctor saves a marked step, its mark says so;
    a step without a mark gets none from the doctor. Raises InvalidState if assisting was not begun."""
    step = str(step_number)
    if by.kind == "staff":
        if filing.assistance is None:
            raise InvalidState("还没有开始代填，请先在医师的页面填写代填原因。")
        mark = {
            "by": str(by.id),
            "name": by.name,
            "at": clock.now().isoformat(),
        }
        _store_mark(filing, step, mark)
    elif filing.assistance and step in filing.assistance["steps"]:
        mark = filing.assistance["steps"][step] | {"own_at": clock.now().isoformat()}
        _store_mark(filing, step, mark)


def _store_mark(filing: Filing, step: str, mark: dict[str, Any]) -> None:
    """Store the mark of a step; the column is replaced, because changes within it are not noticed."""
    assistance = filing.assistance or {}
    filing.assistance = assistance | {"steps": assistance.get("steps", {}) | {step: mark}}


def marks_of(filing: Filing | None) -> dict[int, AssistanceMark]:
    """Step → its mark, for the steps that were filled in on the doctor's behalf."""
    stored_marks = (filing.assistance or {}).get("steps", {}) if filing else {}
    return {
        int(step): AssistanceMark(
            int(step),
            mark["name"],
            datetime.fromisoformat(mark["at"]),
            datetime.fromisoformat(mark["own_at"]) if "own_at" in mark else None,
        )
        for step, mark in sorted(stored_marks.items())
    }


def assistant_ids(filing: Filing | None) -> set[UUID]:
    """The accounts that filled in any step on the doctor's behalf."""
    stored_marks = (filing.assistance or {}).get("steps", {}) if filing else {}
    return {UUID(mark["by"]) for mark in stored_marks.values()}


def confirmation_of(filing: Filing | None) -> Confirmation | None:
    """The doctor's last confirmation, also of an earlier revision; None if there is none."""
    stored = (filing.assistance or {}).get("confirmation") if filing else None
    if stored is None:
        return None
    return Confirmation(
        stored["method"],
        datetime.fromisoformat(stored["at"]),
        stored["name"],
        stored["revision"],
        stored.get("mobile", ""),
        UUID(stored["document"]) if stored.get("document") else None,
    )
