"""Which things depend on each other in a ring (Tarjan's strongly connected components, without recursion)."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

Edges = Mapping[str, Collection[str]]


def rings(edges: Edges) -> list[list[str]]:
    """Return the groups of names that reach themselves, each in order of name; edges to unknown names do not count."""
    walk = _Walk(edges)
    for name in edges:
        if name not in walk.index:
            walk.go(name)
    return [sorted(group) for group in walk.groups if len(group) > 1 or group[0] in edges[group[0]]]


@dataclass(slots=True)
class _Walk:
    edges: Edges
    index: dict[str, int] = field(default_factory=dict[str, int])
    low: dict[str, int] = field(default_factory=dict[str, int])
    stack: list[str] = field(default_factory=list[str])
    waiting: set[str] = field(default_factory=set[str])
    groups: list[list[str]] = field(default_factory=list[list[str]])

    def go(self, start: str) -> None:
        trail = [(start, self._enter(start))]
        while trail:
            name, rest = trail[-1]
            for other in rest:
                if other not in self.index:
                    trail.append((other, self._enter(other)))
                    break
                if other in self.waiting:
                    self.low[name] = min(self.low[name], self.index[other])
            else:
                trail.pop()
                self._leave(name)
                if trail:
                    above = trail[-1][0]
                    self.low[above] = min(self.low[above], self.low[name])

    def _enter(self, name: str) -> Iterator[str]:
        self.index[name] = self.low[name] = len(self.index)
        self.stack.append(name)
        self.waiting.add(name)
        return iter([other for other in self.edges[name] if other in self.edges])

    def _leave(self, name: str) -> None:
        if self.low[name] != self.index[name]:
            return
        group = [self.stack.pop()]
        while group[-1] != name:
            group.append(self.stack.pop())
        self.waiting.difference_update(group)
        self.groups.append(group)
