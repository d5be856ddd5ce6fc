"""Processes agree on a name in a store that holds what an earlier start left."""

import threading
import time
from datetime import timedelta

import pytest
import torch.distributed as dist

from pocketface.errors import TrainingError
from pocketface.train import meeting
from pocketface.train.meeting import common_name

PATIENCE = timedelta(seconds=20)


def meet(store: dist.Store, delays: list[float]) -> list[str]:
    """The names that processes come to, which start after `delays` seconds."""
    names = [""] * len(delays)

    def come(rank: int) -> None:
        time.sleep(delays[rank])
        names[rank] = common_name(store, rank, len(delays), PATIENCE)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in range(len(delays))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return names


@pytest.mark.parametrize("delays", [[0, 0], [0.2, 0], [0, 0.2], [0, 0.1, 0.3, 0.1], [0.3, 0, 0.1]])
def test_each_start_has_a_name_of_its_own(delays):
    store = dist.HashStore()
    seen = set()
    for world in (len(delays), 1, len(delays)):
        names = meet(store, delays[:world])
        assert len(set(names)) == 1
        assert names[0]
        seen.add(names[0])
    assert len(seen) == 3


def test_who_is_named_and_dead_is_replaced_by_the_living():
    """The first process finds the words of two dead ones and proposes; nobody answers to it."""
    store = dist.HashStore()
    store.set("here/1", "dead")
    store.set("here/2", "dead")
    names = meet(store, [0, 0.2, 0.4])
    assert len(set(names)) == 1
    assert names[0]


def test_a_proposal_to_the_dead_is_no_proposal():
    store = dist.HashStore()
    first = meet(store, [0, 0])[0]
    with pytest.raises(TrainingError, match=r"process 1 of 2 waited 0.005 minutes in vain.*port"):
        common_name(store, 1, 2, timedelta(seconds=0.3))
    assert store.check([f"{first}/all"])


def test_who_stays_alone_says_so():
    with pytest.raises(TrainingError, match=r"process 0 of 2 waited 0.005 minutes in vain"):
        common_name(dist.HashStore(), 0, 2, timedelta(seconds=0.3))


def test_a_start_has_ten_minutes_where_a_step_has_less(monkeypatch):
    asked = []
    monkeypatch.setattr(meeting, "rendezvous", lambda url, timeout: iter([(None, 0, 2)]))
    monkeypatch.setattr(
        meeting, "common_name", lambda store, rank, world, patience: asked.append(patience) or "n"
    )
    monkeypatch.setattr(meeting, "PrefixStore", lambda name, store: (name, store))
    given = {}
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **rest: given.update(rest))
    monkeypatch.setattr(meeting.atexit, "register", lambda leave: None)
    for minutes in (1, 60):
        meeting.join(meeting.torch.device("cpu"), timedelta(minutes=minutes))
        assert given["timeout"] == timedelta(minutes=minutes)
    assert asked == [timedelta(minutes=10), timedelta(minutes=60)]
    assert given["store"] == ("n", ("pocketface", None))
    assert (given["rank"], given["world_size"]) == (0, 2)
