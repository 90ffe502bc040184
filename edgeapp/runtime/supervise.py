"""Keeps one pipeline alive, and the uplink. Never raises: no one's end touches another."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from edgeapp.core.clock import NS
from edgeapp.core.revealed import hidden
from edgeapp.runtime.kit import Kit
from edgeapp.runtime.pipeline import Outcome, Pipeline

REOPEN_FIRST_S = 60.0
REOPEN_MOST_S = 600.0
RESTART_FIRST_S = 1.0
RESTART_MOST_S = 60.0


async def supervise(pipeline: Pipeline, stop: asyncio.Event) -> Outcome:
    """Run a pipeline until it finishes or `stop`; reopen it, after a while, when it failed.

    A paused one waits to be resumed, and is then opened at once. The wait doubles from 1 to 10 minutes while it keeps failing; a run of 10 minutes resets it.
    """
    log, clock = pipeline.log, pipeline.kit.clock
    wait_s = REOPEN_FIRST_S
    while True:
        began_ns = clock.now_ns()
        try:
            outcome = await pipeline.run_once(stop)
        except Exception as error:
            log.error("pipeline could not run", exc_info=True)  # noqa: G201  a Log has no exception()
            outcome = Outcome("failed", hidden(repr(error)))
            pipeline.state, pipeline.why = outcome.ending, outcome.why
        if outcome.ending == "paused" and not stop.is_set():
            log.info("pipeline paused")
            await pipeline.until_resumed(stop)
            if not stop.is_set():
                log.info("pipeline resumed")
            continue
        if outcome.ending != "failed" or stop.is_set():
            log.info("pipeline ended", ending=outcome.ending)
            return outcome
        if clock.now_ns() - began_ns > REOPEN_MOST_S * NS:
            wait_s = REOPEN_FIRST_S
        log.error(
            "pipeline failed",
            why=outcome.why,
            reopened_in_s=wait_s,
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await pipeline.until_paused(stop)
        if stop.is_set():
            return outcome
        wait_s = min(wait_s * 2, REOPEN_MOST_S)


async def keep_up(
    what: str, work: Callable[[asyncio.Event], Awaitable[object]], stop: asyncio.Event, kit: Kit
) -> str:
    """Do what runs beside the pipelines until it ends by itself, which it does after `stop`.

    If it raises it is called again, after a wait that doubles from 1 to 60 seconds while it keeps
    crashing, and once more without a wait after `stop`, so that it can put its things in order.
    Returns why that last attempt crashed; empty: it did not.
    """
    wait_s = RESTART_FIRST_S
    while True:
        last, began_ns = stop.is_set(), kit.clock.now_ns()
        try:
            await work(stop)
        except Exception as error:
            kit.log.error("crashed", what=what, exc_info=True)  # noqa: G201  a Log has no exception()
            if last:
                return hidden(repr(error))
        else:
            return ""
        if kit.clock.now_ns() - began_ns > RESTART_MOST_S * NS:
            wait_s = RESTART_FIRST_S
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await stop.wait()
        wait_s = min(wait_s * 2, RESTART_MOST_S)
