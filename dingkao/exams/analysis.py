"""Item analysis (项目分析): how hard each question was, how well it told the good from the weak, what its wrong options drew; how far a paper
can be relied on; how scores lie. Pure functions over tallies; a job makes those in one pass over a paper's sittings.

Totals are points earned; «upper» and «lower» are the 27 % with the highest and the lowest of a paper, everyone at the edge included, so that
no order among equals matters.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from dingkao import clock
from dingkao.database.model import db
from dingkao.errors import NotFound
from dingkao.exams.marking import SEVERAL, Item, earned, share
from dingkao.exams.models import Paper, PaperAnalysis, QuestionVersion, Sitting, SittingAnswer
from dingkao.exams.papers import read
from dingkao.exams.remarking import item_of, keys_of
from dingkao.jobs import asking, performing
from dingkao.jobs.models import Job
from dingkao.journal.writing import Actor
from dingkao.tenants.context import current_tenant

GROUP = 0.27
FEW, ENOUGH = 10, 30
"""Below so many nothing is flagged; below so many figures are said to be uncertain."""
EASY, HARD, WEAK = 0.95, 0.2, 0.15
BINS = 10
AT_ONCE = 500
ANALYSE = "analyse_paper"


class Response(NamedTuple):
    """An answer to a question: the total of its sitting, its letters, and the rule for X it was marked by."""

    total: float
    letters: str
    rule: str


@dataclass
class Tallies:
    """What the sittings of a paper come to: for each question how often each answer was given at each total, and the totals."""

    items: dict[Any, Item]
    answers: dict[Any, Counter[Response]] = field(default_factory=lambda: defaultdict(Counter))
    totals: Counter[float] = field(default_factory=Counter)

    def add(self, questions: Iterable[Any], answers: Mapping[int, str], rule: str = "all") -> None:
        """Count one sitting: its questions by position, the letters answered."""
        asked = list(questions)
        total = float(sum(earned(self.items[one], answers.get(position, ""), rule) for position, one in enumerate(asked)))
        self.totals[total] += 1
        for position, one in enumerate(asked):
            self.answers[one][Response(total, answers.get(position, ""), rule)] += 1

    def sittings(self) -> int:
        """How many were counted."""
        return self.totals.total()

    def fixed(self) -> bool:
        """Whether everyone sat the same questions."""
        return bool(self.answers) and all(given.total() == self.sittings() for given in self.answers.values())


@dataclass(frozen=True)
class ItemFigures:
    """What a question did. `p`: difficulty, the mean share of its marks; `d`: discrimination, p of the upper less p of the lower group; `r`: its
    correlation with the rest of the score (point-biserial, corrected); `choices`: letter → how many chose it, of all, upper and lower."""

    n: int
    p: float
    d: float | None
    r: float | None
    blank: int
    upper: int
    lower: int
    choices: dict[str, tuple[int, int, int]]


def edges(totals: Mapping[float, int], part: float = GROUP) -> tuple[float, float]:
    """The total at or below which the lower group is, and that at or above which the upper one is."""
    size = max(1, math.floor(sum(totals.values()) * part + 0.5))

    def reached(order: list[float]) -> float:
        seen = 0
        for total in order:
            seen += totals[total]
            if seen >= size:
                return total
        return order[-1]

    order = sorted(totals)
    return reached(order), reached(order[::-1])


def figures_of(item: Item, answers: Mapping[Response, int], lowest: float, highest: float) -> ItemFigures:
    """The figures of one question, from how often each answer was given. Difficulty and discrimination go by the keys though the question is
    credited to everyone or left out, for that is how one sees what is wrong with it."""
    n = sum(answers.values())
    groups = {"all": [0, 0.0], "upper": [0, 0.0], "lower": [0, 0.0]}
    choices: dict[str, list[int]] = {}
    blank, pairs = 0, list[tuple[float, float, int]]()
    for given, times in answers.items():
        got = float(share(item, given.letters, given.rule))
        inside = [True, given.total >= highest, given.total <= lowest]
        for name, held in zip(groups, inside, strict=True):
            if held:
                groups[name][0] += times
                groups[name][1] += times * got
        for letter in set(given.letters):
            counted = choices.setdefault(letter, [0, 0, 0])
            for place, held in enumerate(inside):
                counted[place] += times * held
        blank += times * (not given.letters)
        pairs.append((got, given.total - float(earned(item, given.letters, given.rule)), times))
    upper, lower = groups["upper"], groups["lower"]
    apart = upper[1] / upper[0] - lower[1] / lower[0] if upper[0] and lower[0] else None
    shown = {letter: (counted[0], counted[1], counted[2]) for letter, counted in sorted(choices.items())}
    return ItemFigures(n, groups["all"][1] / n if n else 0.0, apart, correlation(pairs), blank, int(upper[0]), int(lower[0]), shown)


def correlation(pairs: Iterable[tuple[float, float, int]]) -> float | None:
    """Pearson's, of values that stand so many times each; None where either doesn't vary."""
    known = list(pairs)
    n = sum(times for *_, times in known)
    if n < 2:
        return None
    mean_x = sum(x * times for x, _, times in known) / n
    mean_y = sum(y * times for _, y, times in known) / n
    xx = sum(times * (x - mean_x) ** 2 for x, _, times in known)
    yy = sum(times * (y - mean_y) ** 2 for _, y, times in known)
    xy = sum(times * (x - mean_x) * (y - mean_y) for x, y, times in known)
    return max(-1.0, min(1.0, xy / math.sqrt(xx * yy))) if xx > 1e-12 and yy > 1e-12 else None


def variance(values: Mapping[float, int]) -> float:
    """Of the whole, not of a sample: value → how often."""
    n = sum(values.values())
    mean = sum(value * times for value, times in values.items()) / n
    return sum(times * (value - mean) ** 2 for value, times in values.items()) / n


@dataclass(frozen=True)
class Reliability:
    """How far a paper can be relied on: `kr20` (Kuder-Richardson 20; with part marks or marks that differ, Cronbach's alpha, which is the same
    formula), and the standard error of a score of 100."""

    kr20: float
    error: float
    plain: bool


def reliability(tallies: Tallies) -> Reliability | None:
    """Of a paper of which everyone sat the same questions; None for others, for fewer than two questions, and where all scored alike."""
    counted = {name: item for name, item in tallies.items.items() if name in tallies.answers and item.treatment != "excluded" and item.worth}
    spread = variance(tallies.totals) if tallies.totals else 0.0
    if not tallies.fixed() or len(counted) < 2 or spread < 1e-12:
        return None
    summed, plain = 0.0, len({item.worth for item in counted.values()}) == 1
    for name, item in counted.items():
        gained: Counter[float] = Counter()
        for given, times in tallies.answers[name].items():
            gained[float(earned(item, given.letters, given.rule))] += times
        summed += variance(gained)
        plain = plain and set(gained) <= {0.0, float(item.worth)}
    k = len(counted)
    kr20 = k / (k - 1) * (1 - summed / spread)
    whole = sum(item.worth for item in counted.values())
    return Reliability(kr20, math.sqrt(spread) * math.sqrt(max(0.0, 1 - kr20)) * 100 / whole, plain)


@dataclass(frozen=True)
class Distribution:
    """How scores lie, in points of 100: `bars` count [0, 10), [10, 20) … [90, 100]; `passing` reach the line, where one is given."""

    n: int
    mean: float
    deviation: float
    median: float
    least: float
    most: float
    bars: tuple[int, ...]
    passing: int | None


def distribution(scores: Mapping[int, int], line: int | None = None) -> Distribution | None:
    """Of scores in tenths → how many; None where there are none."""
    n = sum(scores.values())
    if not n:
        return None
    order = sorted(scores)
    bars = [0] * BINS
    for score, times in scores.items():
        bars[min(score // (1000 // BINS), BINS - 1)] += times
    mean = sum(score * times for score, times in scores.items()) / n
    middle = (_at(order, scores, (n - 1) // 2) + _at(order, scores, n // 2)) / 2
    passing = None if line is None else sum(times for score, times in scores.items() if score >= line)
    deviation = math.sqrt(variance({float(score): times for score, times in scores.items()}))
    return Distribution(n, mean / 10, deviation / 10, middle / 10, order[0] / 10, order[-1] / 10, tuple(bars), passing)


def _at(order: list[int], scores: Mapping[int, int], place: int) -> int:
    seen = 0
    for score in order:
        seen += scores[score]
        if seen > place:
            return score
    return order[-1]


def flags(item: Item, found: ItemFigures, letters: str) -> list[str]:
    """What is suspicious about a question, in plain words; `letters` are those of its options. Of few sittings nothing is said."""
    if found.n < FEW:
        return []
    said = []
    negative = any(value is not None and value < -1e-9 for value in (found.d, found.r))
    if negative:
        said.append("区分度为负,请核对答案")
    key = set("".join(item.keys))
    if item.kind != SEVERAL:
        best = max((found.choices.get(letter, (0, 0, 0))[1] for letter in key), default=0)
        rivals = [letter for letter in letters if letter not in key and found.choices.get(letter, (0, 0, 0))[1] > best]
        if rivals:
            said.append(f"高分组多选{'、'.join(rivals)},请核对答案")
    if found.p >= EASY:
        said.append("过易")
    elif found.p <= HARD:
        said.append("过难")
    if not negative and found.d is not None and found.d < WEAK and HARD < found.p < EASY:
        said.append("区分度偏低")
    idle = [letter for letter in letters if letter not in key and letter not in found.choices]
    if idle and found.n >= ENOUGH:
        said.append(f"选项{'、'.join(idle)}无人选择")
    return said


# --- the job


def ask_analysis(paper: Paper, *, by: Actor) -> Job:
    """Ask for the analysis of a paper."""
    return asking.ask(ANALYSE, f"项目分析({paper.title})", {"paper": str(paper.id)}, by=by.id)


def job_of(paper: Paper) -> Job | None:
    """The job asked for last about a paper."""
    query = select(Job).where(Job.name == ANALYSE, Job.arguments["paper"].astext == str(paper.id))
    return db.session.scalar(query.order_by(Job.id.desc()).limit(1))


@performing.job(ANALYSE)
def analyse(job: Job, progress: performing.Progress) -> dict[str, Any]:
    """Work out a paper's analysis in one pass and keep it in place of the one before."""
    paper = db.session.scalar(select(Paper).where(Paper.id == UUID(job.arguments["paper"])))
    if paper is None:
        raise NotFound
    tallies, scores = tally(paper, progress)
    content = contents(tallies, scores)
    row = {"tenant_id": current_tenant(), "paper_id": paper.id, "sittings": scores.total(), "content": content, "made_at": clock.now()}
    put = insert(PaperAnalysis).values(row)
    db.session.execute(put.on_conflict_do_update(index_elements=["tenant_id", "paper_id"], set_={name: row[name] for name in ("sittings", "content", "made_at")}))
    return {"sittings": scores.total(), "paper": str(paper.id)}


