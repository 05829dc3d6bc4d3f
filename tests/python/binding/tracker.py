# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Trackers of the dirty log; freezing."""

import errno
import gc
import threading

import vas
from cases import MIB, PAGE, a_vas, case, fails, in_thread, main, raises, two


@case
def a_write_is_in_the_next_epoch():
    with two() as (owner, binder), owner.track("first") as tracker:
        binder.write(5 * PAGE, b"x")
        with tracker.epoch() as epoch:
            assert [tuple(word) for word in epoch] == [(0, 1 << 5)]
        with tracker.epoch() as epoch:
            assert not list(epoch)
        info = owner.trackers()[0]
        assert (info.name, info.epochs) == ("first", 2), info


@case
def steps_can_be_taken_one_by_one():
    with a_vas() as owner, owner.track() as tracker:
        owner.write(0, b"x")
        owner.write(MIB, b"x")
        tracker.begin()
        words, at = tracker.harvest(nr=1)
        assert len(words) == 1
        while at < 64 * MIB:
            more, at = tracker.harvest(at)
            words += more
        assert sorted(word.gpa for word in words) == [0, MIB] and words[0].bits == 1
        tracker.abort()
        tracker.begin()
        assert len(tracker.harvest(0, 2 * MIB)[0]) == 2
        tracker.commit()


@case
def an_exception_leaves_the_pages_dirty():
    with a_vas() as owner, owner.track() as tracker:
        owner.write(0, b"x")
        with raises(KeyError):
            with tracker.epoch() as epoch:
                assert len(list(epoch)) == 1
                raise KeyError
        with tracker.epoch() as epoch:
            assert len(list(epoch)) == 1


@case
def all_that_was_touched_can_be_dirty_first():
    with a_vas() as owner:
        owner.write(0, b"x")
        with owner.track(all=True) as tracker, tracker.epoch() as epoch:
            assert any(word.gpa == 0 and word.bits & 1 for word in epoch)


@case
def steps_out_of_order_are_errors():
    with two() as (owner, _binder), vas.observe(owner) as observer:
        with fails(errno.EPERM):
            observer.track()
        tracker = owner.track()
        for call in (tracker.harvest, tracker.commit, tracker.abort):
            with fails(errno.EINVAL):
                call()
        tracker.begin()
        with fails(errno.EBUSY):
            tracker.begin()
        with fails(errno.EINVAL):
            tracker.harvest(5, 4)
        tracker.close()
        tracker.close()
        with raises(ValueError, "ended"):
            tracker.begin()
        with raises(ValueError, "23"):
            owner.track("x" * 24)


@case
def a_tracker_ends_with_its_handle():
    with two() as (owner, _binder):
        tracker = owner.track()
        epoch = tracker.epoch()
        epoch.__enter__()
        owner.close()
        for call in (tracker.begin, lambda: next(epoch), lambda: epoch.__exit__(None, None, None)):
            with raises(ValueError):
                call()


@case
def a_tracker_that_is_disconnected_in_a_transaction_ends_after_it():
    with a_vas() as owner:
        tracker = owner.track()
        with owner.layout() as change:
            del tracker
            gc.collect()
            change.add(32 * MIB, PAGE)
            assert len(owner.trackers()) == 1
        assert owner.trackers() == []
        tracker = [owner.track()]
        with owner.layout():
            in_thread(tracker.clear)
        assert owner.trackers() == []


@case
def two_threads_may_use_one_tracker():
    with a_vas() as owner, owner.track() as tracker:
        def body():
            for _ in range(200):
                try:
                    with tracker.epoch() as epoch:
                        list(epoch)
                except vas.Error as error:
                    assert error.errno in (errno.EBUSY, errno.EINVAL), error
            return True

        found = []
        thread = threading.Thread(target=lambda: found.append(body()))
        thread.start()
        assert body()
        thread.join()
        assert found == [True]


@case
def nobody_writes_while_frozen():
    with two() as (owner, binder):
        owner.freeze()
        assert binder.info().state_flags & vas.STATE_FROZEN
        for call in (lambda: binder.write(0, b"x"), lambda: binder.fill(0, 0, 1),
                     lambda: binder.map(0, 1, write=True)):
            with fails(errno.EAGAIN, "frozen"):
                call()
        with fails(errno.EALREADY):
            owner.freeze()
        with fails(errno.ETIMEDOUT):
            binder.wait_thawed(0.01)
        waiter = threading.Thread(target=binder.wait_thawed)
        waiter.start()
        owner.thaw()
        waiter.join()
        with fails(errno.EINVAL):
            owner.thaw()


@case
def who_does_not_stop_is_named():
    with two() as (owner, binder), binder.map(0, PAGE, write=True):
        with fails(errno.EBUSY) as caught:
            owner.freeze(timeout=0.05)
        assert caught[0].blocker.kind == "pin"


main()
