"""The words of question versions, which never change: another wording is another version. Kept by this process, for a whole province sits the
same questions at once. What can change about a version, how it is marked, is never kept here (remarking.keys_of)."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import any_, select

from dingkao.exams.models import QuestionVersion
from dingkao.tenants.asking import TENANT, Asked, ids
from dingkao.tenants.context import current_tenant

MOST = 4096


class Words(NamedTuple):
    """A version as it was written: `options` as they stand in its row, `words` the same by letter, `answer` the key that it was written with."""

    kind: str
    case_stem: str | None
    stem: str
    options: list[Any]
    words: dict[str, str]
    answer: str


_kept: OrderedDict[tuple[int, UUID], Words] = OrderedDict()
_keeping = threading.Lock()
_WORDS = Asked(
    lambda: select(
        QuestionVersion.id, QuestionVersion.kind, QuestionVersion.case_stem, QuestionVersion.stem, QuestionVersion.options, QuestionVersion.answer
    ).where(QuestionVersion.tenant_id == TENANT, QuestionVersion.id == any_(ids("versions")))
)


def words_of(versions: Iterable[UUID]) -> dict[UUID, Words]:
    """The words of each of `versions`; those that aren't there are left out."""
    tenant, wanted = current_tenant(), dict.fromkeys(versions)
    found = {version: kept for version in wanted if (kept := _kept.get((tenant, version))) is not None}
    lacking = [version for version in wanted if version not in found]
    if lacking:
        fresh = {row[0]: Words(row[1], row[2], row[3], row[4], dict(row[4]), row[5]) for row in _WORDS.rows(versions=lacking)}
        found |= fresh
        with _keeping:
            _kept.update({(tenant, version): words for version, words in fresh.items()})
            while len(_kept) > MOST:
                _kept.popitem(last=False)
    return found
