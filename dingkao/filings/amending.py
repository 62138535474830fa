"""Changing a filing that has been handed in: what would change is told beforehand, and done only once it was decided (修改, §11)."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from dingkao import clock
from dingkao.errors import Invalid, NotAllowed
from dingkao.filings.dossier import SEALED, Dossier, forget_loose_proofs
from dingkao.filings.fields import LISTS, PARTS, Field, judge, missing, words
from dingkao.filings.models import Filing
from dingkao.journal.writing import Actor
from dingkao.tenants.secrets import Place, vault

CHANGEABLE = (1, 2, 3, 4)
"""The steps whose fields may be changed by request; the procedure is locked once it was handed in (§11)."""
MEANWHILE = "申请提交后该信息已被修改,请医师核对后重新申请。"


def field_changes(
    dossier: Dossier, step: int, fields: list[Field], given: Mapping[str, list[str]]
) -> tuple[list[tuple[Field, Any, Any]], dict[str, str]]:
    """What of `fields` of a step differs from what was filed, as (field, old, new), and what is wrong with it: field → sentence. A field
    that is needed can't be emptied."""
    kept, faults = judge(fields, given, born=dossier.born())
    faults |= {one.name: f"{one.label}不能为空。" for one in missing(fields, kept) if one.name not in faults}
    now = dossier.part(step)
    changed = [one for one in fields if one.name not in faults and _differ(now.get(one.name), kept.get(one.name))]
    return [(one, now.get(one.name), kept.get(one.name)) for one in changed], faults


def entry_change(dossier: Dossier, kind: str, entry: str, given: Mapping[str, list[str]] | None) -> tuple[dict[str, Any] | None, dict[str, Any] | None, dict[str, str]]:
    """An entry of a list as it stands (None: new) and as it would be (None where `given` is: taken off), and what is wrong with it.
    Raises Invalid for a list or an entry that is none."""
    if kind not in LISTS or LISTS[kind].step not in CHANGEABLE:
        raise Invalid("请选择要修改的经历。")
    before = next((one for one in dossier.entries(kind) if one["id"] == entry), None)
    if before is None and entry != "new":
        raise Invalid("这条经历已不存在,请刷新后重新选择。")
    if given is None:
        return before, None, {}
    of = LISTS[kind]
    kept, faults = judge(of.fields, given, born=dossier.born())
    faults |= {one.name: f"请填写{one.label}。" for one in missing(of.fields, kept) if one.name not in faults}
    return before, kept | {"id": before["id"] if before else uuid4().hex}, faults


def entry_words(kind: str, entry: Mapping[str, Any] | None) -> str:
    """An entry in one line."""
    if entry is None:
        return "无"
    return " · ".join(text for one in LISTS[kind].fields if (text := words(one, entry.get(one.name))))


def change_field(dossier: Dossier, step: int, name: str, before: Any, after: Any) -> None:
    """Put `after` in the place of `before`. Raises NotAllowed where something else stands there by now."""
    filing = _filing(dossier)
    if _differ(dossier.part(step).get(name), before):
        raise NotAllowed(MEANWHILE)
    if step == 2 and name in SEALED:
        setattr(filing, f"{name}_sealed", vault().seal(Place("filing", name, filing.id), after) if after else None)
    else:
        part = {key: value for key, value in getattr(filing, PARTS[step]).items() if key != name}
        setattr(filing, PARTS[step], part if after is None else part | {name: after})
    _touched(filing)


def change_entry(dossier: Dossier, kind: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, *, by: Actor) -> None:
    """Put an entry in the place of another, which keeps its proofs, add one (`before` None) or take one off with them (`after` None).
    Raises NotAllowed as above."""
    filing, step = _filing(dossier), LISTS[kind].step
    entries = dossier.entries(kind)
    if before is not None and before not in entries:
        raise NotAllowed(MEANWHILE)
    if before is None:
        changed = [*entries, dict(after or {})]
    else:
        changed = [dict(after) if one == before and after else one for one in entries if one != before or after]
    setattr(filing, PARTS[step], getattr(filing, PARTS[step]) | {kind: changed})
    forget_loose_proofs(dossier, by=by)
    _touched(filing)


def change_photo(dossier: Dossier, photo: UUID) -> None:
    """Another photo, which the store has by now."""
    filing = _filing(dossier)
    filing.photo_id = photo
    _touched(filing)


def _filing(dossier: Dossier) -> Filing:
    if dossier.filing is None:
        raise NotAllowed("还没有填报信息,不能修改。")
    return dossier.filing


def _touched(filing: Filing) -> None:
    filing.revision += 1
    filing.saved_at = clock.now()


def _differ(one: Any, other: Any) -> bool:
    return (one or None) != (other or None)
