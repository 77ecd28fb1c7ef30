//! `/office/api`: sign-in of administrators, and what they see of stock, takings and tills.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use domain::catalog::Names;
use domain::ids::{IncidentId, LocationId, StoreId, TenantId, VariantId};
use domain::money::Currency;
use domain::quantity::Quantity;
use domain::time::BusinessDate;
use hub::{AdminError, Hub, Now, SignInError, StoreError, TakingsLine};
use hub_http::{Clock, Tenants, with_hub};
use serde::{Deserialize, Serialize};
use sync_protocol::ProtocolError;
use tokio::sync::Semaphore;

use crate::data::DataDir;
use crate::secrets::{fits, hash_secret};

const COOKIE: &str = "hanout_office";
const COOKIE_LIFE_S: u32 = 12 * 60 * 60;
const LOGIN_BYTES_MAX: usize = 4 * 1024;
const PAGE_ROWS: u64 = 50;
const PAGE_ROWS_MAX: u64 = 200;
/// Passwords checked at once: each takes 19 MiB and a core for some 30 ms.
const CHECKS_MAX: usize = 2;

#[derive(Clone)]
struct Office {
    data: DataDir,
    tenants: Arc<Tenants>,
    clock: Clock,
    secure: bool,
    checks: Arc<Semaphore>,
    /// Checked in place of an unknown name's verifier, so that both take as long.
    decoy: Arc<str>,
}

/// Routes of the office.
pub(crate) fn routes(data: DataDir, tenants: Arc<Tenants>, clock: Clock, secure: bool) -> Router {
    Router::new()
        .route("/office/api/login", post(login))
        .route("/office/api/logout", post(logout))
        .route("/office/api/me", get(me))
        .route("/office/api/stock", get(stock))
        .route("/office/api/stock/lineage", get(lineage))
        .route("/office/api/takings", get(takings))
        .route("/office/api/accounts", get(accounts))
        .route("/office/api/tills", get(tills))
        .route("/office/api/incidents", get(incidents))
        .route("/office/api/incidents/resolve", post(resolve))
        .layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX))
        .with_state(Office {
            data,
            tenants,
            clock,
            secure,
            checks: Arc::new(Semaphore::new(CHECKS_MAX)),
            decoy: hash_secret("no password").unwrap_or_default().into(),
        })
}

/// Why the office does not answer as asked.
#[derive(Debug, Serialize)]
#[serde(tag = "code", rename_all = "snake_case")]
enum OfficeError {
    /// Nobody is signed in.
    SignIn,
    /// Name or password are wrong.
    WrongPassword,
    /// Too many wrong passwords.
    Blocked { after_ms: i64 },
    /// The request came from another site, or is no JSON.
    BadRequest,
    /// There is no such incident, or somebody has resolved it.
    NotOpen,
    /// The note is empty, too long or holds what cannot be printed.
    BadNote,
    /// Something failed inside.
    Internal,
}

impl From<StoreError> for OfficeError {
    fn from(error: StoreError) -> OfficeError {
        tracing::error!(%error, "the office cannot read");
        OfficeError::Internal
    }
}

impl From<ProtocolError> for OfficeError {
    fn from(error: ProtocolError) -> OfficeError {
        match error {
            ProtocolError::Unauthorised => OfficeError::SignIn,
            _ => OfficeError::Internal,
        }
    }
}

impl From<SignInError> for OfficeError {
    fn from(error: SignInError) -> OfficeError {
        match error {
            SignInError::Blocked { after_ms } => OfficeError::Blocked { after_ms },
            SignInError::Store(error) => error.into(),
        }
    }
}

impl From<AdminError> for OfficeError {
    fn from(error: AdminError) -> OfficeError {
        tracing::error!(%error, "the office cannot sign in");
        OfficeError::Internal
    }
}

impl IntoResponse for OfficeError {
    fn into_response(self) -> Response {
        let status = match &self {
            OfficeError::SignIn | OfficeError::WrongPassword => StatusCode::UNAUTHORIZED,
            OfficeError::Blocked { .. } => StatusCode::TOO_MANY_REQUESTS,
            OfficeError::BadRequest => StatusCode::BAD_REQUEST,
            OfficeError::NotOpen => StatusCode::CONFLICT,
            OfficeError::BadNote => StatusCode::UNPROCESSABLE_ENTITY,
            OfficeError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, axum::Json(self)).into_response()
    }
}

type OfficeResult<T> = Result<T, OfficeError>;

#[derive(Debug, Deserialize)]
struct Login {
    /// May be left out while the server has one tenant.
    #[serde(default)]
    tenant: Option<String>,
    name: String,
    password: String,
}

