"""What the tests of converters use too."""

from tests.converters.conftest import cli, refused  # noqa: F401 - fixtures
