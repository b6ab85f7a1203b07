"""The law of the Kolmogorov-Smirnov distance, for many values of it at once.

R. Simard and P. L'Ecuyer, "Computing the Two-Sided Kolmogorov-Smirnov Distribution", Journal of Statistical Software
39(11), 2011, divide the (n, d) plane into regions. Where statistics nearly always fall while nothing has changed, the
expansion of W. Pelz and I. J. Good (JRSS B 38, 1976) holds; further out, twice the one-sided probability; for few rows
and for very small statistics the exact matrix form of J. Durbin as G. Marsaglia, W. W. Tsang and J. Wang compute it
(Journal of Statistical Software 8(18), 2003).
"""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from detectors.arrays import frozen

Values = NDArray[np.float64]
Integers = NDArray[np.int64]

_SMALL = 140
_DURBIN_UP_TO = 100_000
_HALVES = (np.pi * (np.arange(5) + 0.5)) ** 2  # pi^2 (k + 1/2)^2; where they are used, the 6th term is below 1e-25
_WHOLES = (np.pi * np.arange(1, 5)) ** 2  # pi^2 k^2; likewise the 5th
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
_AT_ONCE = 2**18
_TABLED = 2**16  # values that D may take, up to which their probabilities are remembered
_CHUNK = 32  # neighbouring ones, found together
_PROBES = 30  # of the law at once, while a critical distance is sought


def p_value(reference_count: int, window_count: int, distances: Values, alternative: str = "two-sided") -> Values:
    """P(D >= d) for every d, as `scipy.stats.ks_2samp(reference, window, method="asymp")` has it; NaN for too few rows.

    Two-sided it is the finite-sample law of one sample of nm/(n+m) rows, rounded; one-sided J. L. Hodges, "The
    significance probability of the Smirnov two-sample test", Arkiv för Matematik 3 (1958), eq. 5.3.
    """
    larger, smaller = float(max(reference_count, window_count)), float(min(reference_count, window_count))
    if smaller < 1 or larger == 1:  # one row against one, which SciPy leaves undefined
        return np.full(distances.shape, np.nan)
    effective = larger * smaller / (larger + smaller)
    if alternative == "two-sided":
        return survival(round(effective), distances)
    z = np.sqrt(effective) * distances
    skew = (larger + 2 * smaller) / np.sqrt(larger * smaller * (larger + smaller)) / 3.0
    probability: Values = np.clip(np.exp(-2 * z**2 - 2 * z * skew), 0, 1)
    return probability


