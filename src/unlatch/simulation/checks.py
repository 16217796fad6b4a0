"""What must hold, laid beside what is so in truth: at each commit, at each emission, and when all is over."""

from __future__ import annotations

from collections import defaultdict

from unlatch.domain.decision import GRANT_MAX_AGE_S
from unlatch.domain.proof import Kind, next_entry
from unlatch.domain.visit import FINAL, SECURE_WITHIN_S, State, Tail
from unlatch.simulation.homes import camera_at
from unlatch.simulation.store import Row
from unlatch.simulation.world import Emission, World

FIRST_BYTE_S = 2.0  # S1
LOCK_AFTER_BLOCK_S = 2.0  # S4
TOLD_WITHIN_S = 6.5  # S3: from the last good part on
CLOCKS_MAY_DIFFER_S = 12.0  # two processes' clocks, each set forth and back
SLACK_S = 20.0  # retries after a lost connection or a lost worker
SEEN_ENDS = frozenset({State.DELIVERED, State.UNDELIVERED})
OPEN_NOW = frozenset(
    {State.UNLOCKING, State.IN_DOUBT, State.READY, State.UNLOCKED, State.OPEN, State.OPEN_LONG, State.CLOSED}
)
INSIDE = frozenset({State.DELIVERED, State.DELIVERED_LOCK_NOT_SEEN, State.RULED_DELIVERED})


