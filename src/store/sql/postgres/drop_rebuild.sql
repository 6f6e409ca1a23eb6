SET client_min_messages = 'error';
DROP SCHEMA IF EXISTS hookledger_rebuild CASCADE;
