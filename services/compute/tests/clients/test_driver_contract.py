"""What every driver keeps, whatever it drives: one suite, run on each.

A driver that is new gets a hand in conftest.py and passes all of this; where its host cannot be had it is skipped.
"""

import asyncio
import time
from functools import partial

import pytest

from compute.domain.guest import ABSENT, Definition, Key, Power, Switch
from compute.ports.hypervisor import HostTrouble, StaleFence

BOOT = 90  # seconds; without KVM and with neighbours a guest takes ten


async def until(driver, vm, holds, seconds=BOOT, again=None):
    """Observe a guest until it is as wanted."""
    end = time.monotonic() + seconds
    while not holds(seen := await driver.observe(vm)):
        assert time.monotonic() < end, seen
        if (
            again is not None
        ):  # level by level, as the reconciler does: a guest may miss a press of its button
            await again()
        await asyncio.sleep(0.05)
    return seen


async def started(driver, key, definition):
    await driver.ensure_disk(key, definition)
    await driver.ensure_defined(key, definition)
    await driver.ensure_power(key, Switch.ON)
    return await until(driver, key.vm, lambda seen: seen.up)


async def test_a_guest_that_was_never_made_is_absent_and_can_be_removed(hand, vm_id):
    assert await hand.driver.observe(vm_id) == ABSENT
    assert vm_id not in await hand.driver.list()
    await hand.driver.ensure_absent(Key(vm_id, 1, 1))
    assert await hand.driver.read_console(vm_id, 10) == []


async def test_a_disk_is_made_once_grows_and_goes_with_its_guest(hand, vm_id, little):
    key = Key(vm_id, 1, 1)
    for _ in range(2):
        await hand.driver.ensure_disk(key, little)
    seen = await hand.driver.observe(vm_id)
    assert (seen.power, seen.made, seen.crashed) == (Power.OFF, True, False)
    assert (await hand.driver.list())[vm_id] == seen
    await hand.driver.grow_disk(key, 2)
    for _ in range(2):
        await hand.driver.ensure_absent(key)
    assert await hand.driver.observe(vm_id) == ABSENT


async def test_who_comes_with_an_older_fence_is_refused_whatever_it_wants(hand, vm_id, little):
    driver = hand.driver
    await driver.ensure_disk(Key(vm_id, 1, 7), little)
    late = Key(vm_id, 9, 6)
    for verb in (
        driver.ensure_disk(late, little),
        driver.ensure_defined(late, little),
        driver.ensure_power(late, Switch.ON),
        driver.snapshot(late, "one", "take"),
        driver.grow_disk(late, 5),
        driver.ensure_absent(late),
    ):
        with pytest.raises(StaleFence):
            await verb
    await driver.ensure_absent(Key(vm_id, 1, 7))
    with pytest.raises(StaleFence):
        await driver.ensure_disk(late, little)
    assert await driver.observe(vm_id) == ABSENT


async def test_a_guest_lives_from_switch_to_switch_and_keeps_its_disk(hand, vm_id, little):
    driver, key = hand.driver, Key(vm_id, 1, 1)
    seen = await started(driver, key, little)
    assert (seen.power, seen.generation, seen.crashed) == (Power.RUNNING, 1, False)
    await driver.ensure_power(Key(vm_id, 2, 1), Switch.ON)
    assert (await driver.observe(vm_id)).generation == 1, "it ran already"
    for switch, power in ((Switch.PAUSE, Power.PAUSED), (Switch.RESUME, Power.RUNNING)):
        for _ in range(2):
            await driver.ensure_power(key, switch)
        assert (await driver.observe(vm_id)).power is power
    for _ in range(2):
        await driver.snapshot(key, "one", "take")
    with pytest.raises(HostTrouble, match="stopped"):
        await driver.snapshot(key, "one", "restore")
    press = partial(driver.ensure_power, key, Switch.PRESS)
    await until(driver, vm_id, lambda seen: seen.power is Power.HALTED, again=press)
    for _ in range(2):
        await driver.ensure_power(key, Switch.OFF)
    seen = await driver.observe(vm_id)
    assert (seen.power, seen.crashed, seen.made) == (Power.OFF, False, True)
    await driver.snapshot(key, "one", "restore")
    for _ in range(2):
        await driver.snapshot(key, "one", "drop")
    await driver.ensure_power(Key(vm_id, 3, 1), Switch.ON)
    assert (await driver.observe(vm_id)).generation == 3
    hand.kill(vm_id)
    seen = await until(driver, vm_id, lambda seen: seen.power is Power.OFF)
    assert seen.crashed
    await driver.ensure_absent(key)
    assert await driver.observe(vm_id) == ABSENT


async def test_what_a_template_is_not_there_for_is_trouble_in_words(real, vm_id):
    driver = real.driver
    nowhere = Definition(name="nowhere", cpu=1, memory_gb=1, disk_gb=1, template=vm_id)
    with pytest.raises(HostTrouble, match="is not on this host"):
        await driver.ensure_disk(Key(vm_id, 1, 1), nowhere)
    assert await driver.observe(vm_id) == ABSENT
