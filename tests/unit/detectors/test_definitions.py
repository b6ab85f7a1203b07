"""Definitions: every detector has one, and it is true of it."""

import pytest

from detectors.definitions import definition, definitions
from detectors.errors import UnknownDetector
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS, create, parameters_of


def test_every_detector_is_defined_once_in_words_of_its_own():
    found = definitions()
    assert [each.name for each in found] == [each.name for each in (*DETECTORS, *OPTIONAL_DETECTORS)]
    own = [each.words for each in found if not each.optional]
    for words in zip(*((each.asks, each.sees_best, each.overlooks) for each in own), strict=True):
        assert all(words)
    assert len({words.asks for words in own}) == len(own)


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda each: each.name)
def test_parameters_are_those_that_a_detector_has_without_any(detector):
    found = definition(detector.name)
    assert dict(found.parameters) == dict(parameters_of(create(detector.name, {})))
    assert (found.scope, found.bounded, found.optional) == (detector.scope, detector.bounded, False)
    create(detector.name, found.parameters)


def test_an_unknown_name_is_told_which_there_are():
    with pytest.raises(UnknownDetector, match="kolmogorov_smirnov"):
        definition("crystal_ball")
