//! One till of a small shop, enrolled and configured, with a clock that only moves when told to.
//!
//! Head office is played from here: rows become feed pages with versions and checksums as a server makes
//! them. Everything else goes through the till's door. Start at [`Setup`].

use std::collections::BTreeMap;
use std::path::Path;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use domain::catalog::{Gtin, KitPart, Names, PriceRow, StockClass, Style, Variant};
use domain::config::{Role, StaffMember, StoreConfig};
use domain::entropy::Entropy;
use domain::event::{Event, Fact, RightsLine};
use domain::ids::{DeviceId, JobId, LocationId, RequestId, StreamId, StyleId, UserId, VariantId};
use domain::quantity::Quantity;
use domain::time::{Boot, Now};
use ledger::{Ledger, OpenOptions, PageOutcome};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sync_protocol::feed::{StockRow, checksum_add, row_checksum};
use sync_protocol::{Cursor, Enrolled, FeedName, FeedPage, FeedRow};
use till::door::{
    Answer, Approval, CartView, Command, CompletedView, JobResult, Pieces, Refusal, RefusalCode,
    Reply, ReportView, Request, Status, TenderInput,
};
use till::{Context, OpenTillError, Safeguards, Till};
use uuid::Uuid;

use crate::disk::MemDisk;

/// The cashier: Amira.
pub const CASHIER: UserId = UserId(Uuid::from_u128(0xA1));
/// PIN of [`CASHIER`].
pub const CASHIER_PIN: &str = "4826";
/// The manager: Salah.
pub const MANAGER: UserId = UserId(Uuid::from_u128(0xA2));
/// PIN of [`MANAGER`].
pub const MANAGER_PIN: &str = "739105";
/// A member of staff who has left: no longer active.
pub const LEFT: UserId = UserId(Uuid::from_u128(0xA3));

/// Wall clock at which every shop begins: 23 November 2026, 08:00 in Tunis.
pub const START_WALL_MS: i64 = 1_795_417_200_000;

/// A shoe, 119.900 TND or 349.00 MAD, one on the shelf.
pub const SHOE_42: &str = "ATL-42-NOIR";
/// The same shoe, another size, with two barcodes of its own and one of its carton.
pub const SHOE_43: &str = "ATL-43-NOIR";
/// A ball, 29.500 TND or 89.90 MAD, with a UPC-A; three on the shelf, ten at the other store.
pub const BALL: &str = "BALL-5";
/// A shirt, 24.990 TND or 79.95 MAD; 19.990 or 59.95 from 1 December 2026.
pub const TEE: &str = "TEE-M";
/// Socks at the reduced rate, 7.350 TND or 22.50 MAD.
pub const SOCKS: &str = "SOCK-1";
/// No longer sold, 10.000 TND or 30.00 MAD.
pub const ARCHIVED: &str = "OLD-1";
/// A ticket of class `strict`.
pub const STRICT: &str = "TICKET-1";
/// A service, 15.000 TND or 45.00 MAD, of which no stock is kept.
pub const SERVICE: &str = "CORDAGE";
/// Has no price.
pub const UNPRICED: &str = "NOPRICE-1";
/// Its tax category has no rate.
pub const UNTAXED: &str = "LIVRE-1";
/// Has a price only from 1 December 2026.
pub const FUTURE: &str = "NEXT-1";

/// GTIN-13 of [`SHOE_42`].
pub const SHOE_42_EAN: &str = "6191234500016";
/// GTIN-13 of [`SHOE_43`].
pub const SHOE_43_EAN: &str = "6191234500023";
/// Another GTIN-13 of [`SHOE_43`].
pub const SHOE_43_EAN_2: &str = "6191234500030";
/// GTIN-14 of a carton of [`SHOE_43`].
pub const SHOE_43_CARTON: &str = "16191234500020";
/// UPC-A of [`BALL`].
pub const BALL_UPC: &str = "036000291452";

struct Item {
    sku: &'static str,
    style: usize,
    options: &'static [&'static str],
    gtins: &'static [&'static str],
    tax: &'static str,
    class: StockClass,
    archived: bool,
    // First day and price in TND and MAD.
    prices: &'static [(&'static str, i64, i64)],
}

const BEGIN: &str = "2026-01-01";
const DECEMBER: &str = "2026-12-01";

// Code, brand, French, Arabic, English, names of the options.
type StyleRow = (
    &'static str,
    &'static str,
    [&'static str; 3],
    &'static [&'static str],
);

const STYLES: &[StyleRow] = &[
    (
        "ATL",
        "Atlas",
        ["Chaussure Atlas", "حِذاء أطلس", "Atlas shoe"],
        &["Pointure", "Couleur"],
    ),
    (
        "BALL",
        "Kora",
        ["Ballon d'entraînement", "كرة تدريب", "Training ball"],
        &[],
    ),
    (
        "TEE",
        "Kora",
        ["Tee-shirt été", "قميص صيفي", "Summer tee"],
        &["Taille"],
    ),
    ("SOCK", "", ["Chaussettes", "جوارب", "Socks"], &[]),
    ("OLD", "", ["Ancien modèle", "", ""], &[]),
    ("TICKET", "", ["Billet derby", "تذكرة", "Derby ticket"], &[]),
    (
        "SERV",
        "",
        ["Cordage raquette", "شد أوتار", "Racket stringing"],
        &[],
    ),
    ("DIV", "", ["Divers", "", ""], &[]),
];

