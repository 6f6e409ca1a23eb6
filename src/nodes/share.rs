//! How many partitions each node should hold.

use uuid::Uuid;

use super::Partition;

/// The fair share of `node` among those that are `alive`: no two differ by more than one, and all
/// together are all. A node that is not among them has none.
pub(super) fn share(node: Uuid, alive: &[Uuid]) -> usize {
    let mut alive = alive.to_vec();
    alive.sort_unstable();
    alive.dedup();
    let Ok(rank) = alive.binary_search(&node) else {
        return 0;
    };
    let (each, more) = (
        Partition::COUNT / alive.len(),
        Partition::COUNT % alive.len(),
    );
    each + usize::from(rank < more)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shares_are_fair_and_complete(ids in prop::collection::btree_set(any::<u128>(), 1..300)) {
            let alive: Vec<Uuid> = ids.into_iter().map(Uuid::from_u128).rev().collect();
            let shares: Vec<usize> = alive.iter().map(|id| share(*id, &alive)).collect();
            prop_assert_eq!(shares.iter().sum::<usize>(), Partition::COUNT);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn a_stranger_has_no_share() {
        assert_eq!(share(Uuid::from_u128(1), &[Uuid::from_u128(2)]), 0);
        assert_eq!(share(Uuid::from_u128(1), &[]), 0);
    }
}
