//! What users, operators and receivers do, from end to end.

mod access;
mod bad_fields;
mod bad_input;
mod bad_requests;
mod catalogue;
mod configuration;
mod copy;
mod deleting;
mod filters;
mod idempotency;
mod main_job;
mod matching;
mod operations;
mod pages;
mod publishing;
mod retries;
mod secrecy;
mod secrets;
mod strangers;
mod suspension;
mod switching;
mod targets;
mod tokens;
