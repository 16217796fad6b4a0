"""The situation at the door, for the decision: one query, as one transaction sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from unlatch.domain.access import Closure, Consent, PlaceKind, Position
from unlatch.domain.decision import READING_MAX_AGE_S, Situation
from unlatch.domain.home import rings_at
from unlatch.domain.incident import Incident
from unlatch.domain.parcel import ParcelPlace
from unlatch.store.cameras import WITNESS
from unlatch.store.freezes import frozen_widely
from unlatch.store.readings import JOIN_ACCOUNT, PLACE_COLUMNS, Place, place_of, reading_of

_LOCK_PLACE = """
    -- Scans, blocks and the gate queue up behind each other at this row, and the commit order decides. A statement of
    -- its own: one that waits for a lock goes on with what it saw of all other rows before it waited.
    SELECT 1 FROM access_point WHERE id = (SELECT access_point_id FROM stop WHERE id = %(stop_id)s)
    FOR NO KEY UPDATE
"""
_AT_DOOR = f"""
    -- All that the decision looks at.
    SELECT stop.id AS stop_id, stop.access_point_id, stop.carrier_id, stop.courier_id, stop.state AS stop_state,
        window_from, window_until, ruled_out,
        courier.is_active, (device.revoked_at IS NOT NULL) AS is_device_revoked,
        access_point.kind, access_point.latitude AS address_latitude,
        access_point.longitude AS address_longitude, range_m, time_zone, allows_unseen_lock, is_consent_given,
        blocked_at, consent_ends_at, from_local, until_local, is_frozen,
        {frozen_widely("courier.id")} AS frozen_widely,
        {PLACE_COLUMNS}, vehicle.closure_key,
        parcel.id AS parcel_id, parcel.stop_id AS parcel_stop_id, parcel.place AS parcel_place,
        observed_at, is_locked, is_open, is_moving, reading.latitude, reading.longitude, accuracy_m, is_bolted_inside,
        is_alarm_armed, reading.is_pet_loose, refused, tried_at,
        home.rings_first, home.quiet_from, home.quiet_until, home.is_pet_loose AS is_pet_said_loose,
        witness.is_enrolled, witness.is_heard, witness.is_contradicted,
        (SELECT live.id FROM visit live
          WHERE live.access_point_id = stop.access_point_id AND live.ended_at IS NULL) AS live_at_place,
        (SELECT live.id FROM visit live
          WHERE live.courier_id = %(courier_id)s AND live.ended_at IS NULL) AS live_of_courier,
        (SELECT live.id FROM visit live
          WHERE live.closure_key = vehicle.closure_key AND live.ended_at IS NULL) AS live_at_closure,
        (EXISTS (SELECT 1 FROM visit earlier WHERE earlier.access_point_id = stop.access_point_id
            AND earlier.tail IN ('watching', 'alarm', 'blind'))
         OR EXISTS (SELECT 1 FROM visit earlier WHERE earlier.closure_key = vehicle.closure_key
            AND earlier.tail IN ('watching', 'alarm', 'blind'))) AS is_place_watched
    FROM stop
    JOIN access_point ON access_point.id = stop.access_point_id
    JOIN courier ON courier.id = %(courier_id)s AND courier.carrier_id = stop.carrier_id
    JOIN vehicle ON vehicle.access_point_id = stop.access_point_id
    {JOIN_ACCOUNT}
    LEFT JOIN device ON device.id = %(device_id)s
    LEFT JOIN reading ON reading.access_point_id = stop.access_point_id
    LEFT JOIN home ON home.access_point_id = stop.access_point_id
    LEFT JOIN LATERAL ({WITNESS}) witness ON home.access_point_id IS NOT NULL
    LEFT JOIN parcel ON parcel.carrier_id = stop.carrier_id AND parcel.label_key = %(label_key)s
    WHERE stop.id = %(stop_id)s
