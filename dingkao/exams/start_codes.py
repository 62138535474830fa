"""Start codes (开考码) that an invigilator reads out at the beginning of a slot."""

from datetime import datetime, timedelta

from dingkao import clock
from dingkao.errors import InvalidInput
from dingkao.exams.models.hall_models import Slot
from dingkao.tenants.encryption import current_vault

CODE_SECONDS = 600


class WrongStartCode(InvalidInput):
    """The typed start code is not the slot's; the caller counts it against guessing."""


def start_code(slot: Slot, moment: datetime | None = None) -> tuple[str, datetime]:
    """Return the slot's start code at `moment` (default: now), six digits, and until when it is shown
    (`check_start_code` accepts it for CODE_SECONDS more). It changes every CODE_SECONDS and is derived from
    the province's key, so that none is stored."""
    step = int((moment or clock.now()).timestamp()) // CODE_SECONDS
    derived_bytes = current_vault().blind_index("start_code", f"{slot.id}|{step}")
    number = int.from_bytes(derived_bytes[:8], "big") % 10**6
    shown_until = datetime.fromtimestamp((step + 1) * CODE_SECONDS, tz=clock.now().tzinfo)
    return f"{number:06d}", shown_until


def check_start_code(slot: Slot, typed_code: str | None) -> None:
    """Raise InvalidInput if no code was typed, WrongStartCode if it is neither the present one nor the one
    before."""
    digits = "".join((typed_code or "").split())
    if not digits:
        raise InvalidInput("请输入监考人员公布的6位开考码。", "code")
    moment = clock.now()
    current_code, _ = start_code(slot, moment)
    previous_code, _ = start_code(slot, moment - timedelta(seconds=CODE_SECONDS))
    if digits not in (current_code, previous_code):
        raise WrongStartCode("开考码不正确。请输入监考人员现在公布的6位数字。", "code")
