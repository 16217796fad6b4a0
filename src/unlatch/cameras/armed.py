"""One camera, watched by a thread of its own from the moment it is armed until it is let go.

The thread alone holds the session, the decoder and the take; what others may know is published on the `Board`, and
what they want is left there for it to find. So nobody ever waits for a camera or for a disk that hangs: a thread that
does not come back is given up, what it had synced is recovered from its file, and another one takes its place.

While armed, every frame is decoded, and the frames since the last keyframe are kept in memory as fragments: a recording
begins with them, so that the proof need not wait for a keyframe. After the proof, `relax` leaves it at keyframes, which
costs a thirtieth, and still shows a picture that stands or repeats within two of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from av.error import FFmpegError

from unlatch.cameras.base import SILENT_S, Camera, CameraMaker, Session
from unlatch.cameras.board import Board, CameraState, Event, Onlooker, Status
from unlatch.cameras.glances import Glance, Judgement, Verdict
from unlatch.cameras.proof import PROOF_WAITS_S, Lease, Proof, ReadBack, Refusal, make_proof
from unlatch.cameras.recording import TakeFile
from unlatch.cameras.shown_clock import ClockReader
from unlatch.cameras.watching import Watching
from unlatch.clock import monotonic_s
from unlatch.domain.clip import FIRST_LINK
from unlatch.errors import RecordingError

log = logging.getLogger(__name__)

PAUSES_S = (0.2, 0.5, 1.0, 2.0)  # before the next session
STEADY_S = 5.0  # a session that held so long is no failed try
GIVE_UP_S = 8.0  # without a sign of the thread: longer than opening a session may take
MAX_GIVEN_UP = 3  # threads of one camera
LONGEST_LIGHT_S = 30.0  # that a lamp of ours may excuse what moves
ANSWER_S = 3.0  # for the thread to close its take: libav notices silence after two


def tell_nobody(_event: Event) -> None:
    """For whoever does not want to know."""


def as_it_is(judgement: Judgement) -> Judgement:
    """The verdict of the picture alone."""
    return judgement


class ArmedCamera:
    """See the module. Its methods may be called from any thread; `prove` and `stop` wait, but not for ever."""

    def __init__(
        self,
        camera_id: str,
        camera: Camera,
        maker: CameraMaker,
        *,
        reader: ClockReader | None = None,
        tell: Callable[[Event], None] = tell_nobody,
    ) -> None:
        """`tell` is called with every event, by any thread, and must be quick."""
        self._camera, self._maker = camera, maker
        self._board = Board(camera_id, reader, tell)
        self._thread: threading.Thread | None = None
        self._given_up: list[threading.Thread] = []

    # ---- what others want -------------------------------------------------------------------------------

    def arm(self) -> None:
        """Connect, and stay connected."""
        with self._board.changed:
            if self._thread is None:
                self._begin_thread()

    def disarm(self) -> None:
        """Let go. A take that is being written is closed by its thread, but no longer told of: `stop` before."""
        with self._board.changed:
            self._board.generation += 1
            self._board.folder, self._thread = None, None
            self._board.publish(state=CameraState.OFF, lease=Lease())

    def start(
        self,
        folder: Path,
        *,
        take: int = 1,
        part: int = 1,
        link: bytes = FIRST_LINK,
        silent_since: datetime | None = None,
    ) -> None:
        """Record into that folder, from the last keyframe on and as soon as frames come, until `stop`.

        `take`, `part`, `link`: what comes next there, and follows which link, if another recorder has begun it; it has
        told of nothing since `silent_since`.
        """
        board = self._board
        with board.changed:
            if board.folder is not None and board.folder != folder:
                raise RecordingError("this camera records already", code="busy")
            if board.folder is None:
                board.go_on(take=take, part=part, link=link)
            board.folder = folder
            if silent_since is not None:
                board.open_gap(silent_since, "recorder_gone")
            elif board.status.state in (CameraState.LOST, CameraState.CONNECTING, CameraState.STUCK):
                board.open_gap(datetime.now(UTC), board.status.code or "unreachable")

    def stop(self) -> tuple[TakeFile, ...]:
        """End the recording; its takes. That of a thread that hangs is to be recovered: it is not `is_whole`."""
        board = self._board
        with board.changed:
            folder, board.folder = board.folder, None
            board.changed.wait_for(lambda: not board.writing, ANSWER_S)
            if board.writing:
                self._give_up("hung", folder)
            board.close_gap(datetime.now(UTC))
            return board.take_out()

    def prove(
        self, wait_s: float = PROOF_WAITS_S, *, judge: Callable[[Judgement], Judgement] = as_it_is
    ) -> Proof | Refusal:
        """Prove that it records now; see `proof.py`. Blocks for at most `wait_s`, and for some reads of the disk.

        `judge` may know more than the last two seconds tell: that a light of ours was seen.
        """
        wait_s += self._maker.bunch_s
        board = self._board
        with board.changed:
            if board.folder is None:
                return Refusal(code="not_recording", judgement=board.status.judgement)
            board.asked_s, board.material, board.is_eager = monotonic_s(), None, True
        read = self._read_back(monotonic_s() + wait_s)
        with board.changed:
            material, board.material, board.asked_s = board.material, None, None
            status = board.status
        if read is not None and read.failure:
            return Refusal(code=read.failure, judgement=status.judgement)
        if read is None or material is None:
            is_silent = monotonic_s() - board.heard_s > SILENT_S
            code = Verdict.STALLED if is_silent else "no_frame"
            return Refusal(code=code, judgement=status.judgement)
        return make_proof(read, material, judge(status.judgement), datetime.now(UTC), monotonic_s())

    def _read_back(self, until_s: float) -> ReadBack | None:
        """Read what is being written, while it is written: by the time the last frame is there, the rest is decoded."""
        board = self._board
        read: ReadBack | None = None
        while (run := board.wait_for_run(until_s)) is not None:
            read = ReadBack(run, board.wait_for_parts(run, until_s))
            read.decode()
            material = board.material
            has_all = material is not None and material.take == run.take
            if has_all or read.failure or monotonic_s() >= until_s:
                break
        return read

    def relax(self) -> None:
        """Decode keyframes alone, until the next proof is asked for."""
        self._board.is_eager = False

    @property
    def status(self) -> Status:
        """What is known now; never waits."""
        return replace(self._board.status, heard_s=self._board.heard_s)

    def glances(self, since_s: float) -> list[Glance]:
        """What was seen since then: for a light pattern."""
        return self._board.rolling.glances(since_s)

    def expect_light(self, for_s: float) -> None:
        """A lamp plays before it for so long from now on."""
        now_s = monotonic_s()
        self._board.is_eager = True
        self._board.rolling.expect_light(now_s, now_s + min(for_s, LONGEST_LIGHT_S))

    @property
    def reader(self) -> ClockReader | None:
        """What reads its clock."""
        return self._board.rolling.reader

    def read_clock_by(self, reader: ClockReader | None) -> None:
        """Read its clock so from the next frame on."""
        self._board.rolling.reader = reader

    def show(self, onlooker: Onlooker) -> None:
        """Show every frame from now on to this one alone; whoever looked before sees no more."""
        self._board.is_eager, self._board.onlooker = True, onlooker

    def hide(self, onlooker: Onlooker) -> None:
        """Show it no more."""
        if self._board.onlooker is onlooker:
            self._board.onlooker = None

    def check(self, now_s: float) -> None:
        """The timer of our own, called some times a second: libav's strikes late, and a thread may not come back."""
        board = self._board
        with board.changed:
            is_connected = board.status.state in (CameraState.ARMED, CameraState.RECORDING)
            if is_connected and now_s - board.heard_s > SILENT_S:
                board.lose("silent")
            if self._thread is not None and now_s - board.sign_s > GIVE_UP_S:
                self._give_up("hung", board.folder)

    # ---- the thread -------------------------------------------------------------------------------------

    def _begin_thread(self) -> None:
        board = self._board
        board.generation += 1
        board.sign_s = monotonic_s()
        board.publish(state=CameraState.CONNECTING)
        self._thread = threading.Thread(
            target=self._run, args=(board.generation,), name=f"camera {board.camera_id}", daemon=True
        )
        self._thread.start()

    def _give_up(self, code: str, folder: Path | None) -> None:
        """Leave the thread to itself, and go on with another. `folder`: where it was writing."""
        if self._thread is not None:
            self._given_up = [one for one in (*self._given_up, self._thread) if one.is_alive()]
        self._thread = None
        self._board.lose(code)
        self._board.keep_cut_take(folder)
        if len(self._given_up) >= MAX_GIVEN_UP:
            self._board.generation += 1
            self._board.publish(state=CameraState.STUCK)
        else:
            self._begin_thread()

    def _run(self, generation: int) -> None:
        board, tries = self._board, 0
        while generation == board.generation:
            board.sign_s = monotonic_s()
            code = "unreachable"
            try:
                with self._maker.open(self._camera) as session:
                    begun_s = monotonic_s()
                    try:
                        self._follow(session, generation)
                    finally:
                        tries = 0 if monotonic_s() - begun_s > STEADY_S else tries
                    return
            except RecordingError as error:
                code = error.code
            except (FFmpegError, OSError):
                code = "damaged"
            except Exception as error:  # noqa: BLE001 (whatever one camera brings, the others must not notice)
                code = "crashed"
                # Without its trace: libraries write the camera's address and password into their messages.
                log.error(  # noqa: TRY400
                    "camera %s: %s", board.camera_id, type(error).__name__
                )
            with board.changed:
                if generation != board.generation:
                    return
                board.lose(code)
                pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
                board.changed.wait_for(lambda: generation != board.generation, pause_s)
            tries += 1

    def _follow(self, session: Session, generation: int) -> None:
        """Until the session ends, which raises CameraUnreachable, or another thread counts."""
        watching = Watching(self._board, generation, session.video)
        try:
            for coded in session.read():
                if generation != self._board.generation:
                    return
                watching.add(coded)
                if session.can_wait:
                    watching.rest(coded)
        finally:
            watching.close()
