-- What makes every row that is loaded slow, of the tables in $1: how to take each off, and how to put it back exactly as it is.
--
-- Found by what it does, not by its name, so that migrations may add what they like. What would not come back exactly (with a
-- comment, another tablespace, something that depends on it) isn't listed: it stays, and costs its time.
--
-- Unique keys and exclusions stay: they find what is there already. Triggers BEFORE a row stay: they make the row what it is. Those
-- AFTER it check it, or write elsewhere what follows from it; the plan keeps their rules and brings the statuses with it.
WITH loaded AS (
    SELECT unnest($1::text[]::regclass[]) AS id
)
-- tgtype: 2 is BEFORE, 4 is INSERT, 64 is INSTEAD OF. Enabled: for ordinary sessions (O), for replicas (R) or always (A).
SELECT 1 AS place,
    format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname) AS off,
    format('ALTER TABLE %s ENABLE %s TRIGGER %I', tgrelid::regclass,
        CASE tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, tgname) AS back
FROM pg_trigger JOIN loaded ON loaded.id = tgrelid
WHERE NOT tgisinternal AND tgtype & 4 <> 0 AND tgtype & (2 | 64) = 0 AND tgenabled <> 'D'
UNION ALL
SELECT 2,
    format('DROP INDEX %s', indexrelid::regclass),
    pg_get_indexdef(indexrelid)
FROM pg_index JOIN loaded ON loaded.id = indrelid JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisunique AND NOT indisexclusion
    AND indisvalid AND NOT indisclustered AND NOT indisreplident AND reltablespace = 0
    AND obj_description(indexrelid, 'pg_class') IS NULL
    AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = indexrelid AND attstattarget > 0)
    AND NOT EXISTS (SELECT FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = indexrelid)
UNION ALL
SELECT 3,
    format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN loaded ON loaded.id = conrelid
WHERE contype = 'f' AND conislocal AND conparentid = 0
    AND obj_description(pg_constraint.oid, 'pg_constraint') IS NULL
ORDER BY place, back
