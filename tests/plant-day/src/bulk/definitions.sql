-- All that defines the tables in $1 beside their columns, one row for each thing: compared before and after.
WITH loaded AS (
    SELECT unnest($1::text[]::regclass[]) AS id
)
SELECT format('trigger on %s, %s: %s; %s', tgrelid::regclass, tgenabled, pg_get_triggerdef(pg_trigger.oid),
        obj_description(pg_trigger.oid, 'pg_trigger')) AS definition
FROM pg_trigger JOIN loaded ON loaded.id = tgrelid
WHERE NOT tgisinternal
UNION ALL
SELECT format('constraint %s of %s, validated %s, inherited %s %s: %s; %s', conname, conrelid::regclass, convalidated, NOT conislocal,
        coninhcount, pg_get_constraintdef(pg_constraint.oid), obj_description(pg_constraint.oid, 'pg_constraint'))
FROM pg_constraint JOIN loaded ON loaded.id = conrelid
UNION ALL
SELECT format('index %s: valid %s, clustered %s, replica identity %s, tablespace %s, owner %s; %s', pg_get_indexdef(indexrelid), indisvalid,
        indisclustered, indisreplident, reltablespace, relowner::regrole, obj_description(indexrelid, 'pg_class'))
FROM pg_index JOIN loaded ON loaded.id = indrelid JOIN pg_class ON pg_class.oid = indexrelid
