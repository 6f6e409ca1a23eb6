//! Events that older versions wrote, brought to their present shape when they are read. What
//! stands in the ledger is never rewritten.

use cqrs_es::{
    Aggregate,
    persist::{EventUpcaster, SerializedEvent},
};
use serde_json::Value;

use crate::delivery::Delivery;

/// One step: events of a type and version of one aggregate to the next version.
struct Step {
    aggregate_type: &'static str,
    event_type: &'static str,
    from_version: &'static str,
    to_version: &'static str,
    change: fn(&mut Value),
}

/// All steps that there ever were, the older ones first.
const STEPS: &[Step] = &[Step {
    aggregate_type: Delivery::TYPE,
    event_type: "scheduled",
    from_version: "1",
    to_version: "2",
    change: add_trigger,
}];

/// Version 1 knew published messages only, and did not say so.
fn add_trigger(payload: &mut Value) {
    if let Some(scheduled) = payload.get_mut("scheduled").and_then(Value::as_object_mut) {
        scheduled.insert("trigger".to_owned(), "publish".into());
    }
}

struct Upcaster {
    step: &'static Step,
}

impl EventUpcaster for Upcaster {
    fn can_upcast(&self, event_type: &str, event_version: &str) -> bool {
        event_type == self.step.event_type && event_version == self.step.from_version
    }

    fn upcast(&self, mut event: SerializedEvent) -> SerializedEvent {
        (self.step.change)(&mut event.payload);
        self.step.to_version.clone_into(&mut event.event_version);
        event
    }
}

/// The upcasters of one aggregate, for cqrs-es' event store. Event types are unique only within
/// their aggregate, so each store gets its own.
pub fn upcasters(aggregate_type: &str) -> Vec<Box<dyn EventUpcaster>> {
    STEPS
        .iter()
        .filter(|step| step.aggregate_type == aggregate_type)
        .map(|step| Box::new(Upcaster { step }) as Box<dyn EventUpcaster>)
        .collect()
}

/// Brings one stored event to the present shape.
pub fn upcast(event: SerializedEvent) -> SerializedEvent {
    upcasters(&event.aggregate_type)
        .iter()
        .fold(event, |event, upcaster| {
            if upcaster.can_upcast(&event.event_type, &event.event_version) {
                upcaster.upcast(event)
            } else {
                event
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{delivery, delivery::attempt::Trigger, fact::Fact};

    fn stored(version: &str, payload: Value) -> SerializedEvent {
        SerializedEvent::new(
            "dlv_00000000000000000000000000000000".to_owned(),
            1,
            Delivery::TYPE.to_owned(),
            "scheduled".to_owned(),
            version.to_owned(),
            payload,
            json!({}),
        )
    }

    #[test]
    fn a_delivery_scheduled_by_the_first_version_was_published() {
        let event = upcast(stored(
            "1",
            json!({"scheduled": {
                "tenant_id": "acme",
                "message_id": "msg_00000000000000000000000000000000",
                "webhook_id": "wh_00000000000000000000000000000000",
                "topic": "ticket.updated",
                "due_at": "2026-03-24T23:11:25Z",
            }}),
        ));
        assert_eq!(event.event_version, "2");
        let fact = Fact::read(&event.aggregate_type, event.payload).unwrap();
        let Fact::Delivery(delivery::Event::Scheduled(scheduled)) = fact else {
            panic!("{fact:?}")
        };
        assert_eq!(scheduled.trigger, Trigger::Publish);
    }

    #[test]
    fn an_event_of_the_present_version_is_left_alone() {
        let event = stored("2", json!({"scheduled": {"trigger": "test"}}));
        assert_eq!(upcast(event.clone()), event);
    }
}
