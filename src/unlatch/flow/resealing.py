"""After a change of the secret key: what an old key had sealed is sealed with the new one (`store/vault.py`)."""

from __future__ import annotations

from unlatch.flow.homes import find_hub
from unlatch.flow.platform import Platform
from unlatch.store import cameras, clips, consignees, maker_accounts

AT_ONCE = 500
CLIPS_AT_ONCE = 50  # each with a picture


async def reseal_vehicles(platform: Platform) -> int:
    """Seal makers' tokens with the newest key; how many cars. Safe beside a running platform, and to repeat.

    Raises SealBroken where the key that sealed a car was not given; those before it are done by then.
    """
    vault, after, resealed = platform.vault, "", 0
    while True:
        async with platform.database.transaction() as connection:
            rows = await consignees.list_sealed(connection, after=after, limit=AT_ONCE)
            for access_point_id, maker, sealed, closure_key in rows:
                if closure_key is None or vault.needs_resealing(sealed):
                    opened = vault.open_mapping(sealed, access_point_id)
                    key = consignees.closure_key_of(
                        vault, maker, opened["vin"], find_hub(platform, maker, opened)
                    )
                    await consignees.replace_sealed(
                        connection,
                        access_point_id,
                        was=sealed,
                        sealed=vault.seal(vault.open(sealed, access_point_id), access_point_id),
                        closure_key=key,
                    )
                    resealed += 1
        if len(rows) < AT_ONCE:
            return resealed
        after = rows[-1][0]


async def reseal_accounts(platform: Platform) -> int:
    """The same for the tokens of owners' accounts; how many. Raises SealBroken."""
    vault, after, resealed = platform.vault, "", 0
    while True:
        async with platform.database.transaction() as connection:
            rows = await maker_accounts.list_sealed(connection, after=after, limit=AT_ONCE)
            for account_id, sealed in rows:
                if vault.needs_resealing(sealed):
                    anew = vault.seal(vault.open(sealed, account_id), account_id)
                    await maker_accounts.replace_sealed(connection, account_id, was=sealed, sealed=anew)
                    resealed += 1
        if len(rows) < AT_ONCE:
            return resealed
        after = rows[-1][0]


async def reseal_cameras(platform: Platform) -> int:
    """The same for what opens the cameras of homes; how many. Raises SealBroken."""
    vault, after, resealed = platform.vault, "", 0
    while True:
        async with platform.database.transaction() as connection:
            rows = await cameras.list_sealed(connection, after=after, limit=AT_ONCE)
            for camera_id, sealed in rows:
                if vault.needs_resealing(sealed):
                    anew = vault.seal(vault.open(sealed, camera_id), camera_id)
                    await cameras.replace_sealed(connection, camera_id, was=sealed, sealed=anew)
                    resealed += 1
        if len(rows) < AT_ONCE:
            return resealed
        after = rows[-1][0]


async def reseal_clips(platform: Platform) -> int:
    """The same for the keys and the pictures of clips; how many. One that is erased meanwhile stays erased."""
    vault, after, resealed = platform.vault, "", 0
    while True:
        async with platform.database.transaction() as connection:
            rows = await clips.list_sealed(connection, after=after, limit=CLIPS_AT_ONCE)
            for clip_id, key, poster in rows:
                if not vault.needs_resealing(key) and (poster is None or not vault.needs_resealing(poster)):
                    continue
                row = clips.poster_row(clip_id)
                await clips.replace_sealed(
                    connection,
                    clip_id,
                    was=key,
                    sealed_key=vault.seal(vault.open(key, clip_id), clip_id),
                    poster=None if poster is None else vault.seal(vault.open(poster, row), row),
                )
                resealed += 1
        if len(rows) < CLIPS_AT_ONCE:
            return resealed
        after = rows[-1][0]
