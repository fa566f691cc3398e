//! One charge: two mixes of one recipe, from the meat they are made of to the boxes that leave.
//!
//! Each stage asks the one before for what it needs, so that nothing is used that isn't there, and only of lots that were passed.
//! What is left over is left over.

use std::collections::VecDeque;
use std::time::Duration;

use crate::codes::Codes;
use crate::dice::Dice;
use crate::kinds::{LotType, Status};
use crate::lot::{Lot, Parent};
use crate::quality::{self, Fate};
use crate::units::{Celsius, Kilograms};

/// Rods that go through skewering, freezing and packing together.
const CYCLE_RODS: usize = 8;
const MIXES: usize = 2;

const MINUTE: Duration = Duration::from_secs(60);

/// A rod of the shop's: its mass in 10 g, how many fit into a box, and how many of a hundred charges make it.
struct Sku {
    name: &'static str,
    rod: (u32, u32),
    per_box: usize,
    percent: u32,
}

const SKUS: [Sku; 4] = [
    Sku {
        name: "CHK15",
        rod: (1470, 1530),
        per_box: 2,
        percent: 62,
    },
    Sku {
        name: "TUR15",
        rod: (1470, 1530),
        per_box: 2,
        percent: 28,
    },
    Sku {
        name: "CHK30",
        rod: (2940, 3060),
        per_box: 1,
        percent: 7,
    },
    Sku {
        name: "TUR30",
        rod: (2940, 3060),
        per_box: 1,
        percent: 3,
    },
];

/// A day's charges are made one after the other: numbers and codes go on from one to the next.
#[derive(Debug)]
pub(crate) struct Charge<'a> {
    pub(crate) codes: &'a mut Codes,
    pub(crate) dice: Dice,
    /// The number of its first lot.
    pub(crate) first: u64,
    /// When its meat arrives.
    pub(crate) at: Duration,
    /// As many for each lot, if not as chance has it.
    pub(crate) decisions: Option<usize>,
    pub(crate) lots: Vec<Lot>,
}

/// Lots of a stage that were passed, with what is left of each.
#[derive(Debug, Default)]
struct Stock(VecDeque<Left>);

#[derive(Debug)]
struct Left {
    number: u64,
    code: String,
    kilograms: Kilograms,
    settled_at: Duration,
}

/// What a stage takes for one lot, and when all of it is there.
#[derive(Debug, Default)]
struct Taken {
    parents: Vec<Parent>,
    at: Duration,
}

/// How a stage makes a lot.
struct Recipe {
    lot_type: LotType,
    weight: Kilograms,
    /// In tenths of a degree.
    celsius: (i16, i16),
    after: Duration,
    fate: Fate,
    metadata: Vec<(&'static str, String)>,
}

// === impl Charge ===

impl Charge<'_> {
    /// The whole charge, parents before their children.
    pub(crate) fn make(mut self) -> Vec<Lot> {
        let sku = self.sku();
        let (mut raw, mut deboned) = (Stock::default(), Stock::default());
        let mut buffered = Stock::default();
        let (mut spices, mut mixed) = (Stock::default(), Stock::default());
        for _ in 0..MIXES {
            let weight = self.kilograms(700, 900);
            let meat = weight.percent(92);
            while buffered.kilograms() < meat {
                self.buffer(&mut buffered, &mut deboned, &mut raw);
            }
            while spices.kilograms() < weight - meat {
                self.receive(&mut spices, "SPICE", (100, 200));
            }
            let taken = buffered.take(meat).and(spices.take(weight - meat));
            let recipe = Recipe {
                celsius: (20, 40),
                after: 20 * MINUTE,
                fate: Fate::PutRight,
                metadata: vec![("recipe", format!("RCP-{}-v3.1", species(sku)))],
                ..Recipe::of(LotType::Mix, weight)
            };
            self.add(recipe, taken, &mut mixed);
        }
        self.rods(sku, &mut mixed);
        self.lots
    }

