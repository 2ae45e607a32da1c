"""The inference engine: from mergeable statistics to a sentence, in pure functions on `math` alone.

What is kept      `moments` (count, means, co-moments), `histogram` (these by size of value: caps, winsorising, ranks)
What is compared  `contrasts` (plain, CUPED, regression), `strata`, `quantiles`; all make an `intervals.Contrast`
How it is judged  `fixed` (one look), `grouped` (planned looks), `sequences` (any look), `posterior`
Whether to trust  `mismatch` (traffic split), `multiplicity` (many questions), `heterogeneity` (many groups)
What to do        `plans` (settled before the start), `analysis` (all about every metric), `decision` (the sentence)
Before the start  `planning` (size, power, duration)
To look at        `plots` (SVG text)

Nothing here raises on data: what cannot be inferred is p = 1 and the whole line. Only a wrong plan or value is a fault.
Methods name their paper; docs/calibration.md counts how often they are wrong; ADR 0040 to 0043 say why these.
"""
