"""Who shares a place: its owner, and the members whom the owner has let in."""

from __future__ import annotations

from psycopg import AsyncConnection

# Everyone of a place's household, the owner among them: for use in other statements, with %(place_id)s.
PEOPLE = """
    SELECT access_point.consignee_id FROM access_point WHERE access_point.id = %(place_id)s
    UNION SELECT member.consignee_id FROM member
    WHERE member.access_point_id = %(place_id)s AND member.left_at IS NULL
"""
# The places that a consignee owns or shares, with %(consignee_id)s.
PLACES = """
    SELECT access_point.id FROM access_point WHERE access_point.consignee_id = %(consignee_id)s
    UNION SELECT member.access_point_id FROM member
    WHERE member.consignee_id = %(consignee_id)s AND member.left_at IS NULL
"""


async def is_of_household(connection: AsyncConnection, access_point_id: str, consignee_id: str) -> bool:
    """Whether this consignee owns or shares this place."""
    cursor = await connection.execute(
        f"SELECT 1 FROM ({PEOPLE}) people WHERE consignee_id = %(consignee_id)s".encode(),
        {"place_id": access_point_id, "consignee_id": consignee_id},
    )
    return await cursor.fetchone() is not None
