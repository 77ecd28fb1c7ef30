//! What head office sets up: stores, locations, price lists and staff.

use domain::catalog::{Names, StockClass};
use domain::config::{DeviceRecord, StaffMember, StoreConfig};
use domain::ids::{LocationId, PriceListId, StoreId, UserId};
use domain::money::Currency;
use sync_protocol::FeedName;

use crate::lifecycle::Hub;
use crate::office::variant_by_id;
use crate::store::{StoreError, StoreResult, Tx};

/// Why head office's wish was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Something of that name exists.
    #[error("{what} {name} exists")]
    Exists {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Nothing of that name exists.
    #[error("no {what} {name}")]
    Unknown {
        /// What.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A kit has no stock class, its parts have.
    #[error("{sku} is a kit: set the class of what it is made of")]
    IsKit {
        /// Its SKU.
        sku: String,
    },
    /// A text is empty, too long or holds what cannot be printed.
    #[error("the {what} cannot be used")]
    BadText {
        /// What.
        what: &'static str,
    },
    /// A price list has one currency.
    #[error("price list {list} is in {currency}")]
    CurrencyMismatch {
        /// The list.
        list: PriceListId,
        /// Its currency.
        currency: Currency,
    },
    /// The file failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(crate) fn exists(what: &'static str, name: impl ToString) -> AdminError {
    AdminError::Exists {
        what,
        name: name.to_string(),
    }
}

pub(crate) fn unknown(what: &'static str, name: impl ToString) -> AdminError {
    AdminError::Unknown {
        what,
        name: name.to_string(),
    }
}

impl Hub {
    /// Opens a store with its location; its price list is made when it is the first to use it.
    /// What it follows and the names of locations are filled in here, for all stores.
    ///
    /// # Errors
    /// [`AdminError::Exists`], [`AdminError::CurrencyMismatch`].
    pub fn create_store(&mut self, config: &StoreConfig) -> Result<(), AdminError> {
        self.store.write(|tx| {
            if store_config(tx, &config.store)?.is_some() {
                return Err(exists("store", &config.store));
            }
            if tx.locations()?.contains_key(&config.location) {
                return Err(exists("location", &config.location));
            }
            match tx.price_lists()?.get(&config.price_list) {
                None => tx.put_price_list(&config.price_list, config.currency)?,
                Some(currency) if *currency == config.currency => {}
                Some(currency) => {
                    return Err(AdminError::CurrencyMismatch {
                        list: config.price_list.clone(),
                        currency: *currency,
                    });
                }
            }
            tx.put_location(&config.location, &config.name, Some(&config.store))?;
            crate::rights::index_classes(tx)?;
            put_store_config(tx, config)?;
            let mut writer = tx.feed_writer(&FeedName::Config(config.store.clone()))?;
            for device in tx.devices()? {
                let (pk, row) = device_record_row(&device)?;
                writer.put(&pk, Some(&row))?;
            }
            writer.finish()?;
            refresh_follows(tx)?;
            Ok(())
        })
    }

    /// Makes a location without a store, such as the online shop's.
    ///
    /// # Errors
    /// [`AdminError::Exists`].
    pub fn create_location(
        &mut self,
        location: &LocationId,
        names: &Names,
    ) -> Result<(), AdminError> {
        self.store.write(|tx| {
            if tx.locations()?.contains_key(location) {
                return Err(exists("location", location));
            }
            tx.put_location(location, names, None)?;
            crate::rights::index_classes(tx)?;
            refresh_follows(tx)?;
            Ok(())
        })
    }

    /// Replaces the configuration of a store; location, currency and price list must stay.
    ///
    /// # Errors
    /// [`AdminError::Unknown`], [`AdminError::CurrencyMismatch`].
    pub fn update_store(&mut self, config: &StoreConfig) -> Result<(), AdminError> {
        self.store.write(|tx| {
            let Some(old) = store_config(tx, &config.store)? else {
                return Err(unknown("store", &config.store));
            };
            if old.location != config.location {
                return Err(unknown("location", &config.location));
            }
            if old.currency != config.currency || old.price_list != config.price_list {
                return Err(AdminError::CurrencyMismatch {
                    list: old.price_list,
                    currency: old.currency,
                });
            }
            put_store_config(tx, config)?;
            refresh_follows(tx)?;
            Ok(())
        })
    }

    /// All stores by code.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stores(&self) -> Result<Vec<StoreConfig>, StoreError> {
        self.store.read(all_stores)
    }

    /// All locations by code, with the store they belong to.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn locations(&self) -> Result<Vec<(LocationId, Names, Option<StoreId>)>, StoreError> {
        let locations = self.store.read(|tx| tx.locations())?;
        Ok(locations
            .into_iter()
            .map(|(location, (names, store))| (location, names, store))
            .collect())
    }

    /// Adds a member of staff to a store. The PIN verifier is made by the caller.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] store, [`AdminError::Exists`] for a second one of that name.
    pub fn create_user(&mut self, store: &StoreId, staff: &StaffMember) -> Result<(), AdminError> {
        self.store.write(|tx| {
            if store_config(tx, store)?.is_none() {
                return Err(unknown("store", store));
            }
            if users_of(tx, store)?
                .iter()
                .any(|other| other.name == staff.name)
            {
                return Err(exists("user", &staff.name));
            }
            put_user(tx, store, staff)
        })
    }

    /// Gives a member of staff a new PIN and raises its version.
    ///
    /// # Errors
    /// [`AdminError::Unknown`].
    pub fn set_pin(
        &mut self,
        store: &StoreId,
        name: &str,
        verifier: &str,
    ) -> Result<UserId, AdminError> {
        self.store.write(|tx| {
            let mut staff = users_of(tx, store)?
                .into_iter()
                .find(|staff| staff.name == name)
                .ok_or_else(|| unknown("user", name))?;
            staff.pin_verifier = verifier.to_owned();
            staff.pin_version += 1;
            put_user(tx, store, &staff)?;
            Ok(staff.user)
        })
    }

    /// Sets how stock of a variant is guarded: at one location, or where no location says otherwise.
    ///
    /// A till learns of it with its next contact; what it sells until then as it did before is on no right.
    ///
    /// # Errors
    /// [`AdminError::Unknown`] SKU or location; [`AdminError::IsKit`].
    pub fn set_class(
        &mut self,
        sku: &str,
        location: Option<&LocationId>,
        class: StockClass,
    ) -> Result<(), AdminError> {
        self.store.write(|tx| {
            let row = tx.variant_by_sku(sku)?.ok_or_else(|| unknown("SKU", sku))?;
            let mut variant =
                variant_by_id(tx, row.variant)?.ok_or(StoreError::Corrupt("variant"))?;
            if variant.is_kit() {
                return Err(AdminError::IsKit {
                    sku: sku.to_owned(),
                });
            }
            let locations: Vec<LocationId> = tx.locations()?.into_keys().collect();
            match location {
                Some(location) if !locations.contains(location) => {
                    return Err(unknown("location", location));
                }
                Some(location) => {
                    variant.classes.insert(location.clone(), class);
                }
                None => variant.class = class,
            }
            let mut writer = tx.feed_writer(&FeedName::Catalogue)?;
            let pk = format!("variant:{}", variant.variant);
            writer.put(&pk, Some(&to_row(&variant, "variant")?))?;
            let since = writer.version();
            writer.finish()?;
            tx.index_class(&variant, &locations, since)?;
            Ok(())
        })
    }

    /// Staff of a store, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn users(&self, store: &StoreId) -> Result<Vec<StaffMember>, StoreError> {
        self.store.read(|tx| users_of(tx, store))
    }
}

