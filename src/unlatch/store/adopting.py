"""Recordings that a recorder has left behind which shows no sign of life, for another one of its machine."""

from __future__ import annotations

from datetime import datetime

from psycopg import AsyncConnection

from unlatch.store import cameras
from unlatch.store.cameras import RecordingRow

_ADOPT = """
    -- What recorders of this machine have left behind that show no sign of life: to record on with cameras that are
    -- this recorder's now, and to make clips of what has ended.
    UPDATE recording SET recorder_id = %(recorder_id)s FROM recorder, camera
    WHERE recorder.id = recording.recorder_id AND camera.id = recording.camera_id
        AND recorder.id <> %(recorder_id)s AND starts_with(recorder.id, %(machine)s)
        AND alive_until_real < %(real_now)s
        AND (recording.state = 'ending' OR (recording.state IN ('wanted', 'recording')
            AND camera.recorder_id = %(recorder_id)s))
    RETURNING recording.id
"""


async def adopt_recordings(
    connection: AsyncConnection, recorder_id: str, *, machine: str, real_now: datetime
) -> list[RecordingRow]:
    """Recordings that this recorder goes on with. `machine`: with what the names of its recorders begin."""
    values = {"recorder_id": recorder_id, "machine": machine, "real_now": real_now}
    cursor = await connection.execute(_ADOPT, values)
    found = [await cameras.find_recording(connection, row[0]) for row in await cursor.fetchall()]
    return [row for row in found if row is not None]
