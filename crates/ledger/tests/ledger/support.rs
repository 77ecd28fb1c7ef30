//! A till's desk: a ledger, a clock that only moves when told, and ids from one seed.

use std::path::{Path, PathBuf};

use domain::cart::{Cart, Discount, NewLine, Pricing};
use domain::catalog::{DatedPrice, Gtin, Language, Names, PriceRow, StockClass, Style, Variant};
use domain::config::{KeyAlgorithm, Rate, Role, StaffMember, StoreConfig, TaxRate, TaxRounding};
use domain::entropy::Entropy;
use domain::event::{
    Fact, Reversed, SaleBody, ShiftClosed, ShiftOpened, StreamHead, StreamOpened, StreamReason,
    Tender, TenderKind,
};
use domain::ids::{
    DeviceId, EventId, LocationId, PriceListId, SaleId, ShiftId, StoreId, StreamId, StyleId,
    TaxCategory, TenantId, TillId, UserId, VariantId,
};
use domain::money::Currency;
use domain::number::receipt_number;
use domain::quantity::Quantity;
use domain::sale::{SaleHeader, complete, mirror};
use domain::time::{Boot, BusinessDate, Now};
use ledger::{FileKey, Ledger, LedgerError, NewStream, OpenError, OpenOptions};
use serde::Serialize;
use sync_protocol::feed::{checksum_add, row_checksum};
use sync_protocol::{Cursor, FeedName, FeedPage, FeedRow};
use uuid::Uuid;

pub const WALL: i64 = 1_795_000_000_000;
pub const STREAM: StreamId = StreamId([0x3c; 16]);

pub fn variant(number: u128) -> VariantId {
    VariantId(Uuid::from_u128(0x1000 + number))
}

pub fn style(number: u128) -> StyleId {
    StyleId(Uuid::from_u128(0x2000 + number))
}

pub fn location(code: &str) -> LocationId {
    LocationId::new(code).expect("location")
}

pub fn day(text: &str) -> BusinessDate {
    text.parse().expect("date")
}

pub fn user() -> UserId {
    UserId(Uuid::from_u128(7))
}

pub fn new_stream() -> NewStream {
    NewStream {
        stream: STREAM,
        location: location("LM"),
        opened: StreamOpened {
            reason: StreamReason::Enrolled,
            tenant: TenantId::new("atlas").expect("tenant"),
            store: Some(StoreId::new("LM").expect("store")),
            till: Some(TillId::new("01").expect("till")),
            device: DeviceId(Uuid::from_u128(1)),
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: "ab".repeat(32),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            witness: None,
        },
    }
}

pub fn clock(wall_ms: i64) -> Now {
    Now {
        wall_ms,
        boot: Boot { id: 1, ms: 1 },
        utc_offset_min: 60,
    }
}

/// How every test opens its file: encrypted, in a program that can encrypt.
pub fn options() -> OpenOptions {
    OpenOptions {
        key: ledger::can_encrypt().then(|| FileKey::new([0x5A; 32])),
        ..OpenOptions::default()
    }
}

/// The file without the ledger in front of it.
pub fn raw_file(path: &Path) -> rusqlite::Connection {
    ledger::open_keyed(path, rusqlite::OpenFlags::default(), options().key.as_ref()).expect("raw")
}

pub fn read_only(path: &Path) -> Result<Ledger, OpenError> {
    Ledger::open_read_only_with(path, options().key.as_ref())
}

