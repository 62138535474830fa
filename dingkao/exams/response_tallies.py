"""How often each answer was given to each question by some sittings of a paper, for item analysis."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, select

from dingkao.database.arrays import in_array
from dingkao.database.base import db
from dingkao.exams.drawing import load_layout
from dingkao.exams.effective_keys import effective_keys, scored_item
from dingkao.exams.item_analysis import (
    Response,
)
from dingkao.exams.models.paper_models import Paper
from dingkao.exams.models.sitting_models import SittingAnswer
from dingkao.exams.scoring import ScoredItem, earned_tenths


class AnswerTally(NamedTuple):
    """How often an answer to a question was given in one chunk of the job, by sittings with the same total.
    `first_position`: (chunk, position) at which the question was first met there; `total`: tenths of a point;
    `rule`: one of X_RULES."""

    version: UUID
    first_position: tuple[int, int]
    total: float
    letters: str
    rule: str
    times: int


class PaperAnswers(NamedTuple):
    """What sittings answered. `responses`: version id → response → how often; `first_positions`: version id →
    (chunk, how many other questions were met before in it) where the question was first met."""

    responses: dict[UUID, Counter[Response]]
    first_positions: dict[UUID, tuple[int, int]]

    def iter_tallies(self) -> Iterator[AnswerTally]:
        """The answers as rows to be stored."""
        for version, response_counts in self.responses.items():
            first_position = self.first_positions[version]
            for response, times in response_counts.items():
                yield AnswerTally(version, first_position, *response, times)

    def add(
        self,
        version: UUID,
        position: tuple[int, int],
        response: Response,
        times: int = 1,
    ) -> None:
        """Count a response to a question that is at `position` (chunk, position in it), `times` times."""
        self.responses[version][response] += times
        self.first_positions[version] = min(position, self.first_positions.get(version, position))


def tally_sittings(
    paper: Paper,
    sittings: Sequence[Row[Any]],
    part: int,
    totals: Counter[float],
) -> PaperAnswers:
    """Tally what sittings answered, "" for unanswered questions; the total (tenths) of each that has
    questions is added to `totals`: total → how many. `sittings`: at most 5,000 rows with id, layout and
    x_rule; `part`: the number of the job's chunk."""
    letters = _load_letters(sittings)
    layouts = {
        sitting.id: [question.version for question in load_layout(sitting.layout)] for sitting in sittings
    }
    items = load_scored_items(paper, set(chain.from_iterable(layouts.values())))
    answers = PaperAnswers(defaultdict(Counter), {})
    for sitting in sittings:
        versions = layouts[sitting.id]
        responses = _responses_of(
            sitting,
            letters[sitting.id],
            [items[version] for version in versions],
        )
        # a set: all responses of a sitting have its total, which is counted once; without questions none is
        totals.update({response.total for response in responses})
        for version, response in zip(versions, responses, strict=True):
            answers.add(
                version,
                (part, len(answers.first_positions)),
                response,
            )
    return answers


def _load_letters(
    sittings: Iterable[Row[Any]],
) -> dict[UUID, dict[int, str]]:
    """Sitting id → position → the chosen letters in order; an empty dict for a sitting without answers."""
    query = select(
        SittingAnswer.sitting_id,
        SittingAnswer.position,
        SittingAnswer.letters,
    ).where(
        in_array(
            SittingAnswer.sitting_id,
            (sitting.id for sitting in sittings),
        )
    )
    letters: dict[UUID, dict[int, str]] = defaultdict(dict)
    for sitting_id, position, chosen_letters in db.session.execute(query):
        letters[sitting_id][position] = "".join(sorted(chosen_letters))
    return letters


def load_scored_items(paper: Paper, version_ids: Iterable[UUID]) -> dict[UUID, ScoredItem]:
    """Version id → the question as it is scored now on the paper; versions that don't exist are left out."""
    return {version: scored_item(key, paper.points) for version, key in effective_keys(version_ids).items()}


def _responses_of(
    sitting: Row[Any],
    letters: Mapping[int, str],
    items: Sequence[ScoredItem],
) -> list[Response]:
    """The responses of one sitting in the order of its questions, with "" for unanswered ones. `letters`:
    position → letters."""
    in_order = [letters.get(position, "") for position in range(len(items))]
    earned = map(earned_tenths, items, in_order, repeat(sitting.x_rule))
    total = float(sum(earned))
    return [Response(total, chosen_letters, sitting.x_rule) for chosen_letters in in_order]
