"""Ctrl-C and SIGTERM are remembered until a step is whole."""

import os
import signal

import pytest

from pocketface.errors import StoppedError
from pocketface.train.stop import Agreement, StopRequest, stopped


class Processes:
    """Stands for Fabric with `world_size` processes of which another gives `others`."""

    device = "cpu"

    def __init__(self, world_size: int, others: tuple[bool, bool, float] = (False, False, 0.0)):
        self.world_size = world_size
        self.others = others
        self.asked = 0

    def all_reduce(self, wishes, reduce_op):
        assert reduce_op == "max"
        self.asked += 1
        return wishes.maximum(wishes.new_tensor(self.others))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_a_second_ctrl_c_interrupts(number):
    with StopRequest() as stop:
        assert not stop.asked
        os.kill(os.getpid(), number)
        assert stop.asked
        # A scheduler's and torchrun's, both of which mean the same.
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_handlers_before_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with StopRequest():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_single_process_decides_at_once():
    fabric = Processes(1)
    agree = Agreement(fabric)
    assert agree(row_due=False, late=False, asked=True) == (False, True)
    assert agree(row_due=False, late=True, asked=False) == (True, False)
    assert fabric.asked == 0


@pytest.mark.parametrize("others", [(False, False), (True, False), (False, True)])
def test_several_processes_do_what_any_of_them_asks_at_the_same_step(others):
    fabric = Processes(2, (*others, 0.001))
    agree = Agreement(fabric)
    assert agree(row_due=True, late=False, asked=False) == others
    assert agree(row_due=False, late=True, asked=True) == (False, False)
    assert fabric.asked == 1
    assert agree(row_due=True, late=False, asked=True) == (others[0], True)


@pytest.mark.parametrize(
    ("seconds", "steps"), [(0.001, 5000), (0.5, 10), (2.0, 2), (4.9, 1), (60.0, 1)]
)
def test_they_ask_about_every_five_seconds_by_the_pace_of_the_slowest(seconds, steps):
    # This process is quick; the wish of the other is heard after so many steps.
    fabric = Processes(2, (False, False, seconds))
    agree = Agreement(fabric)
    agree(row_due=False, late=False, asked=False)
    fabric.others = (False, True, seconds)
    waited = 1
    while agree(row_due=False, late=False, asked=False) == (False, False):
        waited += 1
    assert waited == pytest.approx(steps, abs=1)
    assert fabric.asked == 2


def test_the_words_at_the_end(tmp_path):
    error = stopped(tmp_path)
    assert isinstance(error, StoppedError)
    assert str(error) == f"stopped; {tmp_path} is saved. Go on with the same command and --resume."
