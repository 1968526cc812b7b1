"""Leases over a real table: taken, renewed, handed on, and taken from who is gone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import boto3
import pytest

from pothole.entrypoints.stream.lease_table import Checkpoint, Lease, LeaseTable
from pothole.entrypoints.stream.leases import SYNC_KEY, Leases, share_of
from pothole.errors import ConfigError, StorageUnavailable

Open = Callable[[str], LeaseTable]
DURATION_S = 10


class Fleet:
    """Consumers with one clock over one table, each asked in turn."""

    def __init__(self, open_table: Open, streams: int) -> None:
        self.open, self.time = open_table, 0.0
        self.table = open_table("a test")
        for number in range(streams):
            self.table.create(f"road-{number}")
        self.workers: dict[str, Leases] = {}

    def start(self, name: str) -> Leases:
        self.workers[name] = Leases(self.open(name), DURATION_S, lambda: self.time)
        return self.workers[name]

    def go_on(self, seconds: float, hands_on: bool = True) -> None:
        """Let all keep their leases for some time; what others ask for is given up at once."""
        end = self.time + seconds
        while self.time < end:
            self.time += DURATION_S / 4
            for leases in self.workers.values():
                leases.keep()
                for lease in list(leases.held.values()):
                    if lease.heir and hands_on:
                        leases.give_up(lease.key)

    def counts(self) -> list[int]:
        return sorted(len(leases.held) for leases in self.workers.values())

    def owners(self) -> dict[str, str | None]:
        return {lease.key: lease.owner for lease in self.table.all()}


@pytest.fixture
def fleet(lease_table: Open) -> Fleet:
    return Fleet(lease_table, streams=8)


def test_one_consumer_takes_every_stream_and_the_lease_of_their_list(fleet: Fleet) -> None:
    alone = fleet.start("alone")
    fleet.go_on(5)
    assert set(alone.held) == {SYNC_KEY, *(f"road-{n}" for n in range(8))}


def test_streams_are_shared_with_who_comes_later_and_nobody_has_two_owners(fleet: Fleet) -> None:
    fleet.start("a")
    fleet.go_on(5)
    fleet.start("b")
    fleet.start("c")
    fleet.go_on(30)
    assert fleet.counts() == [3, 3, 3]
    held = [(key, name) for name, leases in fleet.workers.items() for key in leases.held]
    assert dict(held) == fleet.owners() and len(held) == 9
    before = fleet.owners()
    fleet.go_on(60)
    assert fleet.owners() == before, "leases wander about although all have their share"


def test_a_stream_that_is_asked_for_stays_until_its_owner_has_finished(fleet: Fleet) -> None:
    fleet.start("a")
    fleet.go_on(5)
    fleet.start("b")
    fleet.go_on(60, hands_on=False)
    assert fleet.counts() == [0, 9]
    assert sum(lease.heir == "b" for lease in fleet.workers["a"].held.values()) == 4
    fleet.go_on(5)
    assert fleet.counts() == [4, 5]


def test_who_is_gone_loses_its_streams_and_others_go_on_from_the_checkpoint(fleet: Fleet) -> None:
    fleet.start("a")
    fleet.start("b")
    fleet.go_on(30)
    key = next(iter(set(fleet.workers["a"].held) - {SYNC_KEY}))
    assert fleet.workers["a"].save(key, Checkpoint("9134", 17))
    gone = fleet.workers.pop("a")
    fleet.go_on(DURATION_S / 2)
    assert fleet.counts() in ([4], [5])
    fleet.go_on(DURATION_S)
    assert fleet.counts() == [9]
    assert fleet.workers["b"].held[key].checkpoint == Checkpoint("9134", 17)
    # It only slept: what it does now changes nothing, and it learns so.
    assert not gone.save(key, Checkpoint("9999", 20))
    gone.keep()
    assert key not in gone.held


def test_given_back_streams_are_taken_at_once(fleet: Fleet) -> None:
    a = fleet.start("a")
    fleet.start("b")
    fleet.go_on(30)
    for key in list(a.held):
        a.give_up(key)
    del fleet.workers["a"]
    fleet.go_on(DURATION_S / 4)
    assert fleet.counts() == [9]


def test_the_lease_of_a_stream_that_is_gone_does_not_come_back(fleet: Fleet) -> None:
    a = fleet.start("a")
    fleet.go_on(5)
    fleet.table.delete("road-3")
    assert not a.save("road-3", Checkpoint("1", 1))
    fleet.go_on(5)
    assert "road-3" not in a.held and "road-3" not in fleet.owners()


def test_a_table_that_fails_costs_no_lease_until_others_may_take_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    a = fleet.start("a")
    fleet.go_on(5)

    def fail(*_: Any) -> None:
        raise StorageUnavailable("no")

    monkeypatch.setattr(LeaseTable, "renew", fail)
    monkeypatch.setattr(LeaseTable, "all", fail)
    fleet.go_on(DURATION_S - 3)
    assert len(a.held) == 9
    fleet.go_on(5)
    assert not a.held


def test_only_one_of_two_takes_a_lease_or_is_its_heir(lease_table: Open) -> None:
    a, b, c = map(lease_table, "abc")
    a.create("road")
    [free] = a.all()
    taken = a.take(free)
    assert taken is not None and b.take(free) is None
    assert b.ask(taken) and not c.ask(taken)
    renewed = a.renew(taken)
    assert renewed is not None and renewed.heir == "b"
    a.give_up(renewed)
    [lease] = a.all()
    assert (lease.owner, lease.heir) == ("b", None)
    assert a.renew(renewed) is None and not a.create("road")


def test_a_missing_table_is_named(aws: str) -> None:
    client: Any = boto3.session.Session().resource("dynamodb").meta.client
    with pytest.raises(ConfigError, match=r"no table 'nobody-made-it'. Make it with the key leaseKey"):
        Leases(LeaseTable(client, "nobody-made-it", "a"), DURATION_S).keep()


def test_the_first_lease_is_not_read_as_expired_by_a_clock_of_others(lease_table: Open) -> None:
    """A newcomer waits for as long as the lease lasts, by its own clock, before it calls an owner gone."""
    a = lease_table("a")
    a.create("road")
    [free] = a.all()
    assert a.take(free)
    time = 1000.0
    b = Leases(lease_table("b"), DURATION_S, lambda: time)
    b.keep()
    assert set(b.held) == {SYNC_KEY}
    time += DURATION_S + 1
    b.keep()
    assert set(b.held) == {SYNC_KEY, "road"}
    assert replace(b.held["road"], counter=0, owner=None) == free


def test_shares_are_rounded_up_so_that_no_stream_is_left_to_nobody() -> None:
    leases = [Lease("a", owner="other", counter=1), Lease("b"), Lease("c")]
    share = share_of("me", leases, lambda lease: lease.owner is None)
    assert {lease.key for lease in share.take} == {"b", "c"}