def tally(paper: Paper, progress: performing.Progress) -> tuple[Tallies, Counter[int]]:
    """The tallies of a paper's sittings that were handed in and not voided, and all their scores, those from outside included."""
    tallies, scores, after = Tallies({}), Counter[int](), UUID(int=0)
    handed_in = (Sitting.paper_id == paper.id, Sitting.handed_in_at.is_not(None), Sitting.voided_at.is_(None))
    whole = db.session.scalar(select(func.count()).select_from(Sitting).where(*handed_in)) or 0
    while True:
        query = select(Sitting.id, Sitting.layout, Sitting.x_rule, Sitting.score_tenths).where(*handed_in, Sitting.id > after)
        rows = db.session.execute(query.order_by(Sitting.id).limit(AT_ONCE)).all()
        if not rows:
            return tallies, scores
        given: dict[UUID, dict[int, str]] = defaultdict(dict)
        answers = select(SittingAnswer.sitting_id, SittingAnswer.position, SittingAnswer.letters).where(SittingAnswer.sitting_id.in_([row[0] for row in rows]))
        for sitting_id, position, letters in db.session.execute(answers):
            given[sitting_id][position] = "".join(sorted(letters))
        layouts = {row[0]: [one.version for one in read(row[1])] for row in rows}
        fresh = {version for versions in layouts.values() for version in versions} - tallies.items.keys()
        tallies.items |= {version: item_of(key, paper.marks) for version, key in keys_of(fresh).items()}
        for sitting_id, _, rule, tenths in rows:
            scores[tenths] += 1
            if layouts[sitting_id]:
                tallies.add(layouts[sitting_id], given[sitting_id], rule)
        after = rows[-1][0]
        progress(scores.total(), whole)


