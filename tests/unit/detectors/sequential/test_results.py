import numpy as np
import pytest

from detectors.results import Scope
from detectors.sequential.results import OnlineResults


def results(scope=Scope.FEATURE):
    statistic = np.array([[[np.nan, 0.0]], [[2.0, 1.0]], [[3.0, 9.0]]])
    return OnlineResults("some", scope, 11, statistic, np.array([[2.0, 4.0]]))


def test_an_alarm_is_a_statistic_above_its_threshold_and_neither_an_equal_nor_a_missing_one():
    found = results()
    assert found.alarms.tolist() == [False, False, True]
    assert [each.alarm for each in found] == [False, False, True]
    assert found[2].features == (0, 1)
    assert found[-3].features == ()
    assert found.first_alarm is not None
    assert found.first_alarm.row == 13
    assert results(Scope.JOINT)[2].features == ()
    assert found[0].undecided.tolist() == [[True, False]]


def test_there_is_no_result_beyond_the_last():
    with pytest.raises(IndexError):
        results()[3]
    quiet = OnlineResults("some", Scope.JOINT, 1, np.zeros((4, 1, 1)), np.full((1, 1), np.nan))
    assert quiet.first_alarm is None
    assert quiet[0].undecided.all()
