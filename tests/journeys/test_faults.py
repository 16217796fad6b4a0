"""Every fault, driven into real processes: the named incident, the next step, the parcel, the closure.

The stories (`stories.py`) of one group are played at once, each at a car of its own, since each lives for minutes of
town time; every test waits for its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

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
GROUPS = 2  # each is played by one process of pytest
GROUP = "faults-{}"


@dataclass(kw_only=True)
class Stages:
    """The stories that are being played, started together when the first of their group is asked for."""

    front: Front
    at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    playing: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    def begin(self, stories: Sequence[Story]) -> None:
        for story in stories:
            if name_of(story) not in self.playing:
                self.playing[name_of(story)] = asyncio.create_task(self._play(story))

    async def _play(self, story: Story) -> None:
        async with self.at_once, self.front.open_door(story.maker) as door:
            play = Play(door=door, at=dict(story.at), pulls_handle=story.pulls_handle)
            if story.before is not None:
                await story.before(play)
            await play.run()
            await check(story, play, door)


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


def group_of(number: int) -> pytest.MarkDecorator:
    return pytest.mark.xdist_group(GROUP.format(number % GROUPS))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stages(
    server: Embedded,
    template_database: str,
    worker_id: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stages]:
    """One installation for all stories of this process."""
    with fresh_database(server, template_database, f"faults_{worker_id}") as url:
        async with open_front(tmp_path_factory.mktemp("faults"), url) as front:
            stages = Stages(front=front)
            yield stages
            for task in stages.playing.values():
                task.cancel()
            await asyncio.gather(*stages.playing.values(), return_exceptions=True)


def stories_of(request: pytest.FixtureRequest) -> list[Story]:
    """Those of this test's group that were asked for, in order."""
    (group,) = (mark.args[0] for mark in request.node.iter_markers("xdist_group"))
    wanted: list[Any] = [
        item
        for item in request.session.items
        if item.fspath == request.node.fspath
        and any(mark.args[0] == group for mark in item.iter_markers("xdist_group"))
    ]
    return [item.callspec.params["story"] for item in wanted if "story" in item.callspec.params]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "story",
    [pytest.param(story, id=name_of(story), marks=group_of(number)) for number, story in enumerate(STORIES)],
)
async def test_fault(stages: Stages, story: Story, request: pytest.FixtureRequest) -> None:
    stages.begin(stories_of(request))
    await stages.playing[name_of(story)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [pytest.param(number, marks=group_of(number)) for number in range(GROUPS)])
async def test_nothing_else_is_broken_afterwards(stages: Stages, number: int) -> None:
    await asyncio.gather(*stages.playing.values(), return_exceptions=True)
    await stages.front.check_all()
    assert not stages.front.installation.list_dead()
