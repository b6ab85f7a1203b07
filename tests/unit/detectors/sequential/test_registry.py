import pytest

from detectors.errors import InvalidParameter, UnknownDetector
from detectors.sequential.registry import ONLINE_DETECTORS, create_online


def test_every_detector_goes_by_its_name():
    for detector in ONLINE_DETECTORS:
        assert create_online(detector.name, {}) == detector()


def test_others_are_unknown_and_the_message_says_which_there_are():
    with pytest.raises(UnknownDetector, match="online_cumulative_sum"):
        create_online("kolmogorov_smirnov", {})
    with pytest.raises(InvalidParameter, match="allowance") as raised:
        create_online("online_cumulative_sum", {"slack": 1})
    assert raised.value.parameter == "slack"
