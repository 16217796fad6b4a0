"""One session of an armed camera, as its thread sees it: looks, keeps the last frames, writes the take, gives proof.

This is done for each frame of 32 cameras, so what can wait is done by the part or by the second. What is wanted is read
from the board without its lock: each is one value that is replaced as a whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
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
            self._keep(piece, folder, asked_s)

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
                for part in parts:
                    self._board.told(part)
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

    def _keep(self, piece: Piece, folder: Path | None, asked_s: float | None) -> None:
        self._latest.append(piece.received_s)
        if piece.is_key or self._ring_bytes > RING_BYTES:
            self._ring, self._ring_bytes = [], 0
        if piece.is_key or self._ring:
            self._ring.append(piece)
            self._ring_bytes += len(piece.frame)
        if folder is None:
            return
        is_fresh = asked_s is not None and piece.received_s > asked_s
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

    def _synced(self, parts: Iterable[Part]) -> None:
        """Tell of parts, and where the last run begins: whoever wants a proof reads it back while it grows."""
        board, take = self._board, self._take
        for part in parts:
            with board.changed:
                if not self._counts or take is None:
                    return
                if part.offset <= take.run_begin < part.offset + part.size:
                    board.run = Run(
                        path=take.path, take=take.number, begin=take.run_begin, part=part.number,
                        head=take.parts[0], head_size=take.head_size,
                    )  # fmt: skip
                board.told(part)

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
