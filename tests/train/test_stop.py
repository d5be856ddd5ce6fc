"""Ctrl-C and SIGTERM are remembered until a step is whole."""

import os
import signal

import pytest

from pocketface.errors import StoppedError
from pocketface.train.stop import StopRequest, agree, stopped


class Processes:
    """Stands for Fabric with `world_size` processes of which another asks for `others`."""

    device = "cpu"

    def __init__(self, world_size: int, others: tuple[bool, bool] = (False, False)) -> None:
        self.world_size = world_size
        self.others = others
        self.asked = 0

    def all_reduce(self, wishes, reduce_op):
        assert reduce_op == "max"
        self.asked += 1
        return wishes.maximum(wishes.new_tensor(self.others))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_the_second_interrupts(number):
    with StopRequest() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_the_handlers_before_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_single_process_decides_at_once():
    fabric = Processes(1)
    assert agree(fabric, row_due=False, late=False, asked=True) == (False, True)
    assert agree(fabric, row_due=False, late=True, asked=False) == (True, False)
    assert fabric.asked == 0


@pytest.mark.parametrize("others", [(False, False), (True, False), (False, True)])
def test_several_processes_do_what_any_of_them_asks_at_the_same_step(others):
    fabric = Processes(2, others)
    assert agree(fabric, row_due=False, late=True, asked=True) == (False, False)
    assert fabric.asked == 0
    assert agree(fabric, row_due=True, late=False, asked=False) == others
    assert agree(fabric, row_due=True, late=False, asked=True) == (others[0], True)


def test_the_words_at_the_end(tmp_path):
    error = stopped(tmp_path)
    assert isinstance(error, StoppedError)
    assert str(error) == f"stopped; {tmp_path} is saved. Go on with the same command and --resume."