/// What stands in the directory of a file.
pub fn listing(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path.parent().expect("parent"))
        .expect("directory")
        .map(|entry| {
            entry
                .expect("entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

pub fn create(path: &Path, options: &OpenOptions) -> Ledger {
    Ledger::create(
        path,
        new_stream(),
        &clock(WALL),
        EventId(Uuid::from_u128(1)),
        options,
    )
    .expect("create")
}

/// A file in a directory that goes away with it.
pub struct Place {
    _directory: tempfile::TempDir,
    pub path: PathBuf,
}

impl Place {
    pub fn new() -> Place {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("ledger.db");
        Place {
            _directory: directory,
            path,
        }
    }

    pub fn directory(&self) -> &Path {
        self._directory.path()
    }
}

/// One line: variant, pieces, unit price.
pub type Line = (u128, i64, i64);

pub struct Desk {
    pub ledger: Ledger,
    pub entropy: Entropy,
    pub wall: i64,
    pub shift: ShiftId,
    pub date: BusinessDate,
}

impl Desk {
    pub fn new(ledger: Ledger) -> Desk {
        let mut entropy = Entropy::new([5; 32]);
        entropy.next_bytes();
        Desk {
            ledger,
            shift: ShiftId(entropy.next_uuid(WALL)),
            entropy,
            wall: WALL,
            date: day("2026-11-22"),
        }
    }

    pub fn in_memory() -> Desk {
        let id = EventId(Uuid::from_u128(1));
        let ledger = Ledger::create_in_memory(new_stream(), &clock(WALL), id).expect("in memory");
        Desk::new(ledger)
    }

    pub fn tick(&mut self) -> Now {
        self.wall += 1_000;
        clock(self.wall)
    }

    pub fn id(&mut self) -> Uuid {
        self.entropy.next_uuid(self.wall)
    }

    pub fn append(&mut self, fact: &Fact) -> Result<StreamHead, LedgerError> {
        let (now, id) = (self.tick(), EventId(self.id()));
        self.ledger.write(|tx| tx.append(&now, id, fact))
    }

    pub fn opening(&self) -> ShiftOpened {
        ShiftOpened {
            shift: self.shift,
            drawer: 1,
            business_date: self.date,
            user: user(),
            currency: Currency::Tnd,
            count: [(1_000, 50), (5_000, 10)].into(),
            float_minor: 100_000,
            approved_by: None,
            shift_key: None,
        }
    }

    pub fn open_shift(&mut self) {
        self.shift = ShiftId(self.id());
        let opening = self.opening();
        self.append(&Fact::ShiftOpened(opening))
            .expect("open shift");
    }

    pub fn header(&self) -> SaleHeader {
        let year = self.date.fiscal_year();
        let seq = self.ledger.next_number(year).expect("next number");
        SaleHeader {
            number: self.number(seq),
            number_seq: seq,
            business_date: self.date,
            shift: self.shift,
            cashier: user(),
            location: location("LM"),
            price_list: PriceListId::new("TN").expect("list"),
            price_version: 1,
            cash_stamp_bp: None,
        }
    }

    pub fn number(&self, seq: u64) -> String {
        let identity = self.ledger.identity();
        receipt_number(
            &identity.store,
            &identity.till,
            identity.stream,
            self.date.fiscal_year(),
            seq,
        )
    }

    pub fn sale(&mut self, lines: &[Line]) -> SaleBody {
        let mut cart = Cart::new(SaleId(self.id()));
        for (number, pieces, unit_minor) in lines {
            cart.add_line(NewLine {
                variant: variant(*number),
                sku: format!("SKU-{number}"),
                names: Names {
                    fr: format!("Article {number}"),
                    ..Names::default()
                },
                options: Vec::new(),
                quantity: Quantity::units(*pieces).expect("quantity"),
                list_minor: *unit_minor,
                tax: TaxCategory::new("standard").expect("category"),
                rate: rate(),
                class: StockClass::Shelf,
                components: Vec::new(),
            })
            .expect("line");
        }
        cart.discount = Discount::None;
        let pricing = Pricing {
            currency: Currency::Tnd,
            tax_rounding: TaxRounding::PerLine,
            levies: &[],
            cash_rounding: None,
            date: self.date,
        };
        let cash = Tender {
            kind: TenderKind::Cash,
            amount_minor: 10_000_000,
            reference: None,
        };
        complete(&cart, &pricing, self.header(), &[cash]).expect("sale")
    }

    pub fn sell(&mut self, lines: &[Line]) -> SaleBody {
        let sale = self.sale(lines);
        self.append(&Fact::SaleCompleted(sale.clone()))
            .expect("sell");
        sale
    }

    pub fn reversal(&mut self, of: &SaleBody) -> Reversed {
        let header = self.header();
        Reversed {
            of: of.sale,
            of_number: of.number.clone(),
            reason: "mistake".to_owned(),
            mirror: mirror(of, SaleId(self.id()), header),
        }
    }

    pub fn closing(&self) -> ShiftClosed {
        let open = self
            .ledger
            .open_shift(1)
            .expect("read")
            .expect("an open shift");
        ShiftClosed {
            shift: self.shift,
            z_number: self.ledger.last_z().expect("z") + 1,
            user: user(),
            approved_by: None,
            from_seq: open.opened_seq,
            to: self.ledger.head(),
            count: [(1, open.totals.expected_minor - 500)].into(),
            counted_minor: open.totals.expected_minor - 500,
            difference_minor: -500,
            perpetual_minor: self.ledger.perpetual_minor().expect("perpetual"),
            blind: false,
            deposit: Default::default(),
            paper: None,
            totals: open.totals,
        }
    }

    pub fn close_shift(&mut self) {
        let closing = self.closing();
        self.append(&Fact::ShiftClosed(closing))
            .expect("close shift");
    }

    /// An hour of trade: a shift with sales, a reversal and a Z, and a second shift that is still open.
    pub fn trade(&mut self) {
        self.open_shift();
        self.sell(&[(1, 2, 5_000), (2, 1, 1_250)]);
        let regretted = self.sell(&[(1, 1, 5_000)]);
        let reversal = self.reversal(&regretted);
        self.append(&Fact::Reversed(reversal)).expect("reverse");
        self.close_shift();
        self.open_shift();
        self.sell(&[(3, 4, 900)]);
    }

    pub fn apply(&mut self, page: &FeedPage) -> ledger::PageOutcome {
        let wall = self.tick().wall_ms;
        self.ledger
            .write(|tx| tx.apply_page(page, wall, wall))
            .expect("apply page")
    }

    pub fn follow(&mut self, names: &[&str]) {
        let feeds: Vec<FeedName> = names.iter().map(|name| feed(name)).collect();
        self.ledger.write(|tx| tx.follow(&feeds)).expect("follow");
    }

    pub fn assert_sound(&self) {
        let report = self.ledger.verify().expect("verify");
        assert_eq!(report.first_bad, None);
        assert!(report.ok);
    }
}

pub fn rate() -> Rate {
    Rate::percent(rust_decimal::Decimal::from(19)).expect("rate")
}

pub fn feed(name: &str) -> FeedName {
    name.parse().expect("feed")
}

pub fn row(pk: impl ToString, ver: u64, value: &impl Serialize) -> FeedRow {
    FeedRow {
        pk: pk.to_string(),
        ver,
        row: Some(serde_json::value::to_raw_value(value).expect("row")),
    }
}

pub fn tombstone(pk: impl ToString, ver: u64) -> FeedRow {
    FeedRow {
        pk: pk.to_string(),
        ver,
        row: None,
    }
}

/// A page that ends the feed, with a checksum over `all`.
pub fn last_page(name: &str, ver: u64, rows: Vec<FeedRow>, all: &[&FeedRow]) -> FeedPage {
    let checksum = all.iter().fold(0, |sum, row| {
        let text = row.row.as_ref().expect("live row").get();
        checksum_add(sum, row_checksum(&row.pk, text))
    });
    FeedPage {
        feed: feed(name),
        next: Cursor {
            ver,
            pk: rows.last().map(|row| row.pk.clone()).unwrap_or_default(),
        },
        rows,
        more: false,
        ver,
        checksum: Some(checksum),
        folded: Default::default(),
    }
}

/// A page that ends the feed and brings all of it.
pub fn whole(name: &str, ver: u64, rows: Vec<FeedRow>) -> FeedPage {
    let all: Vec<&FeedRow> = rows.iter().collect();
    let page = last_page(name, ver, Vec::new(), &all);
    FeedPage {
        next: Cursor {
            ver,
            pk: rows.last().map(|row| row.pk.clone()).unwrap_or_default(),
        },
        rows,
        ..page
    }
}

pub fn make_style(number: u128, fr: &str, ar: &str, en: &str) -> Style {
    Style {
        style: style(number),
        code: format!("STYLE-{number}"),
        names: Names {
            fr: fr.to_owned(),
            ar: ar.to_owned(),
            en: en.to_owned(),
        },
        brand: "Atlas".to_owned(),
        category: "Sport > Chaussures".to_owned(),
        options: vec!["Taille".to_owned()],
    }
}

pub fn make_variant(number: u128, of: u128, sku: &str, gtins: &[&str]) -> Variant {
    Variant {
        variant: variant(number),
        number: u32::try_from(number).expect("number"),
        style: style(of),
        sku: sku.to_owned(),
        options: vec!["42".to_owned()],
        gtins: gtins
            .iter()
            .map(|digits| Gtin::parse(digits).expect(digits))
            .collect(),
        tax: TaxCategory::new("standard").expect("category"),
        class: StockClass::Shelf,
        classes: Default::default(),
        parts: Vec::new(),
        archived: false,
    }
}

pub fn style_row(ver: u64, style: &Style) -> FeedRow {
    row(format!("style:{}", style.style), ver, style)
}

pub fn variant_row(ver: u64, variant: &Variant) -> FeedRow {
    row(format!("variant:{}", variant.variant), ver, variant)
}

pub fn price_row(ver: u64, number: u128, prices: &[(&str, i64)]) -> FeedRow {
    let value = PriceRow {
        variant: variant(number),
        prices: prices
            .iter()
            .map(|(from, minor)| DatedPrice {
                from: day(from),
                minor: *minor,
            })
            .collect(),
    };
    row(variant(number), ver, &value)
}

pub fn store_config() -> StoreConfig {
    StoreConfig {
        store: StoreId::new("LM").expect("store"),
        location: location("LM"),
        chain: "Atlas Sport".to_owned(),
        name: Names {
            fr: "La Marsa".to_owned(),
            ..Names::default()
        },
        address: Vec::new(),
        legal: Vec::new(),
        country: "TN".to_owned(),
        currency: Currency::Tnd,
        price_list: PriceListId::new("TN").expect("list"),
        receipt_language: Language::Fr,
        utc_offset_min: 60,
        taxes: vec![TaxRate {
            category: TaxCategory::new("standard").expect("category"),
            rate: rate(),
            from: day("2018-01-01"),
            to: None,
            basis: String::new(),
        }],
        tax_rounding: TaxRounding::PerLine,
        levies: Vec::new(),
        cash_rounding: None,
        over_short_limit_minor: 5_000,
        discount_limit_bp: 1_000,
        drawer: domain::config::DrawerRules::default(),
        rules: Default::default(),
        identity: Default::default(),
        follows: vec![location("LM"), location("WEB")],
        location_names: Default::default(),
        receipt_code: true,
    }
}

pub fn member(number: u128, name: &str) -> StaffMember {
    StaffMember {
        user: UserId(Uuid::from_u128(number)),
        name: name.to_owned(),
        role: Role::Cashier,
        pin_verifier: String::new(),
        pin_version: 1,
        language: None,
        active: true,
    }
}
