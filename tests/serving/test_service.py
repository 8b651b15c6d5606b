"""More requests than can be answered, and a request that brings a fault to light."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from serving import service as module
from serving.errors import Code, ServingError
from serving.service import Service
from serving.versions import Versions


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MOST_WAITING", 3)
    made = Service(Versions("m", tmp_path, 0), workers=2)
    yield made
    made.close()


def test_no_more_work_at_a_time_than_workers_and_no_more_waits_than_may(service: Service) -> None:
    lock, free = threading.Lock(), threading.Event()
    now, most = [0], [0]

    def work(number: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        assert free.wait(60)
        with lock:
            now[0] -= 1
        return number

    async def ask() -> list[int]:
        tasks = [asyncio.create_task(service.run(work, number)) for number in range(3)]
        await asyncio.sleep(0)  # they are in the pool
        with pytest.raises(ServingError, match="3 requests are waiting") as refused:
            await service.run(work, 4)
        assert refused.value.code is Code.UNAVAILABLE
        free.set()
        answers = await asyncio.gather(*tasks)
        assert await service.run(work, 5) == 5  # and there is room again
        return answers

    assert asyncio.run(ask()) == [0, 1, 2]
    assert most == [2]


def test_a_fault_is_told_in_a_sentence(service: Service) -> None:
    def work() -> None:
        raise KeyError("of no concern to whoever asked")

    with pytest.raises(ServingError) as refused:
        asyncio.run(service.run(work))
    assert refused.value.code is Code.INTERNAL
    assert refused.value.message == "The server failed on the request: KeyError."
