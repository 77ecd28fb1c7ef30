//! `tenant`, `store`, `device`, `user`.

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use domain::catalog::{Language, Names};
use domain::config::{
    CashRounding, DRAWERS_MAX, Role, RoundingMode, StaffMember, StoreConfig, TaxRounding,
};
use domain::country::{Country, CountryPack, DocumentKind};
use domain::event::SealReason;
use domain::ids::{DeviceId, LocationId, PriceListId, StoreId, TenantId, TillId, UserId};
use domain::text::clean;
use hub::NewTenant;
use serde_json::json;
use sync_server::{
    check_pin, entropy, hash_secret, legal_identity, random_password, random_pin, refresh,
};

use super::{Context, Output, TenantArg, secret_from_stdin};

const NAME_CHARS_MAX: usize = 80;
/// Shorter passwords of administrators are refused.
const PASSWORD_CHARS_MIN: usize = 10;

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant with its first administrator.
    Create {
        /// Code; enrolment codes begin with it.
        #[arg(long)]
        tenant: TenantId,
        /// Name of the chain, as receipts print it.
        #[arg(long)]
        chain: String,
        /// Name of the first administrator.
        #[arg(long)]
        admin: String,
        /// Read the administrator's password from standard input instead of making one.
        #[arg(long)]
        password_stdin: bool,
    },
    /// List tenants.
    List,
    /// Say that the tenant's file came back from a backup: tills send again what it lost, and strict articles are
    /// neither granted nor promised before they have.
    Restored {
        #[command(flatten)]
        tenant: TenantArg,
    },
}

pub(super) fn tenant(context: &Context, command: TenantCommand) -> anyhow::Result<Output> {
    match command {
        TenantCommand::Create {
            tenant,
            chain,
            admin,
            password_stdin,
        } => {
            let chain = cleaned(&chain, "chain")?;
            let admin = cleaned(&admin, "name")?;
            let (password, made) = password(password_stdin)?;
            let verifier = hash_secret(&password)?;
            let new = NewTenant {
                tenant: tenant.clone(),
                chain,
            };
            let mut hub = context.data.create(&new, &context.now)?;
            hub.create_admin(&admin, &verifier)?;
            let shown = made.then_some(password);
            let mut text = format!("tenant {tenant} made, administrator {admin}\n");
            if let Some(password) = &shown {
                text.push_str(&format!("password, shown only now: {password}\n"));
            }
            Output::new(
                text,
                json!({ "ok": true, "tenant": tenant, "admin": admin, "password": shown }),
            )
        }
        TenantCommand::List => {
            let mut text = String::new();
            let mut rows = Vec::new();
            for tenant in context.data.tenants()? {
                let hub = context.data.hub(&tenant)?;
                text.push_str(&format!("{tenant}  {}\n", hub.chain()));
                rows.push(json!({ "tenant": tenant, "chain": hub.chain(), "epoch": hub.epoch()? }));
            }
            Output::new(text, json!({ "ok": true, "tenants": rows }))
        }
        TenantCommand::Restored { tenant } => {
            let epoch = context
                .data
                .hub(&tenant.tenant)?
                .raise_epoch(&context.now)?;
            Output::new(
                format!(
                    "epoch {epoch}; tills send again what this file lost. Strict articles wait until the incident of the \
                     restore is resolved: see first that every till in use is listed\n"
                ),
                json!({ "ok": true, "epoch": epoch }),
            )
        }
    }
}

/// A password from standard input, or a fresh one and `true`.
fn password(from_stdin: bool) -> anyhow::Result<(String, bool)> {
    if !from_stdin {
        return Ok((random_password()?, true));
    }
    let password = secret_from_stdin()?;
    anyhow::ensure!(
        password.chars().count() >= PASSWORD_CHARS_MIN,
        "the password has fewer than {PASSWORD_CHARS_MIN} characters"
    );
    Ok((password, false))
}

