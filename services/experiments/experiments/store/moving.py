# ruff: noqa: S608 - every part of these texts is written here; what comes from outside goes as a parameter or by COPY
"""The SQL by which events become state: kept once, walked through funnels, added to the tallies, grouped by cell.

    came_event → event (dedup) → fresh → walk (funnels)
    fresh, exposure, source, walk → tally, and groups: what leaves (−1) and enters (+1) each cell

Each unit belongs to the shard that is held, so nobody else writes its tallies: what MOVE read is what it changes.
"""

from experiments.store.amounts import BUCKET, MOMENTS, SUMS, counting, day, values

KEEP_EVENTS = """
WITH kept AS (
  INSERT INTO event (unit, id, name, at, value, properties)
  SELECT DISTINCT ON (unit, id) unit, id, name, at, value, properties FROM came_event ORDER BY unit, id
  ON CONFLICT DO NOTHING
  RETURNING unit, name, at, value)
INSERT INTO fresh SELECT unit, name, at, value FROM kept
"""

HAS_FUNNELS = """
SELECT EXISTS (SELECT FROM source WHERE step > 0 AND name IN (SELECT DISTINCT name FROM fresh))
"""

WALKERS = """
INSERT INTO walk SELECT DISTINCT f.unit, x.experiment, s.metric, x.at, 0, x.at
FROM fresh f JOIN exposure x ON x.unit = f.unit AND NOT x.crossed
JOIN source s ON s.experiment = x.experiment AND s.name = f.name AND s.step > 0
"""

# One step further for those who took the one before: the earliest time after it.
STEP = """
UPDATE walk SET done = $1, reached = n.at FROM (
  SELECT w.unit, w.experiment, w.metric, min(e.at) AS at
  FROM walk w JOIN source s ON s.experiment = w.experiment AND s.metric = w.metric AND s.step = $1
  JOIN event e ON e.unit = w.unit AND e.name = s.name
  WHERE w.done = $1 - 1 AND (w.done = 0 OR e.at > w.reached)
    AND e.at >= w.exposed + s.after AND (s.until IS NULL OR e.at < w.exposed + s.until)
    AND (s.closes IS NULL OR e.at < s.closes)
  GROUP BY 1, 2, 3) AS n
WHERE walk.unit = n.unit AND walk.experiment = n.experiment AND walk.metric = n.metric
"""

# In one go: what the events add to each tally, the tallies before and after, these kept, and the cells' changes.
# OFFSET 0 keeps the order of the joins: from an event to the exposures of its unit, and from these to their sources,
# however many experiments count events of that name. A changed tally is found again by its place, a new one cannot
# be there twice. `whole`: what a funnel says replaces what was there.
MOVE = f"""
WITH moved AS (
  SELECT f.unit, f.experiment, s.metric, any_value(f.phase) AS phase, any_value(f.variant) AS variant,
    any_value(f.exposed) AS exposed, any_value(f.dims) AS dims, {SUMS}, false AS whole
  FROM (
    SELECT e.unit, e.name, e.at, e.value, x.experiment, x.phase, x.variant, x.at AS exposed, x.dims
    FROM fresh e CROSS JOIN LATERAL (
      SELECT * FROM exposure WHERE unit = e.unit AND NOT crossed OFFSET 0) AS x
    OFFSET 0) AS f
  JOIN source s ON s.experiment = f.experiment AND s.name = f.name
  {counting("f.exposed")} GROUP BY 1, 2, 3
  UNION ALL
  SELECT w.unit, w.experiment, w.metric, x.phase, x.variant, x.at, x.dims, (w.done = m.steps)::int, 0, 0, 0, true
  FROM walk w JOIN measure m USING (experiment, metric) JOIN exposure x USING (unit, experiment)),
state AS MATERIALIZED (
  SELECT m.unit, m.experiment, m.metric, m.phase, m.variant, m.exposed, m.dims, t.place,
    coalesce(t.above, 0) AS above0, coalesce(t.below, 0) AS below0,
    coalesce(t.above_before, 0) AS above_before0, coalesce(t.below_before, 0) AS below_before0,
    m.above + CASE WHEN m.whole THEN 0 ELSE coalesce(t.above, 0) END AS above,
    m.below + coalesce(t.below, 0) AS below,
    m.above_before + coalesce(t.above_before, 0) AS above_before,
    m.below_before + coalesce(t.below_before, 0) AS below_before
  FROM moved m LEFT JOIN LATERAL (
    SELECT ctid AS place, * FROM tally
    WHERE unit = m.unit AND experiment = m.experiment AND metric = m.metric OFFSET 0) AS t ON true),
made AS (
  INSERT INTO tally SELECT unit, experiment, metric, above, below, above_before, below_before
  FROM state WHERE place IS NULL),
grown AS (
  UPDATE tally t SET above = s.above, below = s.below, above_before = s.above_before, below_before = s.below_before
  FROM state s WHERE t.ctid = s.place),
valued AS MATERIALIZED (
  SELECT s.experiment, s.metric, s.phase, s.variant, {day("s.exposed")} AS day, s.dims, m.ranked,
    q0.y AS y0, q0.d AS d0, q0.x AS x0, q0.v AS v0, q.y AS y1, q.d AS d1, q.x AS x1, q.v AS v1
  FROM state s JOIN measure m USING (experiment, metric) {values("s", "0")} {values("s")})
SELECT experiment, metric, phase, variant, day, dims, sign, {BUCKET} AS bucket, {MOMENTS}
FROM valued m CROSS JOIN LATERAL (VALUES (-1, y0, d0, x0, v0), (1, y1, d1, x1, v1)) AS g (sign, y, d, x, v)
WHERE y0 <> y1 OR d0 <> d1 OR x0 <> x1 OR v0 <> v1
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
