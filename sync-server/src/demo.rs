//! The demo chain *Atlas Sport*: three stores, an online shop, a catalogue with opening stock, staff and codes.

use domain::catalog::{Language, Names};
use domain::config::{Role, StaffMember, StoreConfig};
use domain::country::{Country, CountryPack};
use domain::ids::{LocationId, PriceListId, StoreId, TaxCategory, TenantId, TillId, UserId};
use hub::import::{ImportOptions, RowNote};
use hub::{AdminError, Hub, NewTenant, Now, StoreError};
use serde::Serialize;

use crate::data::{DataDir, DataError};
use crate::legal::{legal_identity, refresh};
use crate::secrets::{SecretError, hash_secret, random_password};

/// The demo tenant's code.
pub const TENANT: &str = "atlas";
/// Name of its administrator.
pub const ADMIN: &str = "admin";
const CATALOGUE: &str = include_str!("../demo/atlas-sport.csv");
/// Prices hold from a day before any demo shift.
const PRICES_FROM: &str = "2025-01-01";

/// Staff with PINs that are no secret: this chain exists on the machine of whoever tries it.
const STAFF: [(&str, &str, Role, &str); 6] = [
    ("LM", "Amira", Role::Cashier, "4826"),
    ("LM", "Slim", Role::Manager, "739154"),
    ("TC", "Yassine", Role::Cashier, "5173"),
    ("TC", "Ines", Role::Manager, "860427"),
    ("CA", "Salma", Role::Cashier, "6294"),
    ("CA", "Mehdi", Role::Manager, "315908"),
];
/// Tills that codes are made for.
const TILLS: [(&str, &str); 2] = [("LM", "01"), ("CA", "01")];

/// Why the demo could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The data directory failed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The tenant's file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A step was refused.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// No secret could be made.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The catalogue has errors.
    #[error("the demo catalogue has errors")]
    Catalogue(Vec<RowNote>),
}

/// What somebody needs to try the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Demo {
    /// Tenant.
    pub tenant: TenantId,
    /// Name of the chain.
    pub chain: String,
    /// Administrator of head office.
    pub admin: String,
    /// The administrator's password, known only when the demo was just made or `known_password` was given.
    pub password: Option<String>,
    /// Staff and their PINs.
    pub users: Vec<DemoUser>,
    /// Fresh enrolment codes.
    pub codes: Vec<DemoCode>,
}

/// A member of staff of the demo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DemoUser {
    /// Store.
    pub store: StoreId,
    /// Name.
    pub name: String,
    /// Role.
    pub role: Role,
    /// PIN.
    pub pin: String,
}

/// An enrolment code of the demo, confirmed beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DemoCode {
    /// Store.
    pub store: StoreId,
    /// Till.
    pub till: TillId,
    /// Code; lives ten minutes.
    pub code: String,
}

/// Makes the demo chain, or finds it from an earlier run, and mints fresh codes.
///
/// # Errors
/// [`DemoError`].
pub fn prepare(
    data: &DataDir,
    known_password: Option<String>,
    now: &Now,
) -> Result<Demo, DemoError> {
    let tenant = TenantId::new(TENANT).expect("a short code");
    let chain = "Atlas Sport".to_owned();
    let mut hub = match data.find(&tenant)? {
        Some(hub) => hub,
        None => data.create(
            &NewTenant {
                tenant: tenant.clone(),
                chain: chain.clone(),
            },
            now,
        )?,
    };
    let password = complete(&mut hub, now)?.or(known_password);
    let mut codes = Vec::new();
    for (store, till) in TILLS {
        let store = StoreId::new(store).expect("a short code");
        let till = TillId::new(till).expect("a short code");
        let code = hub.issue_code(&store, &till, true, now)?;
        codes.push(DemoCode { store, till, code });
    }
    let users = STAFF
        .iter()
        .map(|(store, name, role, pin)| DemoUser {
            store: StoreId::new(store).expect("a short code"),
            name: (*name).to_owned(),
            role: *role,
            pin: (*pin).to_owned(),
        })
        .collect();
    Ok(Demo {
        tenant,
        chain,
        admin: ADMIN.to_owned(),
        password,
        users,
        codes,
    })
}

