"""The fallback as a plan: what the courier does with a parcel that can't be put into its place, step after step.

A plan always ends with a step that can be carried out whoever is at home: taken along for another try, or back to the
depot. Each step of a plan is tried once; a step that was passed over counts as tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from unlatch.domain.access import Fallback
from unlatch.domain.parcel import ParcelPlace
from unlatch.domain.wording import Language

TRIES_MAX = 3  # days in a row; after the last one, "tomorrow" is no step any more
ALWAYS_POSSIBLE = frozenset({Fallback.TOMORROW, Fallback.DEPOT})
NEEDS_WORDS = frozenset({Fallback.NEIGHBOUR, Fallback.PICKUP_POINT})  # with whom, or where exactly

# Left somewhere, or taken back. With TOMORROW the parcel is on its next stop at once, and with the carrier again.
PLACES: Mapping[Fallback, ParcelPlace] = MappingProxyType(
    {
        Fallback.TO_DOOR: ParcelPlace.AT_FALLBACK,
        Fallback.NEIGHBOUR: ParcelPlace.AT_FALLBACK,
        Fallback.PICKUP_POINT: ParcelPlace.AT_FALLBACK,
        Fallback.TOMORROW: ParcelPlace.WITH_CARRIER,
        Fallback.DEPOT: ParcelPlace.RETURNED,
    }
)

F, L = Fallback, Language
_STEPS: Mapping[Language, Mapping[Fallback, str]] = {
    L.ENGLISH: {
        F.TO_DOOR: "Leave it at the door of the address.",
        F.NEIGHBOUR: "Give it to a neighbour, and say to whom.",
        F.PICKUP_POINT: "Bring it to the pick-up point, and say to which.",
        F.TOMORROW: "Take it along: it is tried again tomorrow, in the same window.",
        F.DEPOT: "Bring it back to the depot.",
    },
    L.FRENCH: {
        F.TO_DOOR: "Déposez-le devant la porte de l'adresse.",
        F.NEIGHBOUR: "Remettez-le à un voisin, et dites à qui.",
        F.PICKUP_POINT: "Déposez-le au point relais, et dites lequel.",
        F.TOMORROW: "Reprenez-le : nouvel essai demain, dans le même créneau.",
        F.DEPOT: "Rapportez-le au dépôt.",
    },
}


def plan_of(first: str, later: Iterable[str], *, tries: int = 1) -> tuple[Fallback, ...]:
    """The whole plan, in order, each step once. `tries`: how many days in a row it has been tried, this one too."""
    steps = list(dict.fromkeys(Fallback(one) for one in (first, *later)))
    if F.DEPOT in steps:  # nothing comes after it
        steps = steps[: steps.index(F.DEPOT) + 1]
    if tries >= TRIES_MAX and F.TOMORROW in steps:
        steps.remove(F.TOMORROW)
    return tuple(steps) if steps and steps[-1] in ALWAYS_POSSIBLE else (*steps, F.DEPOT)


def redirected_plan(chosen: Fallback, plan: Sequence[Fallback], *, tries: int = 1) -> tuple[Fallback, ...]:
    """The plan with the household's choice in front. Raises ValueError for a choice that there is no more.

    A choice that is always possible is the whole plan: what comes after it would not be what they chose.
    """
    rest = () if chosen in ALWAYS_POSSIBLE else tuple(step for step in plan if step is not chosen)
    changed = plan_of(chosen, rest, tries=tries)
    if chosen not in changed:
        raise ValueError(f"{chosen} was tried {TRIES_MAX} days in a row")
    return changed


def step_text(step: Fallback, language: Language) -> str:
    """What the courier reads for this step."""
    return _STEPS[language][step]
