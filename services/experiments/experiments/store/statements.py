# ruff: noqa: S608 - every part of these texts is written here; what comes from outside goes as a parameter or by COPY
"""The SQL by which a batch becomes state: set-based, each statement once for all units of the batch.

Temporary tables hand the rows on; they empty themselves with the commit. Events are moved first (`moving`), then

    came_exposure → met → exposure, tally, turn
    turn → groups: what leaves (−1) and enters (+1) each cell
"""

from experiments.store.amounts import BUCKET, MOMENTS, SUMS, counting, day, values

TEMPORARY = """
SET LOCAL work_mem = '32MB';
CREATE TEMP TABLE IF NOT EXISTS came_event (
  unit uuid, id int8, name text, at int8, value float8, properties jsonb) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS came_exposure (
  experiment uuid, unit uuid, variant int2, phase int2, at int8, dims text) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS fresh (
  unit uuid, name text, at int8, value float8) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS met (
  unit uuid, experiment uuid, variant int2, phase int2, at int8, dims text, crossed bool,
  was_variant int2, was_phase int2, was_at int8, was_dims text, known bool) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS walk (
  unit uuid, experiment uuid, metric int2, exposed int8, done int2, reached int8) ON COMMIT DELETE ROWS;
CREATE TEMP TABLE IF NOT EXISTS turn (
  experiment uuid, metric int2, phase int2, variant int2, day int4, dims text, sign int2, bucket int2,
  y float8, d float8, x float8, v float8) ON COMMIT DELETE ROWS;
"""

# One row for each unit that is new, was met earlier than was known, or in another variant.
MEET = """
INSERT INTO met
SELECT i.unit, i.experiment, i.variant, i.phase, i.at, i.dims,
  i.crossed OR (x.unit IS NOT NULL AND x.variant <> i.variant), x.variant, x.phase, x.at, x.dims, x.unit IS NOT NULL
FROM (
  SELECT DISTINCT ON (unit, experiment) unit, experiment, variant, phase, at, dims,
    min(variant) OVER w <> max(variant) OVER w AS crossed
  FROM came_exposure WINDOW w AS (PARTITION BY unit, experiment)
  ORDER BY unit, experiment, at, dims, variant) AS i
LEFT JOIN exposure x USING (unit, experiment)
WHERE x.unit IS NULL OR (NOT x.crossed AND
  (i.crossed OR i.variant <> x.variant OR (i.at, i.dims COLLATE "C") < (x.at, x.dims COLLATE "C")))
"""

# The units of a shard that did something since a time: the end of their experiment has moved, they are counted again.
RECLOSE = """
INSERT INTO met
SELECT x.unit, x.experiment, x.variant, x.phase, x.at, x.dims, false, x.variant, x.phase, x.at, x.dims, true
FROM (
  SELECT DISTINCT unit FROM event WHERE at >= $2 AND get_byte(uuid_send(unit), 0) % $3 = $4
    AND name IN (SELECT name FROM source WHERE experiment = $1)) AS late
JOIN exposure x ON x.unit = late.unit AND x.experiment = $1 AND NOT x.crossed
WHERE NOT EXISTS (SELECT FROM met WHERE met.unit = x.unit AND met.experiment = x.experiment)
"""

LEAVE = f"""
INSERT INTO turn
SELECT e.experiment, m.metric, e.was_phase, e.was_variant, {day("e.was_at")}, e.was_dims, -1, {BUCKET},
  q.y, q.d, q.x, q.v
FROM met e JOIN measure m USING (experiment)
LEFT JOIN tally t ON t.unit = e.unit AND t.experiment = e.experiment AND t.metric = m.metric
{values("t")} WHERE e.known
"""

FORGET = """
DELETE FROM tally t USING met e WHERE e.known AND t.unit = e.unit AND t.experiment = e.experiment
"""

EXPOSE = """
INSERT INTO exposure SELECT unit, experiment, variant, phase, at, dims, crossed FROM met ORDER BY unit, experiment
ON CONFLICT (unit, experiment) DO UPDATE SET variant = excluded.variant, phase = excluded.phase, at = excluded.at,
  dims = excluded.dims, crossed = excluded.crossed
"""

RECOUNT = f"""
INSERT INTO tally
SELECT x.unit, x.experiment, s.metric, {SUMS}
FROM met x JOIN event f ON f.unit = x.unit JOIN source s ON s.experiment = x.experiment AND s.name = f.name
{counting("x.at")} AND NOT x.crossed GROUP BY 1, 2, 3
"""

REWALKERS = """
INSERT INTO walk SELECT DISTINCT x.unit, x.experiment, s.metric, x.at, 0, x.at
FROM met x JOIN source s ON s.experiment = x.experiment AND s.step > 0 WHERE NOT x.crossed
"""

REWALKED = """
INSERT INTO tally SELECT w.unit, w.experiment, w.metric, 1, 0, 0, 0
FROM walk w JOIN measure m USING (experiment, metric) WHERE w.done = m.steps
"""

ENTER = f"""
INSERT INTO turn
SELECT x.experiment, m.metric, x.phase, x.variant, {day("x.at")}, x.dims, 1, {BUCKET}, q.y, q.d, q.x, q.v
FROM met x JOIN measure m USING (experiment)
LEFT JOIN tally t ON t.unit = x.unit AND t.experiment = x.experiment AND t.metric = m.metric
{values("t")} WHERE NOT x.crossed
UNION ALL
SELECT experiment, 0, phase, -1, {day("at")}, '{{}}', 1, 0, 0, 1, 0, 0 FROM met WHERE crossed
"""

