"""What the flow's statements about cameras do, on the simulated tables and the world's cameras."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from unlatch.simulation.homes import rows_of_cameras
from unlatch.simulation.queries import find, like, sql
from unlatch.simulation.store import Row, Transaction
from unlatch.simulation.world import BEGIN
from unlatch.store import cameras

__all__ = ["find"]  # with these statements known besides
UNDER_WAY = frozenset({"wanted", "recording"})


def _now_s() -> float:
    return asyncio.get_running_loop().time()


@like(f"SELECT {cameras._CAMERA_COLUMNS}, recorder.socket AS recorder_socket FROM camera")
async def list_held(tx: Transaction, values: Any) -> list[Row]:
    return rows_of_cameras(tx, values[1])


@like(f"SELECT {cameras._CAMERA_COLUMNS} FROM camera WHERE access_point_id = %s")
async def list_cameras(tx: Transaction, values: Any) -> list[Row]:
    return [{name: row[name] for name in cameras._CAMERA_NAMES} for row in rows_of_cameras(tx, values[0])]


@like("UPDATE camera SET wanted_until_real = greatest(wanted_until_real, %s) WHERE access_point_id")
async def want(tx: Transaction, values: Any) -> list[Row]:
    for camera in tx.store.cameras.values():
        if camera.place_id == values[1]:
            camera.want(values[0], _now_s())
    return []


@like("UPDATE camera SET wanted_until_real = least(wanted_until_real, %s)")
async def let_be(tx: Transaction, values: Any) -> list[Row]:
    for camera in tx.store.cameras.values():
        if camera.place_id == values[1]:
            camera.wanted_until = min(camera.wanted_until, values[0])
    return []


def _recording(tx: Transaction, row: Row) -> Row:
    """As its recorder has it, which renews its lease."""
    lease_s = tx.store.cameras[row["camera_id"]].lease_until_s(_now_s())
    until = None if lease_s == float("-inf") else BEGIN + timedelta(seconds=lease_s)
    return {**row, "lease_until_real": until}


def _of_visit(tx: Transaction, visit_id: str) -> list[Row]:
    return [_recording(tx, row) for row in tx.all("recording") if row["visit_id"] == visit_id]


@like("INSERT INTO recording (id, visit_id, camera_id, recorder_id, state, folder, begun_at)")
async def want_recording(tx: Transaction, values: Any) -> list[Row]:
    key = (values[1], values[2])
    row = await tx.lock("recording", key)
    if row is None:
        row = dict.fromkeys(cameras._RECORDING_NAMES) | dict(
            zip(("id", "visit_id", "camera_id", "recorder_id", "folder", "begun_at"), values, strict=True),
            state="wanted", is_witness=False, is_told_lost=False, parts=0, tries=0,
        )  # fmt: skip
        tx.put("recording", key, row)
    return [_recording(tx, row)]


async def _change(tx: Transaction, recording_id: str, **values: Any) -> None:
    for seen in tx.all("recording"):
        if seen["id"] == recording_id:
            key = (seen["visit_id"], seen["camera_id"])
            await tx.lock("recording", key)
            tx.change("recording", key, **values)


@like("UPDATE recording SET state = 'recording' WHERE id = %s AND state = 'wanted'")
async def set_recording(tx: Transaction, values: Any) -> list[Row]:
    if any(row["id"] == values[0] and row["state"] == "wanted" for row in tx.all("recording")):
        await _change(tx, values[0], state="recording")
    return []


@like("UPDATE recording SET is_witness = true")
async def set_proved(tx: Transaction, values: Any) -> list[Row]:
    await _change(tx, values[2], is_witness=True, proved_at_real=values[0])
    return []


@like(f"SELECT {cameras._RECORDING_COLUMNS} FROM recording WHERE visit_id = %s ORDER BY id")
async def list_recordings(tx: Transaction, values: Any) -> list[Row]:
    return _of_visit(tx, values[0])


@like("UPDATE recording SET state = 'ending', ended_at = %s")
async def end_recordings(tx: Transaction, values: Any) -> list[Row]:
    for row in _of_visit(tx, values[1]):
        if row["state"] in UNDER_WAY:
            await _change(tx, row["id"], state="ending", ended_at=values[0])
    return []


def _witnesses(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["state"] == "recording" and row["is_witness"]]


def _is_lost(witnesses: list[Row], lost_before: Any) -> bool:
    return bool(max(row["lease_until_real"] or BEGIN for row in witnesses) < lost_before)


@sql(cameras._LOST)
async def list_turned(tx: Transaction, values: Any) -> list[Row]:
    turned = []
    for visit_id in dict.fromkeys(row["visit_id"] for row in tx.all("recording")):
        witnesses = _witnesses(_of_visit(tx, visit_id))
        if not witnesses:
            continue
        is_lost = _is_lost(witnesses, values["lost_before"])
        is_told = any(row["is_told_lost"] for row in witnesses)
        if is_lost != is_told:
            turned.append({"visit_id": visit_id, "is_lost": is_lost, "is_told": is_told})
    return turned[: values["limit"]]


@like("UPDATE recording SET is_told_lost = %(is_lost)s")
async def turn_lost(tx: Transaction, values: Any) -> list[Row]:
    witnesses = _witnesses(_of_visit(tx, values["visit_id"]))
    if not witnesses or _is_lost(witnesses, values["lost_before"]) != values["is_lost"]:
        return []
    told = [row for row in witnesses if row["is_told_lost"] != values["is_lost"]]
    for row in told:
        lost_at = row["lease_until_real"] if values["is_lost"] else None
        await _change(tx, row["id"], is_told_lost=values["is_lost"], lost_at_real=lost_at)
    return [{"?column?": 1} for _ in told]
