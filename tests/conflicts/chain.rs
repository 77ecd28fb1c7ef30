//! A chain of shops as the scenarios see it: tills that sell for cash, one server, and what must hold in the end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use domain::config::Role;
use domain::event::{
    CountReason, Counted, Fact, IncidentKind, MAIN_ZONE, StockCounted, StreamPos, TenderKind,
};
use domain::ids::{LocationId, PromiseId, StreamId, VariantId};
use domain::money::Currency;
use domain::quantity::Quantity;
use hub::import::ImportOptions;
use hub::{Hub, IncidentLine, PromiseAnswer, PromiseLine, PromiseRequest};
use support::world::{MARSA, Shop, TillNode, World, pieces};
use tempfile::TempDir;
use till::door::{Answer, CartView, Command, CompletedView, Refusal, Reply, TenderInput};
use uuid::Uuid;

/// A second store of the first one's country.
pub const SFAX: Shop = Shop {
    code: "SF",
    country: "TN",
    currency: Currency::Tnd,
    list: "TN",
    rates: (19, 7),
};

const STORES: [Shop; 2] = [MARSA, SFAX];
/// SKU, class, price in TND, units in the first store and in the second.
const ARTICLES: [(&str, &str, &str, i64, i64); 3] = [
    ("BALL", "shelf", "10.000", 1, 5),
    ("CORD", "shelf", "7.000", 20, 20),
    ("TICKET", "strict", "30.000", 1, 1),
];
/// Long enough for every till to poll.
const ROUND_MS: i64 = 600_000;

/// A chain with tills that are open for business.
pub struct Chain {
    pub world: World,
    folder: TempDir,
    /// Tills that will not be heard of again.
    pub gone: BTreeSet<usize>,
    /// Receipts in the hands of customers: how many, and what they come to.
    pub receipts: u64,
    pub taken_minor: i64,
    promises: u128,
}

impl Chain {
    /// `tills_each` tills in each of two stores: those of the first store come first.
    pub fn new(tills_each: usize) -> Chain {
        Chain::seeded(tills_each, 28)
    }

    /// As [`Chain::new`], with keys and ids of their own.
    pub fn seeded(tills_each: usize, seed: u64) -> Chain {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut csv = "style,name_fr,tax,class,sku,price:TN,stock:LM,stock:SF\n".to_owned();
        for (sku, class, price, here, there) in ARTICLES {
            csv.push_str(&format!(
                "{sku},{sku},standard,{class},{sku},{price},{here},{there}\n"
            ));
        }
        let (world, _) =
            World::new(folder.path(), &STORES, tills_each, &csv, seed).expect("a chain");
        let mut chain = Chain {
            world,
            folder,
            gone: BTreeSet::new(),
            receipts: 0,
            taken_minor: 0,
            promises: 0,
        };
        for index in 0..chain.world.tills.len() {
            chain.open_till(index);
        }
        chain.settle();
        chain
    }

    /// Signs a cashier in and opens a drawer.
    pub fn open_till(&mut self, index: usize) {
        let node = self.till(index);
        node.sign_in(Role::Cashier).expect("signed in");
        node.ok(Command::OpenShift {
            drawer: None,
            count: pieces(50_000, Currency::Tnd).expect("a float"),
            approval: None,
        })
        .expect("open");
    }