/// Does what an earlier run has not done yet, step by step, so that one cut short is made whole.
/// Returns the password when the administrator is new.
fn complete(hub: &mut Hub, now: &Now) -> Result<Option<String>, DemoError> {
    let stores = hub.stores()?;
    for config in store_configs() {
        if !stores.iter().any(|store| store.store == config.store) {
            hub.create_store(&config)?;
        }
    }
    let web = LocationId::new("WEB").expect("a short code");
    if !hub
        .locations()?
        .iter()
        .any(|(location, ..)| *location == web)
    {
        let names = names("Boutique en ligne", "المتجر الإلكتروني", "Online shop");
        hub.create_location(&web, &names)?;
    }
    if hub.stock_page("", 0, 1)?.total == 0 {
        import(hub, now)?;
    }
    for (store, name, role, pin) in STAFF {
        let store = StoreId::new(store).expect("a short code");
        if hub.users(&store)?.iter().any(|user| user.name == name) {
            continue;
        }
        let user = UserId(crate::secrets::entropy()?.next_uuid(now.wall_ms));
        hub.create_user(
            &store,
            &StaffMember {
                user,
                name: name.to_owned(),
                role,
                pin_verifier: hash_secret(pin)?,
                pin_version: 1,
                language: None,
                active: true,
            },
        )?;
    }
    if hub.admins()?.iter().any(|name| name == ADMIN) {
        return Ok(None);
    }
    let password = random_password()?;
    hub.create_admin(ADMIN, &hash_secret(&password)?)?;
    Ok(Some(password))
}

fn import(hub: &mut Hub, now: &Now) -> Result<(), DemoError> {
    let options = ImportOptions {
        dry_run: false,
        valid_from: PRICES_FROM.parse().expect("a date of the calendar"),
        price_list: None,
        tax: TaxCategory::new("standard").expect("a short code"),
        opening_stock: true,
        stock_location: None,
    };
    let report = hub.import(CATALOGUE.as_bytes(), &options, now, &mut |_, _| {})?;
    if report.applied {
        Ok(())
    } else {
        Err(DemoError::Catalogue(report.errors))
    }
}

fn names(fr: &str, ar: &str, en: &str) -> Names {
    Names {
        fr: fr.to_owned(),
        ar: ar.to_owned(),
        en: en.to_owned(),
    }
}

fn store_configs() -> Vec<StoreConfig> {
    let store =
        |code: &str, country: Country, name: Names, address: [&str; 2], ids: &[(&str, &str)]| {
            let list = country.code();
            let pack = CountryPack::of(country);
            let ids: Vec<_> = ids
                .iter()
                .map(|(field, value)| ((*field).to_owned(), (*value).to_owned()))
                .collect();
            let identity = legal_identity(pack, &ids).expect("tests make the demo's stores");
            let mut config = StoreConfig {
                store: StoreId::new(code).expect("a short code"),
                location: LocationId::new(code).expect("a short code"),
                chain: "Atlas Sport".to_owned(),
                name,
                address: address.map(str::to_owned).to_vec(),
                legal: identity.lines,
                country: country.code().to_owned(),
                currency: country.currency(),
                price_list: PriceListId::new(list).expect("a short code"),
                receipt_language: Language::Fr,
                utc_offset_min: pack.utc_offset_min(),
                taxes: Vec::new(),
                tax_rounding: domain::config::TaxRounding::PerLine,
                levies: Vec::new(),
                cash_rounding: None,
                over_short_limit_minor: 5_000,
                discount_limit_bp: 1_000,
                drawer: domain::config::DrawerRules::default(),
                rules: Default::default(),
                identity: identity.values,
                follows: Vec::new(),
                location_names: Default::default(),
                receipt_code: true,
            };
            refresh(&mut config, pack);
            config
        };
    vec![
        store(
            "LM",
            Country::Tunisia,
            names("Tunis La Marsa", "تونس المرسى", "Tunis La Marsa"),
            ["12 avenue de la Plage", "2070 La Marsa"],
            &[("mf", "0000000A/A/M/000")],
        ),
        store(
            "TC",
            Country::Tunisia,
            names("Tunis Centre", "تونس وسط المدينة", "Tunis Centre"),
            ["48 avenue du Stade", "1000 Tunis"],
            &[("mf", "0000000A/A/E/001")],
        ),
        store(
            "CA",
            Country::Morocco,
            names("Casablanca", "الدار البيضاء", "Casablanca"),
            ["7 boulevard des Sports", "20000 Casablanca"],
            &[
                ("ice", "000000000000000"),
                ("if", "00000000"),
                ("tp", "00000000"),
            ],
        ),
    ]
}