const fn item(sku: &'static str, style: usize) -> Item {
    Item {
        sku,
        style,
        options: &[],
        gtins: &[],
        tax: "standard",
        class: StockClass::Shelf,
        archived: false,
        prices: &[],
    }
}

const ITEMS: &[Item] = &[
    Item {
        options: &["42", "Noir"],
        gtins: &[SHOE_42_EAN],
        prices: &[(BEGIN, 119_900, 34_900)],
        ..item(SHOE_42, 0)
    },
    Item {
        options: &["43", "Noir"],
        gtins: &[SHOE_43_EAN, SHOE_43_EAN_2, SHOE_43_CARTON],
        prices: &[(BEGIN, 119_900, 34_900)],
        ..item(SHOE_43, 0)
    },
    Item {
        gtins: &[BALL_UPC],
        prices: &[(BEGIN, 29_500, 8_990)],
        ..item(BALL, 1)
    },
    Item {
        options: &["M"],
        gtins: &["6191234500047"],
        prices: &[(BEGIN, 24_990, 7_995), (DECEMBER, 19_990, 5_995)],
        ..item(TEE, 2)
    },
    Item {
        gtins: &["6191234500054"],
        tax: "reduced",
        prices: &[(BEGIN, 7_350, 2_250)],
        ..item(SOCKS, 3)
    },
    Item {
        gtins: &["6191234500061"],
        archived: true,
        prices: &[(BEGIN, 10_000, 3_000)],
        ..item(ARCHIVED, 4)
    },
    Item {
        gtins: &["6191234500078"],
        class: StockClass::Strict,
        prices: &[(BEGIN, 50_000, 15_000)],
        ..item(STRICT, 5)
    },
    Item {
        class: StockClass::Untracked,
        prices: &[(BEGIN, 15_000, 4_500)],
        ..item(SERVICE, 6)
    },
    Item {
        gtins: &["6191234500085"],
        ..item(UNPRICED, 7)
    },
    Item {
        gtins: &["6191234500092"],
        tax: "book",
        prices: &[(BEGIN, 12_000, 3_600)],
        ..item(UNTAXED, 7)
    },
    Item {
        gtins: &["6191234500108"],
        prices: &[(DECEMBER, 9_900, 2_990)],
        ..item(FUTURE, 7)
    },
];

/// Where the shop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Country {
    /// Tunisia: store `LM`, dinar with 3 decimals, 19 % and 7 %.
    Tunisia,
    /// Morocco: store `CA`, dirham with 2 decimals, 20 % and 10 %.
    Morocco,
}

/// Where a till keeps its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Nowhere: it ends with the program.
    Memory,
    /// A folder of its own.
    Folder,
    /// A [`MemDisk`] of its own, which can be recorded, broken and taken back.
    Disk,
}

enum Place {
    Memory,
    Folder(tempfile::TempDir),
    Disk(MemDisk),
}

/// What kind of shop to set up.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// Where it is.
    pub country: Country,
    /// Whether the stamp of 0.100 is due on a ticket.
    pub stamp: bool,
    /// Unit that the cash leg is rounded to.
    pub cash_rounding_minor: Option<i64>,
    /// Where its files are.
    pub medium: Medium,
    /// How the ledger is opened, the first time and again.
    pub ledger_options: OpenOptions,
    /// First byte of all randomness.
    pub seed: u8,
    /// Address of the server that it is enrolled with. Only a program that really runs asks there.
    pub server: &'static str,
}

impl Setup {
    /// A shop in Tunisia, in memory, without stamp and without rounding.
    pub const fn tunisia() -> Setup {
        Setup {
            country: Country::Tunisia,
            stamp: false,
            cash_rounding_minor: None,
            medium: Medium::Memory,
            ledger_options: OpenOptions {
                durability: ledger::Durability::Full,
                pages_max: None,
                key: None,
            },
            seed: 1,
            server: "https://hq.example",
        }
    }

    /// The same in Morocco.
    pub const fn morocco() -> Setup {
        Setup {
            country: Country::Morocco,
            ..Setup::tunisia()
        }
    }

    /// With the stamp.
    #[must_use]
    pub const fn with_stamp(self) -> Setup {
        Setup {
            stamp: true,
            ..self
        }
    }

    /// With rounded cash.
    #[must_use]
    pub const fn with_cash_rounding(self, unit_minor: i64) -> Setup {
        Setup {
            cash_rounding_minor: Some(unit_minor),
            ..self
        }
    }

    /// On a folder, so that it can be closed and opened again.
    #[must_use]
    pub const fn on_folder(self) -> Setup {
        Setup {
            medium: Medium::Folder,
            ..self
        }
    }

    /// On a disk in memory; see [`Shop::disk`].
    #[must_use]
    pub const fn on_disk(self) -> Setup {
        Setup {
            medium: Medium::Disk,
            ..self
        }
    }

