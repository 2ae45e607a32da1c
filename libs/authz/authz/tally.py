"""How often something happened that may happen a thousand times a second: the first is told at once, the rest counted.

A flood under one name becomes one line per window, with a number in it. A group (a tenant) has room for so many names a
window; what is beyond is told under one name for all of them, so that no group fills the room of another.
"""

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

V = TypeVar("V")
Name = tuple[Hashable, ...]  # the group comes first; a group alone stands for all that had no room


@dataclass(frozen=True, slots=True)
class Told(Generic[V]):
    """What is to be told: the latest of `count` that happened under a name."""

    name: Name
    latest: V
    count: int

    @property
    def crowded(self) -> bool:
        """Whether these are different ones, told together because there were too many."""
        return len(self.name) == 1


@dataclass(slots=True)
class Tally(Generic[V]):
    """Counts what happens. `most` names per group and window have a line of their own."""

    most: int = 100
    _waiting: dict[Name, Told[V]] = field(default_factory=dict[Name, Told[V]])
    _told: set[Name] = field(default_factory=set[Name])
    _names: Counter[Hashable] = field(default_factory=Counter[Hashable])

    def add(self, name: Name, latest: V, count: int = 1) -> bool:
        """Count what happened; tell whether it is the first of its name in this window, to be told at once."""
        if not (known := name in self._told or name in self._waiting):
            if self._names[name[0]] >= self.most:
                name = name[:1]
                known = name in self._told or name in self._waiting
            else:
                self._names[name[0]] += 1
        before = self._waiting.get(name)
        self._waiting[name] = Told(name, latest, count + (before.count if before else 0))
        return not known

    def due(self) -> list[Told[V]]:
        """Take out what was not told of in this window yet."""
        return self._take([name for name in self._waiting if name not in self._told])

    def turn(self) -> list[Told[V]]:
        """Begin a window; take out everything that waits."""
        self._told.clear()
        self._names = Counter(name[0] for name in self._waiting)
        return self._take(list(self._waiting))

    def back(self, untold: list[Told[V]]) -> None:
        """Take back what could not be told, so that it is told later."""
        for one in untold:
            latest = self._waiting[one.name].latest if one.name in self._waiting else one.latest
            self.add(one.name, latest, one.count)

    def _take(self, names: list[Name]) -> list[Told[V]]:
        self._told.update(names)
        return [self._waiting.pop(name) for name in names]