#[derive(Debug, Serialize)]
struct Me {
    tenant: TenantId,
    chain: String,
    name: String,
}

async fn login(State(office): State<Office>, headers: HeaderMap, body: Bytes) -> Response {
    match try_login(&office, &headers, &body).await {
        Err(error) => error.into_response(),
        Ok((me, token)) => {
            let secure = if office.secure { "; Secure" } else { "" };
            let cookie = format!(
                "{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/office; Max-Age={COOKIE_LIFE_S}{secure}"
            );
            with_cookie(axum::Json(me).into_response(), &cookie)
        }
    }
}

async fn try_login(
    office: &Office,
    headers: &HeaderMap,
    body: &[u8],
) -> OfficeResult<(Me, String)> {
    check_same_site(headers)?;
    let login: Login = serde_json::from_slice(body).map_err(|_| OfficeError::BadRequest)?;
    let tenant = tenant_of(office, login.tenant.as_deref()).await?;
    let now = (office.clock)();
    let name = login.name.clone();
    // An unknown tenant looks like a wrong password, and takes as long.
    let verifier = match &tenant {
        None => None,
        Some(tenant) => {
            let begin =
                move |hub: &mut Hub| hub.begin_sign_in(&name, &now).map_err(OfficeError::from);
            with_hub(
                &office.tenants,
                tenant.clone(),
                ProtocolError::Unauthorised,
                begin,
            )
            .await?
        }
    };
    let known = verifier.is_some();
    let verifier = verifier.unwrap_or_else(|| office.decoy.to_string());
    let password = login.password;
    let Ok(_permit) = office.checks.acquire().await else {
        return Err(OfficeError::Internal);
    };
    let right = tokio::task::spawn_blocking(move || fits(&password, &verifier))
        .await
        .map_err(|_| OfficeError::Internal)?;
    let Some(tenant) = tenant.filter(|_| known && right) else {
        return Err(OfficeError::WrongPassword);
    };
    let name = login.name;
    with_hub(
        &office.tenants,
        tenant.clone(),
        ProtocolError::Unauthorised,
        move |hub| {
            let token = hub.finish_sign_in(&name, &now)?;
            let me = Me {
                tenant,
                chain: hub.chain().to_owned(),
                name,
            };
            Ok((me, token))
        },
    )
    .await
}

async fn tenant_of(office: &Office, given: Option<&str>) -> OfficeResult<Option<TenantId>> {
    if let Some(given) = given.filter(|given| !given.is_empty()) {
        return Ok(TenantId::new(given)
            .ok()
            .filter(|tenant| office.data.tenants().is_ok_and(|all| all.contains(tenant))));
    }
    let data = office.data.clone();
    let tenants = tokio::task::spawn_blocking(move || data.tenants())
        .await
        .map_err(|_| OfficeError::Internal)?
        .map_err(|_| OfficeError::Internal)?;
    Ok(match tenants.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    })
}

async fn logout(State(office): State<Office>, headers: HeaderMap) -> Response {
    if let Err(error) = check_same_site(&headers) {
        return error.into_response();
    }
    if let Some((tenant, token)) = cookie_of(&headers) {
        let done = with_hub(
            &office.tenants,
            tenant,
            ProtocolError::Unauthorised,
            move |hub| hub.sign_out(&token).map_err(OfficeError::from),
        )
        .await;
        if let Err(error @ OfficeError::Internal) = done {
            return error.into_response();
        }
    }
    let gone = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/office; Max-Age=0");
    with_cookie(StatusCode::NO_CONTENT.into_response(), &gone)
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    match HeaderValue::from_str(cookie) {
        Ok(value) => {
            response.headers_mut().insert(header::SET_COOKIE, value);
            response
        }
        Err(_) => OfficeError::Internal.into_response(),
    }
}

/// Runs `work` for whoever is signed in.
async fn signed_in<T: Send + 'static>(
    office: &Office,
    headers: &HeaderMap,
    work: impl FnOnce(&mut Hub, String, &Now) -> OfficeResult<T> + Send + 'static,
) -> OfficeResult<T> {
    let (tenant, token) = cookie_of(headers).ok_or(OfficeError::SignIn)?;
    let now = (office.clock)();
    with_hub(
        &office.tenants,
        tenant,
        ProtocolError::Unauthorised,
        move |hub| {
            let name = hub.signed_in(&token, &now)?.ok_or(OfficeError::SignIn)?;
            work(hub, name, &now)
        },
    )
    .await
}