def p_value_of(reference_count: int, window_count: int, reached: Integers, alternative: str = "two-sided") -> Values:
    """The same for distances that are given as whole numbers, `reached` / nm.

    They are multiples of the greatest common divisor of n and m. Where that leaves few values, windows meet the same
    ones again, and what was found for them before is remembered.
    """
    n, m = reference_count, window_count
    divisor = math.gcd(n, m)
    steps = n * m // max(1, divisor)
    if not 1 < steps <= _TABLED:
        return p_value(n, m, reached / max(1, n * m), alternative)
    step = reached // divisor
    table = _table(n, m, alternative)
    probability = table[step]
    if np.isnan(probability).any():
        # Always whole chunks, so that the bits of a value do not depend on what it was found with.
        for chunk in np.unique(step[np.isnan(probability)] // _CHUNK):
            some = np.arange(chunk * _CHUNK, min((chunk + 1) * _CHUNK, steps + 1))
            table[some] = p_value(n, m, some / steps, alternative)
        probability = table[step]
    return probability


@lru_cache(maxsize=16)
def _table(reference_count: int, window_count: int, alternative: str) -> Values:  # noqa: ARG001 - they are the key
    """Of all values that D may take; NaN for what is not known yet. Threads that fill it write the same numbers."""
    return np.full(math.lcm(reference_count, window_count) + 1, np.nan)


@lru_cache(maxsize=1024)
def critical_distance(reference_count: int, window_count: int, alpha: float, alternative: str = "two-sided") -> float:
    """The distance with D > it if and only if `p_value(...)` < alpha; NaN for too few rows.

    D takes finitely many values, all of them multiples of 1 / lcm(n, m), and the distance lies half-way between two. So
    one comparison decides, and rounding does not matter. It is remembered, being the same for every feature and window.
    """
    steps = math.lcm(reference_count, window_count)
    low, high = 0, steps + 1  # p >= alpha at low / steps, p < alpha at high / steps
    if np.isnan(p_value(reference_count, window_count, np.array([1.0]), alternative)[0]):
        return float("nan")
    while high - low > 1:
        between = np.unique(np.linspace(low, high, _PROBES + 2).astype(np.int64)[1:-1].clip(low + 1, high - 1))
        likely = p_value(reference_count, window_count, between / steps, alternative) >= alpha
        passed = int(likely.sum())
        low, high = (
            int(between[passed - 1]) if passed else low,
            int(between[passed]) if passed < len(between) else high,
        )
    return (low + 0.5) / steps


def survival(count: int, statistics: Values) -> Values:
    """P(D_n >= d) for every d: what `scipy.stats.kstwo.sf(d, n)` says, sooner."""
    scaled = count * statistics
    squared = scaled * statistics
    inside = (scaled > 0.5) & (statistics < 1)
    far = squared > 4 if count <= _SMALL else squared >= 2.2
    tail = inside & (far | (statistics >= 0.5))
    near = (scaled <= 1) | (count <= _SMALL) | ((count * statistics**1.5 <= 1.4) & (count <= _DURBIN_UP_TO))
    exact = inside & near & ~tail
    expanded = inside & ~near & ~tail
    probability = np.where(scaled <= 0.5, 1.0, 0.0)
    if tail.any():
        probability[tail] = 2 * one_sided(count, statistics[tail])
    if exact.any():
        probability[exact] = 1 - _durbin(count, scaled[exact])
    if expanded.any():
        probability[expanded] = 1 - _pelz_good(count, statistics[expanded])
    np.clip(probability, 0, 1, out=probability)
    return probability


def one_sided(count: int, statistics: Values) -> Values:
    """P(D_n+ >= d) for every 0 < d < 1, as `scipy.special.smirnov(n, d)`.

    With t = n d it is the sum over j of t / (t + j) times the binomial probability of j out of n at p = (t + j) / n
    (Z. W. Birnbaum and F. H. Tingey, Annals of Mathematical Statistics 22, 1951). These are had as C. Loader
    proposes ("Fast and accurate computation of binomial probabilities", 2000): as a deviance, which stays small where
    the terms matter, so that nothing cancels.
    """
    terms, others, constant = _binomial(count)
    result: Values = np.exp(count * np.log1p(-statistics))  # j = 0
    step = max(1, _AT_ONCE // count)
    for start in range(0, len(statistics), step):
        t: Values = count * statistics[start : start + step, np.newaxis]
        reached = int(np.ceil(count - t.min()))  # from there on p is 1 or more for every d
        j, k, c = terms[:reached], others[:reached], constant[:reached]
        with np.errstate(divide="ignore"):
            deviance = j * np.log1p(t / j) + k * np.log1p(np.maximum(-t / k, -1))
        result[start : start + step] += (np.exp(c + deviance) * (t / (t + j))).sum(axis=1)
    return result


@lru_cache(maxsize=8)
def _binomial(count: int) -> tuple[Values, Values, Values]:
    """j = 1 ... n-1, n - j, and what the logarithms of the probabilities of j out of n are less their deviances."""
    terms: Values = np.arange(1, count, dtype=np.float64)
    others = terms[::-1]
    error = _stirling_error(terms)
    constant = _stirling_error(np.array([count], dtype=np.float64)) - error - error[::-1]
    constant += 0.5 * np.log(count / (2 * np.pi * terms * others))
    return frozen(terms), others, frozen(constant)


def _durbin(count: int, scaled: Values) -> Values:
    """P(n D_n <= t) as the middle entry of n! / n^n H^n.

    The rows of H sum to at most e, so the powers of H / e neither grow nor need scaling; what is left of the factor is
    n! e^n / n^n. Values with equal ceil(t) have matrices of equal size, which are raised together.
    """
    probability: Values = np.empty_like(scaled)
    halves = np.ceil(scaled)
    for half in np.unique(halves):
        same = halves == half
        size = 2 * int(half) - 1
        powers = np.linalg.matrix_power(_durbin_matrices(half - scaled[same], size) / np.e, count)
        probability[same] = powers[:, size // 2, size // 2]
    error = _stirling_error(np.array([count], dtype=np.float64))[0]
    probability *= np.sqrt(2 * np.pi * count) * np.exp(error)
    return probability


def _durbin_matrices(remainders: Values, size: int) -> Values:
    order = np.arange(1, size + 1)
    inverse = np.exp(-gammaln(order + 1.0))  # 1 / j!
    lag = order[:, np.newaxis] - order + 1
    matrices = np.tile(np.where(lag > 0, inverse[lag - 1], lag == 0), (len(remainders), 1, 1))
    h = remainders[:, np.newaxis]
    border = (1 - h**order) * inverse
    matrices[:, :, 0] = border
    matrices[:, -1, :] = border[:, ::-1]
    corner = 1 - 2 * remainders**size + np.maximum(2 * remainders - 1, 0) ** size
    matrices[:, -1, 0] = corner * inverse[-1]
    return matrices


def _stirling_error(numbers: Values) -> Values:
    """log(n!) less Stirling's approximation (n + 1/2) log(n) - n + log(2 pi) / 2."""
    error: Values = np.polyval(_STIRLING[::-1], 1 / numbers**2) / numbers
    few = numbers < 32  # here the series is too short, and the difference still loses nothing
    n = numbers[few]
    error[few] = gammaln(n + 1) - ((n + 0.5) * np.log(n) - n + 0.5 * np.log(2 * np.pi))
    return error


def _pelz_good(count: int, statistics: Values) -> Values:
    """P(D_n <= d) = K0(z) + K1(z) n^-1/2 + K2(z) n^-1 + K3(z) n^-3/2 with z = d n^1/2 (section 2.3 of the paper)."""
    even, odd, whole_even, whole_odd = _pelz_good_polynomials(count)
    z = np.sqrt(count) * statistics
    inverse = 1 / z
    squared = inverse * inverse
    powers = np.multiply.accumulate(np.stack([np.ones_like(z), *[squared] * 4]), axis=0).T
    slanted = inverse[:, np.newaxis]
    half = np.exp(np.multiply.outer(squared, -_HALVES / 2)) * (powers @ even + slanted * (powers @ odd))
    whole = np.exp(np.multiply.outer(squared, -_WHOLES / 2)) * (powers @ whole_even + slanted * (powers @ whole_odd))
    # Each sum over all integers is twice the one over those counted here; the common factor is sqrt(pi / 2) / z.
    return np.asarray((half.sum(axis=1) + whole.sum(axis=1)) * 2 * np.sqrt(np.pi / 2) * inverse)


@lru_cache(maxsize=64)
def _pelz_good_polynomials(count: int) -> tuple[Values, Values, Values, Values]:
    """Shape (powers of 1/z^2, terms): what multiplies exp(-h / 2z^2), and with 1/z the same, for both kinds of h."""
    h, w, root = _HALVES, _WHOLES, np.sqrt(count)
    even, odd = np.zeros((2, 5, len(h)))
    even[0], even[1], even[2], even[3] = 6, 2 + 2 * h, -5 * h - 2 * h**2, h**2
    even /= 72 * count
    even[0] += 1
    odd[0], odd[1], odd[2] = -90, -96 * h - 30, 212 * h**2 + 135 * h
    odd[3], odd[4] = -30 * h**3 - 60 * h**2, 5 * h**3
    odd /= 6480 * count * root
    odd[0] -= 1 / (6 * root)
    odd[1] += h / (6 * root)
    whole_even, whole_odd = np.zeros((2, 5, len(w)))
    whole_even[1] = -w / (36 * count)
    whole_odd[1], whole_odd[2] = 3 * w / (216 * count * root), -(w**2) / (216 * count * root)
    return frozen(even), frozen(odd), frozen(whole_even), frozen(whole_odd)
