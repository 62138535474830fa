"""The texts of question versions, which never change (a changed text is a new version). Cached in this
process, because a whole province sits the same questions at once. How a version is scored can change and is
therefore never cached here (see `exams/effective_keys`)."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import any_, select

from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.question_banks.models import QuestionVersion
from dingkao.tenants.context import current_tenant
from dingkao.tenants.prepared_statements import (
    TENANT_PARAM,
    PreparedStatement,
    uuid_array_param,
)

CACHE_SIZE = 4096


class QuestionText(NamedTuple):
    """The texts of a version. `options`: [letter, text] each, in order; `options_by_letter`: letter → text;
    `answer`: its original key."""

    kind: str
    case_stem: str | None
    stem: str
    options: list[Any]
    options_by_letter: dict[str, str]
    answer: str


_cache: OrderedDict[tuple[int, UUID], QuestionText] = OrderedDict()
_cache_lock = threading.Lock()
_TEXTS_STATEMENT = PreparedStatement(
    lambda: select(
        QuestionVersion.id,
        QuestionVersion.kind,
        QuestionVersion.case_stem,
        QuestionVersion.stem,
        QuestionVersion.options,
        QuestionVersion.answer,
    ).where(
        QuestionVersion.tenant_id == TENANT_PARAM,
        QuestionVersion.id == any_(uuid_array_param("versions")),
    )
)


def load_question_texts(
    version_ids: Iterable[UUID],
) -> dict[UUID, QuestionText]:
    """Version id → its texts, from this process's cache or else the database; versions that don't exist are
    left out. The texts are shared: not to be changed."""
    tenant, distinct_ids = current_tenant(), dict.fromkeys(version_ids)
    texts = {
        version_id: cached_text
        for version_id in distinct_ids
        if (cached_text := _cache.get((tenant, version_id))) is not None
    }
    if len(texts) < len(distinct_ids):
        loaded_texts = _fetch_texts(version_id for version_id in distinct_ids if version_id not in texts)
        _store_in_cache(tenant, loaded_texts)
        texts |= loaded_texts
    return texts


def _fetch_texts(
    version_ids: Iterable[UUID],
) -> dict[UUID, QuestionText]:
    """Version id → its texts, from the database; versions that don't exist are left out."""
    texts: dict[UUID, QuestionText] = {}
    for batch in split_into_batches(version_ids):
        for (
            version_id,
            kind,
            case_stem,
            stem,
            options,
            answer,
        ) in _TEXTS_STATEMENT.fetch_rows(versions=batch):
            texts[version_id] = QuestionText(kind, case_stem, stem, options, dict(options), answer)
    return texts


def _store_in_cache(tenant: int, texts: Mapping[UUID, QuestionText]) -> None:
    """Cache the texts of a province's versions; beyond CACHE_SIZE the entries that were stored first are
    removed."""
    with _cache_lock:
        _cache.update({(tenant, version): words for version, words in texts.items()})
        while len(_cache) > CACHE_SIZE:
            _cache.popitem(last=False)


def load_stems(version_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Version id → stem; unknown ids are left out."""
    stems: dict[UUID, str] = {}
    for batch in split_into_batches(version_ids):
        query = select(QuestionVersion.id, QuestionVersion.stem).where(in_array(QuestionVersion.id, batch))
        stems |= dict(db.session.execute(query).all())
    return stems


def versions_by_id(
    ids: Iterable[UUID],
) -> dict[UUID, QuestionVersion]:
    """Version id → version; unknown ids are left out. Raises arrays.TooManyValues for more than 5,000 ids."""
    versions = db.session.scalars(select(QuestionVersion).where(in_array(QuestionVersion.id, ids)))
    return {version.id: version for version in versions}
