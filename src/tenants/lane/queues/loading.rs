//! How queues are loaded from the view: those that are wanted by name, and all of them in sweeps.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::{QUEUE_MAX, Queue, Queues};
use crate::tenants::lane::{
    Entry, Key, Load,
    news::{Judge, Verdict},
    window::WINDOW,
};

/// How many queues are loaded by name at one time.
const KEYS_PER_LOAD: usize = WINDOW / 2;
/// How many deliveries of a queue a sweep reads: one to be sent, one that tells of more.
const SWEEP_EACH: usize = 2;

/// A load of queues that is under way.
#[derive(Debug)]
pub(super) enum Asked {
    /// Of these.
    These(Vec<Key>),
    /// Of the next ones.
    Sweep {
        /// So many.
        queues: usize,
    },
}

impl Queues {
    /// What to load now, if anything. It counts as under way until its answer is there.
    pub(in crate::tenants::lane) fn start_load(&mut self, now: DateTime<Utc>) -> Option<Load> {
        while !self.wanted.is_full()
            && let Some(key) = self.asleep.wake(now)
        {
            self.want(&key, false);
        }
        let has_room = self.has_room();
        let is_sweep_due = self.sweep.is_some() || self.rest.is_some_and(|rest| rest <= now);
        let wants_sweep = is_sweep_due && has_room;
        let wants_these = self.wants_these();
        if !wants_sweep && !wants_these {
            return None;
        }
        self.loads += 1;
        self.was_sweep = wants_sweep && !(wants_these && self.was_sweep);
        if self.was_sweep {
            Some(self.start_sweep())
        } else {
            let max = match has_room {
                true => KEYS_PER_LOAD,
                false => KEYS_PER_LOAD.min(self.wanted.urgent()),
            };
            Some(self.start_these(max, now))
        }
    }

    /// Whether queues are to be loaded by name now.
    pub(super) fn wants_these(&self) -> bool {
        if self.has_room() {
            !self.wanted.is_empty()
        } else {
            // Those that somebody asked for need not wait until there is room.
            self.wanted.urgent() > 0 && self.ready.by_hand() <= WINDOW / 2
        }
    }

    fn start_sweep(&mut self) -> Load {
        if self.sweep.is_none() {
            self.sweep = Some(None);
            self.rest = None;
        }
        let queues = WINDOW - self.ready.len().min(WINDOW / 2);
        self.asked = Some(Asked::Sweep { queues });
        Load::Queues {
            after: self.sweep.clone().flatten().map(|key| key.to_string()),
            queues: to_u32(queues),
            each: to_u32(SWEEP_EACH),
        }
    }

    fn start_these(&mut self, max: usize, now: DateTime<Utc>) -> Load {
        let keys = self.wanted.take(max);
        while self.ready.len() + keys.len() > WINDOW
            && let Some(given_up) = self.ready.give_up(|_| true)
        {
            self.held.remove(&given_up);
            self.leave(now);
        }
        let load = Load::TheseQueues {
            keys: keys.iter().map(ToString::to_string).collect(),
            each: to_u32(QUEUE_MAX),
        };
        self.asked = Some(Asked::These(keys));
        load
    }

    /// Takes what a load gave: the deliveries of a queue one after another, in order.
    pub(in crate::tenants::lane) fn loaded(
        &mut self,
        found: Vec<Entry>,
        judge: &Judge<'_>,
        now: DateTime<Utc>,
    ) {
        let mut shown: Vec<(Key, Vec<Entry>)> = Vec::new();
        for entry in found {
            let Some(key) = entry.stream.state.queue() else {
                continue;
            };
            match shown.last_mut() {
                Some((last, entries)) if **last == *key => entries.push(entry),
                _ => shown.push((Arc::from(key), vec![entry])),
            }
        }
        match self.asked.take() {
            Some(Asked::These(keys)) => {
                let mut shown: HashMap<Key, Vec<Entry>> = shown.into_iter().collect();
                for key in keys {
                    let entries = shown.remove(&key).unwrap_or_default();
                    self.place(&key, entries, QUEUE_MAX, judge, now);
                }
            }
            Some(Asked::Sweep { queues }) => {
                let is_over = shown.len() < queues;
                let last = shown.last().map(|(key, _)| key.clone());
                self.sweep = last.filter(|_| !is_over).map(Some);
                for (key, entries) in shown {
                    self.swept(&key, entries, judge, now);
                }
            }
            None => {}
        }
    }

    /// The load came to nothing.
    pub(in crate::tenants::lane) fn load_failed(&mut self) {
        // What was loaded without room was urgent.
        let is_urgent = !self.has_room();
        if let Some(Asked::These(keys)) = self.asked.take() {
            for key in keys {
                self.want(&key, is_urgent);
            }
        }
    }

    /// A queue that a sweep has come by.
    fn swept(&mut self, key: &Key, shown: Vec<Entry>, judge: &Judge<'_>, now: DateTime<Utc>) {
        if let Some(queue) = self.held.get_mut(key) {
            // What is held is the beginning of the queue, unless somebody has failed to tell.
            queue.has_more |= shown.len() >= SWEEP_EACH;
            if queue.is_news(&shown, judge) {
                self.doubt(key, false, now);
            }
        } else if !self.wanted.contains(key) {
            self.place(key, shown, SWEEP_EACH, judge, now);
        }
    }

    /// Puts in its place what a load has shown of a queue, if need be less than there was.
    fn place(
        &mut self,
        key: &Key,
        shown: Vec<Entry>,
        each: usize,
        judge: &Judge<'_>,
        now: DateTime<Utc>,
    ) {
        let slept = self.asleep.remove(key);
        let is_full = shown.len() >= each;
        let (entries, end) = beginning(shown, judge);
        if let Some((until, head)) = slept
            && entries.is_empty()
            && end == Some(Verdict::Stands)
        {
            // It fell asleep meanwhile.
            return self.sleep(key.clone(), until, head);
        }
        let queue = self.held.entry(key.clone()).or_default();
        queue.entries = entries;
        queue.heard = queue.heard.filter(|heard| *heard >= self.loads);
        queue.has_more = match end {
            None => is_full,
            // Whoever has it will tell.
            Some(Verdict::Elsewhere) => false,
            Some(_) => true,
        };
        self.settle(key, now);
    }
}

impl Queue {
    /// Whether something is to be sent of which nothing, or nothing so late, is held.
    fn is_news(&self, shown: &[Entry], judge: &Judge<'_>) -> bool {
        let is_held = |entry: &Entry| {
            let held = self.entries.iter().find(|held| held.id == entry.id);
            held.is_some_and(|held| held.stream.sequence >= entry.stream.sequence)
        };
        shown
            .iter()
            .any(|entry| judge.judge(entry) != Verdict::Past && !is_held(entry))
    }
}

/// What may be sent of a queue, in order, and what ends it if that is not its end.
fn beginning(shown: Vec<Entry>, judge: &Judge<'_>) -> (VecDeque<Entry>, Option<Verdict>) {
    let mut entries = VecDeque::with_capacity(shown.len());
    for entry in shown {
        match judge.judge(&entry) {
            Verdict::Fresh => entries.push_back(entry),
            Verdict::Past => {}
            end => return (entries, Some(end)),
        }
    }
    (entries, None)
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
