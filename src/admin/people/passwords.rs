//! What may be a password: length, and none of those that everybody tries first (NIST SP 800-63B, 5.1.1.2). No rules
//! about digits and signs, which make passwords worse.

use super::super::problem::FieldError;

const MIN_CHARACTERS: usize = 12;
/// So that nobody makes the server hash a book.
const MAX_CHARACTERS: usize = 256;

/// The commonest of at least twelve characters, in lower case.
const COMMON: &[&str] = &[
    "000000000000",
    "111111111111",
    "123123123123",
    "123456789012",
    "1234567890123",
    "123456789123",
    "1234567891011",
    "1q2w3e4r5t6y",
    "1qaz2wsx3edc",
    "abc123abc123",
    "abcdefghijkl",
    "abcdefghijklm",
    "administrator",
    "changeme1234",
    "changemenow1",
    "correcthorsebatterystaple",
    "footballfootball",
    "iloveyou1234",
    "iloveyouforever",
    "letmein12345",
    "letmeinletmein",
    "motherfucker",
    "outbidoutbid",
    "passw0rd1234",
    "password1234",
    "password12345",
    "password123456",
    "passwordpassword",
    "q1w2e3r4t5y6",
    "qazwsxedcrfv",
    "qwerty123456",
    "qwertyqwerty",
    "qwertyuiop12",
    "qwertyuiop123",
    "welcome12345",
    "zaq12wsxcde3",
];

/// Why somebody's password cannot be this one.
pub(super) fn check(password: &str, email: &str) -> Result<(), String> {
    let characters = password.chars().count();
    if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&characters) {
        return Err(format!("give a password of {MIN_CHARACTERS} to {MAX_CHARACTERS} characters"));
    }
    let folded = password.to_lowercase();
    let is_one_letter = folded.chars().all(|letter| folded.starts_with(letter));
    if folded == email.to_lowercase() {
        return Err("a password is not the e-mail address; choose another one".to_owned());
    }
    if is_one_letter || COMMON.contains(&folded.trim()) {
        return Err("this is one of the passwords that are tried first; choose another one".to_owned());
    }
    Ok(())
}

/// The same as an error of a field.
pub(super) fn check_field(password: &str, email: &str, pointer: &'static str) -> Result<(), FieldError> {
    check(password, email).map_err(|message| FieldError::new(pointer, "out_of_range", message))
}

#[cfg(test)]
mod tests {
    #[test]
    fn short_long_common_and_own_addresses_are_no_passwords() {
        let check = |password: &str, is_good: bool| {
            assert_eq!(super::check(password, "Somebody@a.example").is_ok(), is_good, "{password}");
        };
        check("elevenchars", false);
        check("twelve chars", true);
        check("zwölf Größen", true);
        check(&"ab".repeat(128), true);
        check(&"ab".repeat(129), false);
        check("somebody@A.example", false);
        check("Password1234", false);
        check("ZZZZzzzzZZZZZ", false);
    }
}