    /// With other options for the ledger.
    #[must_use]
    pub const fn with_options(self, ledger_options: OpenOptions) -> Setup {
        Setup {
            ledger_options,
            ..self
        }
    }

    /// Enrols the till and reads every feed to its end.
    ///
    /// # Panics
    /// When the till refuses any of it.
    pub fn build(self) -> Shop {
        let mut shop = self.unenrolled();
        shop.enrol();
        shop.receive_everything();
        shop
    }

    /// A device that is no till yet.
    ///
    /// # Panics
    /// When the till cannot be opened.
    pub fn unenrolled(self) -> Shop {
        let place = match self.medium {
            Medium::Memory => Place::Memory,
            Medium::Folder => Place::Folder(tempfile::tempdir().expect("a temporary folder")),
            Medium::Disk => Place::Disk(MemDisk::new(u64::from(self.seed))),
        };
        let mut shop = Shop {
            till: None,
            place,
            setup: self,
            now: Now {
                wall_ms: START_WALL_MS,
                boot: Boot { id: 7, ms: 60_000 },
                utc_offset_min: 0,
            },
            drawn: 0,
            others: BTreeMap::new(),
            office: BTreeMap::new(),
            safeguards: Safeguards::default(),
        };
        shop.try_open().expect("the till opens");
        shop
    }
}

/// A feed as head office holds it.
#[derive(Default)]
struct OfficeFeed {
    ver: u64,
    rows: BTreeMap<String, (u64, Option<String>)>,
}

/// A till, its clock and its head office.
pub struct Shop {
    till: Option<Till>,
    place: Place,
    setup: Setup,
    now: Now,
    drawn: u64,
    office: BTreeMap<FeedName, OfficeFeed>,
    /// How far head office says to have folded other streams of the store.
    pub others: BTreeMap<StreamId, u64>,
    safeguards: Safeguards,
}

/// The variant with `sku`; the same in every shop.
///
/// # Panics
/// When there is none.
pub fn variant(sku: &str) -> VariantId {
    let index = ITEMS.iter().position(|item| item.sku == sku);
    variant_at(index.expect("a SKU of the catalogue"))
}

fn variant_at(index: usize) -> VariantId {
    VariantId(Uuid::from_u128(0xB000 + index as u128))
}

fn style_at(index: usize) -> StyleId {
    StyleId(Uuid::from_u128(0xC000 + index as u128))
}

/// A verifier of `pin` that costs next to nothing to check.
///
/// # Panics
/// Never: the parameters are the least that Argon2 takes.
pub fn cheap_verifier(pin: &str) -> String {
    let params = Params::new(8, 1, 1, None).expect("least parameters");
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash = argon
        .hash_password_with_salt(pin.as_bytes(), b"salt of 16 bytes")
        .expect("a salt of 16 bytes");
    hash.to_string()
}

/// A manager's word, with the right PIN.
pub fn approval() -> Approval {
    Approval {
        user: MANAGER,
        pin: MANAGER_PIN.to_owned(),
    }
}

/// The fewest notes and coins that make `minor`.
///
/// # Panics
/// When the country has no coins for it.
pub fn pieces(country: Country, minor: i64) -> Vec<Pieces> {
    let currency = match country {
        Country::Tunisia => domain::money::Currency::Tnd,
        Country::Morocco => domain::money::Currency::Mad,
    };
    let mut left = minor;
    let mut counted = Vec::new();
    for denomination_minor in currency.denominations_minor().iter().rev().copied() {
        let pieces = left / denomination_minor;
        left %= denomination_minor;
        if pieces > 0 {
            counted.push(Pieces {
                denomination_minor,
                pieces,
            });
        }
    }
    assert_eq!(left, 0, "{minor} cannot be counted out");
    counted
}

/// A tender of `kind` over `amount_minor`, or over what is due.
pub fn tender(kind: domain::event::TenderKind, amount_minor: Option<i64>) -> TenderInput {
    let reference = (kind != domain::event::TenderKind::Cash).then(|| "SLIP 0042".to_owned());
    TenderInput {
        kind,
        amount_minor,
        reference,
    }
}

// Enrolment, feeds and time: what a server, a runtime and a wall clock do.
impl Shop {
    fn context(&mut self) -> Context {
        self.drawn += 1;
        let mut seed = [self.setup.seed; 32];
        seed[24..].copy_from_slice(&self.drawn.to_be_bytes());
        Context {
            now: self.now,
            entropy: Entropy::new(seed),
        }
    }

    /// The till.
    ///
    /// # Panics
    /// After [`Shop::close_till`].
    pub fn till(&self) -> &Till {
        self.till.as_ref().expect("the till is open")
    }

    /// The till, to change.
    ///
    /// # Panics
    /// After [`Shop::close_till`].
    pub fn till_mut(&mut self) -> &mut Till {
        self.till.as_mut().expect("the till is open")
    }

    /// Its ledger.
    ///
    /// # Panics
    /// Before enrolment.
    pub fn ledger(&self) -> &Ledger {
        self.till().ledger().expect("the till is enrolled")
    }

