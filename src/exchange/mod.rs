//! (in work)
pub mod macros;
pub mod price;
pub mod respond;
pub mod token;
pub mod url;
