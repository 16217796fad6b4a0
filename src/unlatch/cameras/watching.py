"""One session of an armed camera, as its thread sees it: looks, keeps the last frames, writes the take, gives proof.

This is done for each frame of 32 cameras, so what can wait is done by the part or by the second. What is wanted is read
from the board without its lock: each is one value that is replaced as a whole.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from unlatch.cameras.base import Coded, decoder_of
from unlatch.cameras.board import Board, CameraState, EventKind
from unlatch.cameras.glances import digest_of, glance_of
from unlatch.cameras.proof import PROOF_FRAMES, Lease, Material, Run
from unlatch.cameras.recording import Packer, Piece, Take
from unlatch.clock import monotonic_s
from unlatch.domain.clip import Part
from unlatch.errors import RecordingError

JUDGE_EVERY_S = 0.5
KEYFRAME_EVERY_S = 3.5  # relaxed: every other one of a camera that sends one each two seconds, more or less
PARTS_TOGETHER = (
    2  # relaxed: that are synced at once. A sync costs as much as all else that is done with a part
)
# Relaxed: between two readings of what a camera has sent, by chance, so that threads do not meet. With the part that is
# being filled, no more than that is lost when the process is killed: half a second.
RESTS_S = (0.2, 0.3)
UNEVEN_S = 0.03  # a frame may come so late
MEETS_EVERY_S = 10.0  # then all is read until one must be waited for: no two clocks run alike
WAITED_S = 0.008  # longer than a thread waits for the others
RING_BYTES = 32 * 1024 * 1024  # of a camera that sends no keyframe for long
STEADY = (CameraState.ARMED, CameraState.RECORDING)


class Watching:
    """See the module. `generation`: of the thread; once the board counts another one, nothing is told any more."""

    def __init__(self, board: Board, generation: int, video: VideoStream) -> None:
        """Raises CameraUnreachable where nothing can be made of its frames."""
        self._board, self._generation, self._video = board, generation, video
        self._packer = Packer(video)
        self._ring: list[Piece] = []  # the frames since the last keyframe
        self._ring_bytes = 0
        self._latest: deque[float] = deque(maxlen=PROOF_FRAMES)  # when the last pieces' frames were here
        self._take: Take | None = None
        self._fresh = 0
        self._scaler = VideoReformatter()
        self._decoder: VideoCodecContext | None = None
        self._is_full = False  # the decoder is for every frame, not for keyframes alone
        self._is_decoding = False
        self._looked_s = self._judged_s = float("-inf")
        self._ready_s = self._woke_s = float("-inf")
        self._shown_s, self._met = (
            0.0,
            (float("-inf"), 0.0),
        )  # the last frame's time; when and which was waited for
        self._rested_s = float("inf")  # since when what is read now may have been here; inf: since it is read
        self._told: Coded | None = None  # the last frame that bore the camera's own time
        board.rolling.begin(monotonic_s())

    @property
    def _counts(self) -> bool:
        return self._generation == self._board.generation

    def add(self, coded: Coded) -> None:
        """The next frame. Raises RecordingError."""
        board = self._board
        if not self._counts:
            return
        board.sign_s = board.heard_s = coded.received_s
        if coded.taken_at is not None:
            self._told = coded
        self._look(coded)
        piece = self._packer.add(coded)
        folder, asked_s, status = board.folder, board.asked_s, board.status
        if status.state not in STEADY or status.dropped != self._packer.dropped:
            self._publish_steady()
        if folder is None and self._take is not None:
            self._end()
            with board.changed:
                if self._counts:
                    board.publish(state=CameraState.ARMED)
        if piece is not None:
            is_fresh = asked_s is not None and self._here_since_s(coded) > asked_s
            self._keep(piece, folder, is_fresh=is_fresh)

    def rest(self, coded: Coded) -> None:
        """Relaxed, once all that came is read: let some more come, and read them at one waking.

        The kernel holds them meanwhile. To wake for every frame costs as much as what is done with it, so none is
        waited for: how much has come follows from the frames' own times, counted from the last that was waited for.
        """
        board, now_s = self._board, coded.received_s
        shown_s = self._packer.seconds_of(coded.packet)
        step_s, self._shown_s = shown_s - self._shown_s, shown_s
        is_first = self._waited_for(coded)
        if is_first or now_s - self._woke_s > RESTS_S[1]:
            self._rested_s = float("inf")
        if is_first:
            self._met = (now_s, shown_s)
        if not board.is_eager and board.asked_s is None:
            behind_s = (now_s - self._met[0]) - (shown_s - self._met[1])
            is_all_read = behind_s < 1.5 * step_s + UNEVEN_S and now_s - self._met[0] < MEETS_EVERY_S
            if is_first or is_all_read:
                self._rested_s = monotonic_s()
                time.sleep(random.uniform(*RESTS_S))
                self._woke_s = monotonic_s()
        self._ready_s = monotonic_s()

    def _waited_for(self, coded: Coded) -> bool:
        """Whether it was not there yet when we were ready to read it."""
        return coded.received_s - self._ready_s > WAITED_S

    def _here_since_s(self, coded: Coded) -> float:
        """When it came, at the earliest: what is read right after a rest may have come at its beginning."""
        return coded.received_s if self._waited_for(coded) else min(coded.received_s, self._rested_s)

    def close(self) -> None:
        """The session has ended."""
        self._end()

    def _publish_steady(self) -> None:
        board = self._board
        with board.changed:
            if self._counts:
                state = CameraState.ARMED if self._take is None else CameraState.RECORDING
                board.publish(state=state, code=None, dropped=self._packer.dropped)

    def _end(self) -> None:
        """The recording, or its session, has ended: what was taken in is kept."""
        take, self._take = self._take, None
        if take is None:
            return
        try:
            parts = take.close()
        except RecordingError:
            parts = ()  # what was synced before is not touched by that
        with self._board.changed:
            if self._counts:
                self._board.told(parts)
                self._board.keep_take(take.ended())

    def _look(self, coded: Coded) -> None:
        """Decode the frame, if it is wanted, and judge twice a second.

        While relaxed, that is a keyframe now and then, and each whose bytes were there before.
        """
        rolling, is_eager, is_key = self._board.rolling, self._board.is_eager, coded.packet.is_keyframe
        if not is_key and not (self._is_decoding and is_eager and self._is_full):
            self._is_decoding = False
            return
        digest = digest_of(bytes(coded.packet))
        if is_key:
            is_due = coded.received_s - self._looked_s >= KEYFRAME_EVERY_S
            self._is_decoding = is_eager or is_due or rolling.has_seen(digest)
            if not self._is_decoding:
                return
            if self._decoder is None or self._is_full is not is_eager:
                self._choose_decoder(is_eager)
        assert self._decoder is not None
        self._looked_s = coded.received_s
        for frame in self._decoder.decode(coded.packet):
            glance = glance_of(frame, digest, coded.received_s, rolling.reader, self._scaler)
            rolling.add(glance)
            if (onlooker := self._board.onlooker) is not None:
                onlooker.see(frame, glance)
        if coded.received_s - self._judged_s >= JUDGE_EVERY_S:
            self._judge(coded.received_s)

    def _choose_decoder(self, is_full: bool) -> None:
        """Another one, from this keyframe on. One for keyframes alone smooths no edges: a glance does not see them."""
        self._is_full = is_full
        self._decoder = decoder_of(self._video)
        if not is_full:
            self._decoder.options = {"skip_loop_filter": "all"}

    def _judge(self, now_s: float) -> None:
        self._judged_s = now_s
        judgement = self._board.rolling.judge(now_s, now_s)
        with self._board.changed:
            if self._counts:
                lease = Lease() if judgement.is_against else self._board.status.lease
                self._board.publish(judgement=judgement, lease=lease)

    def _keep(self, piece: Piece, folder: Path | None, *, is_fresh: bool) -> None:
        self._latest.append(piece.received_s)
        if piece.is_key or self._ring_bytes > RING_BYTES:
            self._ring, self._ring_bytes = [], 0
        if piece.is_key or self._ring:
            self._ring.append(piece)
            self._ring_bytes += len(piece.frame)
        if folder is None:
            return
        self._fresh = self._fresh + 1 if is_fresh else 0
        is_enough = self._fresh >= PROOF_FRAMES
        if is_enough:
            # Judged first, so that the part with the last of them renews the lease: no proof without a lease.
            self._fresh = 0
            self._judge(piece.received_s)
        if self._take is None:
            self._begin_take(folder)
        elif parts := self._take.add(piece, together=1 if self._board.is_eager else PARTS_TOGETHER):
            self._synced(parts)
        if self._take is None:
            self._fresh = 0
        elif is_enough:
            self._synced(self._take.sync())
            self._give_material(self._take)

    def _begin_take(self, folder: Path) -> None:
        """A take begins with the frames since the last keyframe; without one, it waits for the next."""
        board = self._board
        if not self._ring or not self._ring[0].is_key:
            return
        number = board.first_take + len(board.takes)
        next_part = board.parts[-1].number + 1 if board.parts else board.first_part
        take = Take(folder, number, self._packer.head, next_part=next_part)
        with board.changed:
            if not self._counts:
                take.close()
                return
            self._take, board.writing = take, number
            board.close_gap(take.begun_at)
            board.publish(state=CameraState.RECORDING, take=number)
            board.say(take.begun_at, EventKind.TAKE_BEGUN, take=number)
        for piece in self._ring:
            self._synced(take.add(piece))

    def _synced(self, parts: Sequence[Part]) -> None:
        """Tell of parts, and where the last run begins: whoever wants a proof reads it back while it grows."""
        board, take = self._board, self._take
        if not parts:
            return
        with board.changed:
            if not self._counts or take is None:
                return
            for part in parts:
                if part.offset <= take.run_begin < part.offset + part.size:
                    board.run = Run(
                        path=take.path, take=take.number, begin=take.run_begin, part=part.number,
                        head=take.parts[0], head_size=take.head_size,
                    )  # fmt: skip
            board.told(parts)

    def _give_material(self, take: Take) -> None:
        board = self._board
        received = set(self._latest)
        glances = tuple(one for one in board.rolling.glances(min(received)) if one.at_s in received)
        clock_apart_s = None
        if self._told is not None and self._told.taken_at is not None:
            here_at = datetime.now(UTC) - timedelta(seconds=monotonic_s() - self._told.received_s)
            clock_apart_s = (self._told.taken_at - here_at).total_seconds()
        material = Material(
            take=take.number,
            part=take.parts[-1].number,
            glances=glances if len(glances) == len(received) else (),  # keyframes alone were decoded
            clock_apart_s=clock_apart_s,
        )
        with board.changed:
            if self._counts and board.asked_s is not None:
                board.material, board.asked_s = material, None
                board.changed.notify_all()