    fn sku(&mut self) -> &'static Sku {
        let mut thrown = self.dice.between(1, 100);
        for sku in &SKUS {
            if thrown <= sku.percent {
                return sku;
            }
            thrown -= sku.percent;
        }
        &SKUS[0]
    }

    fn receive(&mut self, stock: &mut Stock, what: &str, kilograms: (u32, u32)) {
        let weight = self.kilograms(kilograms.0, kilograms.1);
        let supplier = self.dice.one_of(&["SUP-A", "SUP-B", "SUP-C", "SUP-D"]);
        let recipe = Recipe {
            celsius: (20, 60),
            metadata: vec![
                ("material", what.to_owned()),
                ("supplier", supplier.copied().unwrap_or_default().to_owned()),
            ],
            ..Recipe::of(LotType::Raw, weight)
        };
        let arrival = self.at + self.dice.between(0, 5) * MINUTE;
        self.add(
            recipe,
            Taken {
                parents: Vec::new(),
                at: arrival,
            },
            stock,
        );
    }

    fn debone(&mut self, deboned: &mut Stock, raw: &mut Stock) {
        let weight = self.kilograms(75, 200);
        // What is cut off is lost.
        let meat = Kilograms::hundredths(weight.in_hundredths() * 100 / self.dice.between(72, 82));
        while raw.kilograms() < meat {
            self.receive(raw, "MEAT", (200, 500));
        }
        let recipe = Recipe {
            celsius: (20, 50),
            after: 15 * MINUTE,
            ..Recipe::of(LotType::Deb, weight)
        };
        self.add(recipe, raw.take(meat), deboned);
    }

    fn buffer(&mut self, buffered: &mut Stock, deboned: &mut Stock, raw: &mut Stock) {
        let weight = self.kilograms(150, 250);
        while deboned.kilograms() < weight {
            self.debone(deboned, raw);
        }
        let recipe = Recipe {
            celsius: (10, 40),
            after: 10 * MINUTE,
            fate: Fate::PutRight,
            ..Recipe::of(LotType::Bulk, weight)
        };
        self.add(recipe, deboned.take(weight), buffered);
    }

    /// Skewers, freezes and packs all of the mix, cycle by cycle.
    fn rods(&mut self, sku: &Sku, mixed: &mut Stock) {
        let labelled = || vec![("sku", sku.name.to_owned())];
        let mut cycle = 0;
        while mixed.kilograms().in_hundredths() >= sku.rod.1 {
            let (mut skewered, mut frozen) = (Stock::default(), Stock::default());
            let mut rods = 0;
            while rods < CYCLE_RODS && mixed.kilograms().in_hundredths() >= sku.rod.1 {
                let weight = Kilograms::hundredths(self.dice.between(sku.rod.0, sku.rod.1));
                let recipe = Recipe {
                    celsius: (20, 40),
                    after: 10 * MINUTE + cycle * 3 * MINUTE,
                    metadata: labelled(),
                    ..Recipe::of(LotType::Skw, weight)
                };
                self.add(recipe, mixed.take(weight), &mut skewered);
                rods += 1;
            }
            while let Some(rod) = skewered.0.front() {
                let all = rod.kilograms;
                // It dries a little.
                let loss = all.in_hundredths() * self.dice.between(0, 10) / 1000;
                let recipe = Recipe {
                    celsius: (-250, -180),
                    after: 60 * MINUTE,
                    metadata: labelled(),
                    ..Recipe::of(LotType::Frz, all - Kilograms::hundredths(loss))
                };
                self.add(recipe, skewered.take(all), &mut frozen);
            }
            let mut boxes = Stock::default();
            while !frozen.0.is_empty() {
                let all: Kilograms = frozen
                    .0
                    .iter()
                    .take(sku.per_box)
                    .map(|rod| rod.kilograms)
                    .sum();
                let recipe = Recipe {
                    celsius: (-220, -180),
                    after: 10 * MINUTE,
                    metadata: labelled(),
                    ..Recipe::of(LotType::Fg, all)
                };
                self.add(recipe, frozen.take(all), &mut boxes);
            }
            cycle += 1;
        }
    }

    /// Makes a lot out of what was taken, and puts it into stock if it was passed.
    fn add(&mut self, recipe: Recipe, taken: Taken, stock: &mut Stock) {
        let at = taken.at + recipe.after + Duration::from_secs(self.dice.between(0, 59).into());
        let (low, high) = recipe.celsius;
        let lot = Lot {
            number: self.first + self.lots.len() as u64,
            code: self.codes.next(recipe.lot_type),
            lot_type: recipe.lot_type,
            weight: recipe.weight,
            temperature: self.celsius(low, high),
            metadata: recipe.metadata,
            at,
            parents: taken.parents,
            decisions: quality::decide(
                &mut self.dice,
                recipe.lot_type,
                recipe.fate,
                self.decisions,
                at,
            ),
        };
        if matches!(lot.status(), Status::Released | Status::Pending) {
            stock.0.push_back(Left {
                number: lot.number,
                code: lot.code.clone(),
                kilograms: lot.weight,
                settled_at: lot.settled_at(),
            });
        }
        self.lots.push(lot);
    }

    fn kilograms(&mut self, low: u32, high: u32) -> Kilograms {
        Kilograms::hundredths(self.dice.between(low * 100, high * 100))
    }

    fn celsius(&mut self, low: i16, high: i16) -> Celsius {
        quality::celsius(&mut self.dice, low, high)
    }
}

fn species(sku: &Sku) -> &str {
    sku.name.get(..3).unwrap_or(sku.name)
}

// === impl Recipe ===

impl Recipe {
    /// At once, at 0 °C, with nothing to say about it.
    fn of(lot_type: LotType, weight: Kilograms) -> Self {
        Self {
            lot_type,
            weight,
            celsius: (0, 0),
            after: Duration::ZERO,
            fate: Fate::Open,
            metadata: Vec::new(),
        }
    }
}

// === impl Stock ===

impl Stock {
    fn kilograms(&self) -> Kilograms {
        self.0.iter().map(|left| left.kilograms).sum()
    }

    /// The oldest first, from as many lots as it takes.
    fn take(&mut self, mut wanted: Kilograms) -> Taken {
        let mut taken = Taken::default();
        while wanted > Kilograms::default()
            && let Some(oldest) = self.0.front_mut()
        {
            let quantity = wanted.min(oldest.kilograms);
            wanted -= quantity;
            oldest.kilograms -= quantity;
            taken.at = taken.at.max(oldest.settled_at);
            taken.parents.push(Parent {
                number: oldest.number,
                code: oldest.code.clone(),
                quantity,
            });
            if oldest.kilograms == Kilograms::default() {
                self.0.pop_front();
            }
        }
        taken
    }
}

// === impl Taken ===

impl Taken {
    fn and(mut self, other: Self) -> Self {
        self.parents.extend(other.parents);
        self.at = self.at.max(other.at);
        self
    }
}
