//! A small chain, and tills that write streams by hand, so that they can also write wrong ones.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::BTreeMap;

use domain::catalog::{Language, Names, StockClass};
use domain::config::{KeyAlgorithm, Rate, StoreConfig, TaxRate, TaxRounding};
use domain::entropy::Entropy;
use domain::event::{
    CashMoved, CashMovement, CountReason, Counted, DrawerOpened, DrawerReason, Event, Fact,
    GoodsLine, GoodsReceived, MAIN_ZONE, Reversed, SaleBody, SaleLine, ShiftClosed, ShiftTotals,
    SlipNumber, StockCounted, StreamHead, StreamOpened, StreamReason, TaxTotal, Tender, TenderKind,
    chain_hash, genesis_hash,
};
use domain::ids::{
    Digest, DocumentId, EventId, LocationId, PriceListId, SaleId, ShiftId, StoreId, StreamId,
    TaxCategory, TenantId, TillId, UserId, VariantId,
};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::time::{Boot, Hlc, Now};
use ed25519_dalek::SigningKey;
use hub::import::{ImportOptions, ImportReport};
use hub::{Hub, NewTenant};
use serde_json::value::RawValue;
use sync_protocol::{
    DeviceStatus, EnrolReply, EnrolRequest, Enrolled, PROTOCOL, ProtocolError, Push, SyncReply,
    SyncRequest, sign,
};
use tempfile::TempDir;

pub const WALL: i64 = 1_795_000_000_000;

pub fn now() -> Now {
    Now {
        wall_ms: WALL,
        boot: Boot { id: 1, ms: 1_000 },
        utc_offset_min: 60,
    }
}

pub fn store_id(code: &str) -> StoreId {
    StoreId::new(code).expect("store")
}

pub fn location(code: &str) -> LocationId {
    LocationId::new(code).expect("location")
}

pub fn store_config(code: &str, list: &str, currency: Currency) -> StoreConfig {
    StoreConfig {
        store: store_id(code),
        location: location(code),
        chain: "Test".to_owned(),
        name: Names {
            fr: format!("Magasin {code}"),
            ..Names::default()
        },
        address: vec![],
        legal: vec![],
        country: "TN".to_owned(),
        currency,
        price_list: PriceListId::new(list).expect("list"),
        receipt_language: Language::Fr,
        utc_offset_min: 60,
        taxes: vec![TaxRate {
            category: TaxCategory::new("standard").expect("tax"),
            rate: Rate::percent(19.into()).expect("rate"),
            from: "2018-01-01".parse().expect("date"),
            to: None,
            basis: String::new(),
        }],
        tax_rounding: TaxRounding::PerLine,
        levies: vec![],
        cash_rounding: None,
        over_short_limit_minor: 5_000,
        discount_limit_bp: 1_000,
        drawer: domain::config::DrawerRules::default(),
        rules: Default::default(),
        identity: BTreeMap::new(),
        follows: vec![],
        location_names: BTreeMap::new(),
        receipt_code: true,
    }
}

pub struct World {
    pub dir: TempDir,
    pub hub: Hub,
}

pub const CATALOGUE: &str = "\
style,name_fr,name_ar,tax,option1_name,option1_value,sku,gtins,price:TN,stock:LM,stock:WEB
BAL,Ballon,كرة,standard,Taille,4,BAL-4,2100101000102,10.000,20,5
BAL,Ballon,كرة,standard,Taille,5,BAL-5,,12.500,10,
COR,Corde à sauter,,standard,,,COR,4006381333931,7.000,3,1
";

impl World {
    pub fn new() -> World {
        let dir = tempfile::tempdir().expect("directory");
        let mut hub = Hub::create(
            &dir.path().join("t.db"),
            &NewTenant {
                tenant: TenantId::new("t").expect("tenant"),
                chain: "Test".to_owned(),
            },
            &now(),
            Entropy::new([1; 32]),
        )
        .expect("hub");
        hub.create_store(&store_config("LM", "TN", Currency::Tnd))
            .expect("store");
        hub.create_location(&location("WEB"), &Names::default())
            .expect("location");
        World { dir, hub }
    }

    pub fn with_catalogue() -> World {
        let mut world = World::new();
        let report = world.import(CATALOGUE, &options(true));
        assert!(report.applied, "{:?}", report.errors);
        world
    }

    pub fn import(&mut self, csv: &str, options: &ImportOptions) -> ImportReport {
        self.import_bytes(csv.as_bytes(), options)
    }