def contents(tallies: Tallies, scores: Mapping[int, int]) -> dict[str, Any]:
    """An analysis as its row keeps it. Figures of questions are rounded to four places."""
    found = reliability(tallies)
    lowest, highest = edges(tallies.totals) if tallies.totals else (0.0, 0.0)
    letters = {row[0]: "".join(letter for letter, _ in row[1]) for row in db.session.execute(
        select(QuestionVersion.id, QuestionVersion.options).where(QuestionVersion.id.in_(tallies.answers))
    )}  # fmt: skip
    items = []
    for version, given in tallies.answers.items():
        item = tallies.items[version]
        figures = figures_of(item, given, lowest, highest)
        items.append({
            "version": str(version), "kind": item.kind, "keys": list(item.keys), "treatment": item.treatment, "letters": letters[version], "n": figures.n,
            "p": round(figures.p, 4), "d": _round(figures.d), "r": _round(figures.r), "blank": figures.blank, "upper": figures.upper,
            "lower": figures.lower, "choices": {letter: list(counted) for letter, counted in figures.choices.items()},
            "flags": flags(item, figures, letters[version]),
        })  # fmt: skip
    return {
        "online": tallies.sittings(), "fixed": tallies.fixed(), "kr20": _round(found.kr20) if found else None, "plain": bool(found and found.plain),
        "error": _round(found.error) if found else None, "scores": {str(score): times for score, times in sorted(scores.items())}, "items": items,
    }  # fmt: skip


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
