"""Run the tasks of a conversion on a Dask cluster: the executor that `convert --scheduler ADDRESS` uses.

A task whose worker dies is given to another one; its half-written shard is never seen, for a shard appears under its
name only when it is whole. Workers must see the native files and the output folder under the same paths.
"""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from handdata.errors import ConfigError, DataError

CONNECT_S = 10
RETRIES = 3  # of a task whose worker died


@contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connect to a Dask scheduler.

    Args:
        address: e.g. "tcp://10.0.0.1:8786".

    Yields:
        An executor whose `submit` runs a function on one of the cluster's workers.

    Raises:
        ConfigError: Dask is not installed, nobody answers there, or no worker has joined.
        DataError: workers die again and again, or the scheduler is lost.
    """
    try:
        from distributed import Client, KilledWorker  # noqa: PLC0415 - an extra
        from distributed.comm.core import CommClosedError  # noqa: PLC0415
    except ImportError:
        fix = "Run: pip install 'handdata[dask]'"
        raise ConfigError("--scheduler", expected="Dask", got="no package distributed", fix=fix) from None
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError, ValueError) as error:
        got = str(error).split("\n")[0] or type(error).__name__
        raise ConfigError("--scheduler", expected=f"a Dask scheduler at {address}", got=got) from None
    with client:
        if not client.scheduler_info()["workers"]:
            fix = f"Start some: dask worker {address}"
            raise ConfigError("--scheduler", expected="at least one worker", got="none", fix=fix)
        try:
            yield client.get_executor(retries=RETRIES, pure=False)  # type: ignore[no-untyped-call]
        except (KilledWorker, CommClosedError) as error:
            fix = "Look at the workers' logs, most often they lack memory; then run the same command again."
            raise DataError(
                address, expected="running workers", got=str(error).split("\n")[0] or "a lost scheduler", fix=fix
            ) from error
