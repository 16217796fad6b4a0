"""Every fault, driven into real processes: the named incident, the next step, the parcel, the closure.

The stories (`stories.py`) of one batch are played at once, each at a car of its own, since each lives for minutes of
town time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from tests import invariants
from tests.journeys.front import Front, PhoneDoor, fresh_database, open_front
from tests.journeys.playing import Play
from tests.journeys.stories import STORIES, Story

from unlatch.domain.incident import Incident, NextStep, next_step_of
from unlatch.domain.visit import State
from unlatch.store.embedded import Embedded

AT_ONCE = 14  # stories under way in one installation
BATCHES = 4  # each is played by one process of pytest


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a visit's journal says of its way, and with it what everyone who follows its stream was told."""

    states: list[State]
    tails: list[str]
    incidents: set[Incident]
    next_steps: set[NextStep]


def course_of(visit: invariants.Told) -> Course:
    course = Course(states=[], tails=[], incidents=set(), next_steps=set())
    incident: Incident | None = None
    for kept in visit.entries:
        body = kept.entry.body
        if named := body.get("incident") or next(iter(body.get("reasons", ())), None):
            incident = Incident(named)
            course.incidents.add(incident)
        if "state" in body:
            course.states.append(State(body["state"]))
            course.next_steps.add(next_step_of(course.states[-1], incident))
        course.tails.append(body.get("tail", ""))
    return course


async def check(story: Story, play: Play, door: PhoneDoor) -> None:
    """The story's own ending, and every invariant."""
    (visit,) = await door.check()
    course, told = course_of(visit), visit.story()
    assert play.last.state in story.ends, told
    if story.incident is not None:
        assert story.incident in course.incidents, told
    else:
        assert course.incidents <= story.perhaps, told
    assert story.next_step in course.next_steps, told
    assert play.last.next_step == next_step_of(play.last.state, play.last.incident), told
    assert play.is_inside == story.is_inside, told
    place = await door.where_parcel_is()
    assert place == ("in_place" if story.is_inside else "with_courier"), f"{place}: {told}"
    is_called = any(call["kind"] == "operator" for call in visit.calls)
    if story.is_called is not None:
        assert is_called == story.is_called, told
    if story.tail is not None:
        assert story.tail in course.tails, told


def name_of(story: Story) -> str:
    return f"{story.maker}: {story.name}"


async def play(front: Front, story: Story, at_once: asyncio.Semaphore) -> None:
    async with at_once, front.open_door(story.maker) as door:
        play = Play(door=door, at=dict(story.at), pulls_handle=story.pulls_handle)
        if story.before is not None:
            await story.before(play)
        await play.run()
        await check(story, play, door)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(
    server: Embedded,
    template_database: str,
    worker_id: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Front]:
    """One installation for all stories of this process."""
    with fresh_database(server, template_database, f"faults_{worker_id}") as url:
        async with open_front(tmp_path_factory.mktemp("faults"), url) as front:
            yield front


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("batch", range(BATCHES))
async def test_faults(front: Front, batch: int, subtests: pytest.Subtests) -> None:
    """Each story is a test of its own within its batch."""
    at_once = asyncio.Semaphore(AT_ONCE)
    stories = STORIES[batch::BATCHES]
    ends = await asyncio.gather(*(play(front, story, at_once) for story in stories), return_exceptions=True)
    for story, end in zip(stories, ends, strict=True):
        with subtests.test(msg=name_of(story)):
            if end is not None:
                raise end
    await front.check_all()
    assert not front.installation.list_dead()
