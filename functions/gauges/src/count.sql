-- What the gauges show. A backlog that was reported a week ago is not waited for any more.
SELECT
    (SELECT count(*) FROM users WHERE last_seen > now() - interval '15 minutes')::text AS active_operators,
    (SELECT coalesce(sum(pending), 0) FROM sync_backlogs WHERE reported_at > now() - interval '7 days')::text AS pending_lots_offline,
    (SELECT count(*) FROM production_runs WHERE status = 'ACTIVE')::text AS production_runs_active
