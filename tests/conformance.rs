//! What the server relies on in a store, once for all engines: an engine is a type that says how
//! to make and open a database of its own, and one line of [`conforms`].

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, Utc};
use hookledger::{
    metrics::Metrics,
    store::{Error, Reader, Store},
};
use hookledger_domain::{actor::Origin, fact::Fact, tenant::TenantId};
use hookledger_projections::query::Page;

mod appends;
mod audit;
mod billing;
mod commands;
mod copying;
mod erasing;
mod lifecycle;
mod older;
mod postgres;
mod queries;
mod rebuilding;
mod sqlite;
mod stats;
mod steering;
mod values;
mod waiting;
mod world;

/// A database of its own for one test.
trait Engine: Sized + Send + Sync {
    /// A little later than an event was recorded, in SQL.
    const LATER: &str;
    /// A time that nothing was recorded at, as late or early as there is, in SQL.
    const NEVER: &str;
    /// 32 zeros, in SQL.
    const ZEROS: &str;
    /// Whether one can be had; if not, says how to get it.
    fn is_there() -> bool {
        true
    }
    /// An empty one.
    async fn fresh() -> Self;
    /// One that holds the ledger of `tests/fixtures` that this version of the schema wrote.
    async fn of_version(version: u32) -> Self;
    /// Opens it.
    async fn open(&self, metrics: Arc<Metrics>) -> Result<Store, Error>;
    /// Opens it for reading only.
    async fn open_reader(&self) -> Result<Reader, Error>;
    /// All events by rising position, read past the store.
    async fn events(&self) -> Vec<Stored>;
    /// The rows of every view in the order of their keys, as texts, read past the store.
    async fn view_rows(&self) -> BTreeMap<String, Vec<String>>;
    /// Does now what the engine puts off with the rows that it has.
    async fn settle(&self);
    /// Carries out a statement past the store; says how many rows it changed.
    async fn execute(&self, sql: &str) -> u64;
    /// Gives every event `scheduled` of a delivery the shape of version 1, past the store; says how
    /// many there are.
    async fn write_scheduled_as_once(&self) -> u64;
}

/// An event as it lies in the database.
#[derive(Debug, Clone, PartialEq)]
struct Stored {
    position: i64,
    aggregate_id: String,
    sequence: u64,
    fact: Fact,
    origin: Origin,
    tenant_id: Option<String>,
    recorded_at: DateTime<Utc>,
    body: Option<String>,
}