"""
_ON_THE_ROUND = frozenset({ParcelPlace.WITH_CARRIER, ParcelPlace.WITH_COURIER})


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorstep:
    """The rows behind a situation."""

    row: dict[str, Any]
    place: Place
    asking_courier_id: str  # who stands at the door, and need not be the courier of the stop

    @property
    def live_visit_id(self) -> str | None:
        """The visit that this courier has under way at this very place."""
        live: str | None = self.row["live_at_place"]
        return live if live == self.row["live_of_courier"] else None

    def rings_first(self, now: datetime) -> bool:
        """Whether the courier rings before anything opens: at homes that wish it, outside of their quiet hours."""
        row = self.row
        local = now.astimezone(ZoneInfo(row["time_zone"])).time()
        quiet = (row["quiet_from"], row["quiet_until"])
        return rings_at(local, rings_first=bool(row["rings_first"]), quiet=quiet)

    def situation(
        self,
        *,
        now: datetime,
        closure: Closure,
        position: Position | None,
        obstacle: Incident | None,
        own_visit_id: str | None = None,
    ) -> Situation:
        """What the decision is taken on. `own_visit_id`: the visit that asks, which is in nobody's way."""
        row = self.row
        refused = row["refused"]
        if refused is not None and now - row["tried_at"] > timedelta(seconds=READING_MAX_AGE_S):
            refused = None
        return Situation(
            now=now,
            local_time=now.astimezone(ZoneInfo(row["time_zone"])).time(),
            is_courier_active=row["is_active"],
            is_courier_of_stop=row["courier_id"] == self.asking_courier_id,
            is_device_revoked=bool(row["is_device_revoked"]),
            is_courier_busy=row["live_of_courier"] not in (None, own_visit_id),
            courier_position=position,
            is_parcel_known=row["parcel_id"] is not None,
            is_parcel_of_stop=row["parcel_stop_id"] == row["stop_id"],
            is_parcel_with_carrier=row["parcel_place"] in _ON_THE_ROUND,
            is_stop_open=row["stop_state"] in ("open", "fallback_due"),
            ruled_out=Incident(row["ruled_out"]) if row["ruled_out"] else None,
            window_from=row["window_from"],
            window_until=row["window_until"],
            kind=PlaceKind(row["kind"]),
            closure=closure,
            address=Position(latitude=row["address_latitude"], longitude=row["address_longitude"]),
            range_m=row["range_m"],
            consent=Consent(
                is_given=row["is_consent_given"],
                blocked_at=row["blocked_at"],
                ends_at=row["consent_ends_at"],
                from_local=row["from_local"],
                until_local=row["until_local"],
            ),
            allows_unseen_lock=row["allows_unseen_lock"],
            # the same car may stand behind another access point too
            is_place_busy=not {row["live_at_place"], row["live_at_closure"]} <= {None, own_visit_id},
            is_place_watched=row["is_place_watched"],
            is_place_frozen=row["is_frozen"],
            frozen=Incident(row["frozen_widely"]) if row["frozen_widely"] else None,
            reading=reading_of(row),
            is_reading_refused=Incident(refused) if refused else None,
            is_cloud_down=obstacle is Incident.DEVICE_CLOUD_OUTAGE,
            is_quota_used_up=obstacle is Incident.DEVICE_QUOTA_USED_UP,
            heard_at=row["tried_at"] if row["refused"] is None else None,
            is_opening_agreed=obstacle is not Incident.DEVICE_CONSENT_LOST,
            is_pet_loose=bool(row["is_pet_said_loose"]),
            is_camera_enrolled=bool(row["is_enrolled"]),
            is_camera_heard=bool(row["is_heard"]),
            is_camera_contradicted=bool(row["is_contradicted"]),
        )


async def find_doorstep(
    connection: AsyncConnection,
    *,
    stop_id: str,
    courier_id: str,
    device_id: str | None,
    label_key: str | None,
    now: datetime,
) -> Doorstep | None:
    """The stop as this courier's carrier sees it, its access point locked; None: no such stop there."""
    values = {
        "stop_id": stop_id,
        "courier_id": courier_id,
        "device_id": device_id,
        "label_key": label_key,
        "now": now,
        "real_now": datetime.now(UTC),
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_LOCK_PLACE, values)
        await cursor.execute(_AT_DOOR.encode(), values)
        row = await cursor.fetchone()
    if row is None:
        return None
    return Doorstep(row=row, place=place_of(row), asking_courier_id=courier_id)
