//! The hubs that this process serves, opened as they are first asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hub::{Hub, StoreError, TenantId};
use sync_protocol::ProtocolError;

/// One tenant's hub. SQLite has one writer, so a lock costs nothing that the file would not.
pub type SharedHub = Arc<Mutex<Hub>>;

/// Opens the hub of a tenant; none when there is no such tenant.
pub type OpenTenant = Box<dyn Fn(&TenantId) -> Result<Option<Hub>, StoreError> + Send + Sync>;

/// Finds hubs by tenant.
pub struct Tenants {
    open: OpenTenant,
    hubs: Mutex<BTreeMap<TenantId, SharedHub>>,
}

impl Tenants {
    /// Hubs opened by `open`.
    pub fn new(open: OpenTenant) -> Tenants {
        Tenants {
            open,
            hubs: Mutex::default(),
        }
    }

    /// One hub that is open already.
    pub fn single(hub: Hub) -> Tenants {
        let tenant = hub.tenant().clone();
        let tenants = Tenants::new(Box::new(|_| Ok(None)));
        tenants
            .hubs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant, Arc::new(Mutex::new(hub)));
        tenants
    }

    /// The hub of `tenant`. Blocks on the file system when it is the first to ask.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be opened.
    pub fn get(&self, tenant: &TenantId) -> Result<Option<SharedHub>, StoreError> {
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hub) = hubs.get(tenant) {
            return Ok(Some(hub.clone()));
        }
        let Some(hub) = (self.open)(tenant)? else {
            return Ok(None);
        };
        let hub = Arc::new(Mutex::new(hub));
        hubs.insert(tenant.clone(), hub.clone());
        Ok(Some(hub))
    }
}

/// Runs `work` on the hub of `tenant`, away from the threads that move bytes.
///
/// # Errors
/// `missing` when there is no such tenant, whatever `work` returns, or [`ProtocolError::Internal`].
pub async fn with_hub<T, E>(
    tenants: &Arc<Tenants>,
    tenant: TenantId,
    missing: ProtocolError,
    work: impl FnOnce(&mut Hub) -> Result<T, E> + Send + 'static,
) -> Result<T, E>
where
    T: Send + 'static,
    E: From<ProtocolError> + Send + 'static,
{
    let tenants = tenants.clone();
    let done = tokio::task::spawn_blocking(move || {
        let hub = tenants.get(&tenant).map_err(|error| {
            tracing::error!(%error, tenant = %tenant, "the tenant's file cannot be opened");
            ProtocolError::Internal
        })?;
        let Some(hub) = hub else {
            return Err(missing.into());
        };
        // A panic elsewhere rolled its transaction back; the hub holds nothing else that could be half-done.
        let mut hub = hub.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut hub)
    })
    .await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a request panicked");
        Err(ProtocolError::Internal.into())
    })
}