    pub fn import_bytes(&mut self, csv: &[u8], options: &ImportOptions) -> ImportReport {
        self.hub
            .import(csv, options, &now(), &mut |_, _| {})
            .expect("import")
    }

    pub fn till(&mut self, till: &str, seed: u8) -> Till {
        self.till_of("LM", till, seed)
    }

    pub fn till_of(&mut self, store: &str, till: &str, seed: u8) -> Till {
        let till = TillId::new(till).expect("till");
        let code = self
            .hub
            .issue_code(&store_id(store), &till, true, &now())
            .expect("code");
        let key = SigningKey::from_bytes(&[seed; 32]);
        let reply = self.hub.enrol(&enrol_request(&code, &key), &now());
        let Ok(EnrolReply::Enrolled(enrolled)) = reply else {
            panic!("not enrolled: {reply:?}");
        };
        let mut till = Till::new(*enrolled, key, seed);
        till.open();
        till
    }

    pub fn variant(&self, sku: &str) -> VariantId {
        self.hub
            .variant_of_sku(sku)
            .expect("read")
            .expect("variant")
            .variant
    }

    /// Units on hand.
    pub fn on_hand(&self, sku: &str, at: &str) -> i64 {
        let quantity = self
            .hub
            .on_hand(self.variant(sku), &location(at))
            .expect("read")
            .unwrap_or_default();
        assert_eq!(quantity.thousandths() % 1_000, 0);
        quantity.thousandths() / 1_000
    }

    pub fn sync(&mut self, till: &Till, request: &SyncRequest) -> Result<SyncReply, ProtocolError> {
        self.hub.sync(till.enrolled.device, request, &now())
    }

    pub fn assert_verified(&self) {
        let report = self.hub.verify().expect("verify");
        assert_eq!(report.first_bad, None);
        assert!(report.ok);
        self.assert_lineage();
    }

    /// Every quantity is what its count and its movements add up to, however many of them are listed.
    pub fn assert_lineage(&self) {
        let page = self.hub.stock_page("", 0, 100).expect("stock");
        for row in &page.rows {
            // What a kit shows is worked out of its parts.
            if !row.parts.is_empty() {
                continue;
            }
            for (at, quantity) in &row.quantities {
                for limit in [0, 2, usize::MAX] {
                    let found = self.hub.stock_lineage(row.variant, at, limit);
                    let found = found.expect("lineage").expect("it was moved");
                    let zones: i64 = found.zones.iter().map(|zone| zone.quantity.0).sum();
                    assert_eq!((found.quantity, zones), (*quantity, quantity.0));
                    for zone in &found.zones {
                        let counted = zone.count.as_ref().map_or(0, |count| count.quantity.0);
                        let steps: i64 = zone.steps.iter().map(|step| step.quantity.0).sum();
                        assert_eq!(counted + zone.older_sum.0 + steps, zone.quantity.0);
                        let last = zone.steps.last().map(|step| step.balance);
                        assert!(last.is_none_or(|last| last == zone.quantity));
                        assert!(zone.steps.len() <= limit);
                        let named = |step: &hub::LineageStep| step.event.kind.is_some();
                        assert!(zone.steps.iter().chain(&zone.count).all(named), "{zone:?}");
                    }
                }
            }
        }
    }
}

pub fn options(opening_stock: bool) -> ImportOptions {
    ImportOptions {
        dry_run: false,
        valid_from: "2026-01-01".parse().expect("date"),
        price_list: Some(PriceListId::new("TN").expect("list")),
        tax: TaxCategory::new("standard").expect("tax"),
        opening_stock,
        stock_location: None,
    }
}

pub fn enrol_request(code: &str, key: &SigningKey) -> EnrolRequest {
    EnrolRequest {
        code: code.to_owned(),
        key_algorithm: KeyAlgorithm::Ed25519,
        public_key: sign::public_key(key),
        app: "test".to_owned(),
        protocols: vec![PROTOCOL],
    }
}

/// A till that only knows how to write its stream.
#[derive(Clone)]
pub struct Till {
    pub enrolled: Enrolled,
    pub key: SigningKey,
    pub stream: StreamId,
    pub events: Vec<String>,
    pub entropy: Entropy,
    pub hlc: Hlc,
}

impl Till {
    pub fn new(enrolled: Enrolled, key: SigningKey, seed: u8) -> Till {
        let mut entropy = Entropy::new([seed; 32]);
        Till {
            enrolled,
            key,
            stream: entropy.next_stream_id(),
            events: Vec::new(),
            entropy,
            hlc: Hlc::default().tick(WALL),
        }
    }

