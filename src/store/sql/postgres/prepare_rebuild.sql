SET client_min_messages = 'warning';
SET statement_timeout = 0;
SET synchronous_commit = off;
