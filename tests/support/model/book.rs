//! The reference model: a till as somebody with a pencil would keep it. Plain lists and sums, no files, no events,
//! none of the product's arithmetic. [`Model::apply`] says what the door must answer, as the fields of the reply
//! that the model answers for, or the code of the refusal.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveDate};
use domain::event::{CashMovement, PeriodKind, TenderKind};
use domain::ids::{SaleId, UserId};
use domain::time::Now;
use serde_json::{Value, json};
use testkit::rng::Rng;
use testkit::shop::{
    ARCHIVED, BALL, BALL_UPC, CASHIER, Country, FUTURE, LEFT, MANAGER, SERVICE, SHOE_42,
    SHOE_42_EAN, SHOE_43, SHOE_43_CARTON, SOCKS, STRICT, TEE, UNPRICED, UNTAXED, variant,
};
use till::door::{Approval, Command, DiscountInput, Pieces, RefusalCode, TenderInput};

use super::cart::{
    AMOUNT_MAX, Cart, Line, Priced, QUANTITY_MAX, Settled, Tender, due, hold_discounts, price,
    settle, taxes,
};

/// A rule that is wrong on purpose: a harness that does not notice it is blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrongRule {
    /// A reversal gives the levy back.
    LevyGivenBack,
    /// Change is not taken out of the drawer.
    ChangeStaysInDrawer,
    /// Every third Z leaves a number out.
    ZNumberSkips,
    /// Goods that come back are not put on the shelf.
    StockNotReturned,
    /// A month is closed only when its year is.
    MonthWaitsForYear,
    /// Receipt numbers go on over the turn of the year.
    NumbersGoOnOverYears,
    /// A second drawer opens on the date of the clock instead of that of the day under way.
    DrawerOpensOnItsOwnDate,
    /// Tax is rounded down.
    NetRoundsUp,
    /// A count that was blind and off leaves no trace.
    BlindCountUnseen,
}

impl WrongRule {
    /// Every one.
    pub const ALL: [WrongRule; 9] = [
        WrongRule::LevyGivenBack,
        WrongRule::ChangeStaysInDrawer,
        WrongRule::ZNumberSkips,
        WrongRule::StockNotReturned,
        WrongRule::MonthWaitsForYear,
        WrongRule::NumbersGoOnOverYears,
        WrongRule::DrawerOpensOnItsOwnDate,
        WrongRule::NetRoundsUp,
        WrongRule::BlindCountUnseen,
    ];
}

/// What the store has laid down.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    pub country: Country,
    pub stamp: i64,
    pub rounding: Option<i64>,
    pub drawers: u32,
    pub blind: bool,
    pub pay_out_free: Option<i64>,
    pub over_short_limit: i64,
    pub discount_limit_bp: u32,
}

impl Rules {
    /// Those of the shop of a seed; even seeds are Tunisian.
    pub fn of(seed: u64) -> Rules {
        let mut rng = Rng::new(seed ^ 0x5EED);
        let mut one_of = |of: &[Option<i64>]| {
            let place = usize::try_from(rng.below(of.len() as u64)).expect("a short list");
            of[place]
        };
        let tunisia = seed.is_multiple_of(2);
        let units: &[Option<i64>] = match tunisia {
            true => &[None, Some(50), Some(100)],
            false => &[None, Some(5), Some(10), Some(20)],
        };
        let stamps = [Some(100), Some(100), None];
        Rules {
            country: if tunisia {
                Country::Tunisia
            } else {
                Country::Morocco
            },
            rounding: one_of(units),
            stamp: one_of(&stamps).filter(|_| tunisia).unwrap_or(0),
            drawers: one_of(&[Some(1), Some(2), Some(3)])
                .and_then(|drawers| u32::try_from(drawers).ok())
                .unwrap_or(1),
            blind: one_of(&[Some(1), None, None]).is_some(),
            pay_out_free: one_of(&[None, Some(2_000)]),
            over_short_limit: 1_000,
            discount_limit_bp: 1_000,
        }
    }
}

/// Which taxes an article carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tax {
    Standard,
    Reduced,
    Book,
}

struct Article {
    tax: Tax,
    tracked: bool,
    strict: bool,
    /// First day and price, ascending.
    prices: Vec<(NaiveDate, i64)>,
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

/// SKU, tax, and first days with prices in TND and MAD.
type ArticleRow<'a> = (&'static str, Tax, &'a [(NaiveDate, i64, i64)]);

fn articles(country: Country) -> BTreeMap<&'static str, Article> {
    let begin = day("2026-01-01");
    let december = day("2026-12-01");
    let rows: [ArticleRow<'_>; 11] = [
        (SHOE_42, Tax::Standard, &[(begin, 119_900, 34_900)]),
        (SHOE_43, Tax::Standard, &[(begin, 119_900, 34_900)]),
        (BALL, Tax::Standard, &[(begin, 29_500, 8_990)]),
        (
            TEE,
            Tax::Standard,
            &[(begin, 24_990, 7_995), (december, 19_990, 5_995)],
        ),
        (SOCKS, Tax::Reduced, &[(begin, 7_350, 2_250)]),
        (ARCHIVED, Tax::Standard, &[(begin, 10_000, 3_000)]),
        (STRICT, Tax::Standard, &[(begin, 50_000, 15_000)]),
        (SERVICE, Tax::Standard, &[(begin, 15_000, 4_500)]),
        (UNPRICED, Tax::Standard, &[]),
        (UNTAXED, Tax::Book, &[(begin, 12_000, 3_600)]),
        (FUTURE, Tax::Standard, &[(december, 9_900, 2_990)]),
    ];
    let article = |(sku, tax, prices): ArticleRow<'_>| {
        let minor = |tnd: i64, mad: i64| match country {
            Country::Tunisia => tnd,
            Country::Morocco => mad,
        };
        let article = Article {
            tax,
            tracked: sku != SERVICE,
            strict: sku == STRICT,
            prices: prices
                .iter()
                .map(|(from, tnd, mad)| (*from, minor(*tnd, *mad)))
                .collect(),
        };
        (sku, article)
    };
    rows.into_iter().map(article).collect()
}

/// Everything that is added up, over a shift, a day, a month, a year or for ever.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    sales: u64,
    sales_minor: i64,
    reversals: u64,
    reversals_minor: i64,
    units: i64,
    discounts: i64,
    rounding: i64,
    stamps: i64,
    taxes: BTreeMap<u32, (i64, i64)>,
    tenders: BTreeMap<TenderKind, i64>,
    moved: BTreeMap<CashMovement, i64>,
    over_short: i64,
    accounts: BTreeMap<String, i64>,
    /// Units that left the shelf.
    gone: i64,
}

impl Tally {
    fn post(&mut self, debit: &str, credit: &str, minor: i64) {
        *self.accounts.entry(debit.to_owned()).or_insert(0) += minor;
        *self.accounts.entry(credit.to_owned()).or_insert(0) -= minor;
    }

    fn take(&mut self, body: &Body, reversal: bool) {
        if reversal {
            self.reversals += 1;
            self.reversals_minor += body.total;
        } else {
            self.sales += 1;
            self.sales_minor += body.total;
        }
        let mut post = |account: String, minor: i64| {
            *self.accounts.entry(account).or_insert(0) += minor;
        };
        for (kind, kept) in &body.kept {
            *self.tenders.entry(*kind).or_insert(0) += kept;
            post(tender_key(*kind).to_owned(), *kept);
        }
        post("levy:stamp".to_owned(), -body.stamp);
        post("rounding".to_owned(), -body.rounding);
        for (rate, (net, tax)) in body.taxes() {
            post(format!("revenue:{rate}"), -net);
            post(format!("tax:{rate}"), -tax);
            let sums = self.taxes.entry(rate).or_default();
            sums.0 += net;
            sums.1 += tax;
        }
        for line in &body.lines {
            self.units += line.quantity;
            self.discounts += line.off;
            if line.tracked {
                self.gone += line.quantity;
            }
        }
        self.rounding += body.rounding;
        self.stamps += body.stamp;
    }

