import numpy as np
import pytest

from handdata.synth.frame import Camera
from tests.synth.made_pictures import Made, make_all


@pytest.fixture(scope="session")
def pictures() -> list[Made]:
    return make_all()


@pytest.fixture
def camera() -> Camera:
    K = np.array([[240.0, 0, 79.5], [0, 240.0, 59.5], [0, 0, 1]])
    return Camera(name="color", K=K, width=160, height=120)
