"""Item analysis of a paper as a chunked job. First its sittings are tallied, a batch at a time; each chunk's
tallies are stored in buckets by question, in the object store (`integrations/job_parts`): outside the
transaction, and a chunk that is repeated replaces them. Then the figures of each bucket are computed by
themselves, so that memory grows neither with the number of sittings nor with that of questions."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import starmap
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.cycles.models import Cycle
from dingkao.database.arrays import in_array, split_into_batches
from dingkao.database.base import db
from dingkao.database.pagination import capped_count
from dingkao.exams import item_analysis
from dingkao.exams.item_analysis import (
    Reliability,
    Response,
    VarianceContribution,
)
from dingkao.exams.item_warnings import item_warnings
from dingkao.exams.models.paper_models import Paper, PaperAnalysis
from dingkao.exams.models.sitting_models import Sitting
from dingkao.exams.papers import get_paper
from dingkao.exams.response_tallies import (
    AnswerTally,
    PaperAnswers,
    load_scored_items,
    tally_sittings,
)
from dingkao.exams.scoring import ScoredItem
from dingkao.integrations import job_parts
from dingkao.jobs import enqueueing, worker
from dingkao.jobs.chunks import Chunk, Cursor
from dingkao.jobs.models import Job
from dingkao.journal.entries import Actor
from dingkao.question_banks.models import QuestionVersion
from dingkao.tenants.context import current_tenant

ANALYSE_JOB, ITEMS_SERIES = "analyse_paper", "items"
BATCH_SIZE, MAX_BUCKETS = 2_000, 32
FIRST_ID = UUID(int=0)


class ComputedItem(NamedTuple):
    """A question's figures as the job stores them. `first_position`: (chunk, position) at which it was first
    met, to sort by; `sittings`: how many had it; `variance_contribution`: the fields of a
    VarianceContribution, None if the question doesn't count; `figures`: as the analysis stores them."""

    first_position: tuple[int, int]
    sittings: int
    variance_contribution: tuple[Any, ...] | None
    figures: dict[str, Any]


def enqueue_analysis(paper: Paper, *, by: Actor) -> Job:
    """Enqueue the job that analyses a paper, even if one is under way."""
    return enqueueing.enqueue(
        ANALYSE_JOB,
        f"项目分析（{paper.title}）",
        {"paper": str(paper.id)},
        by=by.id,
        subject=paper.id,
    )


def latest_job_of(paper: Paper) -> Job | None:
    """The last analysis job of a paper, in whatever state; None if there is none."""
    return enqueueing.latest_job_about(paper.id, ANALYSE_JOB)


def find_analysis(paper: Paper) -> PaperAnalysis | None:
    """The saved analysis of a paper; None if it was never analysed."""
    return db.session.scalar(select(PaperAnalysis).where(PaperAnalysis.paper_id == paper.id))


def analyses_of_papers(
    papers: Iterable[Paper],
) -> dict[UUID, PaperAnalysis]:
    """Paper id → its saved analysis, for at most 5,000 papers; those never analysed are left out."""
    paper_ids = [paper.id for paper in papers]
    analyses = db.session.scalars(select(PaperAnalysis).where(in_array(PaperAnalysis.paper_id, paper_ids)))
    return {analysis.paper_id: analysis for analysis in analyses}


def analysable_papers(cycle: Cycle) -> Sequence[Paper]:
    """All papers of a cycle, also without sittings, by category, level (physicians first) and subject."""
    query = select(Paper).where(Paper.cycle_id == cycle.id)
    return db.session.scalars(query.order_by(Paper.category, Paper.level.desc(), Paper.subject)).all()


def handed_in_counts(papers: Iterable[Paper]) -> dict[UUID, int]:
    """Paper id → how many of its sittings count in its analysis (a CappedCount: exact up to MAX_COUNTED)."""
    return {
        paper.id: capped_count(_handed_in_sittings(paper).order_by(Sitting.paper_id, Sitting.id))
        for paper in papers
    }


