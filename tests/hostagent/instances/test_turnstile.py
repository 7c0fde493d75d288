"""Wakes go before sleeps, and only so many of each at a time."""

import asyncio

from hostagent.instances.turnstile import Turnstile


async def test_at_most_so_many_of_each() -> None:
    turnstile = Turnstile(wakes=2, sleeps=3)
    now = {"wake": 0, "sleep": 0}
    most = {"wake": 0, "sleep": 0}

    async def be(kind: str) -> None:
        async with turnstile.waking() if kind == "wake" else turnstile.sleeping():
            now[kind] += 1
            most[kind] = max(most[kind], now[kind])
            await asyncio.sleep(0.001)
            now[kind] -= 1

    await asyncio.gather(*(be("sleep") for _ in range(12)))
    await asyncio.gather(*(be("wake") for _ in range(12)))
    assert most == {"wake": 2, "sleep": 3}


async def test_a_sleep_waits_for_every_wake_that_waits() -> None:
    turnstile = Turnstile(wakes=1, sleeps=1)
    order: list[str] = []

    async def wake(name: str) -> None:
        async with turnstile.waking():
            await asyncio.sleep(0.001)
            order.append(name)

    async def sleep() -> None:
        async with turnstile.sleeping():
            order.append("sleep")

    wakes = [asyncio.ensure_future(wake(f"wake-{n}")) for n in range(3)]
    await asyncio.sleep(0)
    await asyncio.gather(sleep(), *wakes)
    assert order == ["wake-0", "wake-1", "wake-2", "sleep"]


async def test_a_cancelled_wake_holds_nobody_up() -> None:
    turnstile = Turnstile(wakes=1, sleeps=1)

    async def wait_for_ever() -> None:
        async with turnstile.waking():
            await asyncio.Event().wait()

    wakes = [asyncio.ensure_future(wait_for_ever()) for _ in range(2)]
    await asyncio.sleep(0)
    for one in wakes:
        one.cancel()
    await asyncio.gather(*wakes, return_exceptions=True)
    async with asyncio.timeout(1), turnstile.sleeping():
        pass