fn respond<T: Serialize>(reply: OfficeResult<T>) -> Response {
    match reply {
        Ok(value) => axum::Json(value).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn me(State(office): State<Office>, headers: HeaderMap) -> Response {
    let reply = signed_in(&office, &headers, |hub, name, _| {
        Ok(Me {
            tenant: hub.tenant().clone(),
            chain: hub.chain().to_owned(),
            name,
        })
    });
    respond(reply.await)
}

#[derive(Debug, Deserialize)]
struct StockQuery {
    #[serde(default)]
    query: String,
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    limit: Option<u64>,
}

async fn stock(
    State(office): State<Office>,
    headers: HeaderMap,
    Query(query): Query<StockQuery>,
) -> Response {
    let limit = query.limit.unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS_MAX);
    let reply = signed_in(&office, &headers, move |hub, _, _| {
        Ok(hub.stock_page(&query.query, query.offset, limit)?)
    });
    respond(reply.await)
}

/// Movements of a zone that are shown at once.
const STEPS_SHOWN: usize = 100;

#[derive(Debug, Deserialize)]
struct LineageQuery {
    variant: VariantId,
    location: LocationId,
}

async fn lineage(
    State(office): State<Office>,
    headers: HeaderMap,
    Query(query): Query<LineageQuery>,
) -> Response {
    let reply = signed_in(&office, &headers, move |hub, _, _| {
        Ok(hub.stock_lineage(query.variant, &query.location, STEPS_SHOWN)?)
    });
    respond(reply.await)
}

#[derive(Debug, Deserialize)]
struct TakingsQuery {
    #[serde(default)]
    date: Option<BusinessDate>,
}

#[derive(Debug, Serialize)]
struct Takings {
    date: BusinessDate,
    rows: Vec<TakingsLine>,
    totals: Vec<CurrencyTotal>,
    stores: BTreeMap<StoreId, Names>,
}

/// Totals of one currency; there is no total over currencies.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct CurrencyTotal {
    currency: Currency,
    receipts: u64,
    reversals: u64,
    takings_minor: i64,
    units: Quantity,
}

async fn takings(
    State(office): State<Office>,
    headers: HeaderMap,
    Query(query): Query<TakingsQuery>,
) -> Response {
    let reply = signed_in(&office, &headers, move |hub, _, now| {
        let stores = hub.stores()?;
        let date = query.date.unwrap_or_else(|| {
            let utc_offset_min = stores.first().map_or(0, |store| store.utc_offset_min);
            Now {
                utc_offset_min,
                ..*now
            }
            .local_date()
        });
        let rows = hub.takings(Some(date))?;
        Ok(Takings {
            date,
            totals: totals(&rows).ok_or(OfficeError::Internal)?,
            rows,
            stores: stores
                .into_iter()
                .map(|store| (store.store, store.name))
                .collect(),
        })
    });
    respond(reply.await)
}

/// Sums by currency; none when one overflows.
fn totals(rows: &[TakingsLine]) -> Option<Vec<CurrencyTotal>> {
    let mut totals: BTreeMap<Currency, CurrencyTotal> = BTreeMap::new();
    for row in rows {
        let total = totals.entry(row.currency).or_insert(CurrencyTotal {
            currency: row.currency,
            receipts: 0,
            reversals: 0,
            takings_minor: 0,
            units: Quantity::ZERO,
        });
        total.receipts += row.receipts;
        total.reversals += row.reversals;
        total.takings_minor = total.takings_minor.checked_add(row.takings_minor)?;
        total.units = total.units.checked_add(row.units)?;
    }
    Some(totals.into_values().collect())
}

/// Events set aside that are shown at once.
const SET_ASIDE_SHOWN: u32 = 100;

/// Closings shown at once.
const CLOSINGS_SHOWN: u32 = 200;

#[derive(Debug, Serialize)]
struct Accounts {
    closings: Vec<hub::ClosingLine>,
    balances: Vec<hub::BalanceLine>,
    stores: BTreeMap<StoreId, Names>,
}

async fn accounts(State(office): State<Office>, headers: HeaderMap) -> Response {
    let reply = signed_in(&office, &headers, |hub, _, _| {
        Ok(Accounts {
            closings: hub.closings(CLOSINGS_SHOWN)?,
            balances: hub.balances()?,
            stores: store_names(hub)?,
        })
    });
    respond(reply.await)
}

#[derive(Debug, Serialize)]
struct Tills {
    server_time: i64,
    rows: Vec<hub::TillLine>,
    /// What is in no sum.
    set_aside: Vec<hub::SetAsideLine>,
}