    pub fn opened(&self) -> Fact {
        Fact::StreamOpened(StreamOpened {
            reason: StreamReason::Enrolled,
            tenant: self.enrolled.tenant.clone(),
            store: Some(self.enrolled.store.clone()),
            till: Some(self.enrolled.till.clone()),
            device: self.enrolled.device,
            key_algorithm: KeyAlgorithm::Ed25519,
            public_key: sign::public_key(&self.key),
            previous: None,
            z_number: 0,
            perpetual_minor: 0,
            periods: std::collections::BTreeMap::new(),
            numbers: std::collections::BTreeMap::new(),
            witness: None,
        })
    }

    fn open(&mut self) {
        let opened = self.opened();
        self.append(&opened);
    }

    pub fn event(&mut self, fact: &Fact) -> Event {
        self.hlc = self.hlc.tick(WALL);
        Event {
            stream: self.stream,
            seq: self.events.len() as u64 + 1,
            id: EventId(self.entropy.next_uuid(WALL)),
            hlc: self.hlc,
            wall: WALL,
            boot: Boot { id: 2, ms: 5 },
            kind: fact.kind().to_owned(),
            schema: fact.schema(),
            body: fact.encode(),
        }
    }

    pub fn append(&mut self, fact: &Fact) -> u64 {
        let event = self.event(fact);
        self.append_event(&event)
    }

    pub fn append_event(&mut self, event: &Event) -> u64 {
        self.append_raw(String::from_utf8(event.encode()).expect("utf-8"))
    }

    /// Appends any JSON text, well formed as an event or not.
    pub fn append_raw(&mut self, text: String) -> u64 {
        self.events.push(text);
        self.events.len() as u64
    }

    pub fn head(&self) -> u64 {
        self.events.len() as u64
    }

    /// Chain hash after `seq`.
    pub fn hash(&self, seq: u64) -> Digest {
        self.events
            .iter()
            .take(usize::try_from(seq).expect("seq"))
            .fold(genesis_hash(self.stream), |hash, text| {
                chain_hash(hash, text.as_bytes())
            })
    }

    /// Events `first..=last`, signed.
    pub fn push(&self, first: u64, last: u64) -> Push {
        let range = usize::try_from(first).expect("seq") - 1..usize::try_from(last).expect("seq");
        Push {
            stream: self.stream,
            first_seq: first,
            prev_hash: self.hash(first - 1),
            events: self.events[range]
                .iter()
                .map(|text| RawValue::from_string(text.clone()).expect("json"))
                .collect(),
            head: sign::sign_head(
                &self.key,
                &self.enrolled.tenant,
                self.stream,
                last,
                self.hash(last),
            ),
        }
    }

    pub fn request(&self, push: Option<Push>) -> SyncRequest {
        SyncRequest {
            protocol: PROTOCOL,
            stream: self.stream,
            head_seq: self.head(),
            acked_seq: 0,
            authority: self.enrolled.authority.clone(),
            epoch: self.enrolled.epoch,
            wall: WALL,
            boot: Boot { id: 2, ms: 5 },
            push,
            cursors: BTreeMap::new(),
            limit: 1,
            status: DeviceStatus::default(),
            rights: None,
            snapshots: Default::default(),
        }
    }

    pub fn push_all(&self) -> SyncRequest {
        self.request(Some(self.push(1, self.head())))
    }

    /// The number of a receipt that is written next.
    pub fn number(&self) -> String {
        let (store, till) = (&self.enrolled.store, &self.enrolled.till);
        domain::number::receipt_number(store, till, self.stream, 2026, self.head())
    }

