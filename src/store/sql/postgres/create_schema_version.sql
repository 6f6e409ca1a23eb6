-- One row: how many migrations were taken.
CREATE TABLE schema_version (
    id      boolean PRIMARY KEY DEFAULT true CHECK (id),
    version bigint  NOT NULL
)
