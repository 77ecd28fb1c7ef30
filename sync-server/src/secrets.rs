//! Passwords, PINs and randomness.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use domain::config::Role;
use domain::entropy::Entropy;

/// No secret could be made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operating system gave no randomness.
    #[error("no randomness from the operating system")]
    Random,
    /// The secret could not be hashed.
    #[error("the secret could not be hashed")]
    Hash,
}

/// Why a PIN is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    /// Not digits, or not as many as the role needs.
    #[error("a PIN of this role has {min} to 12 digits")]
    Length {
        /// Fewest digits.
        min: usize,
    },
    /// Among the first that anybody would guess.
    #[error("the PIN is too easy to guess")]
    Guessable,
}

/// Fresh entropy from the operating system.
///
/// # Errors
/// [`SecretError::Random`].
pub fn entropy() -> Result<Entropy, SecretError> {
    Ok(Entropy::new(random()?))
}

fn random() -> Result<[u8; 32], SecretError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| SecretError::Random)?;
    Ok(bytes)
}

/// Argon2id verifier (PHC string) of a password or PIN, with a fresh salt.
///
/// # Errors
/// [`SecretError::Hash`].
///
/// # Source
/// OWASP password storage: Argon2id, 19 MiB, 2 passes, which are the library's defaults.
pub fn hash_secret(secret: &str) -> Result<String, SecretError> {
    Argon2::default()
        .hash_password(secret.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|_| SecretError::Hash)
}

/// Whether `secret` fits `verifier`.
pub(crate) fn fits(secret: &str, verifier: &str) -> bool {
    PasswordHash::new(verifier).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(secret.as_bytes(), &hash)
            .is_ok()
    })
}

/// A password of 20 characters that can be read out: 100 random bits in four groups.
///
/// # Errors
/// [`SecretError::Random`].
pub fn random_password() -> Result<String, SecretError> {
    const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let bytes = random()?;
    let mut password = String::new();
    for (index, byte) in bytes.iter().take(20).enumerate() {
        if index > 0 && index % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    Ok(password)
}

/// A PIN that the role may have.
///
/// # Errors
/// [`SecretError::Random`].
pub fn random_pin(role: Role) -> Result<String, SecretError> {
    loop {
        let bytes = random()?;
        // 250 is the largest multiple of ten in a byte, so that no digit is likelier than another.
        let pin: String = bytes
            .iter()
            .filter(|byte| **byte < 250)
            .take(digits_min(role))
            .map(|byte| char::from(b'0' + byte % 10))
            .collect();
        if check_pin(role, &pin).is_ok() {
            return Ok(pin);
        }
    }
}

const fn digits_min(role: Role) -> usize {
    match role {
        Role::Cashier => 4,
        Role::Manager => 6,
    }
}

/// Whether a PIN may be used: long enough for the role, not one digit repeated, not a run, not a year.
///
/// # Errors
/// [`PinError`].
pub fn check_pin(role: Role, pin: &str) -> Result<(), PinError> {
    let min = digits_min(role);
    if !(min..=12).contains(&pin.len()) || !pin.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PinError::Length { min });
    }
    let steps: Vec<i16> = pin
        .as_bytes()
        .windows(2)
        .map(|pair| i16::from(pair[1]) - i16::from(pair[0]))
        .collect();
    let even_run = steps.iter().all(|step| *step == steps[0]) && (-1..=1).contains(&steps[0]);
    let year = pin.len() == 4 && (pin.starts_with("19") || pin.starts_with("20"));
    if even_run || year {
        return Err(PinError::Guessable);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_that_anybody_would_try_are_refused() {
        for (role, pin, result) in [
            (Role::Cashier, "4826", Ok(())),
            (Role::Cashier, "123", Err(PinError::Length { min: 4 })),
            (Role::Cashier, "12a4", Err(PinError::Length { min: 4 })),
            (Role::Cashier, "0000", Err(PinError::Guessable)),
            (Role::Cashier, "1234", Err(PinError::Guessable)),
            (Role::Cashier, "9876", Err(PinError::Guessable)),
            (Role::Cashier, "1987", Err(PinError::Guessable)),
            (Role::Manager, "4826", Err(PinError::Length { min: 6 })),
            (Role::Manager, "482617", Ok(())),
            (Role::Manager, "123456", Err(PinError::Guessable)),
        ] {
            assert_eq!(check_pin(role, pin), result, "{pin}");
        }
    }

    #[test]
    fn a_verifier_fits_its_secret_only() {
        let verifier = hash_secret("482617").expect("hash");
        assert!(verifier.starts_with("$argon2id$"));
        assert!(fits("482617", &verifier));
        assert!(!fits("482618", &verifier));
        assert!(!fits("482617", "no verifier"));
        assert_ne!(verifier, hash_secret("482617").expect("hash"));
    }
}
