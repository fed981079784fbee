"""One thread for linear algebra: more would add numbers in another order, and round otherwise."""

from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits


def one_thread() -> AbstractContextManager[object]:
    """Context in which BLAS and OpenMP use one thread."""
    return threadpool_limits(1)  # type: ignore[no-any-return]
