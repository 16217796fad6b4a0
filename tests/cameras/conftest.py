"""One street a worker, and recorders that end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cameras.street import Street

from unlatch.cameras.recorder import Recorder


@pytest.fixture(scope="session")
def street() -> Iterator[Street]:
    street = Street()
    yield street
    street.close()


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.close()
