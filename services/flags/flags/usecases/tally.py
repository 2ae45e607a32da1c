"""Counting answers while they are given: a dictionary entry each, in memory, and nothing that waits."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flags.domain.answers import Answer, Bundle
from flags.domain.usage import Served

Counts = Mapping[Served, int]


@dataclass(slots=True)
class Tally:
    """How often each answer was given at one place since it was taken last.

    Doors add to `answers` themselves, because a call would cost more than the counting. Answers that always go together
    are counted as one bundle; `told` is what clients counted that evaluate by themselves. What is held between two
    takings is as large as the rulesets of that time.
    """

    answers: defaultdict[Answer, int] = field(default_factory=lambda: defaultdict[Answer, int](int))
    told: defaultdict[Served, int] = field(default_factory=lambda: defaultdict[Served, int](int))
    bundles: defaultdict[Bundle, int] = field(default_factory=lambda: defaultdict[Bundle, int](int))

    def together(self, same: Bundle, served: Sequence[Answer]) -> None:
        """Count a bulk: the answers that are the same for everybody, and those that were found out."""
        self.bundles[same] += 1
        answers = self.answers
        for answer in served:
            answers[answer] += 1

    def take(self) -> Counts:
        """Return what was counted, by flag, variant and reason, and begin again at nothing."""
        answers, bundles, counts = dict(self.answers), dict(self.bundles), Counter(self.told)
        self.answers.clear()
        self.bundles.clear()
        self.told.clear()
        for answer, count in answers.items():
            counts[_served(answer)] += count
        for bundle, count in bundles.items():
            for answer in bundle.answers:
                counts[_served(answer)] += count
        return counts


def _served(answer: Answer) -> Served:
    return Served(answer.flag, answer.serves, answer.reason.value)
