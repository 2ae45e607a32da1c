"""Parts of SQL: what a unit's events add up to, what its values are, in which bucket, and the moments of a group.

`since` is the time after the exposure in microseconds. That the values are what `domain.aggregation.values` says is
held by a test that counts again. Centred sums are PostgreSQL's own (`regr_sxx`, Youngs & Cramer), so that nothing is
lost to cancellation.
"""

# A unit's events add up to this, each in the window or before the exposure, above or below.
SUMS = """
  coalesce(sum(w) FILTER (WHERE since >= 0 AND NOT s.below), 0) AS above,
  coalesce(sum(w) FILTER (WHERE since >= 0 AND s.below), 0) AS below,
  coalesce(sum(w) FILTER (WHERE since < 0 AND NOT s.below), 0) AS above_before,
  coalesce(sum(w) FILTER (WHERE since < 0 AND s.below), 0) AS below_before
"""

# How n, means and co-moments are kept. Each pair of columns is gone through once: its three sums share their work.
MOMENTS = """
  count(*) AS n, ARRAY[regr_avgy(y, d), regr_avgx(y, d), regr_avgy(x, v), regr_avgx(x, v)] AS mean,
  ARRAY[regr_syy(y, d), regr_sxy(y, d), regr_sxy(y, x), regr_sxy(y, v), regr_sxx(y, d), regr_sxy(d, x),
    regr_sxy(d, v), regr_syy(x, v), regr_sxy(x, v), regr_sxx(x, v)] AS co
"""


def counting(exposed: str) -> str:
    """Return the SQL that leaves of events `f` and sources `s` those that count; `exposed` says since when."""
    return f"""
  CROSS JOIN LATERAL (SELECT f.at - {exposed} AS since, CASE WHEN s.summed THEN f.value ELSE 1 END AS w) AS q
  WHERE s.step = 0 AND (s.closes IS NULL OR f.at < s.closes)
    AND ((since >= s.after AND (s.until IS NULL OR since < s.until))
    OR (since < 0 AND since >= -s.lookback))"""


def _capped(amount: str) -> str:
    return f"CASE WHEN m.whether THEN ({amount} > 0)::int ELSE least(m.high, greatest(m.low, {amount})) END"


def values(name: str, suffix: str = "") -> str:
    """Return the SQL of a unit's vector (y, d, x, v), as `q`, from what its events add up to in `name`."""
    above, below = f"{name}.above{suffix}", f"{name}.below{suffix}"
    above_before, below_before = f"{name}.above_before{suffix}", f"{name}.below_before{suffix}"
    return f"""CROSS JOIN LATERAL (SELECT ({_capped(f"coalesce({above}, 0)")})::float8 AS y,
      CASE WHEN m.ratio THEN coalesce({below}, 0) ELSE 1 END AS d,
      ({_capped(f"coalesce({above_before}, 0)")})::float8 AS x,
      CASE WHEN m.ratio THEN coalesce({below_before}, 0) ELSE 0 END AS v) AS q{suffix}"""


def day(at: str) -> str:
    """Return the SQL of the day of a time, counted from 1970."""
    return f"({at} / 86400000000)::int4"


# Of the value y of a measure m: 0 where the measure does not keep sizes apart.
BUCKET = """CASE WHEN NOT m.ranked OR abs(y) < 1e-12 THEN 0
  ELSE (sign(y) * (floor((log(abs(y)) + 12) * 40) + 1))::int2 END"""
