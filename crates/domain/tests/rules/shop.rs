//! A small shop to state rules about: variants, terms, tenders, receipts as text, and seeded chance.

use domain::cart::{Cart, Discount, NewLine, Pricing};
use domain::catalog::{Names, StockClass};
use domain::config::{CashRounding, DocumentLevy, Rate, TaxRounding};
use domain::event::{
    CountReason, Counted, Fact, MAIN_ZONE, Reversed, SaleBody, ShiftOpened, StockCounted, Tender,
    TenderKind,
};
use domain::ids::{
    LocationId, PriceListId, SaleId, ShiftId, StreamId, TaxCategory, UserId, VariantId,
};
use domain::money::{Currency, format_amount};
use domain::quantity::Quantity;
use domain::sale::SaleHeader;
use domain::time::BusinessDate;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use uuid::Uuid;

/// Seeded chance (SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Between nothing and `below`, without it.
    pub fn below(&mut self, below: u64) -> u64 {
        self.next() % below
    }

    pub fn amount(&mut self, below: i64) -> i64 {
        i64::try_from(self.below(below.unsigned_abs())).expect("below an i64")
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let other = usize::try_from(self.below(index as u64 + 1)).expect("an index");
            items.swap(index, other);
        }
    }
}

pub fn rate(percent: &str) -> Rate {
    Rate::percent(percent.parse().expect("decimal")).expect("rate")
}

pub fn variant(number: u64) -> VariantId {
    VariantId(Uuid::from_u64_pair(1, number))
}

pub fn sale_id(number: u64) -> SaleId {
    SaleId(Uuid::from_u64_pair(2, number))
}

pub fn user() -> UserId {
    UserId(Uuid::from_u64_pair(3, 1))
}

pub fn shift() -> ShiftId {
    ShiftId(Uuid::from_u64_pair(4, 1))
}

pub fn stream(number: u8) -> StreamId {
    StreamId([number; 16])
}

pub fn location() -> LocationId {
    LocationId::new("LM").expect("location")
}

pub fn date(text: &str) -> BusinessDate {
    text.parse().expect("date")
}

/// What a store sells under.
#[derive(Clone)]
pub struct Terms {
    pub currency: Currency,
    pub tax_rounding: TaxRounding,
    pub levies: Vec<DocumentLevy>,
    pub cash_rounding: Option<CashRounding>,
    pub date: BusinessDate,
}

impl Terms {
    pub fn new(currency: Currency) -> Terms {
        Terms {
            currency,
            tax_rounding: TaxRounding::PerLine,
            levies: Vec::new(),
            cash_rounding: None,
            date: date("2026-11-22"),
        }
    }

    pub fn stamped(mut self, minor: i64) -> Terms {
        self.levies.push(levy("stamp", minor, "2022-02-01", None));
        self
    }

    pub fn rounded_to(mut self, unit_minor: i64) -> Terms {
        self.cash_rounding = Some(cash_rounding(unit_minor));
        self
    }

    pub fn per_receipt(mut self) -> Terms {
        self.tax_rounding = TaxRounding::PerReceipt;
        self
    }

    pub fn pricing(&self) -> Pricing<'_> {
        Pricing {
            currency: self.currency,
            tax_rounding: self.tax_rounding,
            levies: &self.levies,
            cash_rounding: self.cash_rounding,
            date: self.date,
        }
    }
}

pub fn levy(code: &str, minor: i64, from: &str, to: Option<&str>) -> DocumentLevy {
    DocumentLevy {
        code: code.to_owned(),
        minor,
        from: date(from),
        to: to.map(date),
    }
}

/// An article: name, unit price in minor units, rate in percent.
pub fn article(name: &str, list_minor: i64, percent: &str, thousandths: i64) -> NewLine {
    let number = name
        .bytes()
        .fold(0_u64, |sum, byte| sum * 31 + u64::from(byte));
    NewLine {
        variant: variant(number),
        sku: name.to_uppercase(),
        names: Names {
            fr: name.to_owned(),
            ..Names::default()
        },
        options: Vec::new(),
        quantity: Quantity(thousandths),
        list_minor,
        tax: TaxCategory::new("standard").expect("category"),
        rate: rate(percent),
        class: StockClass::Shelf,
        components: Vec::new(),
    }
}