class Watchman:
    """Sees every commit and every emission of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gate: dict[str, tuple[int, float]] = {}  # by command: the commit that let it pass
        self.shut: dict[str, list[tuple[int, bool, float]]] = defaultdict(
            list
        )  # by place: commits that block, unblock
        self.shut_widely: list[tuple[int, Row]] = []
        self.settled_s: dict[str, float] = {}  # by visit: seen locked, or a person called, since its gate
        self.gated_s: dict[str, float] = {}
        self.unlocked_s: dict[str, float] = {}  # by visit of a home: its unlock left
        self.is_lossy = False  # a failover has lost commits
        self.has_worker = True
        world.store.on_commit.append(self._see_commit)
        self._seen = 0
        self._locks_due: list[tuple[float, str]] = []  # since when, for which visit (S4)

    def fail(self, what: str) -> None:
        self.world.broken.append(f"{what} (at {self.world.now_s:.3f} s)")

    # ---- each commit ---------------------------------------------------------------------------------------

    def _see_commit(self) -> None:
        world, number = self.world, self.world.store.number
        for (table, key), before in world.store.commits[-1].items():
            after = world.store.table(table).get(key)
            if after is None:
                continue
            if table == "command" and after["verb"] == "unlock":
                if after["state"] == "sent" and (before is None or before["state"] == "intent"):
                    self._see_gate(after, number)
            elif table == "access_point":
                was, now = (row is not None and _is_shut(row) for row in (before, after))
                if now and not was:
                    self._expect_locks([one for one in self._open_now() if one["access_point_id"] == key])
            elif table == "freeze_" and before is None:
                self.shut_widely.append((number, after))
                self._expect_locks([one for one in self._open_now() if _reaches(after, one)])
            elif table == "visit":
                self._see_visit(before, after)
            elif table == "call" and before is None:
                self.settled_s.setdefault(after["visit_id"], world.now_s)

    def _open_now(self) -> list[Row]:
        """Visits that have passed their gate and are not being locked."""
        rows = self.world.store.table("visit").values()
        return [row for row in rows if row["ended_at"] is None and row["state"] in OPEN_NOW]

    def _expect_locks(self, opened: list[Row]) -> None:
        """Their places are shut from this commit on: each is locked within two seconds (S4)."""
        self._locks_due += [(self.world.now_s, visit["id"]) for visit in opened]

    def _see_locks_due(self) -> None:
        world, left = self.world, []
        for since_s, visit_id in self._locks_due:
            until_s = since_s + LOCK_AFTER_BLOCK_S
            if world.now_s <= until_s:
                left.append((since_s, visit_id))
                continue
            if world.last_fault_s >= since_s - 20 or not self.has_worker:
                continue
            ours = {row["id"] for row in world.store.table("command").values() if row["visit_id"] == visit_id}
            if not any(
                one.verb == "lock" and one.command_id in ours and since_s <= one.at_s <= until_s
                for one in world.emissions
            ):
                self.fail(
                    f"S4: {visit_id} was shut at {since_s:.3f} s, and no lock was on the wire within 2 s"
                )
        self._locks_due = left

    def _see_gate(self, command: Row, number: int) -> None:
        world = self.world
        self.gate[command["id"]] = (number, world.now_s)
        self.gated_s[command["visit_id"]] = world.now_s
        self.settled_s.pop(command["visit_id"], None)
        grant = world.store.table("grant_")[command["grant_id"]]
        visit = world.store.table("visit")[command["visit_id"]]
        if grant["state"] != "used":
            self.fail(f"S1: the gate let {command['id']} pass with a grant that is {grant['state']}")
        age_s = (command["sent_at"] - grant["granted_at"]).total_seconds()
        if age_s > GRANT_MAX_AGE_S + CLOCKS_MAY_DIFFER_S:
            self.fail(f"S1: the grant of {command['id']} was {age_s:.1f} s old at the gate")
        if grant["epoch"] != world.store.table("fence")[1]["epoch"]:
            self.fail(f"S10: a grant of epoch {grant['epoch']} passed the gate")
        place = visit["access_point_id"]
        if _is_shut(world.store.table("access_point")[place]):
            self.fail(f"S4: the gate let {command['id']} pass at a place that is shut")
        for frozen_at, row in self.shut_widely:
            newest = world.store.table("freeze_").get(row["id"])
            is_in_force = newest is not None and newest["thawed_at"] is None
            if frozen_at < number and is_in_force and _reaches(row, visit):
                self.fail(f"S4: the gate let {command['id']} pass although {row['scope']} is frozen")
        watched = [
            other for other in world.store.table("visit").values()
            if other["access_point_id"] == place and other["id"] != visit["id"]
            and other["tail"] in ("watching", "alarm", "blind")
        ]  # fmt: skip
        if watched:
            self.fail(f"S2: the gate let {command['id']} pass while {watched[0]['id']} is still watched")

    def _see_visit(self, before: Row | None, after: Row) -> None:
        world = self.world
        if before is None or before["state"] == after["state"]:
            return
        state = State(after["state"])
        if before["state"] in FINAL:
            self.fail(f"L2: {after['id']} went on from {before['state']} to {after['state']}")
        if after["secure_by"] is None and after["id"] in self.gated_s:
            self.settled_s.setdefault(after["id"], world.now_s)
        if state in SEEN_ENDS and after["late_until"] is not None:
            self._see_end(after)

    def _see_end(self, after: Row) -> None:
        """S5: *delivered* rests on a reading that was true, and newer than our last command."""
        world = self.world
        car = world.cars[world.store.table("vehicle")[after["access_point_id"]]["sealed"].decode()]
        if not car.closure.reads_lock:
            self.fail(f"S5: {after['id']} ends as {after['state']} though its lock can't be read")
            return
        seen_at = after["last_observed_at"]
        is_seen = seen_at is not None and car.at(world.seconds(seen_at))[0]
        if not is_seen or (car.closure.reads_lid and car.at(world.seconds(seen_at))[1]):
            self.fail(f"S5: {after['id']} ends as {after['state']}, and was not locked when it was seen")
            return
        ours = {
            row["id"] for row in world.store.table("command").values() if row["visit_id"] == after["id"]
        }  # fmt: skip
        # A lock that was slow to leave can only make it truer; an unlock that left after the reading can't.
        unlocks = (one.at_s for one in world.emissions if one.command_id in ours and one.verb == "unlock")
        if world.seconds(seen_at) < max(unlocks, default=0.0) - CLOCKS_MAY_DIFFER_S:
            self.fail(f"S5: {after['id']} ends as {after['state']} by a reading older than our unlock")

    # ---- each emission -------------------------------------------------------------------------------------

    def see_emissions(self) -> None:
        """Those since the last time."""
        for one in self.world.emissions[self._seen :]:
            if one.verb == "unlock":
                self._see_unlock(one)
        self._seen = len(self.world.emissions)
        self._see_locks_due()

    def _see_unlock(self, one: Emission) -> None:
        gate = self.gate.get(one.command_id)
        if gate is None:
            self.fail(f"S1: {one.command_id} left without having passed a gate")
        elif one.at_s - gate[1] > FIRST_BYTE_S:
            self.fail(f"S1: {one.command_id} left {one.at_s - gate[1]:.2f} s after its gate")
        if sum(other.command_id == one.command_id for other in self.world.emissions) > 1:
            self.fail(f"S2: {one.command_id} left twice")
        command = self.world.store.table("command").get(one.command_id)
        visit = self.world.store.table("visit").get(command["visit_id"]) if command is not None else None
        camera = camera_at(self.world, visit["access_point_id"]) if visit is not None else None
        if visit is None or camera is None:
            return
        self.unlocked_s[visit["id"]] = one.at_s
        if not camera.bears_witness(one.at_s):
            self.fail(f"S3: {one.command_id} left for a home, and no camera bore witness")

    # ---- when all is over ----------------------------------------------------------------------------------

    def see_the_end(self, inside: set[str], lied: set[str]) -> None:
        """The three ledgers."""
        self.see_emissions()
        store = self.world.store
        emitted = {one.command_id for one in self.world.emissions if one.verb == "unlock"}
        for command in store.table("command").values():
            if command["verb"] == "unlock" and command["state"] == "not_sent" and command["id"] in emitted:
                self.fail(f"S1: {command['id']} is said not to have been sent, and has left")
            if command["verb"] == "unlock" and command["ended_at"] is None and not self.is_lossy:
                self.fail(f"L2: {command['id']} has no end")
        for visit in store.table("visit").values():
            self._see_visit_at_the_end(visit)
        for command_id in emitted - set(store.table("command")):
            if not self.is_lossy:
                self.fail(f"A1: {command_id} has left and stands nowhere")
        self._see_parcels()
        called = {row["visit_id"] for row in store.table("call").values() if row["closed_at"] is None}
        for point, vehicle in store.table("vehicle").items():
            car = self.world.cars[vehicle["sealed"].decode()]
            is_called = any(
                row["id"] in called
                for row in store.table("visit").values()
                if row["access_point_id"] == point
            )
            if car.closure.reads_lock and car.is_by_us and not is_called and not self.is_lossy:
                self.fail(f"L3: {car.vin} stands unlocked, and nobody watches it or was called")

    def _see_visit_at_the_end(self, visit: Row) -> None:
        world, visit_id = self.world, visit["id"]
        if visit["ended_at"] is None or visit["state"] not in FINAL:
            self.fail(f"L2: {visit_id} never ended: {visit['state']}")
        if visit["tail"] not in (Tail.NONE, Tail.OVER):
            self.fail(f"L3: {visit_id} is watched for ever: {visit['tail']}")
        gated_s = self.gated_s.get(visit_id)
        if gated_s is not None and not self.is_lossy:
            settled_s = self.settled_s.get(visit_id)
            limit_s = SECURE_WITHIN_S + SLACK_S + world.nobody_works_s + CLOCKS_MAY_DIFFER_S
            if settled_s is None:
                self.fail(f"L1: {visit_id} was opened and nobody saw it locked or was called")
            elif settled_s - gated_s > limit_s:
                self.fail(
                    f"L1: {visit_id} was seen locked, or someone called, only after {settled_s - gated_s:.0f} s"
                )
        if visit_id in self.unlocked_s and not self.is_lossy:
            self._see_recording(visit)
        self._see_journal(visit)

    def _see_recording(self, visit: Row) -> None:
        """S3: a gap while the door may be open is told, is in the way of a clean end, and calls people."""
        camera = camera_at(self.world, visit["access_point_id"])
        assert camera is not None
        exposed_s = self.unlocked_s[visit["id"]]
        secured_s = self.settled_s.get(visit["id"], float("inf"))
        for since_s, until_s in camera.all_gaps():
            begun_s = max(since_s, exposed_s)
            if min(until_s, secured_s) - begun_s <= TOLD_WITHIN_S + SLACK_S + self.world.nobody_works_s:
                continue
            if visit["is_clean"] or not self._is_called(visit["id"]):
                self.fail(
                    f"S3: from {begun_s:.1f} s on nothing was recorded at {visit['id']}, and nobody was told"
                )

    def _is_called(self, visit_id: str) -> bool:
        calls = self.world.store.table("call").values()
        return any(row["visit_id"] == visit_id and row["kind"] == "operator" for row in calls)

    def _see_journal(self, visit: Row) -> None:
        """A1: the chain holds, and its last word is the row's."""
        table, head = self.world.store.table("journal"), None
        last_state: str | None = None
        for number in range(1, visit["journal_number"] + 1):
            row = table.get((visit["id"], number))
            if row is None:
                self.fail(f"A1: entry {number} of {visit['id']} is missing")
                return
            entry = next_entry(
                visit["id"], head, row["at"], kind=Kind(row["kind"]), name=row["name"], who=row["who"],
                body=row["body"], private_digest=row["private_digest"],
            )  # fmt: skip
            if bytes.fromhex(entry.hash) != row["hash"]:
                self.fail(f"A1: the chain of {visit['id']} breaks at {number}")
                return
            head = (entry.number, entry.hash)
            last_state = row["body"].get("state", last_state)
        if head is None or bytes.fromhex(head[1]) != visit["journal_hash"]:
            self.fail(f"A1: the head of {visit['id']} is not that of its journal")
        if last_state is not None and last_state != visit["state"]:
            self.fail(f"A1: {visit['id']} is {visit['state']}, and its journal ends with {last_state}")

    def _see_parcels(self) -> None:
        """L4: in one place, which is the one that the visits' ends say."""
        store = self.world.store
        ends: dict[str, set[str]] = defaultdict(set)
        for link in store.table("visit_parcel").values():
            visit = store.table("visit").get(link["visit_id"])
            if visit is not None:
                ends[link["parcel_id"]].add(visit["state"])
        for parcel in store.table("parcel").values():
            is_in = parcel["place"] == "in_place"
            was_put_in = bool(ends[parcel["id"]] & INSIDE)
            if is_in != was_put_in and not self.is_lossy:
                self.fail(
                    f"L4: {parcel['id']} is {parcel['place']}, and its visits ended as {sorted(ends[parcel['id']])}"
                )
            if parcel["place"] == "with_courier" and parcel["held_by"] is None:
                self.fail(f"L4: {parcel['id']} is held by nobody")


def _is_shut(point: Row) -> bool:
    return bool(point["blocked_at"] is not None or point["is_frozen"])


def _reaches(row: Row, visit: Row) -> bool:
    return bool(row["scope"] != "courier" or row["subject"] == visit["courier_id"])