def handed_in_count(paper: Paper) -> int:
    """How many sittings of a paper count in its analysis, all of them counted."""
    query = _handed_in_sittings(paper).with_only_columns(func.count(), maintain_column_froms=True)
    return db.session.scalar(query) or 0


def _handed_in_sittings(paper: Paper) -> Select[Any]:
    """The query for the sittings of a paper that count in its analysis: handed in and not voided, scores from
    paper too."""
    return select(Sitting).where(
        Sitting.paper_id == paper.id,
        Sitting.handed_in_at.is_not(None),
        Sitting.voided_at.is_(None),
    )


def _on_cancel(_job: Job, cursor: Cursor) -> Cursor | None:
    """After a cancel: the saved analysis stays as it is, the previous one or, once it is saved, the new one;
    return the cursor with which the stored tallies are deleted, None if there are none."""
    return _deletion_cursor(cursor) if cursor.get("parts") else None


def _deletion_cursor(cursor: Cursor) -> Cursor:
    """The cursor with which deleting the stored tallies begins."""
    return {
        "forget": 0,
        "buckets": cursor["buckets"],
        "parts": cursor["parts"],
    }


@worker.register_chunked_job(ANALYSE_JOB, undo=_on_cancel)
def analyse_step(job: Job, cursor: Cursor) -> Chunk:
    """Tally some sittings; after the last, compute the figures of a bucket of questions; after the last of
    these, replace the saved analysis by the new one; then delete the stored intermediate results, a bucket at
    a time. Raises NotFound if the paper is gone, Unavailable if the object store is."""
    paper = get_paper(UUID(job.arguments["paper"]))
    if "forget" in cursor:
        return _delete_parts(job, cursor)
    if "bucket" not in cursor:
        return _tally_batch(job, paper, cursor)
    if cursor["bucket"] == cursor["buckets"]:
        return _save_analysis(job, paper, cursor)
    return _compute_bucket(job, paper, cursor)


def _tally_batch(job: Job, paper: Paper, cursor: Cursor) -> Chunk:
    """Tally the next sittings that count. Scores from paper have no answers, but count in the distribution.
    `cursor` is empty at the first chunk."""
    total = None if cursor else handed_in_count(paper)
    state = cursor or _first_tally_cursor(total or 0)
    sittings = _next_handed_in(paper, UUID(state.get("after", str(FIRST_ID))))
    totals = Counter(_load_counts(state["totals"]))
    scores = Counter(_load_counts(state["scores"]))
    scores.update(float(sitting.score_tenths) for sitting in sittings)
    answers = tally_sittings(paper, sittings, state["parts"], totals)
    _save_tallies(job, state, answers.iter_tallies())
    next_cursor = state | {
        "parts": state["parts"] + 1,
        "totals": _dump_counts(totals),
        "scores": _dump_counts(scores),
    }
    next_cursor |= {"after": str(sittings[-1].id)} if len(sittings) == BATCH_SIZE else {"bucket": 0}
    return Chunk(next_cursor, done=len(sittings), total=total)