fn cleaned(text: &str, what: &str) -> anyhow::Result<String> {
    clean(text, NAME_CHARS_MAX)
        .ok_or_else(|| anyhow::anyhow!("the {what} is empty, too long or has control characters"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LanguageArg {
    Fr,
    Ar,
    En,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoundingArg {
    PerLine,
    PerReceipt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoundingModeArg {
    HalfUp,
    Down,
}

/// `FIELD=VALUE`.
fn identifier(text: &str) -> Result<(String, String), String> {
    let (field, value) = text.split_once('=').ok_or("no = between field and value")?;
    Ok((field.trim().to_owned(), value.to_owned()))
}

#[derive(Debug, clap::Args)]
pub struct StoreCreate {
    #[command(flatten)]
    tenant: TenantArg,
    /// Code of the store, as receipt numbers begin with; of the location where --online is given.
    #[arg(long)]
    store: StoreId,
    /// Name in French.
    #[arg(long)]
    name: String,
    /// Name in Arabic.
    #[arg(long, default_value = "")]
    name_ar: String,
    /// Name in English.
    #[arg(long, default_value = "")]
    name_en: String,
    /// Only a location for stock, such as the online shop's: no tills.
    #[arg(long, conflicts_with_all = ["country", "price_list"])]
    online: bool,
    /// TN or MA: its pack gives currency, tax rates, local time, coins and notes, cash ceilings and duties.
    #[arg(long, required_unless_present = "online")]
    country: Option<Country>,
    /// Price list; made when it is new. The country's code unless given.
    #[arg(long)]
    price_list: Option<PriceListId>,
    /// Line of the address, repeatable.
    #[arg(long)]
    address: Vec<String>,
    /// Identifier of the seller, checked and printed, repeatable: mf, rne or form in Tunisia; ice, if, tp, rc,
    /// cnss or form in Morocco.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = identifier)]
    identity: Vec<(String, String)>,
    /// Further line that receipts print below the identifiers, not checked, repeatable.
    #[arg(long)]
    legal: Vec<String>,
    /// Language of receipts.
    #[arg(long, value_enum, default_value = "fr")]
    receipt_language: LanguageArg,
    /// Where tax is rounded.
    #[arg(long, value_enum, default_value = "per-line")]
    tax_rounding: RoundingArg,
    /// Round cash to this many minor units; the country's pack says which.
    #[arg(long)]
    cash_rounding_minor: Option<i64>,
    /// Which way cash is rounded.
    #[arg(
        long,
        value_enum,
        default_value = "half-up",
        requires = "cash_rounding_minor"
    )]
    cash_rounding_mode: RoundingModeArg,
    /// The tenant is liable for the country's stamp on tickets: charge it on every one.
    #[arg(long)]
    ticket_levy: bool,
    /// Difference at closing above which a manager signs, minor units.
    #[arg(long, default_value_t = 5_000)]
    over_short_limit_minor: i64,
    /// Discount above which a manager signs, hundredths of a percent.
    #[arg(long, default_value_t = 1_000)]
    discount_limit_bp: u32,
}

#[derive(Debug, Args)]
pub struct StoreRules {
    #[command(flatten)]
    tenant: TenantArg,
    /// Code of the store.
    #[arg(long)]
    store: StoreId,
    /// Drawers of each till, 1 to 9.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(DRAWERS_MAX)))]
    drawers: Option<u32>,
    /// Cashiers count without being told what should be there.
    #[arg(long)]
    blind_count: Option<bool>,
    /// Pay-out up to which no manager is asked, minor units.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    pay_out_limit_minor: Option<i64>,
    /// Difference at closing above which a manager signs, minor units.
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..))]
    over_short_limit_minor: Option<i64>,
    /// Discount above which a manager signs, hundredths of a percent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    discount_limit_bp: Option<u32>,
    /// Receipts print the signed code by which anybody can check them.
    #[arg(long)]
    receipt_code: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Open a store with its location, or with --online a location alone.
    Create(Box<StoreCreate>),
    /// Give stores what their country's pack says now: tax rates, coins and notes, ceilings, duties.
    Refresh {
        #[command(flatten)]
        tenant: TenantArg,
        /// Only this store; all of the chain unless given.
        #[arg(long)]
        store: Option<StoreId>,
        /// Read the pack from this file instead of the program, for its country's stores alone.
        #[arg(long, value_name = "FILE")]
        pack: Option<std::path::PathBuf>,
    },
    /// Change how a store keeps its drawers, when a manager signs and what receipts carry; what is not given stays.
    Rules(StoreRules),
    /// List stores and locations.
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
}

