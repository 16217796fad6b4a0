"""After a change of the secret key, what belongs to a home is sealed anew too."""

from __future__ import annotations

from dataclasses import replace

from tests.web.conftest import Tenant
from tests.web.homes import HUB, add_home, add_home_stop, witness
from tests.web.people import fetch

from unlatch.flow.platform import Platform
from unlatch.flow.resealing import reseal_cameras, reseal_clips, reseal_vehicles
from unlatch.store import cameras, clips
from unlatch.store.clips import ClipRow
from unlatch.store.consignees import closure_key_of
from unlatch.store.vault import Vault


async def test_cameras_and_clips_are_sealed_anew_and_an_erased_clip_stays_erased(
    tenant: Tenant, platform: Platform
) -> None:
    place_id = (await add_home(tenant))["id"]
    camera_id = await witness(platform, place_id)
    visit = await (await add_home_stop(platform, tenant, place_id)).scan(platform)
    now = platform.clock.now()
    async with platform.database.connection() as connection:
        camera = await cameras.find_camera(connection, camera_id)
        assert camera is not None
        recording = await cameras.want_recording(
            connection, "rec_1", visit_id=visit["id"], held=camera, folder="/nowhere", now=now
        )
        for number, is_erased in enumerate((False, True), start=1):
            clip_id = f"cli_{number}"
            row = ClipRow(
                id=clip_id,
                recording_id=recording.id,
                visit_id=visit["id"],
                number=number,
                sealed_key=None if is_erased else platform.vault.seal(b"key of the clip", clip_id),
                size=1,
                sha256=b"",
                length_ms=1,
                poster=None if is_erased else platform.vault.seal(b"picture", clips.poster_row(clip_id)),
                parts=b"",
                made_at=now,
                keep_until=now,
            )
            await clips.insert_clip(connection, row)
    new_key = b"n" * 32
    both = replace(platform, vault=Vault(new_key, b"k" * 32))
    counts = (await reseal_vehicles(both), await reseal_cameras(both), await reseal_clips(both))
    assert counts == (2, 1, 1), "the tenant's car and the home's hub; a camera; the clip that is there"
    assert [await one(both) for one in (reseal_vehicles, reseal_cameras, reseal_clips)] == [0, 0, 0]
    new = Vault(new_key)
    async with platform.database.connection() as connection:
        camera = await cameras.find_camera(connection, camera_id)
        kept, erased = await clips.list_clips(connection, visit["id"])
    assert camera is not None
    assert new.open_mapping(bytes(camera.sealed), camera_id)["password"] == "camera-password"
    assert kept.sealed_key is not None
    assert kept.poster is not None
    assert new.open(bytes(kept.sealed_key), kept.id) == b"key of the clip"
    assert new.open(bytes(kept.poster), clips.poster_row(kept.id)) == b"picture"
    assert (erased.sealed_key, erased.poster) == (None, None)
    # A home has the closure key that it would be registered with now: its hub's address is part of it.
    ((key,),) = await fetch(platform, "SELECT closure_key FROM vehicle WHERE access_point_id = %s", place_id)
    assert bytes(key) == closure_key_of(new, "home_assistant", "lock.front_door", HUB)
