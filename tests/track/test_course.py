"""Where a hand should be next, by all places that it was seen at."""

import numpy as np
import pytest

from handdata.track.course import Course


def seen_on_a_line(count):
    course = Course()
    for i in range(count):
        course.see(np.array([10.0 + 3 * i, 50.0 - i]))
    return course


@pytest.mark.parametrize("count", [2, 3, 8, 40])
def test_on_a_line_it_is_exact(count):
    course = seen_on_a_line(count)
    np.testing.assert_allclose(course.ahead, [10 + 3 * count, 50 - count])
    course.go_on()
    course.go_on()
    np.testing.assert_allclose(course.ahead, [10 + 3 * (count + 2), 50 - count - 2])


def test_pictures_without_a_place_count():
    course = seen_on_a_line(5)
    course.see(np.array([10.0 + 3 * 8, 50.0 - 8]), pictures=4)
    np.testing.assert_allclose(course.ahead, [10 + 3 * 9, 50 - 9])


def test_two_last_places_on_another_hand_bend_it_less_than_their_own_motion():
    course = seen_on_a_line(12)
    for step in (1, 2):
        course.see(np.array([43.0 - 6 * step, 39.0]))
    assert course.motion[0] > -2  # of 3 before, and -6 of the other hand


def test_before_the_first_place_there_is_none():
    assert np.isnan(Course().ahead).all()