pub(super) fn store(context: &Context, command: StoreCommand) -> anyhow::Result<Output> {
    match command {
        StoreCommand::Create(args) => create_store(context, &args),
        StoreCommand::Refresh {
            tenant,
            store,
            pack,
        } => refresh_stores(context, &tenant, store.as_ref(), pack.as_deref()),
        StoreCommand::Rules(rules) => change_rules(context, &rules),
        StoreCommand::List { tenant } => {
            let hub = context.data.hub(&tenant.tenant)?;
            let stores = hub.stores()?;
            let mut text = String::new();
            let mut rows = Vec::new();
            for (location, names, store) in hub.locations()? {
                let config = stores
                    .iter()
                    .find(|config| Some(&config.store) == store.as_ref());
                let trade = config.map_or_else(
                    || "no tills".to_owned(),
                    |config| format!("{} list {}", config.currency, config.price_list),
                );
                text.push_str(&format!(
                    "{:8} {:24} {trade}\n",
                    location.as_str(),
                    names.fr
                ));
                rows.push(json!({
                    "location": location,
                    "store": store,
                    "names": names,
                    "currency": config.map(|config| config.currency),
                    "price_list": config.map(|config| &config.price_list),
                }));
            }
            Output::new(text, json!({ "ok": true, "locations": rows }))
        }
    }
}

fn change_rules(context: &Context, rules: &StoreRules) -> anyhow::Result<Output> {
    let mut hub = context.data.hub(&rules.tenant.tenant)?;
    let found = hub.stores()?.into_iter();
    let mut config = found
        .into_iter()
        .find(|config| config.store == rules.store)
        .with_context(|| format!("there is no store {}", rules.store))?;
    let drawer = &mut config.drawer;
    drawer.drawers = rules.drawers.unwrap_or(drawer.drawers);
    drawer.blind_count = rules.blind_count.unwrap_or(drawer.blind_count);
    drawer.pay_out_limit_minor = rules.pay_out_limit_minor.or(drawer.pay_out_limit_minor);
    let limit = &mut config.over_short_limit_minor;
    *limit = rules.over_short_limit_minor.unwrap_or(*limit);
    let limit = &mut config.discount_limit_bp;
    *limit = rules.discount_limit_bp.unwrap_or(*limit);
    config.receipt_code = rules.receipt_code.unwrap_or(config.receipt_code);
    hub.update_store(&config)?;
    Output::new(
        format!(
            "store {}: {} drawer(s) a till, {} counts, receipts {} code\n",
            config.store,
            config.drawer.drawers,
            if config.drawer.blind_count {
                "blind"
            } else {
                "open"
            },
            if config.receipt_code {
                "with their"
            } else {
                "without a"
            }
        ),
        json!({
            "ok": true,
            "store": config.store,
            "drawers": config.drawer.drawers,
            "blind_count": config.drawer.blind_count,
            "pay_out_limit_minor": config.drawer.pay_out_limit_minor,
            "over_short_limit_minor": config.over_short_limit_minor,
            "discount_limit_bp": config.discount_limit_bp,
            "receipt_code": config.receipt_code,
        }),
    )
}

