"""Every detector in plain words, for those who must choose one or explain an alarm to somebody else."""

from dataclasses import MISSING, dataclass, fields
from types import MappingProxyType
from typing import Any

from detectors.errors import UnknownDetector
from detectors.registry import DETECTORS, OPTIONAL_DETECTORS
from detectors.results import Scope


@dataclass(frozen=True, slots=True)
class Words:
    """What a detector is about."""

    asks: str
    """The question that it answers."""
    effect: str
    """What its effect means, and from where to where it goes."""
    sees_best: str
    overlooks: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A detector as a whole."""

    name: str
    words: Words
    scope: Scope
    """`feature`: one number for each feature; `joint`: one for all features together."""
    bounded: bool
    """Whether it works on summaries, without rows."""
    optional: bool
    """Needs an extra, with a licence of its own."""
    parameters: MappingProxyType[str, Any]
    """With their defaults."""


_WORDS = {
    "kolmogorov_smirnov": Words(
        "Does any threshold cut off another share of the window than of the reference?",
        "The largest difference of the two shares, from 0 to 1.",
        "shifts, spreads and new shapes of continuous features",
        "changes in how features go together, and small changes in the tails",
    ),
    "mann_whitney": Words(
        "Of a window value and a reference value, is one more often the larger?",
        "How much more often, from 0 to 1: |2 AUC - 1|.",
        "shifts, also of heavy-tailed features",
        "changes of spread around the same middle",
    ),
    "cramer_von_mises": Words(
        "How far apart are the two distribution functions on average?",
        "The root of the mean squared difference of the shares, from 0 to 1.",
        "changes all over the range, that are nowhere large",
        "changes in the tails, and in how features go together",
    ),
    "anderson_darling": Words(
        "How far apart are the two distribution functions, with the tails as heavy as the middle?",
        "The root of the mean squared difference of the shares, each weighted by how rare the value is.",
        "changes in the tails",
        "changes in how features go together",
    ),
    "maximum_mean_discrepancy": Words(
        "Can smooth functions of all features together tell the window from the reference?",
        "The distance between the two samples' mean embeddings, from 0 to about 1.4.",
        "changes of several features together, correlations among them",
        "a small change of one feature among many, and changes much finer than the bandwidth",
    ),
    "aggregated_maximum_mean_discrepancy": Words(
        "The same as maximum_mean_discrepancy, at several scales at once, the best of which counts.",
        "The distance at that scale, from 0 to about 1.4.",
        "changes whose scale nobody knows beforehand",
        "a small change of one feature among many",
    ),
    "fast_maximum_mean_discrepancy": Words(
        "The same as maximum_mean_discrepancy, by sums that merge, without rows and without permutations.",
        "The distance between the two samples' mean embeddings, from 0 to about 1.4.",
        "floods of rows, and models whose rows are not kept",
        "differences that only many random features would show; see docs/kernel_tests.md for its power",
    ),
    "cross_maximum_mean_discrepancy": Words(
        "The same as maximum_mean_discrepancy, between halves of the samples, so no permutations are needed.",
        "The distance between the halves' mean embeddings, from 0 to about 1.4.",
        "large windows where permutations take too long",
        "what half of the rows does not show",
    ),
    "least_squares_density_difference": Words(
        "How far apart are the densities of the two samples?",
        "The L2 distance of the densities in units of one kernel, from 0 on.",
        "changes of a few features together",
        "changes in many dimensions, where densities are thin",
    ),
    "classifier_two_sample": Words(
        "Can a trained classifier tell rows of the window from rows of the reference that it has not seen?",
        "How much better than guessing it is, from 0 to 1: 2 AUC - 1.",
        "changes in a few of many features, and in products of them",
        "changes too small to be learnt from one window",
    ),
    "chi_square": Words(
        "Do the categories come as often as before?",
        "Cramer's V for samples of one size, from 0 to 1 for no category in common.",
        "categorical features",
        "any order among the categories",
    ),
    "fisher_exact": Words(
        "Does the one event of a yes-or-no feature come as often as before?",
        "Cohen's h of the two shares, from 0 to pi.",
        "rare events, exactly",
        "features with more than two values, unless one of them is the event",
    ),
    "jensen_shannon": Words(
        "How much does a value tell of which sample it came from?",
        "The Jensen-Shannon distance in base 2, from 0 to 1.",
        "categories and binned numbers, on a scale that does not depend on units",
        "changes within a bin",
    ),
    "missing_values": Words(
        "Are as many values missing as before?",
        "The absolute difference of the two shares, from 0 to 1.",
        "broken joins and pipelines",
        "values that are there and wrong",
    ),
    "out_of_range": Words(
        "Do more values lie beyond the reference's extremes than chance puts there?",
        "The share of the window's values that do, from 0 to 1.",
        "units that changed, overflow, sensors that stick",
        "changes within the range",
    ),
    "population_stability_index": Words(
        "How much do the shares of the reference's bins differ, as credit scoring has long measured it?",
        "The index, from 0 on; by custom 0.1 is worth a look and 0.25 is a change.",
        "reports that must show this number",
        "changes within a bin",
    ),
    "unseen_categories": Words(
        "Do categories come that the reference does not have?",
        "The share of the window's values that are new, beyond what was to be expected, from 0 to 1.",
        "new products, countries, codes; encoders that changed",
        "known categories that come more or less often",
    ),
    "outlying_rows": Words(
        "Are more rows strange than always are, by any value or by how their values go together?",
        "The share of the window's rows beyond the cut, above what is ordinary, from 0 to 1.",
        "a few rows that are unlike all others, combinations that do not occur",
        "rows that are made to look ordinary",
    ),
    "too_typical_rows": Words(
        "Are more rows nearer to the middle than ordinary rows are?",
        "The share of the window's rows below the cut, above what is ordinary, from 0 to 1.",
        "sensors that are stuck, defaults that fill in",
        "rows that are strange",
    ),
    "repeated_rows": Words(
        "Do more rows come twice than in the reference?",
        "The share of the window's rows that are equal to one before them, above the reference's own, from 0 to 1.",
        "rows that are sent again and again",
        "repetitions with noise, and rows that repeat those of an earlier window",
    ),
}
_OF_ALIBI_DETECT = Words(
    "What alibi-detect's detector of this name asks; see its documentation.",
    "Its distance.",
    "comparison with results from before a migration",
    "what that detector overlooks",
)


def definitions() -> tuple[Definition, ...]:
    """Of every detector, the optional ones last."""
    return tuple(_definition(kind) for kind in (*DETECTORS, *OPTIONAL_DETECTORS))


def definition(name: str) -> Definition:
    """Raises `UnknownDetector`."""
    for each in definitions():
        if each.name == name:
            return each
    raise UnknownDetector(f"no detector has this name; there are {', '.join(each.name for each in definitions())}")


def _definition(kind: Any) -> Definition:
    optional = kind in OPTIONAL_DETECTORS
    words = _OF_ALIBI_DETECT if optional else _WORDS[kind.name]
    parameters = {
        field.name: None if field.default is MISSING else field.default for field in fields(kind) if field.init
    }
    return Definition(kind.name, words, kind.scope, kind.bounded, optional, MappingProxyType(parameters))
