"""The BLAS is held to one thread, and let go again."""

import pytest
from threadpoolctl import threadpool_limits

from pocketface.benchmarks.blas import blas_threads, one_blas_thread


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_what_the_blas_was_told(threads):
    with threadpool_limits(threads, user_api="blas"):
        assert blas_threads() == threads
        with one_blas_thread():
            assert blas_threads() == 1
        assert blas_threads() == threads


def test_the_blas_is_let_go_after_an_error():
    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(ValueError, match="on the way"), one_blas_thread():
            raise ValueError("on the way")
        assert blas_threads() == 2
