"""What every `WorkItemRepository` does. A subclass per adapter gives the ``unit_of_work`` fixture."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from tests.contracts.full import full_item
from tests.contracts.stored import keep
from tests.support.completeness import assert_complete
from tests.support.factories import LEASE, NOW, TENANT, WORKER, make_item, make_job, make_video
from vidintel.application.ports import DueWork, UnitOfWorkFactory
from vidintel.domain.errors import LeaseLost
from vidintel.domain.identity import TenantId
from vidintel.domain.work import Priority, WorkItem, WorkItemId

LATER = NOW + timedelta(hours=1)
FIRST, SECOND, OTHER = "a.first", "a.second", "b.other"
KINDS = (FIRST, SECOND, OTHER)


class WorkItemContract:
    async def test_every_field_of_an_item_is_read_back(self, unit_of_work: UnitOfWorkFactory) -> None:
        full = full_item()
        assert_complete(full)
        async with unit_of_work() as uow:
            await uow.work_items.ensure(full)
            await uow.commit()

        assert state_of(await load(unit_of_work, full)) == state_of(full)
        async with unit_of_work() as uow:
            assert await uow.work_items.get(WorkItemId(uuid4())) is None
            await uow.work_items.add_all([])

    async def test_an_item_that_is_there_is_not_replaced(self, unit_of_work: UnitOfWorkFactory) -> None:
        item = make_item(owner=WORKER)
        await store(unit_of_work, item)
        twin = make_item(ordinal=9)
        twin.id = item.id

        async with unit_of_work() as uow:
            await uow.work_items.ensure(twin)
            await uow.work_items.ensure(other := make_item())
            await uow.commit()

        assert state_of(await load(unit_of_work, item)) == state_of(item)
        assert state_of(await load(unit_of_work, other)) == state_of(other)

    async def test_only_free_or_expired_items_can_be_claimed(self, unit_of_work: UnitOfWorkFactory) -> None:
        free, held, expired = make_item(), make_item(owner="w"), make_item(owner="w", created_at=NOW - 2 * LEASE)
        await store(unit_of_work, free, held, expired)

        async with unit_of_work() as uow:
            claimed = [await uow.work_items.claim(item.id, WORKER, NOW, NOW + LEASE) for item in (free, held, expired)]
            assert await uow.work_items.claim(WorkItemId(uuid4()), WORKER, NOW, NOW + LEASE) is None
            await uow.commit()

        assert [item is not None for item in claimed] == [True, False, True]
        taken = claimed[0]
        assert taken is not None
        assert (taken.work.owner, taken.work.due_at, taken.work.token) == (WORKER, NOW + LEASE, free.work.token + 1)
        assert state_of(await load(unit_of_work, free)) == state_of(taken)

    async def test_only_the_holder_can_extend_save_and_complete(self, unit_of_work: UnitOfWorkFactory) -> None:
        held, free = make_item(owner=WORKER), make_item()
        await store(unit_of_work, held, free)
        token = held.work.token

        async with unit_of_work() as uow:
            assert not await uow.work_items.extend(held.id, token - 1, LATER)
            assert not await uow.work_items.extend(free.id, free.work.token, LATER)
            assert not await uow.work_items.complete(held.id, token - 1)
            assert not await uow.work_items.complete(free.id, free.work.token)
            assert not await uow.work_items.complete(WorkItemId(uuid4()), 1)
            assert await uow.work_items.extend(held.id, token, LATER)
            await uow.commit()
        assert (await load(unit_of_work, held)).work.due_at == LATER

        async with unit_of_work() as uow:
            released = await uow.work_items.get(held.id)
            assert released is not None
            released.release(token, LATER)
            await uow.work_items.save(released, token)
            with pytest.raises(LeaseLost):
                await uow.work_items.save(released, token)
            with pytest.raises(LeaseLost):
                await uow.work_items.save(make_item(), 0)
            await uow.commit()
        assert state_of(await load(unit_of_work, held)) == state_of(released)

        async with unit_of_work() as uow:
            again = await uow.work_items.claim(held.id, WORKER, LATER, LATER + LEASE)
            assert again is not None
            assert await uow.work_items.complete(held.id, again.work.token)
            await uow.commit()
        async with unit_of_work() as uow:
            assert await uow.work_items.get(held.id) is None

    async def test_a_group_is_cancelled_but_for_the_item_to_be_spared(self, unit_of_work: UnitOfWorkFactory) -> None:
        group = uuid4()
        held, free, spared = (make_item(group_id=group, owner=owner) for owner in (WORKER, None, WORKER))
        stranger = make_item()
        await store(unit_of_work, held, free, spared, stranger)

        async with unit_of_work() as uow:
            await uow.work_items.cancel_group(group, spare=spared.id)
            found = [await uow.work_items.get(item.id) is not None for item in (held, free, spared, stranger)]
            await uow.work_items.cancel_group(group)
            assert await uow.work_items.get(spared.id) is None
        assert found == [False, False, True, True]

    async def test_the_work_on_a_video_goes_with_it(self, unit_of_work: UnitOfWorkFactory) -> None:
        video, other = make_video(), make_video()
        job = make_job(video=video)
        await keep(unit_of_work, video, other, job)
        gone, kept = make_item(group_id=job.id), make_item(group_id=other.id)
        await store(unit_of_work, gone, kept)

        async with unit_of_work() as uow:
            await uow.videos.delete(TENANT, video.id)
            await uow.commit()

        async with unit_of_work() as uow:
            assert await uow.work_items.get(gone.id) is None
            assert await uow.work_items.get(kept.id) is not None

    async def test_held_and_expired_items_are_found(self, unit_of_work: UnitOfWorkFactory) -> None:
        held = make_item(owner="worker-1")
        late = make_item(owner="worker-10", created_at=NOW - LEASE)
        child = make_item(owner="worker-1/a", created_at=NOW + LEASE)
        await store(unit_of_work, held, late, child, make_item(created_at=NOW - LEASE))

        async with unit_of_work() as uow:
            items = uow.work_items
            assert ids(await items.expired(NOW, 10)) == [late.id]
            assert ids(await items.expired(NOW + LEASE, 10)) == [late.id, held.id]
            assert ids(await items.expired(NOW + LEASE, 1)) == [late.id]
            assert ids(await items.held_by("worker-1", 10)) == [held.id, child.id]
            assert ids(await items.held_by("worker-1/a", 10)) == [child.id]
            assert ids(await items.held_by("worker_1", 10)) == []

    async def test_what_is_free_and_due_and_of_a_known_kind_is_handed_out(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        due = [make_item(kind=kind) for kind in KINDS]
        await store(
            unit_of_work,
            *due,
            make_item(kind="c.unknown"),
            make_item(kind=FIRST, due_at=NOW + timedelta(seconds=1)),
            make_item(kind=FIRST, owner=WORKER),
            make_item(kind=FIRST, owner=WORKER, created_at=NOW - 2 * LEASE),
        )

        assert set(await take(unit_of_work)) == {DueWork(item.id, item.kind, TENANT) for item in due}

    async def test_what_was_taken_is_due_again_later(self, unit_of_work: UnitOfWorkFactory) -> None:
        items = [make_item(kind=kind) for kind in (FIRST, OTHER)]
        await store(unit_of_work, *items)

        first = await take(unit_of_work)
        assert len(first) == 2
        assert await take(unit_of_work) == []
        assert [(await load(unit_of_work, item)).work.due_at for item in items] == [LATER, LATER]
        assert set(await take(unit_of_work, now=LATER)) == set(first)

    async def test_what_is_taken_without_commit_stays_due(self, unit_of_work: UnitOfWorkFactory) -> None:
        await store(unit_of_work, make_item(kind=FIRST))
        async with unit_of_work() as uow:
            assert len(await uow.work_items.due(NOW, 10, LATER, kinds=KINDS)) == 1

        assert len(await take(unit_of_work)) == 1

    async def test_within_a_flow_priority_then_age_then_the_order_in_the_group_decide(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        young, old = uuid4(), uuid4()
        ordered = [
            make_item(kind=SECOND, priority=Priority.INTERACTIVE),
            make_item(kind=SECOND, group_id=old, created_at=NOW - LEASE, ordinal=-1),
            make_item(kind=FIRST, group_id=old, created_at=NOW - LEASE, ordinal=3),
            make_item(kind=FIRST, group_id=young, ordinal=0),
            make_item(kind=FIRST, group_id=young, ordinal=1),
            make_item(kind=FIRST, priority=Priority.BACKGROUND, created_at=NOW - 2 * LEASE),
        ]
        await store(unit_of_work, *reversed(ordered))

        assert ids(await take(unit_of_work, limit=6)) == ids(ordered)

    async def test_tenants_take_turns(self, unit_of_work: UnitOfWorkFactory) -> None:
        busy, small, tiny = TenantId("busy"), TenantId("small"), TenantId("tiny")
        items = {
            tenant: [
                make_item(kind=FIRST, tenant_id=tenant, ordinal=number, created_at=NOW + timedelta(seconds=second))
                for number in range(count)
            ]
            for second, (tenant, count) in enumerate(((busy, 40), (small, 2), (tiny, 1)))
        }
        for of_tenant in items.values():
            group = uuid4()
            for item in of_tenant:
                item.group_id = group
            await store(unit_of_work, *of_tenant)

        taken = ids(await take(unit_of_work, limit=6, now=NOW + LEASE))

        assert taken[:3] == [items[busy][0].id, items[small][0].id, items[tiny][0].id]
        assert taken[3:5] == [items[busy][1].id, items[small][1].id]
        assert taken[5:] == [items[busy][2].id]

    async def test_tenants_that_were_served_come_after_the_others_in_that_order(
        self, unit_of_work: UnitOfWorkFactory
    ) -> None:
        tenants = [TenantId(name) for name in ("first", "second", "third", "fourth")]
        for second, tenant in enumerate(tenants):
            at = NOW + timedelta(seconds=second)
            await store(unit_of_work, *(make_item(kind=FIRST, tenant_id=tenant, created_at=at) for _ in range(2)))
        first, second_, third, fourth = tenants

        served = [(third, "a"), (first, "a"), (TenantId("idle"), "a"), (second_, "b")]
        taken = await take(unit_of_work, limit=5, now=NOW + LEASE, served=served[:3])

        assert [work.tenant_id for work in taken] == [second_, fourth, third, first, second_]

    async def test_the_families_of_a_tenant_take_turns(self, unit_of_work: UnitOfWorkFactory) -> None:
        many = [make_item(kind=FIRST, created_at=NOW - LEASE, ordinal=number) for number in range(5)]
        group = uuid4()
        for item in many:
            item.group_id = group
        late = make_item(kind=OTHER)
        await store(unit_of_work, *many, late)

        assert late.id in ids(await take(unit_of_work, limit=2))

    async def test_a_family_that_was_just_served_waits_for_the_other(self, unit_of_work: UnitOfWorkFactory) -> None:
        await store(unit_of_work, make_item(kind=FIRST, created_at=NOW - LEASE), make_item(kind=OTHER))

        taken = await take(unit_of_work, limit=1, served=[(TENANT, "a")])

        assert [work.kind for work in taken] == [OTHER]


def ids(items: Sequence[WorkItem | DueWork]) -> list[WorkItemId]:
    return [item.id for item in items]


def state_of(item: WorkItem) -> dict[str, object]:
    """Every field by name, private ones included, so that a field the mappers forget is noticed."""
    return {name: getattr(item, name) for name in WorkItem.__slots__}


async def store(unit_of_work: UnitOfWorkFactory, *items: WorkItem) -> None:
    async with unit_of_work() as uow:
        await uow.work_items.add_all(items)
        await uow.commit()


async def load(unit_of_work: UnitOfWorkFactory, item: WorkItem) -> WorkItem:
    async with unit_of_work() as uow:
        found = await uow.work_items.get(item.id)
    assert found is not None
    return found


async def take(
    unit_of_work: UnitOfWorkFactory,
    *,
    limit: int = 10,
    now: datetime = NOW,
    served: Sequence[tuple[TenantId, str]] = (),
) -> Sequence[DueWork]:
    async with unit_of_work() as uow:
        taken = await uow.work_items.due(now, limit, LATER, kinds=KINDS, served=served)
        await uow.commit()
    return taken