    fn balance(&self, number: &str, location: &str) -> Value {
        let accounts = || self.accounts.iter();
        let rows: Vec<Value> = accounts()
            .map(|(account, minor)| {
                json!({"account": account, "debit_minor": minor.max(&0), "credit_minor": -minor.min(&0)})
            })
            .collect();
        let debit: i64 = accounts().map(|(_, minor)| minor.max(&0)).sum();
        json!({
            "type": "Balance",
            "number": number,
            "rows": rows,
            "debit_minor": debit,
            "credit_minor": debit,
            "stock": [
                {"account": "customer", "quantity": self.gone},
                {"account": format!("location:{location}"), "quantity": -self.gone},
            ],
        })
    }
}

fn tender_key(kind: TenderKind) -> &'static str {
    match kind {
        TenderKind::Cash => "cash",
        TenderKind::Card => "card",
        TenderKind::Other => "other",
    }
}

fn taxes_shown(taxes: &BTreeMap<u32, (i64, i64)>) -> Value {
    let row = |(rate, (net, tax)): (&u32, &(i64, i64))| json!({"rate": rate.to_string(), "net_minor": net, "tax_minor": tax});
    taxes.iter().map(row).collect()
}

fn stamps_shown(stamps: i64) -> Value {
    json!([{"code": "stamp", "minor": stamps}])
}

/// A line of a receipt.
#[derive(Debug, Clone)]
struct BodyLine {
    sku: &'static str,
    quantity: i64,
    tracked: bool,
    off: i64,
    total: i64,
    net: i64,
    rate: u32,
}

/// What a receipt comes to.
#[derive(Debug, Clone)]
struct Body {
    lines: Vec<BodyLine>,
    stamp: i64,
    rounding: i64,
    total: i64,
    /// As handed over.
    tenders: Vec<Tender>,
    change: i64,
    /// What stayed, by kind.
    kept: BTreeMap<TenderKind, i64>,
}

impl Body {
    fn taxes(&self) -> BTreeMap<u32, (i64, i64)> {
        let lines = self.lines.iter();
        taxes(lines.map(|line| (line.rate, line.total, line.net)))
    }

    fn units(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity).sum()
    }

    fn cash(&self) -> i64 {
        let cash = self.tenders.iter().filter(|t| t.kind == TenderKind::Cash);
        cash.map(|tender| tender.amount).sum()
    }
}

/// A receipt.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub number: String,
    body: Body,
    shift: u64,
    wall: i64,
    undone: bool,
    undoes: Option<String>,
    copies: u32,
}

/// An open shift.
#[derive(Debug, Clone)]
pub struct Shift {
    id: u64,
    drawer: u32,
    date: NaiveDate,
    holder: UserId,
    opener: UserId,
    wall: i64,
    float: i64,
    tally: Tally,
    no_sales: u64,
    counts: u64,
    hand_overs: u64,
}

impl Shift {
    /// What must lie in the drawer.
    pub fn expected(&self) -> i64 {
        let moved = |movement| self.tally.moved.get(&movement).copied().unwrap_or(0);
        let cash = self.tally.tenders.get(&TenderKind::Cash).copied();
        self.float + cash.unwrap_or(0) + moved(CashMovement::PayIn)
            - moved(CashMovement::PayOut)
            - moved(CashMovement::Drop)
    }
}

/// A Z report or the closing of a period.
#[derive(Debug, Clone)]
pub struct Report {
    pub number: String,
    kind: Option<PeriodKind>,
    name: String,
    wall: i64,
    takings: i64,
    difference: i64,
    shown: Value,
    tally: Tally,
    copies: u32,
    /// The picture it was issued with, once seen.
    pub picture: Option<String>,
}

/// A day, month or year that is not closed.
#[derive(Debug, Clone, Default)]
struct Period {
    dates: Option<(NaiveDate, NaiveDate)>,
    z: Option<(u64, u64)>,
    from_seq: u64,
    closed: u64,
    tally: Tally,
}

/// The whole till.
pub struct Model {
    pub rules: Rules,
    pub wrong: Option<WrongRule>,
    articles: BTreeMap<&'static str, Article>,
    /// Of receipt numbers.
    series: String,
    pub user: Option<UserId>,
    pub drawer: u32,
    pub cart: Cart,
    parked: Vec<(Cart, i64)>,
    shifts: BTreeMap<u32, Shift>,
    opened: u64,
    last_date: Option<NaiveDate>,
    pub receipts: Vec<Receipt>,
    numbers: BTreeMap<i32, u64>,
    slips: BTreeMap<i32, u64>,
    pub reports: Vec<Report>,
    z: u64,
    periods: [Period; 3],
    all: Tally,
    /// Thousandths of every article that stock is kept of.
    pub stock: BTreeMap<&'static str, i64>,
    /// Facts by kind.
    pub facts: BTreeMap<&'static str, u64>,
    last_fact: Now,
}

type Answered = Result<Value, RefusalCode>;

fn minute(wall: i64) -> String {
    // Both countries are an hour ahead.
    let local = DateTime::from_timestamp_millis(wall + 3_600_000).unwrap_or_default();
    local.format("%Y-%m-%d %H:%M").to_string()
}

fn today(now: &Now) -> NaiveDate {
    let local = DateTime::from_timestamp_millis(now.wall_ms + 3_600_000).unwrap_or_default();
    local.date_naive()
}

fn name_of(user: UserId) -> &'static str {
    if user == MANAGER { "Salah" } else { "Amira" }
}

fn period_name(kind: PeriodKind, date: NaiveDate) -> String {
    match kind {
        PeriodKind::Day => date.to_string(),
        PeriodKind::Month => format!("{}-{:02}", date.year(), date.month()),
        PeriodKind::Year => date.year().to_string(),
    }
}

/// What somebody typed, as it is kept; none for what may not be printed.
fn typed(text: &str) -> Option<String> {
    let text = text.trim();
    let odd = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    (text.chars().count() <= 80 && !text.chars().any(odd)).then(|| text.to_owned())
}

fn counted(count: &[Pieces], country: Country) -> Result<i64, RefusalCode> {
    const PIECES: [i64; 13] = [
        5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000,
    ];
    let largest = match country {
        Country::Tunisia => 50_000,
        Country::Morocco => 20_000,
    };
    let mut sum = 0_i128;
    for entry in count {
        let known = PIECES.contains(&entry.denomination_minor);
        if entry.pieces < 0 || !known || entry.denomination_minor > largest {
            return Err(RefusalCode::CountInvalid);
        }
        sum += i128::from(entry.denomination_minor) * i128::from(entry.pieces);
    }
    match i64::try_from(sum) {
        Ok(sum) if sum <= AMOUNT_MAX => Ok(sum),
        _ => Err(RefusalCode::AmountOverflow),
    }
}

