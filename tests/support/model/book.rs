//! The reference model: a till as somebody with a pencil would keep it. Plain lists and sums, no files, no events,
//! none of the product's arithmetic. [`Model::apply`] says what the door must answer, as the fields of the reply
//! that the model answers for, or the code of the refusal.

mod sell;
mod shifts;
mod show;

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveDate};
use domain::event::{CashMovement, PeriodKind, TenderKind};
use domain::ids::{SaleId, UserId};
use domain::time::Now;
use serde_json::{Value, json};
use testkit::rng::Rng;
use testkit::shop::{
    ARCHIVED, BALL, BALL_UPC, CASHIER, Country, FUTURE, MANAGER, SERVICE, SHOE_42, SHOE_42_EAN,
    SHOE_43, SHOE_43_CARTON, SOCKS, STRICT, TEE, UNPRICED, UNTAXED, variant,
};
use till::door::{Approval, Command, DiscountInput, Pieces, RefusalCode};

use super::cart::{AMOUNT_MAX, Cart, Priced, QUANTITY_MAX, Tender, due, price, taxes};

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

fn date_of(wall_ms: i64) -> NaiveDate {
    let local = DateTime::from_timestamp_millis(wall_ms + 3_600_000).unwrap_or_default();
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
