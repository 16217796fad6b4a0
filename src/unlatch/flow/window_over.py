"""The end of a booking's window.

A module of its own: `flow/duties.py` asks for it, and whoever plans anew asks for duties.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from psycopg import AsyncConnection

from unlatch.domain.booking import Part, StopState
from unlatch.domain.incident import Incident
from unlatch.domain.notice import NoticeEvent
from unlatch.flow.wishes import Wisher, lock_booking, tell
from unlatch.store import parcels, stops, visits


async def end_of_window(connection: AsyncConnection, stop_id: str, now: datetime) -> bool:
    """The window is over, and nobody asked to open: the fallback is due. False: there was nothing to do.

    Where a parcel of the stop has been delivered, somebody was refused in the window, or pre-flight had ruled it out,
    that tells more than "nobody came".
    """
    booking = await lock_booking(connection, stop_id, Wisher(part=Part.OPERATOR, id="clock"))
    stop = booking.stop
    if stop.state != StopState.OPEN or booking.live is not None or now < stop.window_until:
        return False
    over = replace(stop, state=StopState.FALLBACK_DUE)
    came = await visits.has_asked(connection, stop_id, since=stop.window_from)
    if stop.ruled_out is None and not came and not await parcels.is_any_delivered(connection, stop_id):
        over = replace(over, ruled_out=Incident.CARRIER_NOBODY_CAME, ruled_out_at=now)
        await tell(connection, NoticeEvent.NOBODY_CAME, over, now)
    await stops.update_stop(connection, over)
    return True
