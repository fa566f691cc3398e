//! The closed sets of the domain: lot types, gates, decisions. Ids are those of the reference data (migration 10).

use uuid::Uuid;

use crate::units::Celsius;

/// The scenario that ships, `doner-kft` 1.0.0.
pub const SCENARIO: Uuid = Uuid::from_u128(0x00000000_0000_4000_a000_000000000001);

const PHASE_0: u128 = 0x00000000_0000_4000_a003_000000000000;
const GATE_0: u128 = 0x00000000_0000_4000_a002_000000000000;

/// The stages of a lot's life, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LotType {
    Raw,
    Deb,
    Bulk,
    Mix,
    Skw,
    Frz,
    Fg,
}

/// A QC gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    Receipt,
    Deboning,
    BulkReadiness,
    Mix,
    SkewerWeigh,
    SkuSplit,
    Freeze,
    FinalRelease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Pass,
    Hold,
    Fail,
}

/// What a lot's decisions make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Pending,
    Released,
    OnHold,
    Rejected,
}

// === impl LotType ===

impl LotType {
    pub const ALL: [Self; 7] = [
        Self::Raw,
        Self::Deb,
        Self::Bulk,
        Self::Mix,
        Self::Skw,
        Self::Frz,
        Self::Fg,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Deb => "DEB",
            Self::Bulk => "BULK",
            Self::Mix => "MIX",
            Self::Skw => "SKW",
            Self::Frz => "FRZ",
            Self::Fg => "FG",
        }
    }

    /// The phase that makes it.
    pub const fn phase(self) -> Uuid {
        let number = match self {
            Self::Raw => 0x01,
            Self::Deb => 0x02,
            Self::Bulk => 0x03,
            Self::Mix => 0x04,
            Self::Skw => 0x05,
            Self::Frz => 0x07,
            Self::Fg => 0x08,
        };
        Uuid::from_u128(PHASE_0 + number)
    }

    /// The gate of that phase.
    pub const fn gate(self) -> Gate {
        match self {
            Self::Raw => Gate::Receipt,
            Self::Deb => Gate::Deboning,
            Self::Bulk => Gate::BulkReadiness,
            Self::Mix => Gate::Mix,
            Self::Skw => Gate::SkewerWeigh,
            Self::Frz => Gate::Freeze,
            Self::Fg => Gate::FinalRelease,
        }
    }
}

// === impl Gate ===

impl Gate {
    pub const fn id(self) -> Uuid {
        let ten_times_the_number = match self {
            Self::Receipt => 0x10,
            Self::Deboning => 0x30,
            Self::BulkReadiness => 0x40,
            Self::Mix => 0x50,
            Self::SkewerWeigh => 0x60,
            Self::SkuSplit => 0x65,
            Self::Freeze => 0x70,
            Self::FinalRelease => 0x80,
        };
        Uuid::from_u128(GATE_0 + ten_times_the_number)
    }

    /// The critical control point: each decision needs a temperature, a PASS one of at most [`FREEZE_MAX`].
    pub const fn is_ccp(self) -> bool {
        matches!(self, Self::Freeze)
    }
}

/// The warmest core that may pass the freezing gate.
pub const FREEZE_MAX: Celsius = Celsius::tenths(-180);

// === impl Verdict ===

impl Verdict {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Hold => "HOLD",
            Self::Fail => "FAIL",
        }
    }
}

// === impl Status ===

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Released => "RELEASED",
            Self::OnHold => "ON_HOLD",
            Self::Rejected => "REJECTED",
        }
    }
}
