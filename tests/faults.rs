//! What must hold when things go wrong: processes that die, receivers that misbehave, tenants
//! that are a burden.

mod erasing;
mod hostile;
mod keys;
mod kill_rounds;
mod load;
mod master_keys;
mod neighbours;
mod ordering;
mod pace;
mod postgres;
mod rebuilding;
mod reloading;
mod rotation;
mod second_process;
mod stripe;
mod termination;
