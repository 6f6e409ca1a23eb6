-- It is no matter that there is nothing to drop or to roll back.
SET client_min_messages = 'error';
SET statement_timeout = 0;
SET synchronous_commit = off;