    /// Its ledger, to change.
    ///
    /// # Panics
    /// Before enrolment.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        self.till_mut().ledger_mut().expect("the till is enrolled")
    }

    /// Its folder.
    ///
    /// # Panics
    /// When it lives in memory.
    pub fn folder(&self) -> &Path {
        self.folder_if_any().expect("a till on a folder")
    }

    fn folder_if_any(&self) -> Option<&Path> {
        match &self.place {
            Place::Memory => None,
            Place::Folder(folder) => Some(folder.path()),
            Place::Disk(disk) => Some(disk.folder()),
        }
    }

    /// Its disk.
    ///
    /// # Panics
    /// When it is not on one.
    pub fn disk(&self) -> &MemDisk {
        match &self.place {
            Place::Disk(disk) => disk,
            Place::Memory | Place::Folder(_) => panic!("the till is not on a disk in memory"),
        }
    }

    /// What the clocks say.
    pub const fn now(&self) -> Now {
        self.now
    }

    /// Lets time go by on both clocks.
    ///
    /// # Panics
    /// When `ms` is negative.
    pub fn advance_ms(&mut self, ms: i64) {
        self.now.wall_ms += ms;
        self.now.boot.ms += u64::try_from(ms).expect("time goes forward");
    }

    /// Somebody sets the wall clock.
    pub const fn set_wall_ms(&mut self, wall_ms: i64) {
        self.now.wall_ms = wall_ms;
    }

    /// Lets whole days go by.
    pub fn advance_days(&mut self, days: i64) {
        self.advance_ms(days * 86_400_000);
    }

    /// The machine starts anew: another boot, its clock near nothing. The program keeps running in memory;
    /// on a folder it is opened again.
    ///
    /// # Panics
    /// When the till does not open.
    pub fn reboot(&mut self) {
        self.now.boot = Boot {
            id: self.now.boot.id + 1,
            ms: 20_000,
        };
        if self.folder_if_any().is_some() {
            self.reopen();
        }
    }

    /// Ends the program, as a kill would.
    pub fn close_till(&mut self) {
        self.till = None;
    }

    /// Opens the till; a second one on a folder that is in use does not open.
    ///
    /// # Errors
    /// [`OpenTillError`].
    pub fn try_open(&mut self) -> Result<(), OpenTillError> {
        let options = self.setup.ledger_options;
        self.try_open_with(&options)
    }

    /// As [`Shop::try_open`], with a ceiling for the ledger, say.
    ///
    /// # Errors
    /// [`OpenTillError`].
    pub fn try_open_with(&mut self, options: &OpenOptions) -> Result<(), OpenTillError> {
        let context = self.context();
        let till = match self.folder_if_any() {
            Some(folder) => {
                Till::open_guarded(folder, "test", context, *options, &self.safeguards)?
            }
            None => Till::in_memory("test", context)?,
        };
        self.till = Some(till);
        Ok(())
    }

    /// From the next opening on the ledger has a witness in `folder`.
    pub fn witness_in(&mut self, folder: &Path) {
        self.safeguards.witness_dir = Some(folder.to_owned());
    }

    /// From the next opening on a damaged ledger is read with the help of these copies, newest first.
    pub fn copies_are(&mut self, copies: Vec<std::path::PathBuf>) {
        self.safeguards.copies = copies;
    }

    /// Ends the program and starts it again on its folder.
    ///
    /// # Panics
    /// When the till lives in memory or does not open.
    pub fn reopen(&mut self) {
        assert!(
            self.folder_if_any().is_some(),
            "a till in memory ends for good"
        );
        self.close_till();
        self.try_open().expect("the till opens again");
    }

    /// What the server answers to this device's enrolment.
    pub fn enrolled(&self) -> Enrolled {
        let store = self.store_code();
        let code = |text: &str| text.parse().expect("a code");
        Enrolled {
            tenant: "atlas".parse().expect("a tenant"),
            store: code(store),
            till: "01".parse().expect("a till number"),
            device: DeviceId(Uuid::from_u128(0xD1)),
            location: store.parse().expect("a location"),
            token: "token".to_owned(),
            authority: "hub".to_owned(),
            epoch: 1,
            server_key: "00".repeat(32),
            server_time: self.now.wall_ms,
            feeds: self.feeds(),
        }
    }

    /// Asks to be enrolled and answers as the server would.
    ///
    /// # Panics
    /// When the till refuses.
    pub fn enrol(&mut self) {
        let job = match self.ok(Command::Enrol {
            server: self.setup.server.to_owned(),
            code: "atlas.7ZK3QW2M".to_owned(),
        }) {
            Reply::Pending { job } => job,
            other => panic!("not pending: {other:?}"),
        };
        let enrolled = serde_json::to_string(&self.enrolled()).expect("plain data");
        let answer = self.job_finished(job, JobResult::Enrolled { enrolled });
        assert!(matches!(answer, Answer::Ok(Reply::Done {})), "{answer:?}");
    }

    /// Reports a job from outside, as the runtime does.
    pub fn job_finished(&mut self, job: JobId, result: JobResult) -> Answer {
        let context = self.context();
        self.till_mut()
            .handle_internal(Command::JobFinished { job, result }, context)
    }

    fn store_code(&self) -> &'static str {
        match self.setup.country {
            Country::Tunisia => "LM",
            Country::Morocco => "CA",
        }
    }

    fn price_list(&self) -> &'static str {
        match self.setup.country {
            Country::Tunisia => "TN",
            Country::Morocco => "MA",
        }
    }

    fn feeds(&self) -> Vec<FeedName> {
        let mut names = vec!["cat".to_owned()];
        names.push(format!("cfg:{}", self.store_code()));
        names.push(format!("price:{}", self.price_list()));
        names.push(format!("stock:{}", self.store_code()));
        names.push("stock:SO".to_owned());
        names
            .iter()
            .map(|name| name.parse().expect("a feed"))
            .collect()
    }

    /// Name of one of the till's feeds.
    ///
    /// # Panics
    /// When `text` names no feed.
    pub fn feed(&self, text: &str) -> FeedName {
        text.parse().expect("a feed")
    }

    /// The feed of the store's configuration.
    pub fn config_feed(&self) -> FeedName {
        self.feed(&format!("cfg:{}", self.store_code()))
    }

    /// The location that this till sells from.
    ///
    /// # Panics
    /// Never.
    pub fn location(&self) -> LocationId {
        self.store_code().parse().expect("a location")
    }

    /// Sends every feed once, whole.
    ///
    /// # Panics
    /// When the till does not take a page.
    pub fn receive_everything(&mut self) {
        let store = serde_json::to_value(self.store_config()).expect("plain data");
        let mut config = vec![("store".to_owned(), Some(store))];
        config.extend(staff().into_iter().map(staff_row));
        self.publish(&self.config_feed(), config);
        self.publish(&FeedName::Catalogue, catalogue());
        let prices = self.prices();
        self.publish(&self.feed(&format!("price:{}", self.price_list())), prices);
        self.set_stock(
            self.store_code(),
            &[(SHOE_42, 1), (SHOE_43, 5), (BALL, 3), (STRICT, 10)],
        );
        self.set_stock("SO", &[(BALL, 10)]);
    }

    /// Grants the till a total of `units` of a strict variant for `lease_ms` from now, as the server would.
    ///
    /// # Panics
    /// When the ledger does not take it.
    pub fn grant(&mut self, sku: &str, units: i64, lease_ms: i64) {
        let now = self.now;
        let grant = ledger::Grant {
            from: StreamId([0xAB; 16]),
            epoch: 1,
            line: RightsLine {
                variant: variant(sku),
                location: self.location(),
                total: Quantity::units(units).expect("units"),
                lease_end: Some(now.wall_ms + lease_ms),
            },
            signature: String::new(),
        };
        self.ledger_mut()
            .write(|tx| tx.take_grants(&[grant], now.wall_ms, &now))
            .expect("a grant");
    }

    /// Publishes rows: each gets the next version, and the page carries the checksum of the whole feed.
    /// A row without content leaves the feed.
    ///
    /// # Panics
    /// When the till does not take the page.
    pub fn publish(&mut self, feed: &FeedName, rows: Vec<(String, Option<Value>)>) {
        let page = self.page(feed, rows);
        let (server_time, wall) = (self.now.wall_ms, self.now.wall_ms);
        let outcome = self
            .ledger_mut()
            .write(|tx| tx.apply_page(&page, server_time, wall))
            .expect("the page is written");
        assert!(
            matches!(
                outcome,
                PageOutcome::Applied {
                    complete: true,
                    undecodable: 0,
                    ..
                }
            ),
            "{feed}: {outcome:?}"
        );
    }

    fn page(&mut self, feed: &FeedName, rows: Vec<(String, Option<Value>)>) -> FeedPage {
        let head = self.ledger().head();
        let held = self.office.entry(feed.clone()).or_default();
        let mut sent = Vec::new();
        for (pk, row) in rows {
            held.ver += 1;
            let text = row.map(|row| row.to_string());
            sent.push(FeedRow {
                pk: pk.clone(),
                ver: held.ver,
                row: text
                    .clone()
                    .map(|text| RawValue::from_string(text).expect("JSON")),
            });
            held.rows.insert(pk, (held.ver, text));
        }
        let checksum = held
            .rows
            .iter()
            .filter_map(|(pk, (_, text))| text.as_ref().map(|text| row_checksum(pk, text)))
            .fold(0, checksum_add);
        let next = Cursor {
            ver: held.ver,
            pk: sent.last().map(|row| row.pk.clone()).unwrap_or_default(),
        };
        let folded = match feed {
            FeedName::Stock(_) => {
                let mut folded = self.others.clone();
                folded.insert(head.stream, head.seq);
                folded
            }
            FeedName::Config(_) | FeedName::Catalogue | FeedName::Price(_) => BTreeMap::new(),
        };
        FeedPage {
            feed: feed.clone(),
            rows: sent,
            next,
            more: false,
            ver: held.ver,
            checksum: Some(checksum),
            folded,
        }
    }

    /// Head office's figures for a location, whole units by SKU, everything of this till folded in.
    pub fn set_stock(&mut self, location: &str, figures: &[(&str, i64)]) {
        let rows = figures
            .iter()
            .map(|(sku, units)| {
                let row = StockRow {
                    variant: variant(sku),
                    quantity: Quantity(units * 1_000),
                    anchor: None,
                    zones: Default::default(),
                };
                let row = serde_json::to_value(row).expect("plain data");
                (variant(sku).to_string(), Some(row))
            })
            .collect();
        self.publish(&self.feed(&format!("stock:{location}")), rows);
    }

    /// Head office changes the store.
    pub fn configure(&mut self, change: impl FnOnce(&mut StoreConfig)) {
        let mut store = self
            .ledger()
            .store_config()
            .expect("readable")
            .expect("configured");
        change(&mut store);
        let row = serde_json::to_value(store).expect("plain data");
        self.publish(&self.config_feed(), vec![("store".to_owned(), Some(row))]);
    }

    /// Head office changes a member of staff.
    pub fn set_staff(&mut self, user: UserId, change: impl FnOnce(&mut StaffMember)) {
        let mut member = self
            .ledger()
            .staff_member(user)
            .expect("readable")
            .expect("a member of staff");
        change(&mut member);
        self.publish(&self.config_feed(), vec![staff_row(member)]);
    }

    /// Head office changes the stock class of a variant everywhere.
    ///
    /// # Panics
    /// When there is no such variant.
    pub fn set_class(&mut self, sku: &str, class: StockClass) {
        let class = serde_json::to_value(class).expect("plain data");
        self.set_field(sku, "class", class);
    }

    /// Head office makes a kit of a variant.
    ///
    /// # Panics
    /// When there is no such variant.
    pub fn set_parts(&mut self, sku: &str, parts: &[KitPart]) {
        let parts = serde_json::to_value(parts).expect("plain data");
        self.set_field(sku, "parts", parts);
    }

    fn set_field(&mut self, sku: &str, field: &str, value: serde_json::Value) {
        let pk = format!("variant:{}", variant(sku));
        let row = catalogue().into_iter().find(|(of, _)| *of == pk);
        let (_, row) = row.expect("a variant of the catalogue");
        let mut row = row.expect("a live row");
        row[field] = value;
        self.publish(&FeedName::Catalogue, vec![(pk, Some(row))]);
    }

    /// Head office changes the price of a variant from `from` on.
    pub fn set_price(&mut self, sku: &str, from: &str, minor: i64) {
        let row = json!({"variant": variant(sku), "prices": [{"from": from, "minor": minor}]});
        let feed = self.feed(&format!("price:{}", self.price_list()));
        self.publish(&feed, vec![(variant(sku).to_string(), Some(row))]);
    }

    fn store_config(&self) -> StoreConfig {
        let (country, currency, standard, reduced) = match self.setup.country {
            Country::Tunisia => ("TN", "TND", "19", "7"),
            Country::Morocco => ("MA", "MAD", "20", "10"),
        };
        let code = self.store_code();
        let mut store = json!({
            "store": code,
            "location": code,
            "chain": "Atlas Sport",
            "name": {"fr": "La Marsa", "ar": "المرسى", "en": "La Marsa"},
            "address": ["12 avenue Habib Bourguiba"],
            "legal": ["MF 1234567A/A/M/000"],
            "country": country,
            "currency": currency,
            "price_list": self.price_list(),
            "receipt_language": "fr",
            "utc_offset_min": 60,
            "taxes": [
                {"category": "standard", "rate": standard, "from": "2018-01-01"},
                {"category": "reduced", "rate": reduced, "from": "2018-01-01"},
                {"category": "book", "rate": "0", "from": "2018-01-01", "to": "2026-06-30"},
            ],
            "over_short_limit_minor": 1_000,
            "discount_limit_bp": 1_000,
            "follows": [code, "SO"],
            "location_names": {
                code: {"fr": "La Marsa", "ar": "المرسى"},
                "SO": {"fr": "Sousse", "ar": "سوسة"},
            },
        });
        if self.setup.stamp {
            store["levies"] = json!([{"code": "stamp", "minor": 100, "from": "2022-01-01"}]);
        }
        if let Some(unit_minor) = self.setup.cash_rounding_minor {
            store["cash_rounding"] = json!({"unit_minor": unit_minor});
        }
        serde_json::from_value(store).expect("a store")
    }

    fn prices(&self) -> Vec<(String, Option<Value>)> {
        let minor = |tnd, mad| match self.setup.country {
            Country::Tunisia => tnd,
            Country::Morocco => mad,
        };
        let priced = ITEMS
            .iter()
            .enumerate()
            .filter(|(_, item)| !item.prices.is_empty());
        priced
            .map(|(index, item)| {
                let prices = item
                    .prices
                    .iter()
                    .map(|(from, tnd, mad)| domain::catalog::DatedPrice {
                        from: from.parse().expect("a date"),
                        minor: minor(*tnd, *mad),
                    })
                    .collect();
                let variant = variant_at(index);
                let row = serde_json::to_value(PriceRow { variant, prices });
                (variant.to_string(), Some(row.expect("plain data")))
            })
            .collect()
    }
}

