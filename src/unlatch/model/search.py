"""Breadth-first through every reachable situation, and the way to an end from each.

A situation is a belief and a car. Few beliefs meet many cars, and most moves leave the car alone: so the moves of
a belief are worked out once, and a situation is the number of its belief times `CARS` plus its car.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

from unlatch.domain.visit import Order, Tail
from unlatch.model import one_visit
from unlatch.model.exploring import Flaw, Found, without_collecting
from unlatch.model.invariants import check_rest
from unlatch.model.situation import (
    CAR_MOVES,
    CARS,
    Belief,
    BrokenError,
    Change,
    Move,
    Variant,
    car_of,
    pending_of,
    truth_of,
)

NOT_REACHED, FIRST = -2, -1
Compiled = tuple[int, bool, Change]  # the belief that a move leads to (times CARS), is it ours, the car


class Search:
    """Every situation that a place can come into, until one breaks an invariant."""

    def __init__(self, place: one_visit.Place) -> None:
        self.place = place
        self.numbers: dict[Belief, int] = {}
        self.beliefs: list[Belief] = []
        self.compiled: list[tuple[Compiled, ...] | None] = []
        self.may_follow: list[bool] = []  # whether another visit or grant may follow at the same place
        self.parents = array("q")  # of each situation; by it the shortest way is found again
        self.order = array("q")  # the situations, as they were reached
        self.moves = 0

    def run(self) -> Found:
        """Go everywhere. The first flaw met is one with a shortest way to it."""
        try:
            first = self._number(self.place.first()) * CARS
        except BrokenError as broken:
            return self._found(Flaw(invariant=broken.invariant, why=broken.why, story=(broken.why,)))
        self.parents[first] = FIRST
        self.order.append(first)
        for situation in self.order:  # grows while it is read
            try:
                self._expand(situation)
            except BrokenError as broken:
                story = (*self._story(situation), f"and then: {broken.why}")
                return self._found(Flaw(invariant=broken.invariant, why=broken.why, story=story))
        return self._found(self._find_dead_end() or self._find_endless_wait())

    def _expand(self, situation: int) -> None:
        number, car = divmod(situation, CARS)
        moves = self.compiled[number] or self._compile(number)
        parents, order = self.parents, self.order
        if self.may_follow[number]:
            self._check(number, car)
        for begins, _, change in moves:
            reached = change[car]
            if reached >= 0 and parents[begins + reached] == NOT_REACHED:
                parents[begins + reached] = situation
                order.append(begins + reached)
        begins = situation - car
        for _, reached, _ in CAR_MOVES[car]:
            if parents[begins + reached] == NOT_REACHED:
                parents[begins + reached] = situation
                order.append(begins + reached)
        self.moves += len(moves)

    def _number(self, belief: Belief) -> int:
        number = self.numbers.get(belief)
        if number is None:
            number = self.numbers[belief] = len(self.beliefs)
            self.beliefs.append(belief)
            self.compiled.append(None)
            visit = self.place.visits[belief.visit]
            self.may_follow.append(one_visit.may_grant_again(visit) or one_visit.may_begin_again(visit))
            self.parents.extend((NOT_REACHED,) * CARS)
        return number

    def _compile(self, number: int) -> tuple[Compiled, ...]:
        """The moves of a belief, each once."""
        unique: dict[Compiled, None] = {}
        for move in self.place.moves(self.beliefs[number]):
            unique[self._number(move.after) * CARS, move.is_ours, move.car] = None
        moves = self.compiled[number] = tuple(unique)
        return moves

    def _check(self, number: int, car: int) -> None:
        belief = self.beliefs[number]
        visit = self.place.visits[belief.visit]
        check_rest(
            visit,
            unlock=belief.unlock,
            pending=pending_of(car),
            may_grant_again=one_visit.may_grant_again(visit),
            may_begin_again=one_visit.may_begin_again(visit),
        )

    def _found(self, flaw: Flaw | None) -> Found:
        visits = len(self.place.visits)
        depth = self._depth()
        return Found(situations=len(self.order), moves=self.moves, visits=visits, deepest=depth, flaw=flaw)

    def _depth(self) -> int:
        """The length of the way to the situation reached last: none is farther away."""
        depth, situation = 0, self.order[-1] if self.order else FIRST
        while situation != FIRST:
            depth, situation = depth + 1, self.parents[situation]
        return max(0, depth - 1)

    # --- stories -----------------------------------------------------------------------------------------------

    def _story(self, situation: int) -> Iterator[str]:
        path = []
        while situation != FIRST:
            path.append(situation)
            situation = self.parents[situation]
        for before, after in zip(path[:0:-1], path[-2::-1], strict=True):
            number, car = divmod(after, CARS)
            visit = self.place.visits[self.beliefs[number].visit]
            where = visit.state.name if visit.is_live else f"{visit.state.name}, tail {visit.tail.name}"
            truth = ("locked", "unlocked", "open")[truth_of(car)]
            yield f"{self._words(before, after)}  [{where}; in truth {truth}]"

    def _words(self, before: int, after: int) -> str:
        number, car = divmod(before, CARS)
        for words, reached, _ in CAR_MOVES[car]:
            if before - car + reached == after:
                return words
        for move in self._moves(number):
            if move.car[car] >= 0 and self.numbers[move.after] * CARS + move.car[car] == after:
                return move.words
        raise AssertionError("a step of the story that no move explains")

    def _moves(self, number: int) -> Iterator[Move]:
        yield from self.place.moves(self.beliefs[number])

    # --- after all has been seen -------------------------------------------------------------------------------

    def _find_dead_end(self) -> Flaw | None:
        """L2: from each situation, clock, cloud and operator alone can bring visit and tail to their end."""
        is_end = [not each.is_live and each.tail in (Tail.NONE, Tail.OVER) for each in self.place.visits]
        is_good = bytearray(len(self.parents))
        left = []
        for situation in reversed(self.order):
            if is_end[self.beliefs[situation // CARS].visit]:
                is_good[situation] = 1
            else:
                left.append(situation)
        while left:
            still = [each for each in left if not self._leads_on(each, is_good)]
            if len(still) == len(left):
                why = "from here neither clock nor cloud nor operator can bring the visit to its end"
                return Flaw(invariant="L2", why=why, story=tuple(self._story(still[-1])))
            left = still
        return None

    def _leads_on(self, situation: int, is_good: bytearray) -> bool:
        number, car = divmod(situation, CARS)
        for begins, is_ours, change in self.compiled[number] or ():
            if is_ours and change[car] >= 0 and is_good[begins + change[car]]:
                is_good[situation] = 1
                return True
        return False

    def _find_endless_wait(self) -> Flaw | None:
        """L2: where only the clock goes on, the visit ends or an operator is called, never circles in silence."""
        for situation in self.order:
            now = self.beliefs[situation // CARS].visit
            if situation % CARS == car_of(0, 0) and self._circles_in_silence(now):
                why = "from here the clock alone goes in circles and calls nobody"
                return Flaw(invariant="L2", why=why, story=tuple(self._story(situation)))
        return None

    def _circles_in_silence(self, number: int) -> bool:
        met: set[int] = set()
        while number not in met:
            met.add(number)
            if self.place.visits[number].deadline_at is None:
                return False
            number, orders = self.place.after_deadline(number)
            if Order.CALL_OPERATOR in orders:
                return False
        return True


def search(variant: Variant) -> Found:
    """Everything that can happen at one kind of place."""
    return search_place(one_visit.Place(variant))


def search_place(place: one_visit.Place) -> Found:
    """Everything that can happen at one place."""
    with without_collecting():
        return Search(place).run()
