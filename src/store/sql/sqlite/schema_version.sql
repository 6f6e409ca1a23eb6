-- How many migrations were taken.
PRAGMA user_version
