"""What does counting cost an evaluation?

In process, on the real `Tally` and real answers: a loop that counts one answer of twenty in turn, as the single door
does, and one that counts a bulk of twenty (ten the same for everybody, ten found out), each less the same loop without
counting. Rounds alternate; the median of each is told, in nanoseconds of processor time.

    python benchmarks/flags_usage.py [--rounds 15] [--times 200000]
"""

import argparse
import statistics
import time

from flags.domain.answers import Answers, Bundle, Reason
from flags.usecases.tally import Tally

ANSWERS = [Answers({"on": True}, f"flag-{n}").of("on", Reason.SPLIT) for n in range(20)]
SAME, FOUND = Bundle(tuple(ANSWERS[:10])), tuple(ANSWERS[10:])


class Held:
    """What a door reaches the tally through."""

    __slots__ = ("tally",)

    def __init__(self):
        self.tally = Tally()


class Desk:
    """What a door has in its hands."""

    __slots__ = ("held",)

    def __init__(self):
        self.held = Held()


def loop(desk, times):
    """Go through the answers and count nothing."""
    for _ in range(times // 20):
        for answer in ANSWERS:
            answer  # noqa: B018 - the loop's own cost


def single(desk, times):
    """Count answers one by one, in the words of the OFREP door."""
    for _ in range(times // 20):
        for answer in ANSWERS:
            desk.held.tally.answers[answer] += 1


def nothing(desk, times):
    """Go round as often as there are bulks, and count nothing."""
    for _ in range(times // 20):
        pass


def bulk(desk, times):
    """Count bulks of twenty."""
    for _ in range(times // 20):
        desk.held.tally.together(SAME, FOUND)


def nanoseconds(what, times):
    """Return the processor time of one turn of a loop over so many answers, per answer."""
    desk = Desk()
    start = time.process_time_ns()
    what(desk, times)
    return (time.process_time_ns() - start) / times


def main():
    """Measure, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--times", type=int, default=200_000)
    asked = parser.parse_args()
    pairs = {"one answer": (single, loop), "one of a bulk of 20": (bulk, nothing)}
    for name, (counted, bare) in pairs.items():
        rounds = [
            (nanoseconds(counted, asked.times), nanoseconds(bare, asked.times))
            for _ in range(asked.rounds)
        ]
        with_, without = (statistics.median(side) for side in zip(*rounds, strict=True))
        print(f"{name}: {with_ - without:.0f} ns (with {with_:.0f}, without {without:.0f})")


if __name__ == "__main__":
    main()