/// Runs every test of the suite against one engine.
macro_rules! conforms {
    ($engine:ident: $($module:ident { $($test:ident),+ $(,)? })+) => {
        $(mod $module {
            $(#[tokio::test]
            async fn $test() {
                if <super::$engine as $crate::conformance::Engine>::is_there() {
                    $crate::conformance::$module::$test::<super::$engine>().await;
                }
            })+
        })+
    };
    ($engine:ident) => {
        $crate::conformance::conforms! { $engine:
            appends {
                an_event_gets_a_position_a_time_and_its_origin,
                of_two_writers_one_fails_and_nothing_of_it_stays,
                a_late_commit_fails_alone,
                commits_that_wait_share_a_transaction,
                a_commit_over_several_aggregates_is_all_or_nothing,
                an_idempotency_key_is_taken_once_a_tenant,
                many_that_want_one_key_are_each_told,
                a_commit_for_another_generation_is_refused,
                views_change_with_their_events,
                bytes_that_are_no_text_are_refused_before_they_reach_the_writer,
            }
            audit {
                an_untouched_ledger_is_intact,
                erased_bodies_leave_a_ledger_intact,
                a_changed_byte_in_any_column_is_found,
                what_was_removed_put_in_or_moved_is_found,
                a_body_or_a_head_that_was_changed_is_found,
                a_tenant_checks_its_own_events,
                what_adds_up_by_itself_is_found_by_a_seal,
                what_cannot_have_been_written_here_is_found,
                events_are_listed_by_what_is_asked_for,
                a_ledger_is_read_beside_its_server,
                an_older_ledger_is_not_read_and_not_changed,
            }
            billing {
                subscriptions_and_invoices_show_what_was_seen_last,
                callbacks_without_tenant_come_in_pages,
                a_customer_leads_to_its_tenants,
                a_callback_is_taken_once_whoever_gets_it,
                what_need_not_wait_is_found,
            }
            commands {
                an_aggregate_reads_back,
                an_aggregate_without_events_is_at_sequence_0,
                a_refused_command_leaves_nothing,
                a_command_for_another_version_is_refused,
                commands_at_one_time_all_come_through,
                several_aggregates_are_read_in_the_order_asked_for,
            }
            copying {
                the_ledger_is_read_in_pages,
                large_bodies_end_a_page_of_events_early,
                a_copy_is_the_same_ledger,
                a_copy_has_the_same_rows,
                a_copy_that_was_cut_off_goes_on,
                a_copied_ledger_goes_on,
                events_of_older_versions_are_copied_as_they_are,
                what_is_erased_stays_erased,
                a_target_with_other_events_is_refused,
                what_differs_is_named,
                a_copy_that_is_not_whole_is_found,
            }
            erasing {
                what_is_old_is_erased_in_steps_and_what_is_needed_stays,
                more_that_stays_than_a_step_looks_at_blocks_nothing,
                what_came_by_a_wrong_clock_blocks_nothing,
                large_bodies_end_a_step_early,
                what_was_asked_for_after_its_end_keeps_its_body,
                a_body_that_is_erased_by_hand_is_gone_with_its_event,
                what_is_still_to_be_sent_is_not_erased,
                what_is_erased_cannot_be_asked_for,
                a_refused_erasure_fails_alone,
                what_is_asked_for_in_time_has_a_body,
                what_came_back_is_erased_for_one_attempt,
                erasing_is_done_again_with_its_event,
                a_copy_has_what_is_not_erased,
            }
            lifecycle {
                what_was_committed_is_there_after_reopening,
                positions_go_on_after_reopening,
                closing_writes_what_was_handed_in,
                a_closed_store_says_that_it_is_unavailable,
                views_rebuilt_from_the_events_are_the_same,
                an_event_of_an_older_version_is_read_in_its_present_shape,
            }
            older {
                an_older_ledger_opens_and_goes_on,
                an_older_ledger_is_replayed,
                an_older_ledger_has_the_views_of_its_events,
            }
            queries {
                deliveries_answer_every_filter,
                attempts_answer_every_filter,
                messages_come_in_pages,
                single_rows_are_found_by_their_tenant_only,
                tenants_and_tokens_come_in_pages,
                topics_follow_the_catalogue,
                webhooks_show_what_happened_last,
                the_secrets_of_all_webhooks_come_in_pages,
            }
            steering {
                what_can_be_sent_again_is_found,
                recoveries_show_how_far_they_are,
                a_webhook_fails_since_its_first_failure_after_a_success,
            }
            rebuilding {
                views_that_are_right_are_left_alone,
                what_was_changed_in_a_view_is_found_and_put_right,
                only_the_views_that_are_named_are_rebuilt,
                views_are_rebuilt_while_others_append,
                a_rebuild_that_is_given_up_leaves_everything_as_it_was,
                an_older_ledger_has_the_views_that_are_built_now,
            }
            stats {
                buckets_are_those_of_a_plain_count,
                attempts_are_counted_once_while_they_are_written,
                a_circuit_is_told_by_the_ends_of_the_last_attempts,
                a_circuit_is_one_for_all_topics,
            }
            values {
                bodies_come_back_byte_for_byte,
                large_bodies_end_a_page_early,
                an_answer_comes_back_as_it_was_recorded,
                an_attempt_without_an_answer_has_none,
                times_are_kept_to_the_millisecond,
                numbers_at_their_ends_come_back,
            }
            waiting {
                the_webhooks_that_wait_are_found_one_after_the_other,
                due_deliveries_come_in_the_order_of_their_times,
                only_tests_are_due_when_only_tests_are_asked_for,
                queues_are_read_from_their_heads_on,
            }
        }
    };
}
use conforms;

/// A store of its own, open.
async fn open<E: Engine>() -> (E, Store) {
    let engine = E::fresh().await;
    let store = reopen(&engine).await;
    (engine, store)
}

async fn reopen<E: Engine>(engine: &E) -> Store {
    engine
        .open(Arc::new(Metrics::new()))
        .await
        .expect("the store opens")
}

/// The moment `millis` after the start of a test.
fn at(millis: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_000 + millis).expect("a time")
}

fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant's id")
}

fn origin(tenant_id: &TenantId) -> Origin {
    Origin::system(tenant_id.clone(), "test")
}

/// A page of `limit` rows from the start.
fn first<Id>(limit: u32) -> Page<Id> {
    Page { limit, after: None }
}