GROUPS = f"""
SELECT experiment, metric, phase, variant, day, dims, sign, bucket, {MOMENTS}
FROM turn GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""

# Units that turned out to be others: what comes for them is the others' from then on.
IDENTIFY = tuple(
    f"UPDATE {table} c SET unit = i.same_as FROM identity i WHERE i.unit = c.unit"
    for table in ("came_event", "came_exposure")
)
STRANGERS = """
SELECT DISTINCT get_byte(uuid_send(unit), 0) % $1 AS shard FROM (
  SELECT unit FROM came_event UNION SELECT unit FROM came_exposure) AS u
WHERE get_byte(uuid_send(unit), 0) % $1 <> $2 ORDER BY 1
"""
HOLD = "SELECT number FROM shard WHERE number = ANY($1::int2[]) ORDER BY number FOR UPDATE"
MAKE_SHARDS = "INSERT INTO shard SELECT unnest($1::int2[]) ON CONFLICT DO NOTHING"

SAME_AS = "SELECT same_as FROM identity WHERE unit = $1"
ONE_AFTER_ANOTHER = "SELECT pg_advisory_xact_lock(hashtext('experiments.identity'))"
JOIN_ALIASES = "UPDATE identity SET same_as = $2 WHERE same_as = $1"
JOIN = "INSERT INTO identity (unit, same_as) VALUES ($1, $2)"
JOIN_EVENTS = """
INSERT INTO event SELECT $2, id, name, at, value, properties FROM event WHERE unit = $1 ON CONFLICT DO NOTHING
"""

# What both have seen: the first of it counts, and two variants are one too many.
JOIN_MEET = """
INSERT INTO met
SELECT $2, experiment, first.variant, first.phase, first.at, first.dims,
  coalesce(l.crossed, false) OR (w.unit IS NOT NULL AND l.unit IS NOT NULL AND w.variant <> l.variant),
  w.variant, w.phase, w.at, w.dims, w.unit IS NOT NULL
FROM (SELECT * FROM exposure WHERE unit = $1) AS l
FULL JOIN (SELECT * FROM exposure WHERE unit = $2) AS w USING (experiment)
CROSS JOIN LATERAL (
  SELECT x.variant, x.phase, x.at, x.dims
  FROM (VALUES (l.variant, l.phase, l.at, l.dims), (w.variant, w.phase, w.at, w.dims)) AS x (variant, phase, at, dims)
  WHERE x.at IS NOT NULL ORDER BY x.at, x.dims COLLATE "C" LIMIT 1) AS first
WHERE w.crossed IS NOT TRUE
"""
LEAVING = """
INSERT INTO met
SELECT unit, experiment, variant, phase, at, dims, false, variant, phase, at, dims, true
FROM exposure WHERE unit = $1 AND NOT crossed
"""
UNCOUNT_CROSSED = """
INSERT INTO turn
SELECT experiment, 0, phase, -1, (at / 86400000000)::int4, '{}', -1, 0, 0, 1, 0, 0
FROM exposure WHERE unit = $1 AND crossed
"""

FORGET_UNIT = tuple(
    f"DELETE FROM {table} WHERE unit = $1" for table in ("event", "tally", "exposure")
)

UNFROZEN = """
SELECT DISTINCT experiment FROM came_exposure c
WHERE NOT EXISTS (SELECT FROM measure m WHERE m.experiment = c.experiment)
"""

DROP = "DELETE FROM came_exposure WHERE experiment = $1"

# Which values of dimensions have cells already.
NAMED = """
SELECT k.experiment, k.slice, k.value FROM unnest($1::uuid[], $2::text[], $3::text[]) AS k (experiment, slice, value)
WHERE EXISTS (SELECT FROM cell c WHERE c.experiment = k.experiment AND c.slice = k.slice AND c.value = k.value)
"""

# How many values a dimension has, up to $3: from each to the next in the key of `cell`, past all cells of the one.
VALUES = """
WITH RECURSIVE named AS (
  (SELECT value FROM cell WHERE experiment = $1 AND slice = $2 AND value > '' ORDER BY value LIMIT 1)
  UNION ALL
  SELECT (SELECT c.value FROM cell c WHERE c.experiment = $1 AND c.slice = $2 AND c.value > n.value
    ORDER BY c.value LIMIT 1) FROM named n WHERE n.value IS NOT NULL)
SELECT count(*) FROM (SELECT FROM named WHERE value IS NOT NULL LIMIT $3) AS few
"""

# The names of an experiment's dimensions: from each to the next in the key of `cell`, past all cells of the one.
NAMES = """
WITH RECURSIVE named AS (
  (SELECT slice FROM cell WHERE experiment = $1 AND slice > '' ORDER BY slice LIMIT 1)
  UNION ALL
  SELECT (SELECT c.slice FROM cell c WHERE c.experiment = $1 AND c.slice > n.slice
    ORDER BY c.slice LIMIT 1) FROM named n WHERE n.slice IS NOT NULL)
SELECT slice FROM named WHERE slice IS NOT NULL AND slice <> 'day'
"""

CELLS = """
SELECT c.experiment, c.metric, c.phase, c.variant, c.slice, c.value, c.bucket, c.n, c.mean, c.co
FROM unnest($1::uuid[], $2::int2[], $3::int2[], $4::int2[], $5::text[], $6::text[], $7::int2[])
  AS k (experiment, metric, phase, variant, slice, value, bucket)
JOIN cell c USING (experiment, metric, phase, variant, slice, value, bucket)
"""

PUT_CELL = """
INSERT INTO cell (experiment, metric, phase, variant, slice, value, bucket, n, mean, co)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (experiment, metric, phase, variant, slice, value, bucket)
DO UPDATE SET n = excluded.n, mean = excluded.mean, co = excluded.co
"""