def _first_tally_cursor(sitting_count: int) -> Cursor:
    """The cursor of the first chunk: no chunk stored yet, and as many buckets as `sitting_count` sittings
    need."""
    return {
        "parts": 0,
        "buckets": min(MAX_BUCKETS, 1 + sitting_count // BATCH_SIZE),
        "totals": {},
        "scores": {},
    }


def _next_handed_in(paper: Paper, after: UUID) -> Sequence[Row[Any]]:
    """The next BATCH_SIZE sittings that count, with ids above `after`."""
    query = _handed_in_sittings(paper).with_only_columns(
        Sitting.id,
        Sitting.layout,
        Sitting.x_rule,
        Sitting.score_tenths,
    )
    query = query.where(Sitting.id > after).order_by(Sitting.id)
    return db.session.execute(query.limit(BATCH_SIZE)).all()


def _save_tallies(job: Job, state: Cursor, tallies: Iterable[AnswerTally]) -> None:
    """Store this chunk's tallies, in one part for each bucket; `state["parts"]` is the chunk's number. A
    question's bucket follows from its version id."""
    buckets: dict[int, list[AnswerTally]] = defaultdict(list)
    for tally in tallies:
        buckets[tally.version.int % state["buckets"]].append(tally)
    for bucket in range(state["buckets"]):
        job_parts.save_part(
            job.id,
            _bucket_series(bucket),
            state["parts"],
            list(map(tuple, buckets[bucket])),
        )


def _compute_bucket(job: Job, paper: Paper, cursor: Cursor) -> Chunk:
    """Compute and store the figures of the questions of one bucket."""
    bucket = cursor["bucket"]
    answers = _load_bucket(job, cursor)
    items = load_scored_items(paper, answers.responses)
    letters = _option_letters(answers.responses)
    bounds = _extreme_group_bounds(cursor)
    computed_items = [
        tuple(
            ComputedItem(
                answers.first_positions[version],
                responses.total(),
                _variance_contribution(items[version], responses),
                {
                    "version": str(version),
                    **_item_figures(
                        items[version],
                        responses,
                        letters[version],
                        bounds,
                    ),
                },
            )
        )
        for version, responses in answers.responses.items()
    ]
    job_parts.save_part(job.id, ITEMS_SERIES, bucket, computed_items)
    return Chunk(cursor | {"bucket": bucket + 1})


def _load_bucket(job: Job, cursor: Cursor) -> PaperAnswers:
    """The tallies of all chunks for the questions of one bucket, added up."""
    answers = PaperAnswers(defaultdict(Counter), {})
    rows = job_parts.iter_parts(
        job.id,
        _bucket_series(cursor["bucket"]),
        range(cursor["parts"]),
    )
    for tally in starmap(AnswerTally, rows):
        response = Response(tally.total, tally.letters, tally.rule)
        answers.add(
            tally.version,
            tally.first_position,
            response,
            tally.times,
        )
    return answers


def _option_letters(version_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Version id → the letters of its options, in order."""
    letters: dict[UUID, str] = {}
    for batch in split_into_batches(version_ids):
        query = select(QuestionVersion.id, QuestionVersion.options).where(in_array(QuestionVersion.id, batch))
        for version, options in db.session.execute(query):
            letters[version] = "".join(letter for letter, _ in options)
    return letters


def _extreme_group_bounds(cursor: Cursor) -> tuple[float, float]:
    """The bounds of the lower and the upper group by the totals counted so far; zeros without sittings."""
    totals = _load_counts(cursor["totals"])
    return item_analysis.extreme_group_bounds(totals) if totals else (0.0, 0.0)


def _variance_contribution(item: ScoredItem, responses: Mapping[Response, int]) -> tuple[Any, ...] | None:
    """A question's contribution to reliability as a plain tuple, to be stored; None if it doesn't count."""
    contribution = item_analysis.variance_contribution(item, responses)
    return None if contribution is None else tuple(contribution)


def _item_figures(
    item: ScoredItem,
    responses: Mapping[Response, int],
    letters: str,
    bounds: tuple[float, float],
) -> dict[str, Any]:
    """A question's figures as JSON, with four decimals, and its warnings; `bounds`: the highest total of the
    lower group and the lowest of the upper one."""
    figures = item_analysis.item_figures(item, responses, *bounds)
    return {
        "kind": item.kind,
        "keys": list(item.keys),
        "treatment": item.treatment,
        "letters": letters,
        "n": figures.answer_count,
        "p": round(figures.difficulty, 4),
        "d": _rounded(figures.discrimination),
        "r": _rounded(figures.point_biserial),
        "blank": figures.blank_count,
        "upper": figures.upper,
        "lower": figures.lower,
        "choices": {letter: list(counts) for letter, counts in figures.choice_counts.items()},
        "flags": item_warnings(item, figures, letters),
    }


def _save_analysis(job: Job, paper: Paper, cursor: Cursor) -> Chunk:
    """Save the analysis from the figures of all buckets. Reliability is left out if not everyone sat the same
    questions."""
    rows = job_parts.iter_parts(job.id, ITEMS_SERIES, range(cursor["buckets"]))
    items = sorted(
        starmap(ComputedItem, rows),
        key=lambda item: item.first_position,
    )
    scores = _load_counts(cursor["scores"])
    sitting_count = sum(scores.values())
    content = {
        **_reliability_figures(items, _load_counts(cursor["totals"])),
        "scores": {str(int(score)): times for score, times in sorted(scores.items())},
        "items": [item.figures for item in items],
    }
    _write_analysis(paper, sitting_count, content)
    return Chunk(
        _deletion_cursor(cursor),
        result={"sittings": sitting_count, "paper": str(paper.id)},
    )


def _reliability_figures(items: Sequence[ComputedItem], totals: dict[float, int]) -> dict[str, Any]:
    """The paper's reliability as JSON; `totals`: total → how many sittings. online: how many had questions;
    fixed: whether everyone sat the same ones; kr20, error (standard error in points of 100), plain (it is
    Kuder-Richardson 20): None, None, False if not, or if it can't be computed."""
    online_count = sum(totals.values())
    is_fixed = {item.sittings for item in items} == {online_count}
    reliability = _compute_reliability(items, totals) if is_fixed else None
    figures: dict[str, Any] = {
        "online": online_count,
        "fixed": is_fixed,
        "kr20": None,
        "plain": False,
        "error": None,
    }
    if reliability is not None:
        figures |= {
            "kr20": _rounded(reliability.kr20),
            "plain": reliability.is_dichotomous,
            "error": _rounded(reliability.standard_error),
        }
    return figures


def _compute_reliability(items: Iterable[ComputedItem], totals: dict[float, int]) -> Reliability | None:
    """The reliability of a paper whose questions everyone sat, from the stored figures; None if it can't be
    computed."""
    contributions = [
        VarianceContribution(*item.variance_contribution) for item in items if item.variance_contribution
    ]
    return item_analysis.compute_reliability(contributions, totals)


def _write_analysis(paper: Paper, sitting_count: int, content: dict[str, Any]) -> None:
    """Save an analysis, replacing the previous one."""
    values = {
        "sittings": sitting_count,
        "content": content,
        "made_at": clock.now(),
    }
    statement = insert(PaperAnalysis).values(
        tenant_id=current_tenant(),
        paper_id=paper.id,
        **values,
    )
    db.session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "paper_id"],
            set_=values,
        )
    )


def _delete_parts(job: Job, cursor: Cursor) -> Chunk:
    """Delete the stored tallies and figures of one bucket, the one in `cursor["forget"]`; the last one ends
    the job."""
    bucket = cursor["forget"]
    job_parts.delete_parts(job.id, _bucket_series(bucket), range(cursor["parts"]))
    job_parts.delete_parts(job.id, ITEMS_SERIES, [bucket])
    return Chunk(cursor | {"forget": bucket + 1} if bucket + 1 < cursor["buckets"] else None)


def _bucket_series(bucket: int) -> str:
    """The name of the series of parts that holds a bucket's tallies."""
    return f"answers-{bucket}"


def _dump_counts(counts: Counter[float]) -> dict[str, int]:
    """Counts as the cursor stores them: the value as text → how often."""
    return {repr(value): times for value, times in counts.items()}


def _load_counts(stored_counts: dict[str, int]) -> dict[float, int]:
    """Counts from what the cursor stores: value → how often."""
    return {float(value): times for value, times in stored_counts.items()}


def _rounded(value: float | None) -> float | None:
    """The value with four decimals; None stays None."""
    return None if value is None else round(value, 4)
