-- Canonical JSON, RFC 8785: one text for each document, whoever writes it. What the audit chain hashes.
-- `flowviz audit verify` has the same rules in Rust, and a test holds the two against each other.

-- As ECMAScript writes a number. RFC 8785 knows only what a double can hold; a number with more digits than that is written out in
-- full, so that no change of it goes unseen.
-- The number that ECMAScript writes for a double is the shortest that is read as that double. PostgreSQL's own text is the same, except
-- that it never takes a number just between two doubles: it writes 9.999999999999999e+22 for what was 1e23. Such a number has one digit
-- less at least, so rounding finds it; and it is a large one.
CREATE FUNCTION canonical_number(number numeric) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET extra_float_digits = 1
AS $$
DECLARE
    magnitude numeric := trim_scale(abs(number));
    sign text := CASE WHEN number < 0 THEN '-' ELSE '' END;
    plain text := magnitude::text;
    whole text := split_part(plain, '.', 1);
    fraction text := split_part(plain, '.', 2);
    double float8;
    shortest numeric;
    -- The text of a large double: what stands before the `e` and behind it.
    parts text[];
    rounded numeric;
    -- The number is 0.DIGITS times ten to the power of POINT.
    digits text;
    point integer;
BEGIN
    IF magnitude = 0 THEN
        RETURN '0';
    END IF;
    IF magnitude > 1.7976931348623157e308 OR magnitude < 5e-324 THEN
        RETURN sign || plain;
    END IF;

    double := magnitude;
    shortest := double::text;
    IF double BETWEEN 1e15 AND 1e300 THEN
        parts := string_to_array(double::text, 'e');
        rounded := round(parts[1]::numeric, length(parts[1]) - 3) * ('1e' || parts[2])::numeric;
        IF rounded::float8 = double THEN
            shortest := rounded;
        END IF;
    END IF;
    IF shortest <> magnitude THEN
        RETURN sign || plain;
    END IF;

    IF whole = '0' THEN
        digits := ltrim(fraction, '0');
        point := length(digits) - length(fraction);
    ELSE
        digits := rtrim(whole || fraction, '0');
        point := length(whole);
    END IF;
    RETURN sign || CASE
        WHEN point BETWEEN length(digits) AND 21 THEN digits || repeat('0', point - length(digits))
        WHEN point BETWEEN 1 AND 21 THEN left(digits, point) || '.' || substr(digits, point + 1)
        WHEN point BETWEEN -5 AND 0 THEN '0.' || repeat('0', -point) || digits
        ELSE left(digits, 1)
            || CASE WHEN length(digits) > 1 THEN '.' || substr(digits, 2) ELSE '' END
            || 'e' || CASE WHEN point > 0 THEN '+' ELSE '' END || (point - 1)
    END;
END
$$;

-- A key's place among its object's keys: by UTF-16 code units. Those of a character beyond U+FFFF begin below U+E000, so what lies
-- between the two is moved behind everything.
CREATE FUNCTION canonical_place(key text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN octet_length(key) = length(key) THEN key
    ELSE regexp_replace(
        replace(key, U&'\+10FFFF', U&'\+10FFFF' || chr(1)),
        U&'([\E000-\FFFF])' COLLATE "C", U&'\+10FFFF' || '\1', 'g')
END;

CREATE FUNCTION canonical_json(document jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    CASE jsonb_typeof(document)
        WHEN 'object' THEN
            RETURN (
                SELECT '{' || coalesce(string_agg(
                    to_jsonb(key)::text || ':' || CASE
                        WHEN jsonb_typeof(value) IN ('object', 'array', 'number') THEN canonical_json(value)
                        ELSE value::text
                    END,
                    ',' ORDER BY canonical_place(key) COLLATE "C"), '') || '}'
                FROM jsonb_each(document));
        WHEN 'array' THEN
            RETURN (
                SELECT '[' || coalesce(string_agg(canonical_json(value), ',' ORDER BY place), '') || ']'
                FROM jsonb_array_elements(document) WITH ORDINALITY AS items (value, place));
        WHEN 'number' THEN
            RETURN canonical_number(document::numeric);
        ELSE
            RETURN document::text;
    END CASE;
END
$$;
