"""Breadth-first through every situation of a world, and the way to an end from each.

A *world* says where it begins and what may happen next; its situations are plain tuples, folded by itself where two of
them are alike. A *step* that breaks an invariant raises `BrokenError`; since the search is breadth-first, the way that
led there is a shortest one, and is told as a story.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

from unlatch.model.situation import BrokenError

T = TypeVar("T", bound=Hashable)
FIRST = -1


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """An invariant that does not hold, and the shortest way to where it breaks."""

    invariant: str
    why: str
    story: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.invariant} does not hold: {self.why}", "The shortest way there:"]
        return "\n".join(lines + [f"  {number}. {line}" for number, line in enumerate(self.story, 1)])


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search has seen."""

    situations: int
    moves: int
    deepest: int  # steps to the situation that is farthest from the beginning
    flaw: Flaw | None
    visits: int = 0


class Step(NamedTuple, Generic[T]):
    """One thing that may happen next."""

    words: str
    after: T
    is_ours: bool  # by clock, cloud, worker or operator: needs neither courier nor household


class World(Protocol[T]):
    """What is searched."""

    def first(self) -> T:
        """Where it begins."""

    def steps(self, now: T) -> Iterator[Step[T]]:
        """All that may happen next. Raises `BrokenError` if some of it breaks an invariant."""

    def is_end(self, now: T) -> bool:
        """Whether all that was begun has ended."""

    def describe(self, now: T) -> str:
        """How things stand, in a few words of a story."""


@contextmanager
def without_collecting() -> Iterator[None]:
    """A million tuples and no cycle: looking for cycles takes a fifth of the time."""
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_collecting:
            gc.enable()


class Exploration(Generic[T]):
    """Every situation that a world can come into, until one breaks an invariant."""

    def __init__(self, world: World[T]) -> None:
        self.world = world
        self.numbers: dict[T, int] = {}
        self.situations: list[T] = []
        self.parents = array("q")  # of each situation; by it the shortest way is found again
        self.begins = array("q", [0])  # where in `reached` the steps of each situation begin
        self.reached = array("q")  # by the steps that are ours
        self.moves = 0

    def run(self) -> Found:
        """Go everywhere. The first flaw met is one with a shortest way to it."""
        try:
            self._number(self.world.first(), FIRST)
        except BrokenError as broken:
            return self._found(Flaw(invariant=broken.invariant, why=broken.why, story=(broken.why,)))
        for number, situation in enumerate(self.situations):  # grows while it is read
            try:
                for step in self.world.steps(situation):
                    after = self._number(step.after, number)
                    self.moves += 1
                    if step.is_ours:
                        self.reached.append(after)
            except BrokenError as broken:
                story = (*self._story(number), f"and then: {broken.why}")
                return self._found(Flaw(invariant=broken.invariant, why=broken.why, story=story))
            self.begins.append(len(self.reached))
        return self._found(self._find_dead_end())

    def _number(self, situation: T, parent: int) -> int:
        number = self.numbers.setdefault(situation, len(self.situations))
        if number == len(self.situations):
            self.situations.append(situation)
            self.parents.append(parent)
        return number

    def _found(self, flaw: Flaw | None) -> Found:
        last = len(self.situations) - 1
        deepest = max(0, len(self._path(last)) - 1)
        return Found(situations=last + 1, moves=self.moves, deepest=deepest, flaw=flaw)

    def _path(self, number: int) -> list[int]:
        """The numbers of the shortest way there, its end first."""
        path = []
        while number != FIRST:
            path.append(number)
            number = self.parents[number]
        return path

    def _story(self, number: int) -> Iterator[str]:
        path = self._path(number)
        for before, after in zip(path[:0:-1], path[-2::-1], strict=True):
            reached = self.situations[after]
            words = next(
                step.words for step in self.world.steps(self.situations[before]) if step.after == reached
            )
            yield f"{words}  [{self.world.describe(reached)}]"

    def _find_dead_end(self) -> Flaw | None:
        """L2: from each situation, clock, cloud, workers and operator alone can bring everything to its end."""
        is_good = bytearray(self.world.is_end(each) for each in self.situations)
        left = [number for number in range(len(is_good) - 1, -1, -1) if not is_good[number]]
        begins, reached = self.begins, self.reached
        while left:
            still = []
            for number in left:
                if any(is_good[each] for each in reached[begins[number] : begins[number + 1]]):
                    is_good[number] = 1
                else:
                    still.append(number)
            if len(still) == len(left):
                why = "from here neither clock nor cloud nor worker nor operator can bring it to its end"
                return Flaw(invariant="L2", why=why, story=tuple(self._story(still[-1])))
            left = still
        return None


def explore(world: World[T]) -> Found:
    """Everything that can happen in a world."""
    with without_collecting():
        return Exploration(world).run()
