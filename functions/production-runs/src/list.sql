-- A page of runs, newest first. Follows caller.sql.
-- $2 status; $3 and $4 where the page before ended; $5 how many. A row without `run`: none.
SELECT caller.role, caller.unseen, page.run::text AS run
FROM caller
LEFT JOIN LATERAL (
    SELECT run_json(r) AS run, r.started_at, r.id
    FROM production_runs r
    WHERE ($2::text IS NULL OR r.status = $2::text)
        AND ($3::text IS NULL OR (r.started_at, r.id) < ($3::text::timestamptz, $4::text::uuid))
    ORDER BY r.started_at DESC, r.id DESC
    LIMIT $5::text::int
) AS page ON true
ORDER BY page.started_at DESC, page.id DESC
