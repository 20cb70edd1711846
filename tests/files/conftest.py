"""What the tests of converters use too."""

from tests.converters.conftest import refused, stored  # noqa: F401 - fixtures