fn staff() -> Vec<StaffMember> {
    let member = |user, name: &str, role, pin| StaffMember {
        user,
        name: name.to_owned(),
        role,
        pin_verifier: cheap_verifier(pin),
        pin_version: 1,
        language: None,
        active: user != LEFT,
    };
    vec![
        member(CASHIER, "Amira", Role::Cashier, CASHIER_PIN),
        member(MANAGER, "Salah", Role::Manager, MANAGER_PIN),
        member(LEFT, "Walid", Role::Cashier, "5937"),
    ]
}

fn staff_row(member: StaffMember) -> (String, Option<Value>) {
    let key = format!("user:{}", member.user);
    (key, Some(serde_json::to_value(member).expect("plain data")))
}

fn catalogue() -> Vec<(String, Option<Value>)> {
    let styles = STYLES
        .iter()
        .enumerate()
        .map(|(index, (code, brand, [fr, ar, en], options))| {
            let style = Style {
                style: style_at(index),
                code: (*code).to_owned(),
                names: Names {
                    fr: (*fr).to_owned(),
                    ar: (*ar).to_owned(),
                    en: (*en).to_owned(),
                },
                brand: (*brand).to_owned(),
                category: "Sport".to_owned(),
                options: options.iter().map(ToString::to_string).collect(),
            };
            let row = serde_json::to_value(&style).expect("plain data");
            (format!("style:{}", style.style), Some(row))
        });
    let variants = ITEMS.iter().enumerate().map(|(index, item)| {
        let variant = Variant {
            variant: variant_at(index),
            number: u32::try_from(index + 1).expect("a small catalogue"),
            style: style_at(item.style),
            sku: item.sku.to_owned(),
            options: item.options.iter().map(ToString::to_string).collect(),
            gtins: item
                .gtins
                .iter()
                .map(|gtin| Gtin::parse(gtin).expect("a right check digit"))
                .collect(),
            tax: item.tax.parse().expect("a tax category"),
            class: item.class,
            classes: BTreeMap::new(),
            parts: Vec::new(),
            archived: item.archived,
        };
        let row = serde_json::to_value(&variant).expect("plain data");
        (format!("variant:{}", variant.variant), Some(row))
    });
    styles.chain(variants).collect()
}