async fn tills(State(office): State<Office>, headers: HeaderMap) -> Response {
    let reply = signed_in(&office, &headers, |hub, _, now| {
        Ok(Tills {
            server_time: now.wall_ms,
            rows: hub.tills(now)?,
            set_aside: hub.set_aside(SET_ASIDE_SHOWN)?,
        })
    });
    respond(reply.await)
}

/// Incidents shown at once.
const INCIDENTS_SHOWN: u32 = 100;

#[derive(Debug, Deserialize)]
struct IncidentsQuery {
    /// Those that somebody has looked at too.
    #[serde(default)]
    all: bool,
}

#[derive(Debug, Serialize)]
struct Incidents {
    rows: Vec<hub::IncidentLine>,
    stores: BTreeMap<StoreId, Names>,
}

async fn incidents(
    State(office): State<Office>,
    headers: HeaderMap,
    Query(query): Query<IncidentsQuery>,
) -> Response {
    let reply = signed_in(&office, &headers, move |hub, _, _| {
        Ok(Incidents {
            rows: hub.incidents(!query.all, INCIDENTS_SHOWN)?,
            stores: store_names(hub)?,
        })
    });
    respond(reply.await)
}

#[derive(Debug, Deserialize)]
struct Resolve {
    incident: IncidentId,
    note: String,
}

/// Answers with what is still open.
async fn resolve(State(office): State<Office>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(error) = check_same_site(&headers) {
        return error.into_response();
    }
    let reply = signed_in(&office, &headers, move |hub, name, now| {
        let asked: Resolve = serde_json::from_slice(&body).map_err(|_| OfficeError::BadRequest)?;
        // Who says so stands in the fact; the hub cleans and bounds the whole.
        let note = match asked.note.trim() {
            "" => String::new(),
            note => format!("{note} ({name})"),
        };
        hub.resolve_incident(asked.incident, &note, now)
            .map_err(|error| match error {
                AdminError::Unknown { .. } => OfficeError::NotOpen,
                AdminError::BadText { .. } => OfficeError::BadNote,
                other => other.into(),
            })?;
        Ok(Incidents {
            rows: hub.incidents(true, INCIDENTS_SHOWN)?,
            stores: store_names(hub)?,
        })
    });
    respond(reply.await)
}

fn store_names(hub: &Hub) -> OfficeResult<BTreeMap<StoreId, Names>> {
    let stores = hub.stores()?.into_iter();
    Ok(stores.map(|store| (store.store, store.name)).collect())
}

fn cookie_of(headers: &HeaderMap) -> Option<(TenantId, String)> {
    let token = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))?;
    let (tenant, _) = token.split_once('.')?;
    Some((TenantId::new(tenant).ok()?, token.to_owned()))
}

/// A page elsewhere can make a browser post, but not JSON without asking, and not without saying where from.
fn check_same_site(headers: &HeaderMap) -> OfficeResult<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let json = text("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let site = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let origin = text("origin").is_none_or(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == text("host")
    });
    if json && site && origin {
        Ok(())
    } else {
        Err(OfficeError::BadRequest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(store: &str, currency: Currency, takings_minor: i64) -> TakingsLine {
        TakingsLine {
            date: "2026-11-22".parse().expect("date"),
            store: store.to_owned(),
            till: "01".to_owned(),
            currency,
            receipts: 2,
            reversals: 0,
            takings_minor,
            units: Quantity::ONE,
        }
    }

    #[test]
    fn takings_of_two_currencies_are_two_totals() {
        let totals = totals(&[
            line("LM", Currency::Tnd, 100),
            line("CA", Currency::Mad, 7),
            line("TC", Currency::Tnd, 11),
        ])
        .expect("totals");
        let sums: Vec<_> = totals
            .iter()
            .map(|total| (total.currency, total.takings_minor, total.receipts))
            .collect();
        assert_eq!(sums, [(Currency::Tnd, 111, 4), (Currency::Mad, 7, 2)]);
    }

    #[test]
    fn posts_from_elsewhere_are_refused() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            check_same_site(&headers).is_ok()
        };
        let json = ("content-type", "application/json");
        assert!(check(&[json]));
        assert!(check(&[json, ("host", "a:1"), ("origin", "http://a:1")]));
        assert!(!check(&[]));
        assert!(!check(&[("content-type", "text/plain")]));
        assert!(!check(&[json, ("host", "a:1"), ("origin", "http://b:1")]));
        assert!(!check(&[json, ("host", "a:1"), ("origin", "null")]));
        assert!(!check(&[json, ("sec-fetch-site", "cross-site")]));
    }
}
