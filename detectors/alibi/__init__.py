"""Optional: detectors of alibi-detect behind our protocol, for whoever compares with them or moves away from them.

Licence: alibi-detect 0.11.5 and later is under the Business Source License 1.1, which is not an open-source licence.
Using it in production needs a licence from its owner (`engine.LICENCE_NOTICE` says it in full). Nothing here is
imported from it until one of these detectors is fitted, nothing else of Driftwarden needs it, and no code of it is in
here.

The extra `alibi` brings it. It needs numpy 1, hence an environment of its own (`make alibi`). Detectors are made of a
name and parameters only; the parameters are those of alibi-detect by name and default, as far as they are JSON values.
Saved detectors are never loaded: theirs are pickles.

What differs from calling it directly:

* alibi-detect draws from the generators of the process. They are seeded for each test and put back as they were, and
  such tests run one at a time; rows are taken in canonical order. So the same rows and seed give the same bits.
* Missing values are left out, and what cannot be measured is NaN. There it would be "no drift".
* Reference rows of extreme magnitude are scaled by a power of two, because it keeps squares as float32 in places.

What does not: p-values are its own. Those of permutation tests can be 0, and count no permutation for the rows as they
came. `measure` of MMD makes do with one permutation, for there is no way around them; the others do them all.
"""
