-- Events are chained to each other by their hashes; see store/chain.rs. Those that are there already
-- get theirs right after this step, in its transaction.
ALTER TABLE events ADD COLUMN hash bytea;

-- The last event of each tenant, and of what belongs to none (the empty tenant).
CREATE TABLE heads (
    tenant_id text   COLLATE "C" PRIMARY KEY,
    position  bigint NOT NULL,
    events    bigint NOT NULL,
    hash      bytea  NOT NULL
) WITH (fillfactor = 50);

-- Puts so many events of each of these tenants behind its head.
CREATE FUNCTION move_heads(tenants text[], last_positions bigint[], counts bigint[], last_hashes bytea[])
    RETURNS void
    LANGUAGE sql VOLATILE AS
$$
    INSERT INTO heads AS h (tenant_id, position, events, hash)
    SELECT x.* FROM unnest(tenants, last_positions, counts, last_hashes) AS x
    ON CONFLICT (tenant_id)
    DO UPDATE SET position = excluded.position, events = h.events + excluded.events, hash = excluded.hash
$$;

-- Gives new events their positions and their hashes, in their order, and moves the heads on. The events of
-- one tenant must come together. To be called by whoever holds the lock of appends: what it reads is what was
-- committed until now, not what the calling statement saw when it began.
--   contents   what the events are, as store/chain.rs digests it
--   befores    the hash of the event before each in its stream, if that is committed
--   followed   the place, from 1, of that event if it is one of these
CREATE FUNCTION chain_events(tenants text[], contents bytea[], befores bytea[], followed bigint[],
                             OUT positions bigint[], OUT hashes bytea[])
    LANGUAGE plpgsql VOLATILE AS
$$
DECLARE
    none    CONSTANT bytea := decode(repeat('00', 32), 'hex');
    given   CONSTANT regclass := pg_get_serial_sequence('events', 'position');
    event   record;
    head    bytea;
    last    bigint;
    -- The tenants of these events, each with its last position, how many events it gets and its new head.
    owners  text[];
    lasts   bigint[];
    counts  bigint[];
    ends    bytea[];
    owner   integer := 0;
BEGIN
    FOR event IN
        SELECT x.tenant, x.content, x.before, x.follows, x.place
          FROM unnest(tenants, contents, befores, followed)
                   WITH ORDINALITY AS x (tenant, content, before, follows, place)
         ORDER BY x.place
    LOOP
        IF owner = 0 OR owners[owner] <> event.tenant THEN
            IF owner > 0 THEN
                lasts[owner] := last;
                ends[owner] := head;
            END IF;
            owner := owner + 1;
            owners[owner] := event.tenant;
            counts[owner] := 0;
            head := (SELECT h.hash FROM heads h WHERE h.tenant_id = event.tenant);
        END IF;
        last := nextval(given);
        head := sha256(event.content || int8send(last)
                       || coalesce(event.before, hashes[event.follows], none)
                       || coalesce(head, none));
        positions[event.place] := last;
        hashes[event.place] := head;
        counts[owner] := counts[owner] + 1;
    END LOOP;
    IF owner > 0 THEN
        lasts[owner] := last;
        ends[owner] := head;
        PERFORM move_heads(owners, lasts, counts, ends);
    END IF;
END
$$;

-- What the whole ledger was at some positions; see store/audit/seals.rs.
CREATE TABLE seals (
    number    bigint PRIMARY KEY,
    position  bigint NOT NULL,
    events    bigint NOT NULL,
    head      bytea NOT NULL,
    sealed_at timestamptz NOT NULL,
    hash      bytea NOT NULL,
    signature bytea
);

-- What people do to tenants, webhooks and tokens is few among all events, and asked for most.
CREATE INDEX events_of_settings ON events (tenant_id, position)
    WHERE aggregate_type NOT IN ('message', 'delivery');

-- Takes note of how attempts ended: since when all of a webhook's have failed. To be called by whoever holds
-- the lock of appends; it sees what was committed until now.
CREATE FUNCTION note_outcomes(tenants text[], webhook_ids uuid[], resets boolean[], since timestamptz[])
    RETURNS bigint
    LANGUAGE sql VOLATILE AS
$$
    WITH changed AS (
        UPDATE webhooks w
           SET failing_since = CASE WHEN x.is_reset THEN x.failing_since
                                    ELSE coalesce(w.failing_since, x.failing_since) END
          FROM unnest(tenants, webhook_ids, resets, since) AS x (tenant_id, id, is_reset, failing_since)
         WHERE w.tenant_id = x.tenant_id AND w.id = x.id
           AND CASE WHEN x.is_reset THEN w.failing_since IS DISTINCT FROM x.failing_since
                    ELSE w.failing_since IS NULL END
        RETURNING 1
    )
    SELECT count(*) FROM changed
$$;
