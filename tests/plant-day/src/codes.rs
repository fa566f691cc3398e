//! Lot codes: `RAW-20260115-DUNA-0101` is type, day, site and a number that counts by type and day.

use chrono::NaiveDate;

use crate::kinds::LotType;

/// The plant.
pub(crate) const PLANT: &str = "DUNA";

/// The codes of one day and site.
#[derive(Debug)]
pub(crate) struct Codes {
    prefix: String,
    day: NaiveDate,
    site: &'static str,
    /// The next number of each type.
    next: [u32; LotType::ALL.len()],
}

// === impl Codes ===

impl Codes {
    /// The plant's own blocks of numbers: raw material from 101, buffers from 5001.
    pub(crate) fn of_plant(prefix: &str, day: NaiveDate) -> Self {
        let mut codes = Self::of_site(prefix, day, PLANT);
        codes.next = LotType::ALL.map(|lot_type| match lot_type {
            LotType::Raw => 101,
            LotType::Bulk => 5001,
            _ => 1,
        });
        codes
    }

    pub(crate) fn of_site(prefix: &str, day: NaiveDate, site: &'static str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            day,
            site,
            next: [1; LotType::ALL.len()],
        }
    }

    pub(crate) fn next(&mut self, lot_type: LotType) -> String {
        let number = self.next.get_mut(lot_type as usize).map_or(0, |next| {
            let number = *next;
            *next += 1;
            number
        });
        let (prefix, day, site) = (&self.prefix, self.day.format("%Y%m%d"), self.site);
        format!("{prefix}{}-{day}-{site}-{number:04}", lot_type.as_str())
    }
}