    /// A sale of `units` for `price_minor` each, paid in cash; negative units are a return.
    pub fn sale(&mut self, variant: VariantId, units: i64, price_minor: i64) -> SaleBody {
        let rate = Rate::percent(19.into()).expect("rate");
        let total_minor = units * price_minor;
        let split = domain::tax::extract(total_minor, rate).expect("tax");
        SaleBody {
            sale: SaleId(self.entropy.next_uuid(WALL)),
            number: self.number(),
            number_seq: self.head(),
            business_date: "2026-11-22".parse().expect("date"),
            shift: ShiftId(uuid::Uuid::nil()),
            cashier: UserId(uuid::Uuid::nil()),
            location: self.enrolled.location.clone(),
            currency: Currency::Tnd,
            price_list: PriceListId::new("TN").expect("list"),
            price_version: 1,
            tax_rounding: TaxRounding::PerLine,
            lines: vec![SaleLine {
                line: 1,
                variant,
                sku: "S".to_owned(),
                label: "L".to_owned(),
                quantity: Quantity::units(units).expect("units"),
                list_minor: price_minor,
                unit_minor: price_minor,
                discount_minor: 0,
                cart_discount_minor: 0,
                total_minor,
                tax: TaxCategory::new("standard").expect("tax"),
                rate,
                net_minor: split.net_minor,
                tax_minor: split.tax_minor,
                class: StockClass::Shelf,
                components: vec![],
            }],
            taxes: vec![TaxTotal {
                rate,
                net_minor: split.net_minor,
                tax_minor: split.tax_minor,
            }],
            levies: vec![],
            rounding_minor: 0,
            total_minor,
            tenders: vec![Tender {
                kind: TenderKind::Cash,
                amount_minor: total_minor,
                reference: None,
            }],
            change_minor: 0,
            cash_stamp_bp: None,
            overrides: vec![],
        }
    }

    /// Money taken out of the drawer, under any number.
    pub fn cash_moved(&self, number: String) -> Fact {
        Fact::CashMoved(CashMoved {
            shift: ShiftId(uuid::Uuid::nil()),
            movement: CashMovement::PayOut,
            slip: SlipNumber {
                number,
                number_seq: 1,
            },
            business_date: "2026-11-22".parse().expect("date"),
            amount_minor: 1_000,
            reason: "test".to_owned(),
            user: UserId(uuid::Uuid::nil()),
            approved_by: None,
        })
    }

    /// The drawer opened without a sale, under any number.
    pub fn drawer_opened(&self, number: String) -> Fact {
        Fact::DrawerOpened(DrawerOpened {
            shift: ShiftId(uuid::Uuid::nil()),
            user: UserId(uuid::Uuid::nil()),
            reason: DrawerReason::NoSale,
            slip: Some(SlipNumber {
                number,
                number_seq: 1,
            }),
            note: None,
        })
    }

    /// A shift with this much in the drawer is closed.
    pub fn close_shift(&mut self, z_number: u64, expected: i64, counted: i64) -> u64 {
        let head = self.head();
        let fact = Fact::ShiftClosed(ShiftClosed {
            shift: ShiftId(uuid::Uuid::nil()),
            z_number,
            user: UserId(uuid::Uuid::nil()),
            approved_by: None,
            from_seq: 1,
            to: StreamHead {
                stream: self.stream,
                seq: head,
                hash: self.hash(head),
            },
            totals: ShiftTotals {
                takings_minor: expected,
                expected_minor: expected,
                ..ShiftTotals::default()
            },
            count: BTreeMap::new(),
            counted_minor: counted,
            difference_minor: counted - expected,
            perpetual_minor: expected,
            blind: false,
            deposit: BTreeMap::new(),
            paper: None,
        });
        self.append(&fact)
    }

    pub fn sell(&mut self, variant: VariantId, units: i64, price_minor: i64) -> u64 {
        let sale = self.sale(variant, units, price_minor);
        self.append(&Fact::SaleCompleted(sale))
    }

    pub fn reverse(&mut self, of: SaleId, variant: VariantId, units: i64, price_minor: i64) -> u64 {
        let mirror = self.sale(variant, -units, price_minor);
        self.append(&Fact::Reversed(Reversed {
            of,
            of_number: mirror.number.clone(),
            reason: "test".to_owned(),
            mirror,
        }))
    }

    /// Goods from a supplier, of any quantity.
    pub fn received(&mut self, variant: VariantId, quantity: Quantity) -> Fact {
        Fact::GoodsReceived(GoodsReceived {
            document: DocumentId(self.entropy.next_uuid(WALL)),
            location: self.enrolled.location.clone(),
            zone: MAIN_ZONE.to_owned(),
            lines: vec![GoodsLine {
                variant,
                quantity,
                class: StockClass::Shelf,
            }],
            reference: None,
            included_in: None,
            user: UserId(uuid::Uuid::nil()),
        })
    }

    pub fn count(&mut self, at: &str, cut: BTreeMap<StreamId, u64>, items: Vec<Counted>) -> u64 {
        self.append(&Fact::StockCounted(StockCounted {
            approved_by: None,
            location: location(at),
            zone: MAIN_ZONE.to_owned(),
            cut,
            items,
            reason: CountReason::Count,
            document: None,
            user: None,
        }))
    }
}