// The door.
impl Shop {
    /// A request id that was not used yet.
    pub fn request_id(&mut self) -> RequestId {
        let mut context = self.context();
        RequestId(context.entropy.next_uuid(self.now.wall_ms))
    }

    /// Sends a command as a new request.
    pub fn call(&mut self, command: Command) -> Answer {
        let id = self.request_id();
        self.call_as(id, command)
    }

    /// Sends a command under a given request id.
    pub fn call_as(&mut self, id: RequestId, command: Command) -> Answer {
        let context = self.context();
        self.till_mut().handle(&Request { id, command }, context)
    }

    /// Sends the text of a command under a new request id.
    ///
    /// # Panics
    /// When the text around it is no request.
    pub fn call_text(&mut self, command: &str) -> Answer {
        let id = self.request_id();
        let text = self
            .call_json(&format!(r#"{{"id":"{id}","command":{command}}}"#))
            .expect("a request");
        serde_json::from_str(&text).expect("an answer")
    }

    /// Sends the text of a request.
    ///
    /// # Errors
    /// [`till::Unparsable`].
    pub fn call_json(&mut self, text: &str) -> Result<String, till::Unparsable> {
        let context = self.context();
        self.till_mut().handle_json(text, context)
    }

    /// Sends a command that must be carried out.
    ///
    /// # Panics
    /// When it is refused.
    pub fn ok(&mut self, command: Command) -> Reply {
        match self.call(command.clone()) {
            Answer::Ok(reply) => reply,
            Answer::Refused(refusal) => panic!("{command:?} was refused: {refusal:?}"),
        }
    }

    /// Sends a command that must be refused; nothing may have changed.
    ///
    /// # Panics
    /// When it is carried out, or leaves a trace.
    pub fn refused(&mut self, command: Command) -> Refusal {
        let before = self.traces();
        let refusal = match self.call(command.clone()) {
            Answer::Refused(refusal) => refusal,
            Answer::Ok(reply) => panic!("{command:?} was not refused: {reply:?}"),
        };
        assert_eq!(before, self.traces(), "{command:?} left a trace");
        refusal
    }

    /// Sends a command that must be refused with `code` and exactly these parameters.
    ///
    /// # Panics
    /// When it is not.
    pub fn refused_with(&mut self, command: Command, code: RefusalCode, params: Value) {
        let refusal = self.refused(command.clone());
        let found = serde_json::to_value(&refusal.params).expect("plain data");
        assert_eq!((refusal.code, found), (code, params), "{command:?}");
    }

    /// Everything that a refused command must leave as it was.
    ///
    /// # Panics
    /// When the ledger cannot be read.
    pub fn traces(&mut self) -> Value {
        let id = self.request_id();
        let context = self.context();
        let mut ask = |command| {
            let request = Request { id, command };
            let answer = self.till_mut().handle(&request, context.clone());
            serde_json::to_value(answer).expect("plain data")
        };
        let mut traces = json!([
            ask(Command::Status {}),
            ask(Command::GetCart {}),
            ask(Command::ListParked {}),
            ask(Command::GetSettings {}),
            ask(Command::ListPrintJobs {}),
            null,
            ask(Command::GetStockCount {}),
        ]);
        // A tenth wrong PIN is refused and blocks; that is not what is looked for here.
        traces[0]["ok"]["user"]["blocked"] = Value::Null;
        // A disk that fails shows as such, and that is no trace of the command.
        traces[0]["ok"]["storage"] = Value::Null;
        if let Some(ledger) = self.till().ledger() {
            traces[5] = serde_json::to_value(ledger.head()).expect("plain data");
        }
        traces
    }

    /// Everything that happened, in order.
    ///
    /// # Panics
    /// When the ledger cannot be read.
    pub fn facts(&self) -> Vec<Fact> {
        let events = self.ledger().events(1, usize::MAX, usize::MAX);
        let read = |event: ledger::StoredEvent| {
            let event = Event::decode(event.bytes.as_ref()).expect("an event");
            event.fact().expect("a known fact")
        };
        events.expect("readable").into_iter().map(read).collect()
    }

    /// Recomputes the whole ledger.
    ///
    /// # Panics
    /// With the first bad row.
    pub fn verify_clean(&self) {
        let report = self.ledger().verify().expect("the ledger can be read");
        assert!(report.ok, "{:?}", report.first_bad);
    }

    /// State of the till.
    ///
    /// # Panics
    /// Never: a status is not refused.
    pub fn status(&mut self) -> Status {
        match self.ok(Command::Status {}) {
            Reply::Status(status) => *status,
            other => panic!("not a status: {other:?}"),
        }
    }

    /// Signs in by PIN.
    ///
    /// # Panics
    /// When the PIN is refused.
    pub fn sign_in(&mut self, user: UserId) {
        let pin = if user == MANAGER {
            MANAGER_PIN
        } else {
            CASHIER_PIN
        };
        self.ok(Command::SignIn {
            user,
            pin: pin.to_owned(),
        });
    }

    /// Signs the cashier in and opens a shift with 100.000 TND or 1,000.00 MAD.
    pub fn open(&mut self) {
        self.sign_in(CASHIER);
        self.open_shift(100_000);
    }

    /// Opens a shift with a float of `minor`.
    pub fn open_shift(&mut self, minor: i64) {
        let count = pieces(self.setup.country, minor);
        self.ok(Command::OpenShift {
            drawer: None,
            count,
            approval: None,
        });
    }

    /// Sends a command that answers with a cart.
    ///
    /// # Panics
    /// When it is refused or answers otherwise.
    pub fn cart_of(&mut self, command: Command) -> CartView {
        match self.ok(command) {
            Reply::Cart(cart) => *cart,
            other => panic!("not a cart: {other:?}"),
        }
    }

    /// The cart in hand.
    pub fn cart(&mut self) -> CartView {
        self.cart_of(Command::GetCart {})
    }

    /// Scans a barcode or SKU.
    pub fn scan(&mut self, code: &str) -> CartView {
        self.cart_of(Command::ScanCode {
            code: code.to_owned(),
        })
    }

    /// Completes the cart in hand with `tenders`.
    ///
    /// # Panics
    /// When it is refused.
    pub fn complete(&mut self, tenders: Vec<TenderInput>) -> CompletedView {
        let sale = self.cart().sale;
        match self.ok(Command::Complete {
            sale,
            tenders,
            approval: None,
        }) {
            Reply::Completed(done) => *done,
            other => panic!("not completed: {other:?}"),
        }
    }

    /// Completes the cart in hand with cash, exact or `amount_minor`.
    pub fn pay_cash(&mut self, amount_minor: Option<i64>) -> CompletedView {
        self.complete(vec![tender(domain::event::TenderKind::Cash, amount_minor)])
    }

    /// Totals so far.
    ///
    /// # Panics
    /// When it is refused.
    pub fn x_report(&mut self) -> ReportView {
        match self.ok(Command::XReport {
            print: false,
            approval: None,
        }) {
            Reply::Report(report) => *report,
            other => panic!("not a report: {other:?}"),
        }
    }

    /// Closes the shift with exactly the cash that should be there.
    ///
    /// # Panics
    /// When it is refused.
    pub fn close_exact(&mut self) -> ReportView {
        let expected = self.x_report().expected_minor;
        self.close_with(expected)
    }

    /// Closes the shift with `counted_minor` in the drawer and a manager's word.
    ///
    /// # Panics
    /// When it is refused.
    pub fn close_with(&mut self, counted_minor: i64) -> ReportView {
        let count = pieces(self.setup.country, counted_minor);
        match self.ok(Command::CloseShift {
            count,
            approval: Some(approval()),
        }) {
            Reply::Report(report) => *report,
            other => panic!("not a report: {other:?}"),
        }
    }
}