pub fn cart(articles: impl IntoIterator<Item = NewLine>) -> Cart {
    let mut cart = Cart::new(sale_id(1));
    for article in articles {
        cart.add_line(article).expect("a line");
    }
    cart
}

pub fn header(number_seq: u64) -> SaleHeader {
    SaleHeader {
        number: format!("LM-01-00000-2026-{number_seq:06}"),
        number_seq,
        business_date: date("2026-11-22"),
        shift: shift(),
        cashier: user(),
        location: location(),
        price_list: PriceListId::new("TN").expect("list"),
        price_version: 7,
        cash_stamp_bp: None,
    }
}

pub fn cash(amount_minor: i64) -> Tender {
    Tender {
        kind: TenderKind::Cash,
        amount_minor,
        reference: None,
    }
}

pub fn card(amount_minor: i64) -> Tender {
    Tender {
        kind: TenderKind::Card,
        amount_minor,
        reference: Some("slip 7".to_owned()),
    }
}

pub fn cheque(amount_minor: i64) -> Tender {
    Tender {
        kind: TenderKind::Other,
        amount_minor,
        reference: Some("cheque 9".to_owned()),
    }
}

/// The amounts of a sale, one a line, as a bookkeeper would tick them off.
pub fn receipt(sale: &SaleBody) -> String {
    let show = |minor| format_amount(minor, sale.currency);
    let mut text = String::new();
    let mut row = |name: &str, amount: String| {
        let _ = writeln!(text, "{name:<24}{amount:>10}");
    };
    for line in &sale.lines {
        row(
            &format!("{} x {}", line.quantity, line.label),
            show(line.total_minor),
        );
        let discounts = line.discount_minor + line.cart_discount_minor;
        if discounts != 0 {
            row("  discount", show(-discounts));
        }
    }
    for levy in &sale.levies {
        row(&levy.code, show(levy.minor));
    }
    if sale.rounding_minor != 0 {
        row("rounding", show(sale.rounding_minor));
    }
    row("total", show(sale.total_minor));
    for tax in &sale.taxes {
        row(&format!("net {} %", tax.rate), show(tax.net_minor));
        row(&format!("tax {} %", tax.rate), show(tax.tax_minor));
    }
    for tender in &sale.tenders {
        row(
            &format!("{:?}", tender.kind).to_lowercase(),
            show(tender.amount_minor),
        );
    }
    if sale.change_minor != 0 {
        row("change", show(sale.change_minor));
    }
    text
}

/// A cart of one to six lines, with prices, quantities and discounts as they come.
pub fn random_cart(chance: &mut Chance) -> Cart {
    let mut cart = Cart::new(sale_id(chance.next()));
    for _ in 0..=chance.below(6) {
        let percent = chance.pick(&["0", "7", "19", "20", "5.5"]).to_owned();
        let name = format!("article {}", chance.below(9));
        let quantity = match chance.below(3) {
            0 => 1_000,
            1 => (1 + chance.amount(12)) * 1_000,
            _ => 1 + chance.amount(5_000),
        };
        let price = chance.amount(300_000);
        let number = cart
            .add_line(article(&name, price, percent, quantity))
            .expect("a line");
        if chance.below(4) == 0 {
            cart.set_price(number, chance.amount(300_000))
                .expect("a price");
        }
        let discount = random_discount(chance, 100);
        // An amount above what the line comes to is refused, and the line keeps what it had.
        let _ = cart.discount_line(number, discount);
    }
    let discount = random_discount(chance, 1);
    cart.discount_cart(discount).expect("fits some cart");
    cart
}

