"""One session of an armed camera, as its thread sees it: looks, keeps the last frames, writes the take, gives proof."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

from unlatch.cameras.base import Coded
from unlatch.cameras.board import Board, CameraState, EventKind
from unlatch.cameras.glances import digest_of, glance_of
from unlatch.cameras.proof import PROOF_FRAMES, Lease, Material
from unlatch.cameras.recording import Fragmenter, Piece, Take
from unlatch.clock import monotonic_s
from unlatch.domain.clip import Part
from unlatch.errors import RecordingError

JUDGE_EVERY_S = 0.5
RING_BYTES = 32 * 1024 * 1024  # of a camera that sends no keyframe for long


class Watching:
    """See the module. `generation`: of the thread; once the board counts another one, nothing is told any more."""

    def __init__(
        self, board: Board, generation: int, fragmenter: Fragmenter, decoder: VideoCodecContext
    ) -> None:
        self._board, self._generation = board, generation
        self._fragmenter, self._decoder = fragmenter, decoder
        self._ring: list[Piece] = []  # the frames since the last keyframe
        self._ring_bytes = 0
        self._latest: deque[float] = deque(maxlen=PROOF_FRAMES)  # when the last pieces' frames were here
        self._take: Take | None = None
        self._fresh = 0
        self._scaler = VideoReformatter()
        self._is_decoding = False
        self._judged_s = float("-inf")
        self._clock_apart_s: float | None = None
        board.rolling.begin(monotonic_s())

    @property
    def _counts(self) -> bool:
        return self._generation == self._board.generation

    def add(self, coded: Coded) -> None:
        """The next frame. Raises RecordingError."""
        board, received_s = self._board, coded.received_s
        board.sign_s = monotonic_s()
        if coded.taken_at is not None:
            self._clock_apart_s = (coded.taken_at - datetime.now(UTC)).total_seconds()
        self._look(coded)
        pieces = self._fragmenter.add(coded)
        with board.changed:
            if not self._counts:
                return
            board.heard_s = received_s
            if board.status.state not in (CameraState.ARMED, CameraState.RECORDING):
                state = CameraState.ARMED if self._take is None else CameraState.RECORDING
                board.publish(state=state, code=None)
            if board.status.dropped != self._fragmenter.dropped:
                board.publish(dropped=self._fragmenter.dropped)
            folder, asked_s = board.folder, board.asked_s
        if folder is None and self._take is not None:
            self._end()
            with board.changed:
                if self._counts:
                    board.publish(state=CameraState.ARMED)
        for piece in pieces:
            self._keep(piece, folder, asked_s)

    def close(self) -> None:
        """The session has ended: its last frame comes out of the muxer only now."""
        take = self._take
        for piece in self._fragmenter.close():
            if take is not None:
                self._synced(take.add(piece))
        self._end()

    def _end(self) -> None:
        """The recording, or its session, has ended: what was taken in is kept."""
        take, self._take = self._take, None
        if take is None:
            return
        try:
            part = take.close()
        except RecordingError:
            part = None  # what was synced before is not touched by that
        with self._board.changed:
            if self._counts:
                if part is not None:
                    self._board.told(part)
                self._board.keep_take(take.ended())

    def _look(self, coded: Coded) -> None:
        """Decode the frame, if it is wanted, and judge twice a second."""
        rolling = self._board.rolling
        self._is_decoding = coded.packet.is_keyframe or (self._is_decoding and self._board.is_eager)
        if not self._is_decoding:
            return
        digest = digest_of(bytes(coded.packet))
        for frame in self._decoder.decode(coded.packet):
            rolling.add(glance_of(frame, digest, coded.received_s, rolling.reader, self._scaler))
        if coded.received_s - self._judged_s >= JUDGE_EVERY_S:
            self._judge(coded.received_s)

    def _judge(self, now_s: float) -> None:
        self._judged_s = now_s
        judgement = self._board.rolling.judge(now_s, now_s)
        with self._board.changed:
            if self._counts:
                lease = Lease() if judgement.is_against else self._board.status.lease
                self._board.publish(judgement=judgement, lease=lease)

    def _keep(self, piece: Piece, folder: Path | None, asked_s: float | None) -> None:
        self._latest.append(piece.received_s)
        if piece.is_key or self._ring_bytes > RING_BYTES:
            self._ring, self._ring_bytes = [], 0
        if piece.is_key or self._ring:
            self._ring.append(piece)
            self._ring_bytes += len(piece.data)
        if folder is None:
            return
        if self._take is None:
            self._fresh = 0
            self._begin_take(folder)
            return
        is_fresh = asked_s is not None and piece.received_s > asked_s
        self._fresh = self._fresh + 1 if is_fresh else 0
        if self._fresh < PROOF_FRAMES:
            self._synced(self._take.add(piece))
            return
        # Judged first, so that the part with the last of them renews the lease: no proof without a lease.
        self._fresh = 0
        self._judge(piece.received_s)
        self._synced(self._take.add(piece))
        self._synced(self._take.sync())
        self._give_material(self._take)

    def _begin_take(self, folder: Path) -> None:
        """A take begins with the frames since the last keyframe; without one, it waits for the next."""
        board = self._board
        if not self._ring or not self._ring[0].is_key:
            return
        number = board.first_take + len(board.takes)
        next_part = board.parts[-1].number + 1 if board.parts else board.first_part
        take = Take(folder, number, self._fragmenter.head, next_part=next_part)
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

    def _synced(self, part: Part | None) -> None:
        if part is not None:
            with self._board.changed:
                if self._counts:
                    self._board.told(part)

    def _give_material(self, take: Take) -> None:
        board = self._board
        # A run that has just begun is too short to show anything: then the one before it is taken along.
        begin = take.run_begin if len(self._ring) >= PROOF_FRAMES else take.run_before
        parts = tuple(part for part in take.parts if part.offset + part.size > begin)
        received = set(self._latest)
        glances = tuple(one for one in board.rolling.glances(min(received)) if one.at_s in received)
        material = Material(
            path=take.path,
            take=take.number,
            head_size=take.head_size,
            begin=begin,
            parts=parts,
            glances=glances if len(glances) == len(received) else (),  # keyframes alone were decoded
            clock_apart_s=self._clock_apart_s,
        )
        with board.changed:
            if self._counts and board.asked_s is not None:
                board.material, board.asked_s = material, None
                board.changed.notify_all()
