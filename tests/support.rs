//! What every test here is made of: the real program, receivers whose behaviour is scripted, a
//! client of the API, and a way to wait for something that does not sleep.

mod api;
mod app;
mod parts;
mod postgres;
mod proxy;
mod receiver;
pub(crate) mod stripe;
mod tenant;
mod wait;

pub(crate) use api::{Answer, Api, ids};
pub(crate) use app::{App, MASTER_KEY, PLATFORM_TOKEN, hookledger};
pub(crate) use parts::{not_tried, succeed};
pub(crate) use postgres::{Database, Server};
pub(crate) use proxy::Proxy;
pub(crate) use receiver::{Gate, Receiver, Reply, Request, fail_first};
pub(crate) use stripe::{STRIPE, Stripe};
pub(crate) use tenant::{Tenant, Webhook};
pub(crate) use wait::{DEADLINE, eventually};
