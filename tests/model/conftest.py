"""What several tests of training share."""

import pytest
import torch


@pytest.fixture
def one_thread():
    """Sums in one order, whatever the machine: many steps make much of little (seen with two threads)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