impl Model {
    /// A till that was just enrolled, with one event in its journal.
    pub fn new(rules: Rules, wrong: Option<WrongRule>, series: &str, now: Now) -> Model {
        let articles = articles(rules.country);
        let tracked = articles.iter().filter(|(_, article)| article.tracked);
        let mut stock: BTreeMap<_, _> = tracked.map(|(sku, _)| (*sku, 0)).collect();
        stock.extend([
            (SHOE_42, 1_000),
            (SHOE_43, 5_000),
            (BALL, 3_000),
            (STRICT, 10_000),
        ]);
        let period = || Period {
            from_seq: 1,
            ..Period::default()
        };
        Model {
            rules,
            wrong,
            articles,
            series: series.to_owned(),
            user: None,
            drawer: 1,
            cart: Cart::empty(),
            parked: Vec::new(),
            shifts: BTreeMap::new(),
            opened: 0,
            last_date: None,
            receipts: Vec::new(),
            numbers: BTreeMap::new(),
            slips: BTreeMap::new(),
            reports: Vec::new(),
            z: 0,
            periods: [period(), period(), period()],
            all: Tally::default(),
            stock,
            facts: BTreeMap::from([("StreamOpened", 1)]),
            last_fact: now,
        }
    }

    fn is(&self, wrong: WrongRule) -> bool {
        self.wrong == Some(wrong)
    }

    /// Events so far.
    pub fn seq(&self) -> u64 {
        self.facts.values().sum()
    }

    /// The open shift of the drawer in use.
    pub fn shift(&self) -> Option<&Shift> {
        self.shifts.get(&self.drawer)
    }

    pub fn parked_sales(&self) -> Vec<SaleId> {
        let carts = self.parked.iter();
        carts.filter_map(|(cart, _)| cart.sale).collect()
    }

    fn priced(&self) -> Result<Priced, RefusalCode> {
        price(&self.cart, self.rules.stamp)
    }

    /// What the cart comes to, if it comes to anything.
    pub fn total(&self) -> Option<i64> {
        self.priced().ok().map(|priced| priced.total)
    }

    /// What is due of the cart, exactly and in cash.
    pub fn due(&self) -> (i64, i64) {
        let total = self.total().unwrap_or(0);
        due(total, &self.cart.tenders, self.rules.rounding)
    }

