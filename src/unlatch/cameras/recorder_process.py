"""`python -m unlatch.cameras.recorder_process --socket PATH`: a recorder as a process of its own.

Says `recorder: ready` when it listens. SIGTERM ends the recordings and then the process; whatever else ends it, the
takes' files hold all that was synced, and `recording.recover` finds it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from unlatch.cameras.clock_marking import Mark
from unlatch.cameras.proof import Proof
from unlatch.cameras.recorder import MAX_CAMERAS, Recorder
from unlatch.cameras.recorder_wire import (
    MAX_LINE_BYTES,
    Answer,
    Arm,
    Ask,
    ClockLearnt,
    Disarm,
    Do,
    Done,
    DoorJudged,
    ExpectLight,
    Failed,
    JudgeDoor,
    Learn,
    LightSeen,
    Listen,
    LookFor,
    Outcome,
    Page,
    Picture,
    Prove,
    Proven,
    Refused,
    Relax,
    Request,
    SentTake,
    Start,
    State,
    States,
    Stop,
    TakePicture,
    Takes,
    WatchDoor,
)
from unlatch.cameras.shown_clock import ClockReader
from unlatch.clock import monotonic_s
from unlatch.errors import RecordingError, UnlatchError

MAX_LINKS = 2 * MAX_CAMERAS  # every visit of its cameras may ask for a proof at once
MAX_UNDER_WAY = 2 * MAX_CAMERAS  # requests of one link
READY = "recorder: ready"


class RecorderServer:
    """Answers at a socket. Each request runs in a thread: one that waits for a camera holds up no other."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self._threads = ThreadPoolExecutor(MAX_UNDER_WAY + MAX_LINKS, thread_name_prefix="request")
        self._links = 0
        self._decoder = msgspec.json.Decoder(Request)
        self._encoder = msgspec.json.Encoder()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One link, until its other end hangs up or sends what is no request."""
        if self._links >= MAX_LINKS:
            writer.close()
            return
        self._links += 1
        under_way: set[asyncio.Task[None]] = set()
        try:
            while line := await reader.readline():
                if len(under_way) >= MAX_UNDER_WAY:
                    await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                task = asyncio.create_task(self._answer(self._decoder.decode(line), writer))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, ConnectionError):
            pass
        except asyncio.CancelledError:
            pass  # the process ends; asyncio's streams would report it as an error of ours
        finally:
            self._links -= 1
            for task in under_way:
                task.cancel()
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        try:
            outcome = await loop.run_in_executor(self._threads, self._carry_out, request.do)
        except UnlatchError as error:
            code = error.code if isinstance(error, RecordingError) else ""
            outcome = Failed(error=type(error).__name__, code=code, message=str(error))
        with contextlib.suppress(ConnectionError):
            writer.write(self._encoder.encode(Answer(number=request.number, outcome=outcome)) + b"\n")
            await writer.drain()

    def _carry_out(self, do: Do) -> Outcome:
        recorder = self.recorder
        match do:
            case Arm():
                recorder.arm(do.camera_id, do.camera(), _reader_of(do))
            case Start():
                recorder.start(
                    do.camera_id,
                    Path(do.folder),
                    take=do.take,
                    part=do.part,
                    link=do.link,
                    silent_since=do.silent_since,
                )
            case Relax():
                recorder.relax(do.camera_id)
            case Prove():
                light = None if do.light is None else do.light.pattern(monotonic_s())
                answer = recorder.prove(do.camera_id, light)
                return Proven.of(answer, monotonic_s()) if isinstance(answer, Proof) else Refused.of(answer)
            case Stop():
                return Takes(takes=[SentTake.of(take) for take in recorder.stop(do.camera_id)])
            case Disarm():
                return Takes(takes=[SentTake.of(take) for take in recorder.disarm(do.camera_id)])
            case Ask():
                named = do.camera_id
                found = recorder.statuses() if named is None else {named: recorder.status(named)}
                now_s = monotonic_s()
                return States(states={name: State.of(status, now_s) for name, status in found.items()})
            case Listen():
                page = recorder.events(do.after, do.wait_s)
                return Page(events=list(page.events), cursor=page.cursor, is_torn=page.is_torn)
            case WatchDoor():
                recorder.watch_door(do.camera_id)
            case ExpectLight():
                recorder.expect_light(do.camera_id, do.for_s)
            case TakePicture() | Learn() | JudgeDoor() | LookFor():
                return self._enrol(do)
        return Done()

    def _enrol(self, do: TakePicture | Learn | JudgeDoor | LookFor) -> Outcome:
        """What the enrolment of a camera asks."""
        recorder, now_s = self.recorder, monotonic_s()
        match do:
            case TakePicture():
                taken = recorder.snapshot(do.camera_id)
                return Picture(
                    jpeg=taken.jpeg, width=taken.width, height=taken.height, full_width=taken.full_width,
                    full_height=taken.full_height,
                )  # fmt: skip
            case Learn():
                mark = Mark(left=do.left, top=do.top, width=do.width, height=do.height)
                learnt = recorder.learn(do.camera_id, mark)
                return ClockLearnt(
                    clock=None if learnt.reader is None else learnt.reader.content(), code=learnt.code
                )
            case JudgeDoor():
                closed = None if do.closed is None else do.closed.span(now_s)
                door = recorder.judge_door(do.camera_id, do.opened.span(now_s), closed, is_exact=do.is_exact)
                return DoorJudged(
                    code=door.code, cells=door.cells, opened_apart_s=door.opened_apart_s,
                    closed_apart_s=door.closed_apart_s,
                )  # fmt: skip
            case LookFor():
                seen = recorder.look_for(do.camera_id, do.light.pattern(now_s))
                return LightSeen(likeness=seen.likeness, swing=seen.swing, delay_s=seen.delay_s)


def _reader_of(arm: Arm) -> ClockReader | None:
    try:
        return None if arm.clock is None else ClockReader.of_content(arm.clock)
    except ValueError as error:
        raise RecordingError(f"the camera's clock can't be used: {error}", code="damaged") from error


async def run(listening: socket.socket, *, is_tied: bool = False) -> None:
    """Until SIGTERM or SIGINT; `is_tied`: or until standard input ends."""
    recorder = Recorder()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if is_tied:
        loop.add_reader(sys.stdin.fileno(), _set_at_end, over)
    served = RecorderServer(recorder)
    server = await asyncio.start_unix_server(served.serve, sock=listening, limit=MAX_LINE_BYTES)
    print(READY, flush=True)
    await over.wait()
    server.close()
    await asyncio.to_thread(recorder.close)


def _set_at_end(over: asyncio.Event) -> None:
    """Standard input has something to say, or has ended."""
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        over.set()


def listen(path: Path) -> socket.socket:
    """A socket at that path, for its owner alone; one that a process before has left there is replaced."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX)
    former = os.umask(0o077)
    try:
        listening.bind(str(path))
    finally:
        os.umask(former)
    return listening


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m unlatch.cameras.recorder_process")
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument(
        "--tied", action="store_true", help="end when standard input ends, as its parent's death does"
    )
    arguments = parser.parse_args()
    path: Path = arguments.socket
    try:
        asyncio.run(run(listen(path), is_tied=arguments.tied))
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
