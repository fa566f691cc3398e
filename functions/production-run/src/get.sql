-- One run. Follows caller.sql. $2 its id. A row without `run`: no such run.
SELECT caller.role, caller.unseen, CASE WHEN r.id IS NOT NULL THEN run_json(r)::text END AS run
FROM caller
LEFT JOIN production_runs r ON r.id = $2::text::uuid