    fn location(&self) -> &'static str {
        match self.rules.country {
            Country::Tunisia => "LM",
            Country::Morocco => "CA",
        }
    }

    /// Writes a fact down, after a jump of the clock if there was one.
    fn fact(&mut self, kind: &'static str, now: &Now) {
        self.look_at_clock(now);
        *self.facts.entry(kind).or_insert(0) += 1;
        self.last_fact = *now;
    }

    fn look_at_clock(&mut self, now: &Now) {
        let last = self.last_fact;
        let drift = if now.boot.id == last.boot.id {
            let passed = now.boot.ms.abs_diff(last.boot.ms).cast_signed();
            (now.wall_ms - last.wall_ms - passed).abs()
        } else {
            last.wall_ms - now.wall_ms
        };
        if drift > 120_000 {
            *self.facts.entry("ClockJumped").or_insert(0) += 1;
            self.last_fact = *now;
        }
    }

    /// Adds to the shift of the drawer in use, the open periods, and what is never closed.
    fn tally(&mut self, add: impl Fn(&mut Tally)) {
        let date = self.shift().map(|shift| shift.date);
        let shift = self.shifts.get_mut(&self.drawer);
        shift.into_iter().for_each(|shift| add(&mut shift.tally));
        for period in &mut self.periods {
            add(&mut period.tally);
            if let Some(date) = date {
                let (from, to) = period.dates.unwrap_or((date, date));
                period.dates = Some((from.min(date), to.max(date)));
            }
        }
        add(&mut self.all);
    }

    // Who may do what.

    fn signed_in(&self) -> Result<UserId, RefusalCode> {
        self.user.ok_or(RefusalCode::SignInRequired)
    }

    fn by_pin(approval: &Approval) -> Result<(), RefusalCode> {
        match approval.user {
            MANAGER => Ok(()),
            CASHIER => Err(RefusalCode::ManagerRequired),
            _ => Err(RefusalCode::UserUnknown),
        }
    }

    fn approved(
        &self,
        approval: Option<&Approval>,
        otherwise: RefusalCode,
    ) -> Result<(), RefusalCode> {
        match approval {
            Some(approval) => Model::by_pin(approval),
            None if self.user == Some(MANAGER) => Ok(()),
            None => Err(otherwise),
        }
    }

    fn open_shift(&self) -> Result<&Shift, RefusalCode> {
        self.shift().ok_or(RefusalCode::ShiftRequired)
    }

    fn no_tenders(&self) -> Result<(), RefusalCode> {
        match self.cart.tenders.is_empty() {
            true => Ok(()),
            false => Err(RefusalCode::TendersRecorded),
        }
    }

    fn known_drawer(&self, drawer: u32) -> Result<(), RefusalCode> {
        match (1..=self.rules.drawers).contains(&drawer) {
            true => Ok(()),
            false => Err(RefusalCode::UnknownDrawer),
        }
    }

    // Head office.

    /// Head office sends a figure of stock.
    pub fn office_stock(&mut self, sku: &'static str, units: i64) {
        self.stock.insert(sku, units * 1_000);
    }

    /// Head office sends a price that replaces all others.
    pub fn office_price(&mut self, sku: &'static str, from: NaiveDate, minor: i64) {
        if let Some(article) = self.articles.get_mut(sku) {
            article.prices = vec![(from, minor)];
        }
    }

    // The cart.

    fn sellable(&self, sku: &'static str, quantity: i64, now: &Now) -> Result<Line, RefusalCode> {
        let date = self.shift().map_or_else(|| today(now), |shift| shift.date);
        let articles = &self.articles;
        let article = &articles[sku];
        if article.strict {
            return Err(RefusalCode::NoRight);
        }
        let mut prices = article.prices.iter().rev();
        let list = prices
            .find(|(from, _)| *from <= date)
            .map(|(_, minor)| *minor);
        let list = list.ok_or(RefusalCode::NoPrice)?;
        let tunisia = self.rules.country == Country::Tunisia;
        let rate = match article.tax {
            Tax::Standard if tunisia => 19,
            Tax::Standard => 20,
            Tax::Reduced if tunisia => 7,
            Tax::Reduced => 10,
            Tax::Book if date <= day("2026-06-30") => 0,
            Tax::Book => return Err(RefusalCode::NoTaxRate),
        };
        if !(1..=QUANTITY_MAX).contains(&quantity) {
            return Err(RefusalCode::QuantityInvalid);
        }
        Ok(Line {
            number: 0,
            sku,
            quantity,
            list,
            unit: list,
            off: DiscountInput::None,
            rate,
            tracked: article.tracked,
        })
    }

    fn add(&mut self, sku: &'static str, quantity: i64, now: &Now) -> Answered {
        let line = self.sellable(sku, quantity, now)?;
        let mut cart = self.cart.clone();
        let more = cart.lines.iter_mut().find(|other| {
            (other.sku, other.list, other.unit, other.rate)
                == (line.sku, line.list, line.list, line.rate)
                && other.off == DiscountInput::None
        });
        let number = match more {
            Some(other) => {
                other.quantity += quantity;
                if other.quantity > QUANTITY_MAX {
                    return Err(RefusalCode::QuantityInvalid);
                }
                other.number
            }
            None => {
                let number = cart.next;
                cart.next += 1;
                cart.lines.push(Line { number, ..line });
                number
            }
        };
        self.change(cart, Some(number), None)
    }

    /// Takes a changed cart over, if its discounts are allowed and no more is paid of it than it comes to.
    fn change(
        &mut self,
        mut cart: Cart,
        touched: Option<u32>,
        approval: Option<&Approval>,
    ) -> Answered {
        let limit = self.rules.discount_limit_bp;
        price(&cart, self.rules.stamp)?;
        hold_discounts(&self.cart, &mut cart, limit, || {
            self.approved(approval, RefusalCode::DiscountApprovalRequired)
        })?;
        self.keep(cart, touched)
    }

    fn keep(&mut self, cart: Cart, touched: Option<u32>) -> Answered {
        let priced = price(&cart, self.rules.stamp)?;
        let exact = cart.tenders.iter().filter(|t| t.kind != TenderKind::Cash);
        if exact.map(|tender| tender.amount).sum::<i64>() > priced.total {
            return Err(RefusalCode::TendersRecorded);
        }
        let shown = self.cart_shown(&cart, touched)?;
        self.cart = cart;
        Ok(shown)
    }

    fn cart_shown(&self, cart: &Cart, touched: Option<u32>) -> Answered {
        let priced = price(cart, self.rules.stamp)?;
        let (due_exact, due_cash) = due(priced.total, &cart.tenders, self.rules.rounding);
        let pairs = || cart.lines.iter().zip(&priced.lines);
        let lines: Value = pairs()
            .map(|(line, priced)| {
                json!({
                    "line": line.number,
                    "sku": line.sku,
                    "quantity": line.quantity,
                    "unit_minor": line.unit,
                    "list_minor": line.list,
                    "discount_minor": priced.off,
                    "discount": line.off,
                    "total_minor": priced.gross - priced.off,
                })
            })
            .collect();
        let mut short: Vec<&str> = Vec::new();
        for line in cart.lines.iter().filter(|line| line.tracked) {
            let same = cart.lines.iter().filter(|other| other.sku == line.sku);
            let wanted: i64 = same.map(|other| other.quantity).sum();
            if self.stock[line.sku] < wanted && !short.contains(&line.sku) {
                short.push(line.sku);
            }
        }
        let by_rate = pairs().map(|(line, priced)| (line.rate, priced.total, priced.net));
        let by_rate =
            taxes(by_rate.map(|(rate, total, net)| (rate, total, self.net(total, net, rate))));
        let mut shown = json!({
            "type": "Cart",
            "lines": lines,
            "touched": touched,
            "subtotal_minor": priced.subtotal,
            "cart_discount_minor": priced.off,
            "cart_discount": cart.off,
            "levies": stamps_shown(priced.stamp),
            "taxes": taxes_shown(&by_rate),
            "total_minor": priced.total,
            "units": cart.lines.iter().map(|line| line.quantity).sum::<i64>(),
            "tenders": cart.tenders.iter().map(|tender| json!({
                "kind": tender_key(tender.kind),
                "amount_minor": tender.amount,
                "reference": tender.reference,
            })).collect::<Value>(),
            "due_minor": due_exact,
            "due_cash_minor": due_cash,
            "warnings": short.iter().map(|sku| json!({
                "code": "stock_below_zero", "params": {"sku": sku},
            })).collect::<Value>(),
        });
        if let Some(sale) = cart.sale {
            shown["sale"] = json!(sale);
        }
        Ok(shown)
    }

    fn net(&self, total: i64, net: i64, rate: u32) -> i64 {
        if self.is(WrongRule::NetRoundsUp) && rate > 0 {
            let (total, rate) = (i128::from(total) * 100, 100 + i128::from(rate));
            return i64::try_from((total + rate - 1).div_euclid(rate)).unwrap_or(net);
        }
        net
    }

    fn shelve(&mut self, label: Option<String>, now: &Now) {
        if self.cart.lines.is_empty() {
            return;
        }
        let mut cart = std::mem::replace(&mut self.cart, Cart::empty());
        cart.label = label.unwrap_or(cart.label);
        self.parked.push((cart, now.wall_ms));
    }

    fn park(&mut self, label: Option<&str>, now: &Now) -> Answered {
        self.signed_in()?;
        self.no_tenders()?;
        if self.cart.lines.is_empty() {
            return Err(RefusalCode::EmptyCart);
        }
        let label = match label {
            Some(label) => Some(typed(label).ok_or(RefusalCode::TextInvalid)?),
            None => None,
        };
        self.shelve(label.filter(|label| !label.is_empty()), now);
        self.cart_shown(&self.cart, None)
    }

    fn recall(&mut self, sale: SaleId, now: &Now) -> Answered {
        self.signed_in()?;
        let mut parked = self.parked.iter();
        let place = parked.position(|(cart, _)| cart.sale == Some(sale));
        let place = place.ok_or(RefusalCode::UnknownParked)?;
        self.no_tenders()?;
        let (cart, _) = self.parked.remove(place);
        self.shelve(None, now);
        self.cart = cart;
        self.cart_shown(&self.cart, None)
    }

    fn list_parked(&self) -> Answered {
        let mut carts: Vec<&(Cart, i64)> = self.parked.iter().collect();
        carts.sort_by_key(|(cart, wall)| (std::cmp::Reverse(*wall), cart.sale.map(|sale| sale.0)));
        let mut rows = Vec::new();
        for (cart, wall) in carts {
            rows.push(json!({
                "sale": cart.sale,
                "label": cart.label,
                "at": minute(*wall),
                "units": cart.lines.iter().map(|line| line.quantity).sum::<i64>(),
                "total_minor": price(cart, self.rules.stamp)?.total,
            }));
        }
        Ok(json!({"type": "Parked", "carts": rows}))
    }

    // Paying.

    fn read_tender(
        &self,
        input: &TenderInput,
        total: i64,
        before: &[Tender],
    ) -> Result<Tender, RefusalCode> {
        let (exact, cash) = due(total, before, self.rules.rounding);
        let reference = input.reference.as_deref().and_then(typed);
        let reference = reference.filter(|text| !text.is_empty());
        let is_cash = input.kind == TenderKind::Cash;
        if !is_cash && reference.is_none() {
            return Err(RefusalCode::ReferenceRequired);
        }
        let wanted = if is_cash { cash } else { exact };
        let amount = input.amount_minor.unwrap_or(wanted);
        if !is_cash && amount > exact {
            return Err(RefusalCode::TenderAboveDue);
        }
        if amount < 0 || (amount == 0 && !(is_cash && cash == 0)) {
            return Err(RefusalCode::TenderInvalid);
        }
        if amount > AMOUNT_MAX {
            return Err(RefusalCode::AmountOverflow);
        }
        Ok(Tender {
            kind: input.kind,
            amount,
            reference,
        })
    }

    fn add_tender(&mut self, input: &TenderInput) -> Answered {
        self.signed_in()?;
        if self.cart.lines.is_empty() {
            return Err(RefusalCode::EmptyCart);
        }
        let total = self.priced()?.total;
        let mut cart = self.cart.clone();
        let tender = self.read_tender(input, total, &cart.tenders)?;
        cart.tenders.push(tender);
        self.keep(cart, None)
    }

    fn complete(&mut self, sale: SaleId, inputs: &[TenderInput], now: &Now) -> Answered {
        self.signed_in()?;
        self.open_shift()?;
        if self.cart.sale != Some(sale) {
            return Err(RefusalCode::OtherCart);
        }
        if self.cart.lines.is_empty() {
            return Err(RefusalCode::EmptyCart);
        }
        let priced = self.priced()?;
        let mut tenders = self.cart.tenders.clone();
        for input in inputs {
            let tender = self.read_tender(input, priced.total, &tenders)?;
            tenders.push(tender);
        }
        let Settled {
            total,
            rounding,
            change,
        } = settle(priced.total, &tenders, self.rules.rounding)?;
        let mut kept: BTreeMap<TenderKind, i64> = BTreeMap::new();
        for tender in &tenders {
            *kept.entry(tender.kind).or_insert(0) += tender.amount;
        }
        if !self.is(WrongRule::ChangeStaysInDrawer) {
            *kept.entry(TenderKind::Cash).or_insert(0) -= change;
        }
        let pairs = self.cart.lines.iter().zip(&priced.lines);
        let lines = pairs.map(|(line, priced)| BodyLine {
            sku: line.sku,
            quantity: line.quantity,
            tracked: line.tracked,
            off: priced.off + priced.share,
            total: priced.total,
            net: self.net(priced.total, priced.net, line.rate),
            rate: line.rate,
        });
        let body = Body {
            lines: lines.collect(),
            stamp: priced.stamp,
            rounding,
            total,
            tenders,
            change,
            kept,
        };
        self.cart = Cart::empty();
        let mut shown = self.issue(body, None, now)?;
        shown["sale"] = json!(sale);
        Ok(shown)
    }

    /// Numbers a receipt and adds it up.
    fn issue(&mut self, body: Body, undoes: Option<String>, now: &Now) -> Answered {
        let kind = match undoes {
            Some(_) => "Reversed",
            None => "SaleCompleted",
        };
        self.fact(kind, now);
        let shift = self.open_shift()?;
        let (id, year) = (shift.id, shift.date.year());
        let series = match self.is(WrongRule::NumbersGoOnOverYears) {
            true => 0,
            false => year,
        };
        let sequence = self.numbers.entry(series).or_insert(0);
        *sequence += 1;
        let number = format!("{}-{year}-{sequence:06}", self.series);
        self.tally(|tally| tally.take(&body, undoes.is_some()));
        let back = undoes.is_some() && self.is(WrongRule::StockNotReturned);
        for line in body.lines.iter().filter(|line| line.tracked && !back) {
            *self.stock.entry(line.sku).or_insert(0) -= line.quantity;
        }
        let shown = json!({
            "type": "Completed",
            "number": number,
            "total_minor": body.total,
            "cash_minor": body.cash(),
            "change_minor": body.change,
            "next": self.cart_shown(&self.cart, None)?,
        });
        self.receipts.push(Receipt {
            number,
            body,
            shift: id,
            wall: now.wall_ms,
            undone: undoes.is_some(),
            undoes,
            copies: 0,
        });
        Ok(beside_receipt(shown))
    }

    fn reverse(
        &mut self,
        number: &str,
        reason: &str,
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        self.signed_in()?;
        let shift = self.open_shift()?.id;
        let reason = typed(reason).filter(|reason| !reason.is_empty());
        reason.ok_or(RefusalCode::TextInvalid)?;
        let place = self.receipt_at(number)?;
        let found = &self.receipts[place];
        if found.undone {
            return Err(RefusalCode::AlreadyReversed);
        }
        if found.shift != shift {
            return Err(RefusalCode::ShiftOfReceiptClosed);
        }
        self.approved(approval, RefusalCode::ManagerRequired)?;
        let body = self.undo(&found.body);
        let undoes = found.number.clone();
        self.receipts[place].undone = true;
        self.issue(body, Some(undoes), now)
    }

    /// Everything with the other sign, except the levy, which is kept. Other tenders are paid back first, cash is
    /// the rest.
    fn undo(&self, sold: &Body) -> Body {
        let lines: Vec<BodyLine> = sold
            .lines
            .iter()
            .map(|line| BodyLine {
                quantity: -line.quantity,
                off: -line.off,
                total: -line.total,
                net: -line.net,
                ..line.clone()
            })
            .collect();
        let stamp = match self.is(WrongRule::LevyGivenBack) {
            true => -sold.stamp,
            false => 0,
        };
        let goods: i64 = lines.iter().map(|line| line.total).sum();
        let total = goods - sold.rounding + stamp;
        let mut left = total;
        let mut tenders = Vec::new();
        let others = sold.tenders.iter().filter(|t| t.kind != TenderKind::Cash);
        for tender in others {
            let amount = left.min(0).max(-tender.amount);
            left -= amount;
            tenders.push(Tender {
                amount,
                ..tender.clone()
            });
        }
        tenders.push(Tender {
            kind: TenderKind::Cash,
            amount: left,
            reference: None,
        });
        let mut kept: BTreeMap<TenderKind, i64> = BTreeMap::new();
        for tender in &tenders {
            *kept.entry(tender.kind).or_insert(0) += tender.amount;
        }
        Body {
            lines,
            stamp,
            rounding: -sold.rounding,
            total,
            tenders,
            change: 0,
            kept,
        }
    }

    // Receipts.

    fn receipt_at(&self, number: &str) -> Result<usize, RefusalCode> {
        let mut receipts = self.receipts.iter();
        let place = receipts.position(|receipt| receipt.number == number);
        place.ok_or(RefusalCode::UnknownReceipt)
    }

    fn receipt_shown(&self, receipt: &Receipt) -> Value {
        let open = self.shift().map(|shift| shift.id);
        json!({
            "number": receipt.number,
            "at": minute(receipt.wall),
            "total_minor": receipt.body.total,
            "units": receipt.body.units(),
            "reversed": receipt.undone,
            "reverses": receipt.undoes,
            "reversible": !receipt.undone && open == Some(receipt.shift),
        })
    }

    /// Up to `limit` of the receipts whose number contains `query`, by year and number, the highest first.
    pub fn receipts_shown(&self, query: &str, limit: usize) -> Value {
        let mut found: Vec<&Receipt> = self.receipts.iter().collect();
        // Numbers are as long as each other, until there are a million a year.
        found.sort_by(|left, right| right.number.cmp(&left.number));
        found.retain(|receipt| receipt.number.contains(query));
        let rows: Vec<Value> = found
            .into_iter()
            .take(limit)
            .map(|receipt| self.receipt_shown(receipt))
            .collect();
        json!({"type": "Receipts", "receipts": rows})
    }

    fn reprint(&mut self, place: usize, now: &Now) -> Answered {
        self.fact("Reprinted", now);
        let row = self.receipt_shown(&self.receipts[place]);
        self.receipts[place].copies += 1;
        Ok(json!({"type": "Receipt", "row": row, "copies": self.receipts[place].copies}))
    }

    // The drawer.

    fn open(
        &mut self,
        count: &[Pieces],
        drawer: Option<u32>,
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        let opener = self.signed_in()?;
        let drawer = drawer.unwrap_or(self.drawer);
        self.known_drawer(drawer)?;
        if drawer != self.drawer {
            self.no_tenders()?;
        }
        if self.shifts.contains_key(&drawer) {
            return Err(RefusalCode::ShiftOpen);
        }
        let float = counted(count, self.rules.country)?;
        let under_way = self.shifts.values().map(|shift| shift.date).max();
        let under_way = under_way.filter(|_| !self.is(WrongRule::DrawerOpensOnItsOwnDate));
        let date = match under_way {
            Some(date) => date,
            None => {
                let date = today(now);
                let ahead = self.last_date.map_or(0, |last| (date - last).num_days());
                if !(0..=2).contains(&ahead) {
                    let approval = approval.ok_or(RefusalCode::DateApprovalRequired)?;
                    Model::by_pin(approval)?;
                }
                date
            }
        };
        self.close_ended(date, now);
        self.fact("ShiftOpened", now);
        self.opened += 1;
        self.shifts.insert(
            drawer,
            Shift {
                id: self.opened,
                drawer,
                date,
                holder: opener,
                opener,
                wall: now.wall_ms,
                float,
                tally: Tally::default(),
                no_sales: 0,
                counts: 0,
                hand_overs: 0,
            },
        );
        self.last_date = Some(date);
        self.drawer = drawer;
        self.tally(|tally| tally.post("cash", "safe", float));
        Ok(json!({"type": "Done"}))
    }

    /// Closes every day, month and year that `next` does not lie in; returns how many.
    fn close_ended(&mut self, next: NaiveDate, now: &Now) -> usize {
        let mut closed = 0;
        for (place, kind) in PeriodKind::ALL.into_iter().enumerate() {
            let Some((_, to)) = self.periods[place].dates else {
                continue;
            };
            let ends_with = match kind {
                PeriodKind::Month if self.is(WrongRule::MonthWaitsForYear) => PeriodKind::Year,
                kind => kind,
            };
            if period_name(ends_with, to) != period_name(ends_with, next) {
                self.close_period(place, kind, to, now);
                closed += 1;
            }
        }
        closed
    }

    fn close_period(&mut self, place: usize, kind: PeriodKind, to: NaiveDate, now: &Now) {
        self.look_at_clock(now);
        let head = self.seq();
        let fresh = Period {
            from_seq: head + 2,
            closed: self.periods[place].closed + 1,
            ..Period::default()
        };
        let Period {
            z,
            from_seq,
            closed,
            tally,
            ..
        } = std::mem::replace(&mut self.periods[place], fresh);
        let letter = ["D", "M", "Y"][place];
        let number = format!("{letter}{}", closed + 1);
        let name = period_name(kind, to);
        let shown = json!({
            "type": "Period",
            "number": number,
            "period": kind,
            "name": name,
            "at": minute(now.wall_ms),
            "z_numbers": z,
            "sales": tally.sales,
            "sales_minor": tally.sales_minor,
            "reversals": tally.reversals,
            "reversals_minor": tally.reversals_minor,
            "discounts_minor": tally.discounts,
            "rounding_minor": tally.rounding,
            "levies": stamps_shown(tally.stamps),
            "taxes": taxes_shown(&tally.taxes),
            "tenders_minor": tally.tenders,
            "moved_minor": tally.moved,
            "over_short_minor": tally.over_short,
            "perpetual_minor": self.perpetual(),
            "covers": [from_seq, head],
        });
        self.reports.push(Report {
            number,
            kind: Some(kind),
            name,
            wall: now.wall_ms,
            takings: tally.sales_minor + tally.reversals_minor,
            difference: tally.over_short,
            shown,
            tally,
            copies: 0,
            picture: None,
        });
        self.fact("PeriodClosed", now);
    }

    fn perpetual(&self) -> i64 {
        self.all.sales_minor + self.all.reversals_minor
    }

    fn close_periods(&mut self, approval: Option<&Approval>, now: &Now) -> Answered {
        self.signed_in()?;
        self.approved(approval, RefusalCode::ManagerRequired)?;
        if !self.shifts.is_empty() {
            return Err(RefusalCode::ShiftOpen);
        }
        match self.close_ended(today(now), now) {
            0 => Err(RefusalCode::NothingToClose),
            _ => Ok(json!({"type": "Done"})),
        }
    }

    fn shift_shown(&self, shift: &Shift) -> Value {
        let tally = &shift.tally;
        json!({
            "type": "Report",
            "z_number": null,
            "drawer": shift.drawer,
            "holder_name": name_of(shift.holder),
            "business_date": shift.date.to_string(),
            "opened_at": minute(shift.wall),
            "sales": tally.sales,
            "reversals": tally.reversals,
            "units": tally.units,
            "takings_minor": tally.sales_minor + tally.reversals_minor,
            "discounts_minor": tally.discounts,
            "rounding_minor": tally.rounding,
            "levies": stamps_shown(tally.stamps),
            "taxes": taxes_shown(&tally.taxes),
            "tenders_minor": tally.tenders,
            "float_minor": shift.float,
            "expected_minor": shift.expected(),
            "counted_minor": null,
            "difference_minor": null,
            "moved_minor": tally.moved,
            "no_sales": shift.no_sales,
            "counts": shift.counts,
            "hand_overs": shift.hand_overs,
            "copies": 0,
            "perpetual_minor": null,
            "parked": self.parked.len(),
        })
    }

    fn close(&mut self, count: &[Pieces], approval: Option<&Approval>, now: &Now) -> Answered {
        let user = self.signed_in()?;
        self.no_tenders()?;
        let expected = self.open_shift()?.expected();
        let found = counted(count, self.rules.country)?;
        let difference = found - expected;
        if difference.abs() > self.rules.over_short_limit {
            if self.rules.blind && user == CASHIER && approval.is_none() {
                if !self.is(WrongRule::BlindCountUnseen) {
                    self.note_count(now);
                }
                return Err(RefusalCode::BlindCountDiffers);
            }
            self.approved(approval, RefusalCode::DifferenceApprovalRequired)?;
        }
        self.fact("ShiftClosed", now);
        let mut shown = self.shift_shown(self.open_shift()?);
        self.z += 1;
        if self.is(WrongRule::ZNumberSkips) && self.z.is_multiple_of(3) {
            self.z += 1;
        }
        let z = self.z;
        shown["z_number"] = json!(z);
        shown["counted_minor"] = json!(found);
        shown["difference_minor"] = json!(difference);
        shown["perpetual_minor"] = json!(self.perpetual());
        self.tally(|tally| {
            tally.over_short += difference;
            tally.post("cash", "over_short", difference);
            tally.post("safe", "cash", found);
        });
        for period in &mut self.periods {
            let (first, _) = period.z.unwrap_or((z, z));
            period.z = Some((first, z));
        }
        let shift = self.shifts.remove(&self.drawer);
        let shift = shift.ok_or(RefusalCode::ShiftRequired)?;
        self.reports.push(Report {
            number: format!("Z{z}"),
            kind: None,
            name: shift.date.to_string(),
            wall: now.wall_ms,
            takings: shift.tally.sales_minor + shift.tally.reversals_minor,
            difference,
            shown: shown.clone(),
            tally: shift.tally,
            copies: 0,
            picture: None,
        });
        Ok(shown)
    }

    fn note_count(&mut self, now: &Now) {
        self.fact("ShiftCounted", now);
        if let Some(shift) = self.shifts.get_mut(&self.drawer) {
            shift.counts += 1;
        }
    }

    fn count_drawer(&mut self, count: &[Pieces], now: &Now) -> Answered {
        let user = self.signed_in()?;
        let expected = self.open_shift()?.expected();
        let found = counted(count, self.rules.country)?;
        self.note_count(now);
        let blind = self.rules.blind && user == CASHIER;
        Ok(json!({
            "type": "Counted",
            "counted_minor": found,
            "expected_minor": (!blind).then_some(expected),
            "difference_minor": (!blind).then_some(found - expected),
        }))
    }

    fn slip(&mut self) -> Result<String, RefusalCode> {
        let year = self.open_shift()?.date.year();
        let sequence = self.slips.entry(year).or_insert(0);
        *sequence += 1;
        Ok(format!("{}-{year}-C{sequence:06}", self.series))
    }

    fn move_cash(
        &mut self,
        movement: CashMovement,
        amount: i64,
        reason: &str,
        approval: Option<&Approval>,
        now: &Now,
    ) -> Answered {
        self.signed_in()?;
        let expected = self.open_shift()?.expected();
        let reason = typed(reason).filter(|reason| !reason.is_empty());
        let reason = reason.ok_or(RefusalCode::TextInvalid)?;
        if !(1..=AMOUNT_MAX).contains(&amount) {
            return Err(RefusalCode::AmountInvalid);
        }
        if movement != CashMovement::PayIn && amount > expected {
            return Err(RefusalCode::DrawerShort);
        }
        if expected + amount > AMOUNT_MAX {
            return Err(RefusalCode::AmountOverflow);
        }
        let free = self.rules.pay_out_free.unwrap_or(0);
        if movement == CashMovement::PayOut && amount > free {
            self.approved(approval, RefusalCode::ManagerRequired)?;
        }
        self.fact("CashMoved", now);
        let (debit, credit) = match movement {
            CashMovement::PayIn => ("cash", "paid_in"),
            CashMovement::PayOut => ("paid_out", "cash"),
            CashMovement::Drop => ("safe", "cash"),
        };
        self.tally(|tally| {
            *tally.moved.entry(movement).or_insert(0) += amount;
            tally.post(debit, credit, amount);
        });
        Ok(json!({
            "type": "Slip",
            "number": self.slip()?,
            "movement": movement,
            "amount_minor": amount,
            "reason": reason,
        }))
    }

    fn open_drawer(&mut self, reason: &str, now: &Now) -> Answered {
        self.signed_in()?;
        self.open_shift()?;
        let reason = typed(reason).filter(|reason| !reason.is_empty());
        let reason = reason.ok_or(RefusalCode::TextInvalid)?;
        self.fact("DrawerOpened", now);
        if let Some(shift) = self.shifts.get_mut(&self.drawer) {
            shift.no_sales += 1;
        }
        Ok(json!({
            "type": "Slip",
            "number": self.slip()?,
            "movement": null,
            "amount_minor": 0,
            "reason": reason,
        }))
    }

    fn hand_over(&mut self, to: UserId, count: Option<&[Pieces]>, now: &Now) -> Answered {
        self.signed_in()?;
        self.no_tenders()?;
        if self.open_shift()?.holder == to {
            return Err(RefusalCode::HandOverToSelf);
        }
        if let Some(count) = count {
            counted(count, self.rules.country)?;
        }
        if to != CASHIER && to != MANAGER {
            return Err(RefusalCode::UserUnknown);
        }
        self.fact("DrawerHandedOver", now);
        if let Some(shift) = self.shifts.get_mut(&self.drawer) {
            shift.hand_overs += 1;
            shift.holder = to;
        }
        self.shelve(None, now);
        self.user = Some(to);
        Ok(json!({"type": "Done"}))
    }

    fn sign_in(&mut self, user: UserId) -> Answered {
        if user == LEFT || (user != CASHIER && user != MANAGER) {
            return Err(RefusalCode::UserUnknown);
        }
        self.user = Some(user);
        // The drawer they answer for; failing that the one in use; failing that any.
        let held = |shift: &&Shift| shift.holder == user;
        let own: Vec<u32> = self
            .shifts
            .values()
            .filter(held)
            .map(|s| s.drawer)
            .collect();
        let any: Vec<u32> = self.shifts.keys().copied().collect();
        let choice = if own.is_empty() { any } else { own };
        if !choice.contains(&self.drawer) && self.cart.tenders.is_empty() {
            self.drawer = choice.first().copied().unwrap_or(self.drawer);
        }
        Ok(json!({"type": "Done"}))
    }

    // Reports.

    fn report_at(&self, number: &str) -> Result<usize, RefusalCode> {
        let mut reports = self.reports.iter();
        let place = reports.position(|report| report.number == number.trim());
        place.ok_or(RefusalCode::UnknownReport)
    }

    fn report_shown(&self, place: usize) -> Value {
        let report = &self.reports[place];
        let mut shown = report.shown.clone();
        shown["copies"] = json!(report.copies);
        if report.kind.is_none() {
            shown["parked"] = json!(self.parked.len());
        }
        shown
    }

    /// Newest of each kind, in the order of their numbers.
    pub fn reports_shown(&self, limit: usize) -> Value {
        let mut taken: BTreeMap<Option<PeriodKind>, usize> = BTreeMap::new();
        let mut rows = Vec::new();
        for report in self.reports.iter().rev() {
            let of_kind = taken.entry(report.kind).or_insert(0);
            *of_kind += 1;
            if *of_kind <= limit {
                rows.push(json!({
                    "number": report.number,
                    "name": report.name,
                    "period": report.kind,
                    "at": minute(report.wall),
                    "takings_minor": report.takings,
                    "difference_minor": report.difference,
                }));
            }
        }
        rows.sort_by_key(|row| row["number"].to_string());
        json!({"type": "Reports", "reports": rows})
    }

    fn trial_balance(&self, number: &str) -> Answered {
        self.signed_in()?;
        let tally = match number {
            "" => &self.all,
            "X" => &self.open_shift()?.tally,
            number => &self.reports[self.report_at(number)?].tally,
        };
        Ok(tally.balance(number, self.location()))
    }

    fn stock_of(&self, asked: domain::ids::VariantId) -> Answered {
        self.signed_in()?;
        let articles = &self.articles;
        let sku = articles.keys().find(|sku| variant(sku) == asked);
        let sku = sku.ok_or(RefusalCode::UnknownVariant)?;
        let here = self.stock.get(sku).copied();
        let elsewhere = if *sku == BALL { 10_000 } else { 0 };
        Ok(json!({
            "type": "Stock",
            "variant": {"sku": sku, "stock": articles[sku].tracked.then(|| here.unwrap_or(0))},
            "locations": [
                {"location": self.location(), "quantity": here.unwrap_or(0)},
                {"location": "SO", "quantity": elsewhere},
            ],
        }))
    }

    fn status(&self) -> Value {
        let shown = |shift: &Shift| {
            json!({
                "drawer": shift.drawer,
                "holder": shift.holder,
                "business_date": shift.date.to_string(),
                "opened_at": minute(shift.wall),
                "opened_by": name_of(shift.opener),
                "receipts": shift.tally.sales + shift.tally.reversals,
            })
        };
        json!({
            "type": "Status",
            "ready": true,
            "user": self.user.map(|user| json!({"user": user, "blocked": false})),
            "drawer": self.drawer,
            "shift": self.shift().map(shown),
            "shifts": self.shifts.values().map(shown).collect::<Value>(),
            "parked": self.parked.len(),
        })
    }

    /// What the door must answer, and what the till is afterwards.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// For a command that the model does not know.
    pub fn apply(&mut self, command: &Command, now: &Now) -> Answered {
        match command {
            Command::Status {} => Ok(self.status()),
            Command::GetCart {} => self.cart_shown(&self.cart, None),
            Command::ListParked {} => self.list_parked(),
            Command::SignIn { user, .. } => self.sign_in(*user),
            Command::SignOut {} => {
                self.no_tenders()?;
                self.shelve(None, now);
                self.user = None;
                Ok(json!({"type": "Done"}))
            }
            Command::OpenShift {
                count,
                drawer,
                approval,
            } => self.open(count, *drawer, approval.as_ref(), now),
            Command::UseDrawer { drawer } => {
                self.signed_in()?;
                self.no_tenders()?;
                self.known_drawer(*drawer)?;
                self.drawer = *drawer;
                Ok(json!({"type": "Done"}))
            }
            Command::XReport { approval, .. } => {
                self.signed_in()?;
                if self.rules.blind {
                    self.approved(approval.as_ref(), RefusalCode::ManagerRequired)?;
                }
                Ok(self.shift_shown(self.open_shift()?))
            }
            Command::MoveCash {
                movement,
                amount_minor,
                reason,
                approval,
            } => self.move_cash(*movement, *amount_minor, reason, approval.as_ref(), now),
            Command::CountDrawer { count } => self.count_drawer(count, now),
            Command::HandOver { to, count, .. } => self.hand_over(*to, count.as_deref(), now),
            Command::CloseShift { count, approval } => self.close(count, approval.as_ref(), now),
            Command::OpenDrawer { reason } => self.open_drawer(reason, now),
            Command::ClosePeriods { approval } => self.close_periods(approval.as_ref(), now),
            Command::ListReports { limit } => {
                self.signed_in()?;
                Ok(self.reports_shown(limit.unwrap_or(30).clamp(1, 100) as usize))
            }
            Command::GetReport { number } => {
                self.signed_in()?;
                Ok(self.report_shown(self.report_at(number)?))
            }
            Command::ReprintReport { number } => {
                self.signed_in()?;
                let place = self.report_at(number)?;
                self.fact("Reprinted", now);
                self.reports[place].copies += 1;
                Ok(self.report_shown(place))
            }
            Command::TrialBalance { number } => {
                self.signed_in()?;
                let open = matches!(number.as_deref().unwrap_or_default().trim(), "" | "X");
                if self.rules.blind && open {
                    self.approved(None, RefusalCode::ManagerRequired)?;
                }
                self.trial_balance(number.as_deref().unwrap_or_default().trim())
            }
            Command::ScanCode { code } => {
                self.signed_in()?;
                let sku = match code.as_str() {
                    SHOE_42_EAN => SHOE_42,
                    SHOE_43_CARTON => SHOE_43,
                    BALL_UPC => BALL,
                    other => {
                        let articles = &self.articles;
                        let found = articles.keys().copied().find(|sku| *sku == other);
                        found.ok_or(RefusalCode::UnknownCode)?
                    }
                };
                self.add(sku, 1_000, now)
            }
            Command::AddLine {
                variant: asked,
                quantity,
            } => {
                self.signed_in()?;
                let found = {
                    let articles = &self.articles;
                    articles.keys().copied().find(|sku| variant(sku) == *asked)
                };
                let sku = found.ok_or(RefusalCode::UnknownVariant)?;
                self.add(sku, quantity.map_or(1_000, |quantity| quantity.0), now)
            }
            Command::SetQuantity { line, quantity } => {
                self.signed_in()?;
                if !(1..=QUANTITY_MAX).contains(&quantity.0) {
                    return Err(RefusalCode::QuantityInvalid);
                }
                let mut cart = self.cart.clone();
                cart.line(*line)?.quantity = quantity.0;
                self.change(cart, Some(*line), None)
            }
            Command::SetPrice {
                line,
                unit_minor,
                approval,
            } => {
                self.signed_in()?;
                if !(0..=AMOUNT_MAX).contains(unit_minor) {
                    return Err(RefusalCode::PriceInvalid);
                }
                let mut cart = self.cart.clone();
                cart.line(*line)?.unit = *unit_minor;
                price(&cart, self.rules.stamp)?;
                self.approved(approval.as_ref(), RefusalCode::ManagerRequired)?;
                self.change(cart, Some(*line), approval.as_ref())
            }
            Command::DiscountLine {
                line,
                discount,
                approval,
            } => {
                self.signed_in()?;
                let mut cart = self.cart.clone();
                cart.line(*line)?.off = *discount;
                cart.allowed.remove(&Some(*line));
                self.change(cart, Some(*line), approval.as_ref())
            }
            Command::DiscountCart { discount, approval } => {
                self.signed_in()?;
                let mut cart = self.cart.clone();
                cart.off = *discount;
                cart.allowed.remove(&None);
                // Nothing can be taken off nothing.
                let empty = cart.lines.is_empty();
                match discount {
                    DiscountInput::Amount { minor } if empty && *minor != 0 => {
                        return Err(RefusalCode::DiscountInvalid);
                    }
                    DiscountInput::Percent { bp } if *bp > 10_000 => {
                        return Err(RefusalCode::DiscountInvalid);
                    }
                    _ => {}
                }
                self.change(cart, None, approval.as_ref())
            }
            Command::RemoveLine { line } => {
                self.signed_in()?;
                let mut cart = self.cart.clone();
                cart.remove(*line)?;
                if cart.lines.is_empty() {
                    self.no_tenders()?;
                }
                let shown = self.change(cart, None, None)?;
                self.fact("LineVoided", now);
                Ok(shown)
            }
            Command::RestoreLine { line } => {
                self.signed_in()?;
                let mut cart = self.cart.clone();
                cart.restore(*line)?;
                self.change(cart, Some(*line), None)
            }
            Command::ClearCart {} => {
                self.signed_in()?;
                if self.cart.lines.is_empty() {
                    return Err(RefusalCode::EmptyCart);
                }
                self.no_tenders()?;
                self.fact("CartVoided", now);
                self.cart = Cart::empty();
                self.cart_shown(&self.cart, None)
            }
            Command::Park { label } => self.park(label.as_deref(), now),
            Command::Recall { sale } => self.recall(*sale, now),
            Command::AddTender { tender } => self.add_tender(tender),
            Command::RemoveTender { index } => {
                self.signed_in()?;
                let mut cart = self.cart.clone();
                let index = *index as usize;
                if index >= cart.tenders.len() {
                    return Err(RefusalCode::UnknownTender);
                }
                cart.tenders.remove(index);
                self.keep(cart, None)
            }
            Command::Complete { sale, tenders, .. } => self.complete(*sale, tenders, now),
            Command::ReverseSale {
                number,
                reason,
                approval,
            } => self.reverse(number, reason, approval.as_ref(), now),
            Command::ListReceipts { query, limit } => {
                self.signed_in()?;
                Ok(self.receipts_shown(query, limit.unwrap_or(30).clamp(1, 100) as usize))
            }
            Command::GetReceipt { number } => {
                self.signed_in()?;
                let receipt = &self.receipts[self.receipt_at(number)?];
                Ok(json!({
                    "type": "Receipt",
                    "row": self.receipt_shown(receipt),
                    "copies": receipt.copies,
                }))
            }
            Command::ReprintLast {} => {
                self.signed_in()?;
                let last = self.receipts.len().checked_sub(1);
                self.reprint(last.ok_or(RefusalCode::NoReceipt)?, now)
            }
            Command::Reprint { number } => {
                self.signed_in()?;
                self.reprint(self.receipt_at(number)?, now)
            }
            Command::StockOf { variant } => self.stock_of(*variant),
            other => panic!("the model knows no {other:?}"),
        }
    }

    /// The program ends and starts again. A cart that nothing was ever put on may be another one then.
    pub fn restart(&mut self) {
        if self.cart.lines.is_empty() {
            self.cart.sale = None;
        }
    }

    /// Takes over what only the till can know: the id of a new cart.
    pub fn learn(&mut self, reply: &Value) {
        let cart = match reply["type"].as_str() {
            Some("Cart") => reply,
            Some("Completed") => &reply["next"],
            _ => return,
        };
        if self.cart.sale.is_none() {
            self.cart.sale = serde_json::from_value(cart["sale"].clone()).ok();
        }
    }
}

/// The cart that comes with a receipt is not a reply of its own, and is drawn up before the goods have moved: what
/// it warns of is not compared.
fn beside_receipt(mut shown: Value) -> Value {
    if let Some(next) = shown["next"].as_object_mut() {
        next.remove("type");
        next.remove("warnings");
    }
    shown
}
