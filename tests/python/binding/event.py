# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Doorbells and interrupts; asyncio."""

import asyncio
import errno
import threading

import vas
from cases import a_vas, case, fails, main, raises, two, until


@case
def what_is_declared_is_listed():
    with a_vas() as owner:
        event = owner.event_add("doorbell", 7, "queue", addr=0x100000, data=3, len=4,
                                flags=vas.EVENT_DATAMATCH)
        owner.event_add("irq", 8, "line", gsi=11)
        doorbell, irq = owner.events()
        assert doorbell == event.info() == ("doorbell", 7, vas.EVENT_DATAMATCH, 4, 0x100000, 3, 0,
                                            "queue")
        assert (irq.kind, irq.gsi, irq.name) == ("irq", 11, "line")
        assert owner.event("queue").id == owner.event(7).id == 7


@case
def a_wrong_event_is_an_error():
    with two() as (owner, binder):
        with raises(ValueError, "doorbell"):
            owner.event_add("bell", 1)
        with fails(errno.EINVAL):
            owner.event_add("irq", 0)
        with fails(errno.EPERM):
            binder.event_add("irq", 1)
        owner.event_add("irq", 1)
        with fails(errno.EEXIST):
            owner.event_add("irq", 1)
        with fails(errno.ENOENT):
            owner.event("nobody")
        with raises(TypeError):
            owner.event(None)


@case
def a_doorbell_rings_in_another_thread():
    with a_vas() as owner:
        event = owner.event_add("doorbell", 1)
        heard = []
        thread = threading.Thread(target=lambda: heard.append(event.wait()))
        thread.start()
        event.signal()
        thread.join()
        assert heard == [1]
        event.signal()
        event.signal()
        assert event.wait(timeout=600) == 2
        for timeout in (0, 0.01):
            with fails(errno.ETIMEDOUT):
                event.wait(timeout)
        for timeout in (-1, float("nan")):
            with raises(ValueError):
                event.wait(timeout)


@case
def what_is_waited_for_is_not_removed():
    with a_vas() as owner:
        event = owner.event_add("doorbell", 1)
        started = threading.Event()

        def wait():
            started.set()
            event.wait()

        thread = threading.Thread(target=wait)
        thread.start()
        started.wait()

        def is_refused():
            try:
                owner.event_add("doorbell", 2).remove()
                event.remove()
            except vas.Error as error:
                return error.errno == errno.EBUSY
            owner.event_add("doorbell", 1)
            return False

        until(is_refused)
        event.signal()
        thread.join()
        event.remove()
        with fails(errno.ENOENT):
            event.signal()


@case
def asyncio_waits_by_the_fd():
    async def ring_and_hear(event):
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(event, rung.set)
        loop.call_soon(event.signal)
        await rung.wait()
        loop.remove_reader(event)
        return event.wait(0)

    with a_vas() as owner:
        assert asyncio.run(ring_and_hear(owner.event_add("doorbell", 1))) == 1


@case
def a_resampled_interrupt_has_two_fds():
    with a_vas() as owner:
        event = owner.event_add("irq", 1, gsi=5, flags=vas.EVENT_RESAMPLE)
        assert event.fileno() != event.resample_fileno()
        with fails(errno.ENXIO):
            owner.event_add("irq", 2, gsi=6).resample_fileno()


main()
