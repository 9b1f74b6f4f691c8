"""For tests that call sync and async SDKs alike: await what can be awaited, read what can be read."""

from __future__ import annotations

import asyncio
import gc
import inspect
from typing import Any


async def settled(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


async def pieces(stream: Any, count: int | None = None) -> list[Any]:
    """Reads `count` pieces of a stream, or all, and leaves it as a loop with `break` does."""
    found: list[Any] = []
    if hasattr(stream, "__aiter__"):
        async for piece in stream:
            found.append(piece)
            if len(found) == count:
                break
    else:
        for piece in stream:
            found.append(piece)
            if len(found) == count:
                break
    return found


async def forget() -> None:
    """Collects what nobody refers to, and lets the event loop close what it has to."""
    for _ in range(4):
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)
