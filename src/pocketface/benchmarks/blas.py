"""How many threads the BLAS of NumPy may use, and how to hold it to one for a while."""

from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


def blas_threads() -> int:
    """Threads of a matrix product: the processor's, or what OMP_NUM_THREADS and the like say."""
    found = ThreadpoolController().select(user_api="blas").info()
    return max((int(library["num_threads"]) for library in found), default=1)


def one_blas_thread() -> AbstractContextManager[object]:
    """Within it a matrix product uses the thread that asked for it alone, in the whole process."""
    held: AbstractContextManager[object] = (
        ThreadpoolController().select(user_api="blas").limit(limits=1)
    )
    return held
