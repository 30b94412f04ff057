import asyncio

from penstock.gateway_tap.waits import Wait


async def test_a_wait_ends_once_by_answer_by_time_or_not_at_all() -> None:
    loop, heard = asyncio.get_running_loop(), list[bool]()
    answered, late, cancelled = (loop.create_future() for _ in range(3))
    Wait(answered, 5, heard.append)
    answered.set_result(None)
    await asyncio.sleep(0)
    assert heard == [True]
    over = asyncio.Event()
    Wait(late, 0.01, lambda acknowledged: (heard.append(acknowledged), over.set()))
    await asyncio.wait_for(over.wait(), 5)
    late.set_result(None)
    await asyncio.sleep(0)
    assert heard == [True, False]
    Wait(cancelled, 0.01, heard.append).cancel()
    assert cancelled.cancelled()
    await asyncio.sleep(0.02)
    assert heard == [True, False]
