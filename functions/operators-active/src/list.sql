-- Who was seen within the last 15 minutes. Follows caller.sql. The caller is among them, if only as of now.
SELECT
    caller.role,
    caller.unseen,
    json_build_object(
        'id', u.id, 'full_name', u.full_name, 'role', u.role,
        'last_seen', rfc3339(CASE WHEN u.id = caller.id AND caller.unseen THEN now() ELSE u.last_seen END)
    )::text AS operator
FROM caller
JOIN users u ON u.last_seen > now() - interval '15 minutes' OR u.id = caller.id
ORDER BY CASE WHEN u.id = caller.id AND caller.unseen THEN now() ELSE u.last_seen END DESC, u.id
