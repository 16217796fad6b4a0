"""What each statement of the flow does, on the simulated tables. A statement that is not known here is an error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psycopg.errors import UniqueViolation

from unlatch.domain.incident import Incident
from unlatch.domain.visit import BEFORE_GATE
from unlatch.simulation.homes import witness
from unlatch.simulation.store import Handler, Row, Transaction
from unlatch.store import (
    calls,
    commands,
    consignees,
    fence,
    freezes,
    journal,
    parcels,
    readings,
    situations,
    visits,
)

WATCHED = frozenset({"watching", "alarm", "blind"})
ON_THE_ROUND = frozenset({"with_carrier", "with_courier"})
GOING_ON = frozenset({"open", "fallback_due"})
_KNOWN: dict[str, Handler] = {}
_BY_FRAGMENT: list[tuple[str, Handler]] = []
_FOUND: dict[str | bytes, Handler] = {}


def _fold(query: str | bytes) -> str:
    text = query.decode() if isinstance(query, bytes) else query
    return " ".join(text.split())


def sql(*queries: str | bytes) -> Callable[[Handler], Handler]:
    """This function does what these statements do."""

    def register(handler: Handler) -> Handler:
        for query in queries:
            _KNOWN[_fold(query)] = handler
        return handler

    return register


def like(*fragments: str) -> Callable[[Handler], Handler]:
    """The same for statements that are put together: by how they begin."""

    def register(handler: Handler) -> Handler:
        _BY_FRAGMENT.extend((fragment, handler) for fragment in fragments)
        return handler

    return register


def find(query: str | bytes) -> Handler:
    """What this statement does. Raises LookupError with its text where nobody has said."""
    handler = _FOUND.get(query)
    if handler is None:
        text = _fold(query)
        handler = _KNOWN.get(text)
        if handler is None:
            handler = next((one for fragment, one in _BY_FRAGMENT if text.startswith(fragment)), None)
        if handler is None:
            raise LookupError(f"the simulation does not know this statement: {text[:300]}")
        _FOUND[query] = handler
    return handler


# ---- visits ---------------------------------------------------------------------------------------------------------


def _plain(values: Row) -> Row:
    """A row of visit as the table holds it."""
    return {**values, "closure": values["closure"].obj} if hasattr(values["closure"], "obj") else values


def _breaks(one: Row, other: Row) -> bool:
    """Whether both may not live (S6)."""
    return (
        one["id"] != other["id"]
        and one["ended_at"] is None
        and other["ended_at"] is None
        and (
            one["access_point_id"] == other["access_point_id"]
            or one["courier_id"] == other["courier_id"]
            or (one["closure_key"] is not None and one["closure_key"] == other["closure_key"])
        )
    )


@sql(visits._INSERT)
async def insert_visit(tx: Transaction, values: Any) -> list[Row]:
    row = _plain(values)
    while any(_breaks(row, other) for other in tx.others_writing("visit")):
        await tx.store.wait()
        tx.check()
    if any(_breaks(row, other) for other in tx.store.table("visit").values()):
        raise UniqueViolation("duplicate key value violates unique constraint of visit")
    tx.put("visit", row["id"], row)
    return []


@sql(visits._UPDATE)
async def update_visit(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("visit", values["id"])
    assert row is not None
    tx.put("visit", values["id"], {**row, **{k: v for k, v in values.items() if k != "closure"}})
    return []


@like(f"SELECT {visits._COLUMNS} FROM visit WHERE id = %s FOR NO KEY UPDATE")
async def lock_visit(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("visit", values[0])
    return [] if row is None else [row]


@like(f"SELECT {visits._COLUMNS} FROM visit WHERE id = %s")
async def get_visit(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("visit", values[0])
    return [] if row is None else [row]


@like(
    f"SELECT {visits._COLUMNS} FROM visit WHERE access_point_id = %s AND ended_at IS NULL FOR NO KEY UPDATE"
)
async def find_live_visit(tx: Transaction, values: Any) -> list[Row]:
    for seen in tx.all("visit"):
        if seen["access_point_id"] == values[0] and seen["ended_at"] is None:
            row = await tx.lock("visit", seen["id"])
            if row is not None and row["ended_at"] is None:  # PostgreSQL asks again once it has the row
                return [row]
    return []


@like(f"SELECT {visits._COLUMNS} FROM visit WHERE deadline_at <= %s ORDER BY deadline_at LIMIT 1 OFFSET %s")
async def lock_next_due(tx: Transaction, values: Any) -> list[Row]:
    now, passing_over = values
    due = [row for row in tx.all("visit") if row["deadline_at"] is not None and row["deadline_at"] <= now]
    for row in sorted(due, key=lambda one: one["deadline_at"])[passing_over:]:
        if tx.try_lock("visit", row["id"]):
            newest = tx.newest("visit", row["id"])
            if newest is not None and newest["deadline_at"] is not None and newest["deadline_at"] <= now:
                return [newest]
    return []


@sql(visits._CLAIM_READS)
async def claim_reads(tx: Transaction, values: Any) -> list[Row]:
    due = [
        row
        for row in tx.all("visit")
        if row["next_read_at"] is not None and row["next_read_at"] <= values["now"]
    ]
    claimed = []
    for row in sorted(due, key=lambda one: one["next_read_at"])[: values["limit"]]:
        if tx.try_lock("visit", row["id"]):
            newest = tx.newest("visit", row["id"])
            if (
                newest is not None
                and newest["next_read_at"] is not None
                and newest["next_read_at"] <= values["now"]
            ):
                tx.put("visit", row["id"], {**newest, "next_read_at": values["again_at"]})
                claimed.append(tx.writes["visit", row["id"]] or row)
    return claimed


@like("UPDATE visit SET next_read_at = %s WHERE id = %s AND next_read_at IS NOT NULL")
async def set_next_read(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("visit", values[1])
    if row is not None and row["next_read_at"] is not None:
        tx.change("visit", values[1], next_read_at=values[0])
    return []


@like("UPDATE visit SET last_command_at = greatest(last_command_at, %s) WHERE id = %s")
async def set_last_command(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("visit", values[1])
    if row is not None:
        tx.change("visit", values[1], last_command_at=max(filter(None, (row["last_command_at"], values[0]))))
    return []


# ---- journal, calls, parcels, jobs ----------------------------------------------------------------------------------


@sql(journal._INSERT)
async def append_entry(tx: Transaction, values: Any) -> list[Row]:
    names = (
        "visit_id",
        "number",
        "at",
        "kind",
        "name",
        "who",
        "body",
        "private_digest",
        "previous_hash",
        "hash",
    )
    row = dict(zip(names, values, strict=True))
    key = (row["visit_id"], row["number"])
    if tx.newest("journal", key) is not None:
        raise UniqueViolation("duplicate key value violates unique constraint of journal")
    tx.put("journal", key, {**row, "body": row["body"].obj})
    return []


@sql(journal._INSERT_PRIVATE)
async def append_private(tx: Transaction, values: Any) -> list[Row]:
    visit_id, number, salt, body = values
    tx.put("journal_private", (visit_id, number), {"salt": salt, "private_body": body.obj})
    return []


@sql(journal._LIST)
async def list_entries(tx: Transaction, values: Any) -> list[Row]:
    visit_id, after, limit = values
    found = []
    for number in range(after + 1, after + 1 + limit):
        row = tx.get("journal", (visit_id, number))
        if row is None:
            break
        private = tx.get("journal_private", (visit_id, number)) or {"salt": None, "private_body": None}
        found.append({**row, **private})
    return found


@sql(calls._CALL)
async def open_call(tx: Transaction, values: Any) -> list[Row]:
    while any(
        (one["visit_id"], one["kind"], one["closed_at"]) == (values["visit_id"], values["kind"], None)
        for one in tx.others_writing("call")
    ):
        await tx.store.wait()
        tx.check()
    tx.seen = tx.store.number
    for row in tx.all("call"):
        if (row["visit_id"], row["kind"], row["closed_at"]) == (values["visit_id"], values["kind"], None):
            await tx.lock("call", row["id"])
            tx.change("call", row["id"], times=row["times"] + 1, incident=values["incident"])
            return []
    tx.put("call", values["id"], {
        "id": values["id"], "visit_id": values["visit_id"], "kind": values["kind"], "incident": values["incident"],
        "opened_at": values["now"], "closed_at": None, "closed_by": None, "times": 1,
    })  # fmt: skip
    return []


@like("UPDATE call SET closed_at = %s, closed_by = %s WHERE visit_id = %s AND closed_at IS NULL")
async def close_calls(tx: Transaction, values: Any) -> list[Row]:
    for row in tx.all("call"):
        if row["visit_id"] == values[2] and row["closed_at"] is None:
            await tx.lock("call", row["id"])
            tx.change("call", row["id"], closed_at=values[0], closed_by=values[1])
    return []


@like("UPDATE call SET closed_at = %s, closed_by = %s WHERE id = %s AND closed_at IS NULL")
async def close_call(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("call", values[2])
    if row is not None and row["closed_at"] is None:
        tx.change("call", values[2], closed_at=values[0], closed_by=values[1])
    return []


@like("SELECT visit_id FROM call WHERE id = %s AND kind = %s")
async def find_visit_of_call(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("call", values[0])
    return [{"visit_id": row["visit_id"]}] if row is not None and row["kind"] == values[1] else []


@like("INSERT INTO visit_parcel")
async def insert_visit_parcel(tx: Transaction, values: Any) -> list[Row]:
    tx.put("visit_parcel", tuple(values), {"visit_id": values[0], "parcel_id": values[1]})
    return []


@like("SELECT 1 FROM visit_parcel WHERE visit_id = %s AND parcel_id = %s")
async def has_visit_parcel(tx: Transaction, values: Any) -> list[Row]:
    return [{"one": 1}] if tx.get("visit_parcel", tuple(values)) is not None else []


@like("SELECT label_key FROM parcel WHERE stop_id = %s")
async def list_label_keys(tx: Transaction, values: Any) -> list[Row]:
    return [{"label_key": row["label_key"]} for row in tx.all("parcel") if row["stop_id"] == values[0]]


@sql(parcels._SETTLE)
async def settle_stop(tx: Transaction, values: Any) -> list[Row]:
    stop = tx.get("stop", values["stop_id"])
    if stop is None:
        return []
    is_visited = any(
        row["stop_id"] == values["stop_id"] and row["id"] != values["visit_id"] and row["ended_at"] is None
        for row in tx.all("visit")
    )
    is_theirs = stop["courier_id"] == values["courier_id"] and stop["state"] in GOING_ON
    scanned = {row["parcel_id"] for row in tx.all("visit_parcel") if row["visit_id"] == values["visit_id"]}
    settled = []
    for parcel in tx.all("parcel"):
        if parcel["id"] in scanned and parcel["place"] in ON_THE_ROUND and not is_visited and is_theirs:
            newest = await tx.lock("parcel", parcel["id"])
            if newest is not None and newest["place"] in ON_THE_ROUND:
                tx.change("parcel", parcel["id"], place=str(values["place"]), held_by=values["held_by"])
                settled.append(parcel["id"])
    if not settled:
        return []
    newest = await tx.lock("stop", values["stop_id"])
    if newest is None or newest["state"] not in GOING_ON:
        return []
    is_more = any(
        row["stop_id"] == values["stop_id"] and row["place"] in ON_THE_ROUND and row["id"] not in settled
        for row in tx.all("parcel")
    )
    if values["is_delivered"]:
        state = "open" if is_more else "delivered"
    else:
        state = newest["state"] if values["may_try_again"] else "fallback_due"
    tx.change("stop", values["stop_id"], state=state)
    return []


@like("WITH input AS MATERIALIZED")
async def enqueue(tx: Transaction, values: Any) -> list[Row]:
    priorities, names, payloads = values[0], values[1], values[2]
    for priority, name, payload in zip(priorities, names, payloads, strict=True):
        number = tx.store.tables.setdefault("sequence", {}).setdefault("job", {"n": 0})["n"] + 1
        tx.store.tables["sequence"]["job"]["n"] = number
        tx.put("job", number, {
            "id": number, "name": name, "payload": payload.decode(), "priority": priority, "taken_by": None, "tries": 0,
        })  # fmt: skip
    return []


# ---- grants, commands, the gate -------------------------------------------------------------------------------------


@like("INSERT INTO grant_ (id, visit_id, state, policy_version, epoch, granted_at)")
async def insert_grant(tx: Transaction, values: Any) -> list[Row]:
    grant_id, visit_id, policy_version, granted_at = values
    fence_row = tx.get("fence", 1)
    assert fence_row is not None
    if any(row["visit_id"] == visit_id for row in (*tx.all("grant_"), *tx.others_writing("grant_"))):
        raise UniqueViolation("duplicate key value violates unique constraint of grant_")
    tx.put("grant_", grant_id, {
        "id": grant_id, "visit_id": visit_id, "state": "live", "policy_version": policy_version,
        "epoch": fence_row["epoch"], "granted_at": granted_at, "ended_at": None,
    })  # fmt: skip
    return []


@like("UPDATE grant_ SET state = %s, ended_at = %s WHERE visit_id = %s AND state = 'live'")
async def end_grant(tx: Transaction, values: Any) -> list[Row]:
    for seen in tx.all("grant_"):
        if seen["visit_id"] == values[2]:
            row = await tx.lock("grant_", seen["id"])
            if row is not None and row["state"] == "live":
                tx.change("grant_", seen["id"], state=str(values[0]), ended_at=values[1])
    return []


@like("UPDATE grant_ SET state = 'dead', ended_at = %s WHERE state = 'live'")
async def end_live_grants(tx: Transaction, values: Any) -> list[Row]:
    for seen in tx.all("grant_"):
        row = await tx.lock("grant_", seen["id"])
        if row is not None and row["state"] == "live":
            tx.change("grant_", seen["id"], state="dead", ended_at=values[0])
    return []


@like("INSERT INTO command (id, visit_id, grant_id, verb, state, created_at)")
async def insert_command(tx: Transaction, values: Any) -> list[Row]:
    command_id, visit_id, grant_id, verb, created_at = values
    tx.put("command", command_id, {
        "id": command_id, "visit_id": visit_id, "grant_id": grant_id, "verb": verb, "state": "intent",
        "created_at": created_at, "sent_at": None, "ended_at": None, "worker": None, "lease_until": None,
    })  # fmt: skip
    return []


@like("UPDATE command SET state = 'not_sent', ended_at = %s WHERE visit_id = %s AND verb = 'unlock'")
async def withdraw_unlock(tx: Transaction, values: Any) -> list[Row]:
    for seen in tx.all("command"):
        if seen["visit_id"] == values[1] and seen["verb"] == "unlock":
            row = await tx.lock("command", seen["id"])
            if row is not None and row["state"] == "intent":
                tx.change("command", seen["id"], state="not_sent", ended_at=values[0])
    return []


@like("UPDATE command SET state = 'unknown', ended_at = %s WHERE visit_id = %s AND verb = 'unlock'")
async def doubt_unlock(tx: Transaction, values: Any) -> list[Row]:
    for seen in tx.all("command"):
        if seen["visit_id"] == values[1] and seen["verb"] == "unlock":
            row = await tx.lock("command", seen["id"])
            if row is not None and row["state"] == "intent":
                tx.change("command", seen["id"], state="unknown", ended_at=values[0])
    return []


@like("SELECT command.id, visit_id, verb, command.state, lease_until")
async def find_command(tx: Transaction, values: Any) -> list[Row]:
    command = tx.get("command", values[0])
    if command is None:
        return []
    visit = tx.get("visit", command["visit_id"])
    assert visit is not None
    return [{**command, "is_recorded": visit["is_recorded"], **_place(tx, visit["access_point_id"])}]


def _place(tx: Transaction, access_point_id: str) -> Row:
    """The car behind an access point, which hangs on no account."""
    vehicle = tx.get("vehicle", access_point_id) or {}
    return {
        "access_point_id": access_point_id, "maker": vehicle["maker"], "account_kind": None,
        "sealed": vehicle["sealed"], "account_id": None,
    }  # fmt: skip


@like("SELECT 1 FROM access_point WHERE id = (SELECT access_point_id FROM visit JOIN command")
async def lock_place_of_command(tx: Transaction, values: Any) -> list[Row]:
    command = tx.get("command", values[0])
    visit = tx.get("visit", command["visit_id"]) if command else None
    if visit is not None:
        await tx.lock("access_point", visit["access_point_id"])
    return []


@sql(freezes.LOCK_SHARED)
async def share(tx: Transaction, _: Any) -> list[Row]:
    await tx.share()
    return []


@sql(freezes._LOCK_ALONE)
async def be_alone(tx: Transaction, _: Any) -> list[Row]:
    await tx.be_alone()
    return []


@sql(commands._LOCK_GATE)
async def lock_gate(tx: Transaction, values: Any) -> list[Row]:
    command = tx.get("command", values["command_id"])
    if command is None or command["grant_id"] is None:
        return []
    visit = tx.get("visit", command["visit_id"])
    assert visit is not None
    # What is not locked is read as the statement saw it at its beginning, however long it waits for the rest.
    stop, courier, fence_row = (
        tx.get("stop", visit["stop_id"]), tx.get("courier", visit["courier_id"]), tx.get("fence", 1)
    )  # fmt: skip
    assert stop is not None
    assert courier is not None
    assert fence_row is not None
    devices = [row for row in tx.all("device") if row["courier_id"] == visit["courier_id"]]
    frozen = _frozen(tx, visit["access_point_id"], visit["courier_id"])
    place_id, key = visit["access_point_id"], visit["closure_key"]
    is_watched = any(
        row["access_point_id"] == place_id or (key is not None and row["closure_key"] == key)
        for row in tx.all("visit")
        if row["tail"] in WATCHED
    )
    point = await tx.lock("access_point", visit["access_point_id"])
    visit = await tx.lock("visit", command["visit_id"])
    grant = await tx.lock("grant_", command["grant_id"])
    command = await tx.lock("command", values["command_id"])
    assert point is not None
    assert visit is not None
    assert grant is not None
    assert command is not None
    return [{
        "command_state": command["state"], "lease_until": command["lease_until"], "grant_state": grant["state"],
        "granted_at": grant["granted_at"], "grant_epoch": grant["epoch"], "fence_epoch": fence_row["epoch"],
        "is_blocked": point["blocked_at"] is not None or not point["is_consent_given"],
        "consent_ends_at": point["consent_ends_at"], "is_frozen": point["is_frozen"],
        "is_courier_active": courier["is_active"], "visit_id": visit["id"],
        "is_stop_open": stop["state"] in GOING_ON and stop["access_point_id"] == visit["access_point_id"],
        "ruled_out": stop["ruled_out"], "frozen": frozen, "is_place_watched": is_watched,
        "is_device_revoked": not any(row["revoked_at"] is None for row in devices),
    }]  # fmt: skip


@like("SELECT sent_at FROM command WHERE visit_id = %s AND verb = 'unlock' AND state = 'sent'")
async def find_unlock_under_way(tx: Transaction, values: Any) -> list[Row]:
    return [
        {"sent_at": row["sent_at"]}
        for row in tx.all("command")
        if (row["visit_id"], row["verb"], row["state"]) == (values[0], "unlock", "sent")
    ]


@like("UPDATE command SET state = 'sent'")
async def set_sent(tx: Transaction, values: Any) -> list[Row]:
    sent_at, worker, lease_until, command_id = values
    row = await tx.lock("command", command_id)
    if row is not None and row["state"] in ("intent", "sent"):
        tx.change(
            "command", command_id,
            state="sent", sent_at=row["sent_at"] or sent_at, worker=worker, lease_until=lease_until,
        )  # fmt: skip
    return []


@like("UPDATE command SET state = %s, ended_at = %s WHERE id = %s AND state IN ('intent', 'sent')")
async def end_command(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("command", values[2])
    if row is not None and row["state"] in ("intent", "sent"):
        tx.change("command", values[2], state=str(values[0]), ended_at=values[1])
    return []


@like("SELECT id, visit_id, verb FROM command WHERE state = 'sent' AND lease_until <= %s")
async def list_abandoned(tx: Transaction, values: Any) -> list[Row]:
    found = [row for row in tx.all("command") if row["state"] == "sent" and row["lease_until"] <= values[0]]
    return [
        {"id": row["id"], "visit_id": row["visit_id"], "verb": row["verb"]}
        for row in sorted(found, key=lambda one: one["lease_until"])[: values[1]]
    ]


# ---- places, readings, the doorstep ---------------------------------------------------------------------------------


@sql(situations._LOCK_PLACE)
async def lock_place_of_stop(tx: Transaction, values: Any) -> list[Row]:
    stop = tx.get("stop", values["stop_id"])
    if stop is not None:
        await tx.lock("access_point", stop["access_point_id"])
    return []


@like("SELECT access_point.id, access_point.carrier_id")
async def find_access_point(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("access_point", values[0])
    return [] if row is None else [row]


async def lock_access_point(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("access_point", values[0])
    return [] if row is None else [row]


@like("UPDATE access_point SET blocked_at = %s WHERE id = %s")
async def set_blocked(tx: Transaction, values: Any) -> list[Row]:
    await tx.lock("access_point", values[1])
    tx.change("access_point", values[1], blocked_at=values[0])
    return []


@like("UPDATE access_point SET is_frozen = %s WHERE id = %s")
async def set_frozen(tx: Transaction, values: Any) -> list[Row]:
    await tx.lock("access_point", values[1])
    tx.change("access_point", values[1], is_frozen=values[0])
    return []


@like("UPDATE access_point SET blocked_by")
async def add_blocker(tx: Transaction, values: Any) -> list[Row]:
    return []


def _reading(tx: Transaction, access_point_id: str) -> Row:
    names = (
        "observed_at", "is_locked", "is_open", "is_moving", "latitude", "longitude", "accuracy_m", "is_bolted_inside",
        "is_alarm_armed", "is_pet_loose", "refused", "tried_at",
    )  # fmt: skip
    return dict.fromkeys(names) | (tx.get("reading", access_point_id) or {})


@like("SELECT * FROM reading WHERE access_point_id = %s")
async def find_reading(tx: Transaction, values: Any) -> list[Row]:
    return [_reading(tx, values[0])] if tx.get("reading", values[0]) is not None else []


@sql(readings._SAVE)
async def save_reading(tx: Transaction, values: Any) -> list[Row]:
    await tx.lock("reading", values[0])
    kept = _reading(tx, values[0]) | (tx.newest("reading", values[0]) or {})
    names = ("observed_at", "is_locked", "is_open", "is_moving", "latitude", "longitude", "accuracy_m")
    if kept["observed_at"] is None or kept["observed_at"] < values[1]:
        kept |= dict(zip(names, values[1:8], strict=True))
    tried_at = max(filter(None, (kept["tried_at"], values[11])))
    tx.put("reading", values[0], {**kept, "refused": None, "tried_at": tried_at})
    return []


@sql(readings._SAVE_REFUSAL)
async def save_refusal(tx: Transaction, values: Any) -> list[Row]:
    await tx.lock("reading", values[0])
    kept = _reading(tx, values[0]) | (tx.newest("reading", values[0]) or {})
    tx.put("reading", values[0], {**kept, "refused": str(values[1]), "tried_at": values[2]})
    return []


@like("SELECT access_point_id, vehicle.maker")
async def find_places(tx: Transaction, values: Any) -> list[Row]:
    return [_place(tx, one) for one in values[0] if tx.get("vehicle", one) is not None]


@sql(situations._AT_DOOR)
async def find_doorstep(tx: Transaction, values: Any) -> list[Row]:
    stop, courier = tx.get("stop", values["stop_id"]), tx.get("courier", values["courier_id"])
    if stop is None or courier is None or courier["carrier_id"] != stop["carrier_id"]:
        return []
    place_id = stop["access_point_id"]
    point, vehicle, device = tx.get("access_point", place_id), tx.get("vehicle", place_id), None
    if values["device_id"] is not None:
        device = tx.get("device", values["device_id"])
    assert point is not None
    assert vehicle is not None
    parcel = next((row for row in tx.all("parcel") if row["label_key"] == values["label_key"]), None)
    rows = tx.all("visit")
    live = [row for row in rows if row["ended_at"] is None]
    key = vehicle["closure_key"]

    def first(name: str, value: Any) -> str | None:
        return next((row["id"] for row in live if row[name] == value), None)

    return [{
        "stop_id": stop["id"], "carrier_id": stop["carrier_id"], "courier_id": stop["courier_id"],
        "stop_state": stop["state"], "window_from": stop["window_from"], "window_until": stop["window_until"],
        "ruled_out": stop["ruled_out"], "is_active": courier["is_active"],
        "is_device_revoked": device is not None and device["revoked_at"] is not None, "kind": point["kind"],
        "address_latitude": point["latitude"], "address_longitude": point["longitude"], "range_m": point["range_m"],
        "time_zone": point["time_zone"], "allows_unseen_lock": point["allows_unseen_lock"],
        "is_consent_given": point["is_consent_given"], "blocked_at": point["blocked_at"],
        "consent_ends_at": point["consent_ends_at"], "from_local": None, "until_local": None,
        "is_frozen": point["is_frozen"], "frozen_widely": _frozen(tx, place_id, courier["id"]), **_place(tx, place_id),
        "closure_key": key, "parcel_id": parcel and parcel["id"], "parcel_stop_id": parcel and parcel["stop_id"],
        "parcel_place": parcel and parcel["place"], **_reading(tx, place_id),
        "rings_first": (tx.get("home", place_id) or {}).get("rings_first"), "quiet_from": None, "quiet_until": None,
        "is_pet_said_loose": None, **witness(tx, place_id),
        "live_at_place": first("access_point_id", place_id), "live_of_courier": first("courier_id", courier["id"]),
        "live_at_closure": first("closure_key", key),
        "is_place_watched": any(
            row["tail"] in WATCHED and (row["access_point_id"] == place_id or row["closure_key"] == key) for row in rows
        ),
    }]  # fmt: skip


# ---- fence and freezes ----------------------------------------------------------------------------------------------


def _frozen(tx: Transaction, access_point_id: str, courier_id: str) -> str | None:
    found = None
    for row in tx.all("freeze_"):
        if row["thawed_at"] is not None:
            continue
        if row["scope"] == "courier" and row["subject"] == courier_id:
            return Incident.PLATFORM_COURIER_FROZEN.value
        if row["scope"] == "everything" or (row["scope"] == "cloud" and row["subject"] == "simulated"):
            found = Incident.PLATFORM_FROZEN_WIDELY.value
    return found


@like("SELECT * FROM freeze_ WHERE scope = %s AND subject = %s AND thawed_at IS NULL")
async def find_in_force(tx: Transaction, values: Any) -> list[Row]:
    scope, subject = str(values[0]), values[1]
    return [
        row for row in tx.all("freeze_")
        if (row["scope"], row["subject"], row["thawed_at"]) == (scope, subject, None)
    ]  # fmt: skip


@like("SELECT * FROM freeze_ WHERE id = %s FOR NO KEY UPDATE")
async def lock_freeze(tx: Transaction, values: Any) -> list[Row]:
    row = await tx.lock("freeze_", values[0])
    return [] if row is None else [row]


@like("SELECT count(*) FROM freeze_ WHERE thawed_at IS NULL")
async def count_in_force(tx: Transaction, _: Any) -> list[Row]:
    return [{"count": sum(row["thawed_at"] is None for row in tx.all("freeze_"))}]


@like("INSERT INTO freeze_")
async def insert_freeze(tx: Transaction, values: Any) -> list[Row]:
    names = ("id", "scope", "subject", "latitude", "longitude", "radius_m", "why", "frozen_by", "frozen_at")
    row = dict(zip(names, values, strict=True))
    nothing = dict.fromkeys(("thawed_by", "thawed_at", "stopped_at", "swept_at"))
    tx.put("freeze_", row["id"], {**row, "scope": str(row["scope"]), **nothing})
    return []


@like("UPDATE freeze_ SET thawed_by = %s")
async def end_freeze(tx: Transaction, values: Any) -> list[Row]:
    who, at, freeze_id = values
    row = await tx.lock("freeze_", freeze_id)
    if row is not None and row["thawed_at"] is None:
        tx.change("freeze_", freeze_id, thawed_by=who, thawed_at=at, swept_at=None)
    return []


@like("UPDATE freeze_ SET swept_at = NULL, stopped_at = NULL WHERE id = %s")
async def ask_for_sweep(tx: Transaction, values: Any) -> list[Row]:
    await tx.lock("freeze_", values[0])
    tx.change("freeze_", values[0], swept_at=None, stopped_at=None)
    return []


@like("SELECT * FROM freeze_ WHERE swept_at IS NULL")
async def list_to_sweep(tx: Transaction, values: Any) -> list[Row]:
    return [row for row in tx.all("freeze_") if row["swept_at"] is None][: values[0]]


@like("UPDATE freeze_ SET stopped_at = coalesce(stopped_at, %s), swept_at = CASE")
async def set_swept(tx: Transaction, values: Any) -> list[Row]:
    now, thawed_at, swept_at, freeze_id = values
    row = await tx.lock("freeze_", freeze_id)
    if row is not None:
        is_whole = row["thawed_at"] == thawed_at
        tx.change(
            "freeze_", freeze_id, stopped_at=row["stopped_at"] or now, swept_at=swept_at if is_whole else None
        )
    return []


@sql(freezes._LIVE)
async def list_live_visits(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("freeze_", values[0])
    if row is None:
        return []
    return [
        {"id": visit["id"], "access_point_id": visit["access_point_id"]}
        for visit in tx.all("visit")
        if visit["ended_at"] is None and (row["scope"] != "courier" or row["subject"] == visit["courier_id"])
    ]


@sql(freezes._RULED_OUT)
async def list_ruled_out(tx: Transaction, values: Any) -> list[Row]:
    return []  # pre-flight is no part of this


@like("SELECT carrier_id FROM courier WHERE id = %s")
async def find_carrier_of(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("courier", values[0])
    return [] if row is None else [{"carrier_id": row["carrier_id"]}]


@like("UPDATE fence SET epoch = epoch + 1 RETURNING epoch")
async def raise_epoch(tx: Transaction, _: Any) -> list[Row]:
    row = await tx.lock("fence", 1)
    assert row is not None
    tx.put("fence", 1, {**row, "epoch": row["epoch"] + 1})
    return [{"epoch": row["epoch"] + 1}]


@sql(fence._WAITING)
async def list_waiting(tx: Transaction, _: Any) -> list[Row]:
    waiting = [row for row in tx.all("visit") if row["ended_at"] is None and row["state"] in BEFORE_GATE]
    return [
        {"id": row["id"], "access_point_id": row["access_point_id"]}
        for row in sorted(waiting, key=lambda one: one["access_point_id"])
    ]


def _access_point() -> None:
    """`find_access_point` with and without its lock are one text, the longer first."""
    _KNOWN[_fold(consignees._FIND_POINT)] = find_access_point
    _KNOWN[_fold(consignees._FIND_POINT + " FOR NO KEY UPDATE")] = lock_access_point


_access_point()
