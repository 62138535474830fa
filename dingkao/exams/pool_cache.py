"""What a paper is drawn from: its units and the mixture of plans for them, cached in this process for
POOL_CACHE_SECONDS."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import chain, product
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.errors import InvalidState
from dingkao.exams.assembly.blueprint_types import (
    Blueprint,
    Plan,
    PlanShare,
)
from dingkao.exams.assembly.paper_assembly import assemble_paper
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.papers import blueprint_cells
from dingkao.exams.question_pool import (
    DrawUnit,
    UnitPool,
    load_candidates,
    option_letters_column,
    stock_signature,
    unit_counts,
)
from dingkao.question_banks.models import QuestionVersion
from dingkao.tenants.keys import cache_key

POOL_CACHE_SECONDS = 30.0
MAX_CACHED_POOLS = 64
NOT_ENOUGH_QUESTIONS_MESSAGE = "题库中的题目不足以组成这份试卷，请联系所属考核机构。"


class CachedPool(NamedTuple):
    """What every drawing of a paper needs: its units and the mixture of plans made for their stock
    (`signature`, see `stock_signature`), or for a fixed paper just its units (`fixed`). `until`: when it
    expires, by time.monotonic()."""

    until: float
    pool: UnitPool
    mixture: list[PlanShare]
    signature: str
    fixed: list[DrawUnit] | None


_pool_cache: OrderedDict[str, CachedPool] = OrderedDict()
_pool_lock = threading.Lock()


def pool_of_paper(paper: Paper) -> CachedPool:
    """What the paper is drawn from. Cached for POOL_CACHE_SECONDS, so that a whole province can begin at
    once; a question taken out of use may still be drawn for that long. Raises InvalidState if the banks can't
    fill the paper."""
    key = cache_key("paper-pool", paper.id, paper.made_at.isoformat())
    moment = time.monotonic()
    with _pool_lock:
        cached_pool = _pool_cache.get(key)
    if cached_pool and moment < cached_pool.until:
        return cached_pool
    pool = _load_pool(paper, cached_pool)._replace(until=moment + POOL_CACHE_SECONDS)
    _store_pool(key, pool)
    return pool


def _load_pool(paper: Paper, expired_pool: CachedPool | None) -> CachedPool:
    """Load what a paper is drawn from, with `until` still 0; the plans of `expired_pool` are used again if
    the stock is the same. Raises InvalidState."""
    if paper.fixed is None:
        return _usable_pool(paper, expired_pool)
    return CachedPool(0.0, {}, [], "", _units_of_fixed_paper(paper.fixed))


def _store_pool(key: str, pool: CachedPool) -> None:
    """Put a pool into the cache; beyond MAX_CACHED_POOLS those whose keys came first are removed."""
    with _pool_lock:
        _pool_cache[key] = pool
        while len(_pool_cache) > MAX_CACHED_POOLS:
            _pool_cache.popitem(last=False)


def _usable_pool(paper: Paper, stored: CachedPool | None) -> CachedPool:
    """Units and mixture of a paper. If questions were taken out of use since the paper was saved and its
    blueprint can't be met, looser blueprints are tried, then questions whose copy is practised: no doctor who
    came to the exam should be sent away because of a share. `stored`: a pool from before, whose mixture may
    be used again. Raises InvalidState if nothing helps."""
    candidates = load_candidates(
        paper.subject,
        paper.category,
        with_common=paper.common_count > 0,
    )
    blueprints = relaxed_blueprints(
        Blueprint(
            paper.counts,
            paper.common_count,
            blueprint_cells(paper),
        )
    )
    for with_practised, blueprint in product((False, True), blueprints):
        pool = candidates.pool(blueprint, with_practised=with_practised)
        stock = unit_counts(pool)
        signature = stock_signature(stock, blueprint)
        mixture = _cached_mixture(paper, stored, signature) or assemble_paper(stock, blueprint).mixture
        if mixture:
            return CachedPool(0.0, pool, mixture, signature, None)
    raise InvalidState(NOT_ENOUGH_QUESTIONS_MESSAGE)


def relaxed_blueprints(blueprint: Blueprint) -> list[Blueprint]:
    """Three blueprints: this one, then looser ones: without its cells, and with the counts by type alone
    (neither cells nor 公共知识)."""
    return [
        blueprint,
        blueprint._replace(cells=()),
        Blueprint(blueprint.counts),
    ]


def _cached_mixture(paper: Paper, stored: CachedPool | None, signature: str) -> list[PlanShare] | None:
    """The mixture made for the same stock before, by this process or when the paper was saved; None if there
    is none."""
    if stored and stored.signature == signature:
        return stored.mixture
    plan = paper.plan or {}
    return _load_mixture(plan["mixture"]) if plan.get("signature") == signature else None


def _units_of_fixed_paper(
    fixed: Sequence[Sequence[str]],
) -> list[DrawUnit]:
    """The units of a fixed paper from the ids of question versions that its row stores."""
    version_ids = map(UUID, chain.from_iterable(fixed))
    query = select(
        QuestionVersion.id,
        QuestionVersion.kind,
        option_letters_column(),
    ).where(in_array(QuestionVersion.id, version_ids))
    kinds: dict[str, str] = {}
    letters: dict[str, str] = {}
    for version_id, kind, option_letters in db.session.execute(query):
        kinds[str(version_id)], letters[str(version_id)] = (
            kind,
            "".join(option_letters),
        )
    return [
        DrawUnit(
            kinds[unit[0]],
            tuple((UUID(version), letters[version]) for version in unit),
        )
        for unit in fixed
    ]


def dump_mixture(mixture: Sequence[PlanShare], signature: str) -> dict[str, Any]:
    """A mixture as JSON for a paper's row, with the signature of the stock that it was made for."""
    return {
        "signature": signature,
        "mixture": [[probability, _dump_plan(plan)] for probability, plan in mixture],
    }


def _dump_plan(plan: Plan) -> dict[str, Any]:
    """A plan as JSON: type → [weights, how many units] of each class."""
    return {
        kind: [[list(weights), number] for weights, number in classes.items()]
        for kind, classes in plan.items()
    }


def _load_mixture(stored_mixture: Sequence[Any]) -> list[PlanShare]:
    """The mixture that `dump_mixture` has stored."""
    return [PlanShare(probability, _load_plan(plan)) for probability, plan in stored_mixture]


def _load_plan(stored_plan: Mapping[str, Any]) -> Plan:
    """The plan that `_dump_plan` has stored."""
    return {
        kind: {tuple(weights): number for weights, number in classes} for kind, classes in stored_plan.items()
    }