fn random_discount(chance: &mut Chance, amount_max: i64) -> Discount {
    match chance.below(4) {
        0 => Discount::Percent {
            bp: u32::try_from(chance.below(10_001)).expect("a share"),
        },
        1 => Discount::Amount {
            minor: chance.amount(amount_max + 1),
        },
        _ => Discount::None,
    }
}

/// Terms with every combination of rounding and levy now and then.
pub fn random_terms(chance: &mut Chance) -> Terms {
    let mut terms = Terms::new(*chance.pick(&[Currency::Tnd, Currency::Mad]));
    if chance.below(2) == 0 {
        terms = terms.per_receipt();
    }
    if chance.below(2) == 0 {
        terms = terms.stamped(100);
    }
    match chance.below(3) {
        0 => terms,
        _ => {
            let unit = *chance.pick(&[5, 10, 50, 100]);
            terms.rounded_to(unit)
        }
    }
}

/// Tenders that settle `exact_minor`: card and cheque up to some of it, cash for the rest, mostly too much.
pub fn random_tenders(chance: &mut Chance, exact_minor: i64, terms: &Terms) -> Vec<Tender> {
    let mut tenders = Vec::new();
    for make in [card as fn(i64) -> Tender, cheque] {
        let due = domain::sale::due(exact_minor, &tenders, terms.cash_rounding).expect("due");
        if chance.below(3) == 0 && due.due_minor > 0 {
            tenders.push(make(1 + chance.amount(due.due_minor)));
        }
    }
    let due = domain::sale::due(exact_minor, &tenders, terms.cash_rounding).expect("due");
    if due.due_minor > 0 {
        let extra = chance.amount(20_000);
        tenders.push(cash((due.due_cash_minor + extra).max(1)));
    }
    chance.shuffle(&mut tenders);
    tenders
}

pub fn reversed(of: &SaleBody, mirror: SaleBody) -> Fact {
    Fact::Reversed(Reversed {
        of: of.sale,
        of_number: of.number.clone(),
        reason: "mistake".to_owned(),
        mirror,
    })
}

pub fn opened(float_minor: i64) -> ShiftOpened {
    ShiftOpened {
        shift: shift(),
        drawer: 1,
        business_date: date("2026-11-22"),
        user: user(),
        currency: Currency::Tnd,
        count: BTreeMap::new(),
        float_minor,
        approved_by: None,
        shift_key: None,
    }
}

/// A sale of whole units of one variant (negative: brought back), with nothing to pay.
pub fn moved(number: u64, units: i64) -> Fact {
    let mut cart = cart([article("ball", 0, "19", 1_000)]);
    cart.lines[0].variant = variant(number);
    let pricing = Terms::new(Currency::Tnd);
    let mut sale = domain::sale::complete(&cart, &pricing.pricing(), header(1), &[]).expect("free");
    sale.lines[0].quantity = Quantity(units * 1_000);
    Fact::SaleCompleted(sale)
}

/// The same of a strict variant.
pub fn moved_strict(number: u64, units: i64) -> Fact {
    match moved(number, units) {
        Fact::SaleCompleted(mut sale) => {
            sale.lines[0].class = StockClass::Strict;
            Fact::SaleCompleted(sale)
        }
        other => other,
    }
}

/// A count of one variant.
pub fn counted(number: u64, units: i64, cut: BTreeMap<StreamId, u64>) -> Fact {
    Fact::StockCounted(StockCounted {
        approved_by: None,
        location: location(),
        zone: MAIN_ZONE.to_owned(),
        cut,
        items: vec![Counted {
            variant: variant(number),
            quantity: Quantity(units * 1_000),
            expected: None,
            looked: None,
            ago_ms: 0,
        }],
        reason: CountReason::Count,
        document: None,
        user: None,
    })
}

/// Rounding to the nearest multiple of a unit.
pub fn cash_rounding(unit_minor: i64) -> CashRounding {
    CashRounding {
        unit_minor,
        mode: domain::config::RoundingMode::HalfUp,
    }
}