    pub fn till(&mut self, index: usize) -> &mut TillNode {
        &mut self.world.tills[index]
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of a till that the chain began with.
    pub fn data(&self, index: usize) -> PathBuf {
        let node = &self.world.tills[index];
        self.folder
            .path()
            .join(format!("{}-{}", node.shop.code, node.number))
    }

    pub fn with_hub<T>(&self, work: impl FnOnce(&mut Hub) -> T) -> T {
        work(
            &mut self
                .world
                .hub
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    pub fn variant(&self, sku: &str) -> VariantId {
        let row = self.with_hub(|hub| hub.variant_of_sku(sku));
        row.expect("read").expect("imported").variant
    }

    pub fn stream(&self, index: usize) -> StreamId {
        let ledger = self.world.tills[index].till.ledger().expect("a ledger");
        ledger.identity().stream
    }

    /// Where the journal of a till ends.
    pub fn head(&self, index: usize) -> StreamPos {
        let ledger = self.world.tills[index].till.ledger().expect("a ledger");
        let head = ledger.head();
        StreamPos {
            stream: head.stream,
            seq: head.seq,
        }
    }

    /// Scans each code once; the cart.
    pub fn scan(&mut self, index: usize, codes: &[&str]) -> Result<CartView, Refusal> {
        let mut cart = None;
        for code in codes {
            let command = Command::ScanCode {
                code: (*code).to_owned(),
            };
            match self.till(index).call(command) {
                Answer::Ok(Reply::Cart(view)) => cart = Some(*view),
                Answer::Refused(refusal) => return Err(refusal),
                other => panic!("{other:?}"),
            }
        }
        Ok(cart.expect("a code"))
    }

    /// Takes cash for the cart in hand.
    pub fn pay(&mut self, index: usize, cart: &CartView) -> CompletedView {
        let command = Command::Complete {
            sale: cart.sale,
            tenders: vec![TenderInput {
                kind: TenderKind::Cash,
                amount_minor: None,
                reference: None,
            }],
            approval: None,
        };
        let Reply::Completed(done) = self.till(index).ok(command).expect("sold") else {
            panic!("a completion answers as one")
        };
        self.receipts += 1;
        self.taken_minor += done.total_minor;
        *done
    }

    /// Scans each code once and takes cash.
    pub fn sell(&mut self, index: usize, codes: &[&str]) -> CompletedView {
        let cart = self.scan(index, codes).expect("scanned");
        self.pay(index, &cart)
    }

    /// Writes a fact that no command of a till writes yet into its journal.
    pub fn write(&mut self, index: usize, fact: &Fact) -> StreamPos {
        let node = self.till(index);
        let now = node.now();
        let ledger = node.till.ledger_mut().expect("a ledger");
        ledger
            .write(|tx| tx.append_unasked(&now, fact))
            .expect("written");
        self.head(index)
    }

    /// The till of the first store that may sell the last ticket.
    pub fn holder(&mut self) -> usize {
        let found = (0..self.world.tills.len()).find(|index| {
            let scanned = self.scan(*index, &["TICKET"]).is_ok();
            if scanned {
                self.till(*index)
                    .ok(Command::ClearCart {})
                    .expect("cleared");
            }
            scanned
        });
        found.expect("one holds the right")
    }

    /// Till `index` counts its shop's main zone, after all that it did itself and knowing what others did up to
    /// `known`.
    pub fn count(&mut self, index: usize, sku: &str, units: i64, known: &[StreamPos]) -> StreamPos {
        let head = self.head(index);
        let known = known.iter().map(|at| (at.stream, at.seq));
        let cut = known.chain([(head.stream, head.seq)]).collect();
        let fact = Fact::StockCounted(StockCounted {
            location: location(self.world.tills[index].shop),
            zone: MAIN_ZONE.to_owned(),
            cut,
            items: vec![Counted {
                variant: self.variant(sku),
                quantity: Quantity::units(units).expect("units"),
                expected: None,
                looked: None,
                ago_ms: 0,
            }],
            reason: CountReason::Count,
            document: None,
            user: None,
            approved_by: None,
        });
        self.write(index, &fact)
    }

    /// Till `index` talks to the server until it has nothing to say.
    pub fn sync(&mut self, index: usize) {
        self.world.advance(60_000);
        self.world.sync_until_quiet(index, 200).expect("quiet");
    }

    /// Everybody who is there talks until nobody has anything to say.
    pub fn settle(&mut self) {
        self.world.net.heal();
        for _ in 0..3 {
            for index in 0..self.world.tills.len() {
                if !self.gone.contains(&index) {
                    self.world.advance(ROUND_MS);
                    self.world.sync_until_quiet(index, 200).expect("quiet");
                }
            }
        }
    }

    /// Units that the server has of an article in a store.
    pub fn on_hand(&self, sku: &str, shop: Shop) -> i64 {
        let variant = self.variant(sku);
        let known = self.with_hub(|hub| hub.on_hand(variant, &location(shop)));
        known.expect("read").unwrap_or_default().0 / 1_000
    }

    /// Units that a till shows of an article in its own store.
    pub fn shown(&self, index: usize, sku: &str) -> i64 {
        let node = &self.world.tills[index];
        let ledger = node.till.ledger().expect("a ledger");
        let known = ledger.stock(self.variant(sku), &location(node.shop));
        known.expect("read").expect("known").quantity.0 / 1_000
    }

    /// What the online shop can have of an article in a store.
    pub fn promise(&mut self, sku: &str, shop: Shop, units: i64) -> (PromiseId, bool) {
        self.promises += 1;
        let promise = PromiseId(Uuid::from_u128(self.promises));
        let request = PromiseRequest {
            promise,
            lines: vec![PromiseLine {
                variant: self.variant(sku),
                location: location(shop),
                quantity: Quantity::units(units).expect("units"),
            }],
            life_ms: None,
        };
        let now = self.world.now();
        let answer = self.with_hub(|hub| hub.promise(&request, &now));
        let promised = matches!(answer.expect("asked"), PromiseAnswer::Promised { .. });
        (promise, promised)
    }

    /// Head office brings in a catalogue of its own format, prices from `day` on.
    pub fn import(&mut self, csv: &str, day: &str) {
        let report = self.try_import(csv, day);
        assert!(report.applied, "{:?}", report.errors);
    }

    pub fn try_import(&mut self, csv: &str, day: &str) -> hub::import::ImportReport {
        let options = ImportOptions {
            dry_run: false,
            valid_from: day.parse().expect("a day"),
            price_list: Some("TN".parse().expect("a list")),
            tax: "standard".parse().expect("a tax"),
            opening_stock: false,
            stock_location: None,
        };
        let now = self.world.now();
        let report =
            self.with_hub(|hub| hub.import(csv.as_bytes(), &options, &now, &mut |_, _| {}));
        report.expect("import")
    }

    /// Open incidents, the latest first.
    pub fn incidents(&self) -> Vec<IncidentLine> {
        self.with_hub(|hub| hub.incidents(true, 100).expect("incidents"))
    }

    /// The open incident of a kind; its story.
    pub fn story(&self, kind: IncidentKind) -> Vec<StreamPos> {
        let lines = self.incidents();
        let line = lines.iter().find(|line| line.kind == kind);
        let events = &line.expect("such an incident").story;
        events
            .iter()
            .map(|event| StreamPos {
                stream: event.stream,
                seq: event.seq,
            })
            .collect()
    }

    /// What a till shows of what a person should look at, and what the server has open of its store.
    fn shown_and_open(&mut self, index: usize) -> [Vec<IncidentKind>; 2] {
        let asked = self.till(index).ok(Command::ListIncidents {});
        let Ok(Reply::Incidents { incidents }) = asked else {
            panic!("{asked:?}")
        };
        let shown = incidents.into_iter().map(|row| row.kind).collect();
        let store = self.world.tills[index].shop.code;
        let is_here = |line: &IncidentLine| {
            let place = line.location.as_ref().map(LocationId::as_str);
            let of = place.or(line.store.as_ref().map(|of| of.as_str()));
            of.is_none_or(|of| of == store)
        };
        let open = self.incidents().into_iter().filter(is_here);
        let mut both = [shown, open.map(|line| line.kind).collect()];
        both.iter_mut().for_each(|kinds: &mut Vec<_>| kinds.sort());
        both
    }

    /// After everybody has talked: each sale is in the takings once, tills and server have the same stock, all files
    /// verify, and these are the open incidents, which the tills of each store show.
    pub fn assert_settled(&mut self, incidents: &[IncidentKind]) {
        self.settle();
        let takings = self.with_hub(|hub| hub.takings(None).expect("takings"));
        let receipts: u64 = takings.iter().map(|row| row.receipts).sum();
        let taken: i64 = takings.iter().map(|row| row.takings_minor).sum();
        assert_eq!((receipts, taken), (self.receipts, self.taken_minor));
        self.assert_sound(incidents);
    }

    /// As [`Chain::assert_settled`], where not every receipt has reached the server.
    pub fn assert_sound(&mut self, incidents: &[IncidentKind]) {
        for index in 0..self.world.tills.len() {
            let node = &self.world.tills[index];
            let ledger = node.till.ledger().expect("a ledger");
            assert_eq!(ledger.verify().expect("verify").first_bad, None);
            if self.gone.contains(&index) {
                continue;
            }
            assert_eq!(node.unsynced().expect("read"), 0, "till {index}");
            for (sku, ..) in ARTICLES {
                let there = self.on_hand(sku, node.shop);
                assert_eq!(self.shown(index, sku), there, "{sku} at till {index}");
            }
            let [shown, open] = self.shown_and_open(index);
            assert_eq!(shown, open, "at till {index}");
        }
        let report = self.with_hub(|hub| hub.verify().expect("verify"));
        assert_eq!(report.first_bad, None);
        let mut found: Vec<_> = self.incidents().into_iter().map(|line| line.kind).collect();
        let mut expected = incidents.to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    }
}

/// The location of a store.
pub fn location(shop: Shop) -> LocationId {
    LocationId::new(shop.code).expect("a location")
}

/// Copies the files of a folder; folders in it stay.
pub fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}
