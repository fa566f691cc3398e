//! How much of a lot is in each of the lots below it.
//!
//! Every lot is taken for a mixture of its inputs: the recalled share of a lot is the recalled share of what went into it. So the
//! shares are worked out from above to below, each lot after all of its inputs.

use serde::Deserialize;
use std::collections::HashMap;
use uuid::Uuid;
use wms::lot::{Lot, LotType};

/// A lot that the recalled one went into, or the recalled one.
#[derive(Debug, Deserialize)]
pub struct FoundLot {
    pub id: Uuid,
    pub lot_type: Option<LotType>,
    pub weight_kg: Option<f64>,
    /// All that went into it, from wherever.
    pub inputs_kg: Option<f64>,
    /// All of it that went into others.
    pub used_kg: Option<f64>,
    /// Only of a finished lot.
    pub lot: Option<Lot>,
}

/// A link between two of them: from, into, and how much.
#[derive(Debug, Deserialize)]
pub struct FoundLink(pub Uuid, pub Uuid, pub Option<f64>);

/// The recalled share of each lot, 0 to 1.
#[derive(Debug)]
pub struct Flow(HashMap<Uuid, f64>);

// === impl FoundLot ===

impl FoundLot {
    /// What it weighs, or else what went into it, or else what was taken from it.
    pub fn mass(&self) -> Option<f64> {
        self.weight_kg.or(self.inputs_kg).or(self.used_kg)
    }
}

// === impl Flow ===

impl Flow {
    pub fn from(root: Uuid, lots: &[FoundLot], links: &[FoundLink]) -> Self {
        let inputs: HashMap<Uuid, Option<f64>> =
            lots.iter().map(|lot| (lot.id, lot.inputs_kg)).collect();
        let mut outputs: HashMap<Uuid, Vec<&FoundLink>> = HashMap::new();
        let mut missing: HashMap<Uuid, usize> = HashMap::new();
        for link in links.iter().filter(|link| link.1 != root) {
            outputs.entry(link.0).or_default().push(link);
            *missing.entry(link.1).or_default() += 1;
        }

        let mut shares: HashMap<Uuid, f64> = HashMap::from([(root, 1.0)]);
        let mut done = vec![root];
        while let Some(lot) = done.pop() {
            let share = shares.get(&lot).copied().unwrap_or(0.0);
            for FoundLink(_, child, quantity) in outputs.remove(&lot).unwrap_or_default() {
                let part = match (quantity, inputs.get(child).copied().flatten()) {
                    (Some(quantity), Some(all)) if all > 0.0 => share * quantity / all,
                    // Nobody wrote down how much: it may be all of it.
                    _ => share,
                };
                let shared = shares.entry(*child).or_insert(0.0);
                *shared = (*shared + part).min(1.0);
                if let Some(missing) = missing.get_mut(child) {
                    *missing -= 1;
                    if *missing == 0 {
                        done.push(*child);
                    }
                }
            }
        }
        // What is left hangs on a cycle in old data: as bad as can be.
        for (lot, missing) in missing {
            if missing > 0 {
                shares.insert(lot, 1.0);
            }
        }
        Self(shares)
    }

    /// How much of the recalled lot went into this one, in kg.
    pub fn attributable(&self, lot: &FoundLot) -> Option<f64> {
        lot.mass().map(|mass| mass * self.share(lot))
    }

    /// How much of that went into no other lot from here: a lot that is packed anew is not there twice.
    pub fn kept(&self, lot: &FoundLot) -> Option<f64> {
        let used = lot.used_kg.unwrap_or(0.0);
        lot.mass()
            .map(|mass| (mass - used).max(0.0) * self.share(lot))
    }

    fn share(&self, lot: &FoundLot) -> f64 {
        self.0.get(&lot.id).copied().unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn lot(number: u128, weight: f64, inputs: f64) -> FoundLot {
        FoundLot {
            id: id(number),
            lot_type: None,
            weight_kg: Some(weight),
            inputs_kg: (inputs > 0.0).then_some(inputs),
            used_kg: None,
            lot: None,
        }
    }

    fn attributable(lots: &[FoundLot], links: &[(u128, u128, Option<f64>)]) -> Vec<String> {
        let links: Vec<FoundLink> = links
            .iter()
            .map(|(from, into, kg)| FoundLink(id(*from), id(*into), *kg))
            .collect();
        let flow = Flow::from(id(1), lots, &links);
        let kg = lots.iter().map(|lot| flow.attributable(lot).unwrap());
        kg.map(|kg| format!("{kg:.2}")).collect()
    }

    #[test]
    fn a_mixture_shares_its_inputs() {
        // The demonstration data: 500 of 540 kg are beef, and 530 kg come out.
        let lots = [
            lot(1, 500.0, 0.0),
            lot(2, 540.0, 540.0),
            lot(3, 530.0, 530.0),
        ];
        let links = [(1, 2, Some(500.0)), (2, 3, Some(530.0))];
        assert_eq!(attributable(&lots, &links), ["500.00", "500.00", "490.74"]);
    }

    #[test]
    fn two_ways_to_a_lot_add_up_in_whatever_order_they_come() {
        let lots = [
            lot(1, 100.0, 0.0),
            lot(2, 60.0, 60.0),
            lot(3, 40.0, 40.0),
            lot(4, 200.0, 200.0),
        ];
        let mut links = [
            (1, 2, Some(60.0)),
            (1, 3, Some(40.0)),
            (2, 4, Some(60.0)),
            (3, 4, Some(40.0)),
        ];
        for _ in 0..links.len() {
            links.rotate_left(1);
            assert_eq!(
                attributable(&lots, &links),
                ["100.00", "60.00", "40.00", "100.00"]
            );
        }
    }

    #[test]
    fn an_unknown_quantity_may_be_all_and_a_cycle_ends() {
        let lots = [lot(1, 10.0, 0.0), lot(2, 50.0, 5.0)];
        assert_eq!(attributable(&lots, &[(1, 2, None)]), ["10.00", "50.00"]);
        let lots = [lot(1, 10.0, 5.0), lot(2, 50.0, 60.0), lot(3, 50.0, 50.0)];
        let cycle = [
            (1, 2, Some(10.0)),
            (2, 3, Some(50.0)),
            (3, 2, Some(50.0)),
            (3, 1, Some(5.0)),
        ];
        assert_eq!(attributable(&lots, &cycle)[0], "10.00");
    }
}
