//! What users, operators and receivers do, from end to end.

mod access;
mod answers;
mod bad_input;
mod bad_requests;
mod by_hand;
mod catalogue;
mod configuration;
mod copy;
mod deleting;
mod disabling;
mod filters;
mod idempotency;
mod main_job;
mod operations;
mod ordering;
mod pages;
mod publishing;
mod recovering;
mod retries;
mod secrecy;
mod secrets;
mod strangers;
mod suspension;
mod switching;
mod targets;
mod tokens;