fn create_store(context: &Context, args: &StoreCreate) -> anyhow::Result<Output> {
    let mut hub = context.data.hub(&args.tenant.tenant)?;
    let optional = |text: &str, what| {
        if text.is_empty() {
            Ok(String::new())
        } else {
            cleaned(text, what)
        }
    };
    let names = Names {
        fr: cleaned(&args.name, "name")?,
        ar: optional(&args.name_ar, "Arabic name")?,
        en: optional(&args.name_en, "English name")?,
    };
    let location = LocationId::new(args.store.as_str())?;
    let Some(country) = args.country.filter(|_| !args.online) else {
        hub.create_location(&location, &names)?;
        return Output::new(
            format!("location {location} made\n"),
            json!({ "ok": true, "location": location }),
        );
    };
    let price_list = match &args.price_list {
        Some(list) => list.clone(),
        None => PriceListId::new(country.code())?,
    };
    anyhow::ensure!(
        args.over_short_limit_minor >= 0 && args.discount_limit_bp <= 10_000,
        "amounts must be positive and a discount at most 10000"
    );
    let pack = CountryPack::of(country);
    let identity = legal_identity(pack, &args.identity)?;
    let cash_rounding = args.cash_rounding_minor.map(|unit_minor| CashRounding {
        unit_minor,
        mode: match args.cash_rounding_mode {
            RoundingModeArg::HalfUp => RoundingMode::HalfUp,
            RoundingModeArg::Down => RoundingMode::Down,
        },
    });
    anyhow::ensure!(
        cash_rounding.is_none_or(|rounding| pack.allows(rounding)),
        "cash is rounded to one of {:?} minor units in {}",
        pack.cash_rounding().units_minor,
        country.code()
    );
    let levies = if args.ticket_levy {
        pack.levies(DocumentKind::Ticket)
    } else {
        Vec::new()
    };
    anyhow::ensure!(
        levies.is_empty() != args.ticket_levy,
        "{} has no levy on tickets",
        country.code()
    );
    let lines = |lines: &[String], what| {
        lines
            .iter()
            .map(|line| cleaned(line, what))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let mut config = StoreConfig {
        store: args.store.clone(),
        location: location.clone(),
        chain: hub.chain().to_owned(),
        name: names,
        address: lines(&args.address, "address")?,
        legal: [identity.lines, lines(&args.legal, "legal line")?].concat(),
        country: country.code().to_owned(),
        currency: country.currency(),
        price_list: price_list.clone(),
        receipt_language: match args.receipt_language {
            LanguageArg::Fr => Language::Fr,
            LanguageArg::Ar => Language::Ar,
            LanguageArg::En => Language::En,
        },
        utc_offset_min: pack.utc_offset_min(),
        taxes: Vec::new(),
        tax_rounding: match args.tax_rounding {
            RoundingArg::PerLine => TaxRounding::PerLine,
            RoundingArg::PerReceipt => TaxRounding::PerReceipt,
        },
        levies,
        cash_rounding,
        over_short_limit_minor: args.over_short_limit_minor,
        discount_limit_bp: args.discount_limit_bp,
        drawer: domain::config::DrawerRules::default(),
        rules: Default::default(),
        identity: identity.values,
        follows: Vec::new(),
        location_names: Default::default(),
        receipt_code: true,
    };
    refresh(&mut config, pack);
    hub.create_store(&config)?;
    let mut text = format!(
        "store {} made: {}, list {price_list}\n",
        config.store, config.currency
    );
    for warning in &identity.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    Output::new(
        text,
        json!({
            "ok": true,
            "store": config.store,
            "location": location,
            "currency": config.currency,
            "price_list": price_list,
            "identity": config.identity,
            "warnings": identity.warnings,
        }),
    )
}

fn refresh_stores(
    context: &Context,
    tenant: &TenantArg,
    only: Option<&StoreId>,
    file: Option<&std::path::Path>,
) -> anyhow::Result<Output> {
    let own = file
        .map(|file| {
            let text = std::fs::read_to_string(file).context("reading the pack")?;
            anyhow::Ok(CountryPack::load(&text)?)
        })
        .transpose()?;
    let mut hub = context.data.hub(&tenant.tenant)?;
    let stores = hub.stores()?;
    if let Some(only) = only {
        let known = stores.iter().any(|config| &config.store == only);
        anyhow::ensure!(known, "no store {only}");
    }
    let mut text = String::new();
    let (mut changed, mut same) = (Vec::new(), Vec::new());
    for old in stores {
        if only.is_some_and(|only| only != &old.store) {
            continue;
        }
        let country: Country = old.country.parse()?;
        let pack = match &own {
            Some(pack) if pack.country() == country => pack,
            Some(_) => continue,
            None => CountryPack::of(country),
        };
        let mut new = old.clone();
        refresh(&mut new, pack);
        let word = if new == old { "as it was" } else { "refreshed" };
        text.push_str(&format!("{:8} {word}\n", old.store.as_str()));
        if new == old {
            same.push(old.store);
        } else {
            hub.update_store(&new)?;
            changed.push(new.store);
        }
    }
    Output::new(
        text,
        json!({ "ok": true, "refreshed": changed, "unchanged": same }),
    )
}

#[derive(Debug, Subcommand)]
pub enum DeviceCommand {
    /// Make a one-time enrolment code; it lives ten minutes.
    Code {
        #[command(flatten)]
        tenant: TenantArg,
        /// Store.
        #[arg(long)]
        store: StoreId,
        /// Till number, as receipt numbers carry it.
        #[arg(long)]
        till: TillId,
        /// Trust the first device that uses the code, without comparing fingerprints.
        #[arg(long)]
        preconfirmed: bool,
    },
    /// List devices, and codes that wait for one.
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Trust the waiting device that shows this fingerprint.
    Confirm {
        #[command(flatten)]
        tenant: TenantArg,
        /// Six digits.
        #[arg(long)]
        fingerprint: String,
    },
    /// Take trust from a device.
    Revoke {
        #[command(flatten)]
        tenant: TenantArg,
        /// Device, as listed.
        #[arg(long)]
        device: DeviceId,
        /// It was stolen.
        #[arg(long)]
        stolen: bool,
    },
}

pub(super) fn device(context: &Context, command: DeviceCommand) -> anyhow::Result<Output> {
    let now = &context.now;
    match command {
        DeviceCommand::Code {
            tenant,
            store,
            till,
            preconfirmed,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            let code = hub.issue_code(&store, &till, preconfirmed, now)?;
            Output::new(
                format!("{code}\n"),
                json!({
                    "ok": true,
                    "code": code,
                    "store": store,
                    "till": till,
                    "expires": now.wall_ms + hub::CODE_LIFE_MS,
                }),
            )
        }
        DeviceCommand::List { tenant } => {
            let hub = context.data.hub(&tenant.tenant)?;
            let devices = hub.tills(now)?;
            let waiting = hub.pending_devices(now)?;
            let mut text = String::new();
            for line in &devices {
                let state = if line.revoked { "revoked" } else { "trusted" };
                text.push_str(&format!(
                    "{}-{}  {}  {state}  seen {} s ago, head {}, {} unsent\n",
                    line.store,
                    line.till,
                    line.device,
                    line.contact_age_ms / 1_000,
                    line.head_seq,
                    line.unsynced
                ));
            }
            for code in &waiting {
                let state = code.fingerprint.as_deref().unwrap_or("not used yet");
                text.push_str(&format!(
                    "{}-{}  code waits: {state}\n",
                    code.store, code.till
                ));
            }
            Output::new(
                text,
                json!({ "ok": true, "devices": devices, "waiting": waiting }),
            )
        }
        DeviceCommand::Confirm {
            tenant,
            fingerprint,
        } => {
            context
                .data
                .hub(&tenant.tenant)?
                .confirm_device(&fingerprint, now)?;
            Output::new("confirmed\n", json!({ "ok": true }))
        }
        DeviceCommand::Revoke {
            tenant,
            device,
            stolen,
        } => {
            let reason = if stolen {
                SealReason::Stolen
            } else {
                SealReason::Retired
            };
            context
                .data
                .hub(&tenant.tenant)?
                .revoke_device(device, reason, now)?;
            Output::new("revoked\n", json!({ "ok": true }))
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleArg {
    Cashier,
    Manager,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Role {
        match role {
            RoleArg::Cashier => Role::Cashier,
            RoleArg::Manager => Role::Manager,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a member of staff to a store.
    Create {
        #[command(flatten)]
        tenant: TenantArg,
        /// Store.
        #[arg(long)]
        store: StoreId,
        /// Name on the sign-in screen.
        #[arg(long)]
        name: String,
        /// Role.
        #[arg(long, value_enum)]
        role: RoleArg,
        /// Read the PIN from standard input instead of making one.
        #[arg(long)]
        pin_stdin: bool,
    },
    /// List administrators, and the staff of every store.
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Give a member of staff a new PIN.
    SetPin {
        #[command(flatten)]
        tenant: TenantArg,
        /// Store.
        #[arg(long)]
        store: StoreId,
        /// Name.
        #[arg(long)]
        name: String,
        /// Read the PIN from standard input instead of making one.
        #[arg(long)]
        pin_stdin: bool,
    },
    /// Give an administrator a new password.
    SetPassword {
        #[command(flatten)]
        tenant: TenantArg,
        /// Name.
        #[arg(long)]
        name: String,
        /// Read the password from standard input instead of making one.
        #[arg(long)]
        password_stdin: bool,
    },
}

pub(super) fn user(context: &Context, command: UserCommand) -> anyhow::Result<Output> {
    match command {
        UserCommand::Create {
            tenant,
            store,
            name,
            role,
            pin_stdin,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            let name = cleaned(&name, "name")?;
            let (pin, made) = pin(role.into(), pin_stdin)?;
            let user = UserId(entropy()?.next_uuid(context.now.wall_ms));
            hub.create_user(
                &store,
                &StaffMember {
                    user,
                    name: name.clone(),
                    role: role.into(),
                    pin_verifier: hash_secret(&pin)?,
                    pin_version: 1,
                    language: None,
                    active: true,
                },
            )?;
            Ok(with_pin(&format!("{name} added"), user, &pin, made))
        }
        UserCommand::SetPin {
            tenant,
            store,
            name,
            pin_stdin,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            let role = hub
                .users(&store)?
                .into_iter()
                .find(|user| user.name == name)
                .map(|user| user.role)
                .ok_or_else(|| anyhow::anyhow!("no user {name}"))?;
            let (pin, made) = pin(role, pin_stdin)?;
            let user = hub.set_pin(&store, &name, &hash_secret(&pin)?)?;
            Ok(with_pin(&format!("{name} has a new PIN"), user, &pin, made))
        }
        UserCommand::SetPassword {
            tenant,
            name,
            password_stdin,
        } => {
            let mut hub = context.data.hub(&tenant.tenant)?;
            let (password, made) = password(password_stdin)?;
            hub.set_admin_verifier(&name, &hash_secret(&password)?, &context.now)?;
            let shown = made.then_some(password);
            let mut text = format!("{name} has a new password\n");
            if let Some(password) = &shown {
                text.push_str(&format!("password, shown only now: {password}\n"));
            }
            Output::new(text, json!({ "ok": true, "name": name, "password": shown }))
        }
        UserCommand::List { tenant } => {
            let hub = context.data.hub(&tenant.tenant)?;
            let mut text = String::new();
            let admins = hub.admins()?;
            for name in &admins {
                text.push_str(&format!("office    {name}\n"));
            }
            let mut rows = Vec::new();
            for store in hub.stores()? {
                for user in hub.users(&store.store)? {
                    let role = format!("{:?}", user.role).to_lowercase();
                    text.push_str(&format!(
                        "{:8}  {}  {role}\n",
                        store.store.as_str(),
                        user.name
                    ));
                    rows.push(json!({
                        "store": store.store,
                        "user": user.user,
                        "name": user.name,
                        "role": user.role,
                        "active": user.active,
                    }));
                }
            }
            Output::new(text, json!({ "ok": true, "admins": admins, "users": rows }))
        }
    }
}

fn pin(role: Role, from_stdin: bool) -> anyhow::Result<(String, bool)> {
    if !from_stdin {
        return Ok((random_pin(role)?, true));
    }
    let pin = secret_from_stdin()?;
    check_pin(role, &pin)?;
    Ok((pin, false))
}

fn with_pin(done: &str, user: UserId, pin: &str, made: bool) -> Output {
    let shown = made.then_some(pin);
    let mut text = format!("{done}\n");
    if let Some(pin) = shown {
        text.push_str(&format!("PIN, shown only now: {pin}\n"));
    }
    Output {
        text,
        json: json!({ "ok": true, "user": user, "pin": shown }),
        ok: true,
    }
}