fn put_user(tx: &Tx<'_>, store: &StoreId, staff: &StaffMember) -> Result<(), AdminError> {
    let mut writer = tx.feed_writer(&FeedName::Config(store.clone()))?;
    writer.put(
        &format!("user:{}", staff.user),
        Some(&to_row(staff, "staff")?),
    )?;
    writer.finish()?;
    Ok(())
}

fn users_of(tx: &Tx<'_>, store: &StoreId) -> StoreResult<Vec<StaffMember>> {
    let mut users = tx
        .feed_rows_with(&FeedName::Config(store.clone()), "user:")?
        .into_iter()
        .map(|(_, row)| from_row::<StaffMember>(&row, "staff"))
        .collect::<StoreResult<Vec<_>>>()?;
    users.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(users)
}

pub(crate) fn store_config(tx: &Tx<'_>, store: &StoreId) -> StoreResult<Option<StoreConfig>> {
    tx.feed_row(&FeedName::Config(store.clone()), "store")?
        .map(|row| from_row(&row, "store"))
        .transpose()
}

pub(crate) fn all_stores(tx: &Tx<'_>) -> StoreResult<Vec<StoreConfig>> {
    let mut stores = Vec::new();
    for (_, (_, store)) in tx.locations()? {
        let Some(store) = store else { continue };
        stores.push(store_config(tx, &store)?.ok_or(StoreError::Corrupt("store"))?);
    }
    stores.sort_by(|a, b| a.store.cmp(&b.store));
    Ok(stores)
}

fn put_store_config(tx: &Tx<'_>, config: &StoreConfig) -> StoreResult<()> {
    let mut writer = tx.feed_writer(&FeedName::Config(config.store.clone()))?;
    writer.put("store", Some(&to_row(config, "store")?))?;
    writer.finish()?;
    Ok(())
}

/// Every store follows its own location first, then all others of the chain.
fn refresh_follows(tx: &Tx<'_>) -> StoreResult<()> {
    let locations = tx.locations()?;
    for mut config in all_stores(tx)? {
        config.follows = std::iter::once(config.location.clone())
            .chain(
                locations
                    .keys()
                    .filter(|location| **location != config.location)
                    .cloned(),
            )
            .collect();
        config.location_names = locations
            .iter()
            .map(|(location, (names, _))| (location.clone(), names.clone()))
            .collect();
        put_store_config(tx, &config)?;
    }
    Ok(())
}

/// Puts the public key of a device into the configuration of every store, so that any till can check its signatures.
pub(crate) fn publish_device(tx: &Tx<'_>, device: &crate::store::DeviceRow) -> StoreResult<()> {
    let (pk, row) = device_record_row(device)?;
    for config in all_stores(tx)? {
        let mut writer = tx.feed_writer(&FeedName::Config(config.store.clone()))?;
        writer.put(&pk, Some(&row))?;
        writer.finish()?;
    }
    Ok(())
}

fn device_record_row(device: &crate::store::DeviceRow) -> StoreResult<(String, String)> {
    let record = DeviceRecord {
        device: device.device,
        store: device.store.clone(),
        till: device.till.clone(),
        algorithm: device.algorithm,
        public_key: device.public_key.clone(),
        revoked: device.revoked.is_some(),
    };
    Ok((
        format!("device:{}", device.device),
        to_row(&record, "device")?,
    ))
}

pub(crate) fn to_row<T: serde::Serialize>(value: &T, what: &'static str) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|_| StoreError::Corrupt(what))
}

pub(crate) fn from_row<T: serde::de::DeserializeOwned>(
    row: &str,
    what: &'static str,
) -> StoreResult<T> {
    serde_json::from_str(row).map_err(|_| StoreError::Corrupt(what))
}
